//! Prediction, out-of-bag sums and the checks of a forest that comes from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod forest_support;

use forest_support::{Feature, Table, goes_left, random_table};
use paceline_kernels::forest::tree::{LEAF, LEAF_CLASS, LEAF_SHARES};
use paceline_kernels::forest::{
    FeatureKind, ForestArrays, ForestError, ForestView, GrowSettings, InBag, Outcome, RawColumn, Sampling, Tree, class_of, out_of_bag,
};
use proptest::prelude::*;

fn forest(table: &Table, settings: GrowSettings, n_trees: u64) -> (Vec<Tree>, ForestArrays) {
    let trees: Vec<Tree> = (0..n_trees).map(|tree_idx| table.grow(settings, tree_idx)).collect();
    let mut arrays = ForestArrays::default();
    trees.iter().for_each(|tree| arrays.push(tree));
    (trees, arrays)
}

fn view<'a>(table: &Table, arrays: &'a ForestArrays) -> ForestView<'a> {
    ForestView::new(arrays.slices(), table.kinds(), table.outcome()).unwrap()
}

/// The leaf of a row, one step at a time.
fn naive_leaf(table: &Table, tree: &Tree, row: usize) -> usize {
    let mut at = 0;
    while tree.nodes[at][0] & LEAF == 0 {
        let node = tree.nodes[at];
        let value = match &table.features[(node[0] & 0x1fff_ffff) as usize] {
            Feature::Numeric(values) => Some(values[row]).filter(|value| !value.is_nan()),
            Feature::Categorical(levels, _) => Some(levels[row]).filter(|&level| level != u32::MAX).map(f64::from),
        };
        at = if goes_left(tree, node, value) { at + 1 } else { node[1] as usize };
    }
    at
}

fn naive_add(tree: &Tree, leaf: usize, sums: &mut [f64]) {
    let node = tree.nodes[leaf];
    let bits = u64::from(node[2]) | u64::from(node[3]) << 32;
    match node[1] {
        LEAF_CLASS => sums[bits as usize] += 1.0,
        LEAF_SHARES => (0..sums.len()).for_each(|class| sums[class] += f64::from(tree.leaf_shares[bits as usize * sums.len() + class])),
        _ => sums[0] += f64::from_bits(bits),
    }
}

#[test]
fn predictions_and_out_of_bag_sums_are_those_of_a_walk() {
    for n_classes in [0, 2, 5] {
        let table = random_table(1500, 4, 3, n_classes, 3);
        let settings = GrowSettings { min_samples_leaf: 3, ..table.settings(3) };
        // More trees than are held in one mask.
        let (trees, arrays) = forest(&table, settings, 70);
        let view = view(&table, &arrays);
        let (n_rows, n_outputs) = (table.n_rows(), view.n_outputs());
        let (mut predicted, mut leaves) = (vec![f64::NAN; n_rows * n_outputs], vec![0; n_rows * 70]);
        view.predict(&table.raw(), &mut predicted).unwrap();
        view.leaves(&table.raw(), &mut leaves).unwrap();
        let range = 100..n_rows - 7;
        let oob = out_of_bag(&view, &table.columns(), settings.sampling, settings.seed, 0, range.clone()).unwrap();
        let bags: Vec<InBag> = (0..70).map(|tree_idx| InBag::draw(settings.sampling, n_rows, settings.seed, tree_idx)).collect();
        for row in 0..n_rows {
            let (mut sums, mut oob_sums, mut n_oob) = (vec![0.0; n_outputs], vec![0.0; n_outputs], 0);
            for (tree_idx, (tree, bag)) in trees.iter().zip(&bags).enumerate() {
                let leaf = naive_leaf(&table, tree, row);
                assert_eq!(leaves[row * 70 + tree_idx] as usize, leaf);
                naive_add(tree, leaf, &mut sums);
                if bag.count(row) == 0 {
                    naive_add(tree, leaf, &mut oob_sums);
                    n_oob += 1;
                }
            }
            let mean: Vec<f64> = sums.iter().map(|sum| sum / 70.0).collect();
            assert_eq!(&predicted[row * n_outputs..][..n_outputs], mean);
            if range.contains(&row) {
                let at = row - range.start;
                assert_eq!((&oob.sums[at * n_outputs..][..n_outputs], oob.n_trees[at]), (&oob_sums[..], n_oob));
            }
        }
    }
}

