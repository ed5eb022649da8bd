//! Grown trees against plain loops: at every node the split must be as good as the best of all divisions of the features drawn.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod forest_support;

use forest_support::{NaiveCheck, Table, random_table, random_table_with};
use paceline_kernels::draws::Draws;
use paceline_kernels::forest::{Criterion, GrowSettings, Sampling};
use proptest::prelude::*;

fn check(table: &Table, settings: GrowSettings) -> (f64, f64) {
    let (mut gain, mut best) = (0.0, 0.0);
    for tree_idx in 0..2 {
        let tree = table.grow(settings, tree_idx);
        let check = NaiveCheck::run(table, settings, &tree, tree_idx);
        gain += check.gain;
        best += check.best_gain;
    }
    (gain, best)
}

fn with_weights(mut table: Table, seed: u64) -> Table {
    let mut draws = Draws::new(seed, 78, 0);
    table.weights = Some((0..table.n_rows()).map(|_| if draws.below(6) == 0 { 0.0 } else { draws.unit_f64() * 3.0 }).collect());
    table.weights.as_mut().unwrap()[0] = 1.0;
    table
}

#[test]
fn classification_of_numbers_finds_the_best_splits() {
    for n_classes in [1, 2, 3, 7] {
        for (seed, n_rows) in [(1, 300), (2, 40), (3, 700)] {
            let table = random_table(n_rows, 6, 0, n_classes, seed);
            check(&table, table.settings(seed));
            check(&table, GrowSettings { criterion: Criterion::Entropy, ..table.settings(seed) });
            check(&with_weights(table.clone(), seed), table.settings(seed));
        }
    }
}

#[test]
fn regression_finds_the_best_splits() {
    for (seed, n_rows) in [(4, 300), (5, 40), (6, 700)] {
        let table = random_table(n_rows, 6, 3, 0, seed);
        check(&table, table.settings(seed));
        check(&with_weights(table.clone(), seed), table.settings(seed));
    }
}

#[test]
fn two_classes_over_levels_find_the_best_subset() {
    for seed in 7..12 {
        let table = random_table(300, 1, 6, 2, seed);
        check(&table, GrowSettings { max_features: 4, ..table.settings(seed) });
        check(&table, GrowSettings { max_features: 4, criterion: Criterion::Entropy, ..table.settings(seed) });
    }
}

#[test]
fn many_classes_over_levels_come_near_the_best_subset() {
    for seed in 12..16 {
        let table = random_table(400, 0, 6, 5, seed);
        let (gain, best) = check(&table, GrowSettings { max_features: 3, ..table.settings(seed) });
        assert!(gain >= 0.95 * best, "gained {gain} of {best}");
    }
}

#[test]
fn wide_columns_are_exact_too() {
    for (n_rows, n_classes) in [(900, 3), (900, 0), (3000, 2)] {
        let table = random_table_with(n_rows, 6, 1, n_classes, 1e4, 17);
        check(&table, table.settings(17));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn any_small_table_is_split_as_by_plain_loops(
        seed in any::<u64>(), n_rows in 1usize..60, n_numeric in 0usize..4, n_categorical in 0usize..4, n_classes in 0u32..5,
        max_features in 1usize..5, max_depth in prop::option::of(0u32..5), min_samples_leaf in 1u32..6, min_samples_split in 2u32..8,
        extra_trees in any::<bool>(), sampling in 0u8..3, weighted in any::<bool>(), entropy in any::<bool>(),
    ) {
        let mut table = random_table(n_rows, n_numeric.max(usize::from(n_categorical == 0)), n_categorical, n_classes, seed);
        if weighted {
            table = with_weights(table, seed);
        }
        let sampling = match sampling {
            0 => Sampling::Bootstrap { n_draws: n_rows as u64 },
            1 => Sampling::Subsample { n_rows: (n_rows as u64).div_ceil(2) },
            _ => Sampling::All,
        };
        let criterion = if n_classes == 0 { Criterion::Variance } else if entropy { Criterion::Entropy } else { Criterion::Gini };
        check(&table, GrowSettings { criterion, max_features, max_depth, min_samples_leaf, min_samples_split, extra_trees, sampling, ..table.settings(seed) });
    }
}
