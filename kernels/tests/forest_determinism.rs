//! The same tree, byte for byte, at any number of threads and however trees and branches are divided among them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod forest_support;

use forest_support::{Label, Table, random_table_with};
use paceline_kernels::forest::{GrowSettings, Grower, Nesting, Tree};
use rayon::prelude::*;
use std::hash::{DefaultHasher, Hash, Hasher};

const N_TREES: u32 = 3;

fn hash(trees: &[Tree]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for tree in trees {
        tree.nodes.hash(&mut hasher);
        tree.level_words.hash(&mut hasher);
        tree.leaf_shares.iter().for_each(|share| share.to_bits().hash(&mut hasher));
        tree.leaf_means.iter().for_each(|mean| mean.to_bits().hash(&mut hasher));
        tree.feature_gains.iter().for_each(|gain| gain.to_bits().hash(&mut hasher));
    }
    hasher.finish()
}

fn grow(table: &Table, settings: GrowSettings, n_threads: usize, nesting: Nesting) -> Vec<Tree> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
    let grower = Grower::new(table.set(), table.rows(), settings).unwrap();
    pool.install(|| (0..N_TREES).into_par_iter().with_max_len(1).map(|tree_idx| grower.grow(u64::from(tree_idx), nesting)).collect())
}

fn check(table: &Table, settings: GrowSettings) {
    let alone = grow(table, settings, 1, Nesting::Sequential);
    assert!(alone.iter().all(|tree| tree.n_nodes() > 100), "the trees are large enough to be shared");
    for n_threads in [1, 2, 4] {
        for nesting in [Nesting::Sequential, Nesting::Nested] {
            assert_eq!(hash(&grow(table, settings, n_threads, nesting)), hash(&alone), "{n_threads} threads, {nesting:?}");
        }
    }
}

#[test]
fn class_trees_do_not_depend_on_threads() {
    let table = random_table_with(40_000, 5, 4, 4, 1e5, 1);
    check(&table, table.settings(1));
    check(&table, GrowSettings { extra_trees: true, min_samples_leaf: 20, ..table.settings(2) });
}

#[test]
fn regression_and_weighted_trees_do_not_depend_on_threads() {
    let mut table = random_table_with(40_000, 6, 2, 0, 200.0, 3);
    check(&table, GrowSettings { min_samples_leaf: 5, ..table.settings(3) });
    table.weights = Some((0..40_000).map(|row| 0.1 + f64::from(row % 7) / 3.0).collect());
    check(&table, GrowSettings { min_samples_leaf: 5, ..table.settings(3) });
    table.label = Label::Classes((0..40_000).map(|row| row % 3).collect(), 3);
    check(&table, GrowSettings { max_depth: Some(12), max_features: 4, ..table.settings(3) });
}