#[test]
fn unseen_levels_go_where_missing_ones_go() {
    let table = random_table(500, 1, 4, 3, 8);
    let (_, arrays) = forest(&table, table.settings(8), 20);
    let view = view(&table, &arrays);
    let with_levels = |level: u32| -> Vec<f64> {
        let levels = [level];
        let mut columns = vec![RawColumn::Numeric(&[2.0])];
        columns.extend([RawColumn::Categorical(&levels); 4]);
        let mut out = vec![0.0; 3];
        view.predict(&columns, &mut out).unwrap();
        out
    };
    assert_eq!(with_levels(u32::MAX), with_levels(100_000));
    assert_ne!(with_levels(0), with_levels(u32::MAX));
}

#[test]
fn ties_go_to_the_lower_class() {
    assert_eq!(class_of(&[0.2, 0.4, 0.4]), 1);
    assert_eq!(class_of(&[0.5, 0.1, 0.5]), 0);
}

#[test]
fn columns_that_do_not_fit_are_refused() {
    let table = random_table(50, 1, 1, 2, 9);
    let (_, arrays) = forest(&table, table.settings(9), 1);
    let view = view(&table, &arrays);
    let mut out = [0.0; 2];
    let (number, level) = (RawColumn::Numeric(&[1.0]), RawColumn::Categorical(&[1]));
    assert!(view.predict(&[number, level], &mut out).is_ok());
    assert!(matches!(view.predict(&[number], &mut out), Err(ForestError::Length { .. })));
    assert!(matches!(view.predict(&[level, number], &mut out), Err(ForestError::Column { feature: 0, .. })));
    assert!(matches!(view.predict(&[number, RawColumn::Categorical(&[])], &mut out), Err(ForestError::Length { .. })));
    assert!(matches!(view.predict(&[number, level], &mut out[..1]), Err(ForestError::Length { .. })));
    assert!(out_of_bag(&view, &table.columns(), Sampling::All, 0, 0, 40..51).is_err());
}

#[test]
fn damage_that_matters_is_named() {
    let table = random_table(200, 3, 1, 3, 10);
    let (_, good) = forest(&table, table.settings(10), 3);
    let refused = |arrays: &ForestArrays| ForestView::new(arrays.slices(), table.kinds(), table.outcome()).is_err();
    assert!(!refused(&good));
    assert!(refused(&ForestArrays::default()));
    let damaged = |damage: &dyn Fn(&mut ForestArrays)| {
        let mut arrays = good.clone();
        damage(&mut arrays);
        refused(&arrays)
    };
    assert!(damaged(&|a| a.nodes[0][1] = 0), "a root that is its own child");
    assert!(damaged(&|a| a.nodes[0][1] = u32::MAX), "a child beyond the tree");
    assert!(damaged(&|a| a.nodes[0][0] |= 0x1fff_ffff), "a feature beyond the table");
    assert!(damaged(&|a| a.node_starts[1] += 1), "a tree that ends in the next one");
    assert!(damaged(&|a| a.node_starts[1] = u64::MAX), "starts that do not ascend");
    assert!(
        damaged(&|a| {
            a.nodes.pop();
        }),
        "a missing node"
    );
    assert!(
        damaged(&|a| {
            a.level_starts.pop();
        }),
        "a missing start"
    );
    assert!(ForestView::new(good.slices(), table.kinds(), Outcome::Value).is_err());
    assert!(ForestView::new(good.slices(), vec![FeatureKind::Numeric; 4], table.outcome()).is_err());
    assert!(ForestView::new(good.slices(), vec![], table.outcome()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn a_damaged_forest_is_refused_or_harmless(array in 0usize..6, at in any::<prop::sample::Index>(), word in 0usize..4, bit in 0u32..64, seed in 0u64..3) {
        let table = random_table(60, 2, 2, [0, 2, 4][seed as usize], seed);
        let settings = GrowSettings { min_samples_leaf: 2, ..table.settings(seed) };
        let (_, mut arrays) = forest(&table, settings, 2);
        match array {
            0 | 1 => { let n = arrays.nodes.len(); arrays.nodes[at.index(n)][word] ^= 1 << (bit % 32); }
            2 => arrays.node_starts[at.index(3)] ^= 1 << bit,
            3 => arrays.level_starts[at.index(3)] ^= 1 << bit,
            4 => arrays.leaf_starts[at.index(3)] ^= 1 << bit,
            _ => { let n = arrays.level_words.len(); if n > 0 { arrays.level_words[at.index(n)] ^= 1 << (bit % 32); } }
        }
        if let Ok(view) = ForestView::new(arrays.slices(), table.kinds(), table.outcome()) {
            let mut out = vec![0.0; table.n_rows() * view.n_outputs()];
            view.predict(&table.raw(), &mut out).unwrap();
            out_of_bag(&view, &table.columns(), settings.sampling, 1, 0, 0..table.n_rows()).unwrap();
        }
    }
}
