//! Prediction, out-of-bag sums and the checks of a forest that comes from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod forest_support;

use forest_support::{Feature, Table, feature_of, goes_left, random_table, random_table_with, right_of, value_of};
use paceline_kernels::draws::Draws;
use paceline_kernels::forest::tree::{LEAF, LEAF_ROW, PLACE_MASK};
use paceline_kernels::forest::{
    DecodedNode, FeatureKind, ForestArrays, ForestError, ForestView, GrowSettings, InBag, LeafContent, Outcome, RawColumn, Tree, WalkPath,
    class_of, out_of_bag,
};
use proptest::prelude::*;

fn forest(table: &Table, settings: GrowSettings, n_trees: u64) -> (Vec<Tree>, ForestArrays) {
    let trees: Vec<Tree> = (0..n_trees).map(|tree_idx| table.grow(settings, tree_idx)).collect();
    let mut arrays = ForestArrays::new(&table.columns());
    trees.iter().for_each(|tree| arrays.push(tree));
    (trees, arrays)
}

fn view<'a>(table: &Table, arrays: &'a ForestArrays) -> ForestView<'a> {
    ForestView::new(arrays.slices(), table.kinds(), table.outcome()).unwrap()
}

/// The leaf of a row of `features`, one step at a time.
fn naive_leaf(table: &Table, features: &[Feature], tree: &Tree, row: usize) -> usize {
    let mut at = 0;
    while tree.nodes[at][1] & LEAF == 0 {
        let node = tree.nodes[at];
        let feature = feature_of(node);
        let is_left = goes_left(tree, table.thresholds(feature), node, value_of(&features[feature], row));
        at = if is_left { at + 1 } else { right_of(tree, node) };
    }
    at
}

fn naive_add(tree: &Tree, leaf: usize, sums: &mut [f64]) {
    let tail = tree.nodes[leaf][1];
    let content = (tail & PLACE_MASK) as usize;
    if tail & LEAF_ROW == 0 {
        sums[content] += 1.0;
    } else if tree.leaf_means.is_empty() {
        (0..sums.len()).for_each(|class| sums[class] += f64::from(tree.leaf_shares[content * sums.len() + class]));
    } else {
        sums[0] += tree.leaf_means[content];
    }
}

/// Holds predictions and leaves of every way down equal to a walk, bit for bit.
fn check_predictions(table: &Table, features: &[Feature], n_rows: usize, trees: &[Tree], arrays: &ForestArrays) {
    let raw: Vec<RawColumn<'_>> = features
        .iter()
        .map(|feature| match feature {
            Feature::Numeric(values) => RawColumn::Numeric(values),
            Feature::Categorical(levels, _) => RawColumn::Categorical(levels),
        })
        .collect();
    for path in WalkPath::available() {
        let view = view(table, arrays).with_walk_path(path);
        let n_outputs = view.n_outputs();
        let (mut predicted, mut leaves) = (vec![f64::NAN; n_rows * n_outputs], vec![u32::MAX; n_rows * trees.len()]);
        view.predict(&raw, &mut predicted).unwrap();
        view.leaves(&raw, &mut leaves).unwrap();
        for row in 0..n_rows {
            let mut sums = vec![0.0; n_outputs];
            for (tree_idx, tree) in trees.iter().enumerate() {
                let leaf = naive_leaf(table, features, tree, row);
                assert_eq!(leaves[row * trees.len() + tree_idx] as usize, leaf);
                naive_add(tree, leaf, &mut sums);
            }
            let mean: Vec<u64> = sums.iter().map(|sum| (sum / trees.len() as f64).to_bits()).collect();
            let predicted: Vec<u64> = predicted[row * n_outputs..][..n_outputs].iter().map(|mean| mean.to_bits()).collect();
            assert_eq!(predicted, mean, "{path:?}, row {row}");
        }
    }
}

#[test]
fn predictions_are_those_of_a_walk() {
    for n_classes in [0, 2, 5] {
        let table = random_table(1500, 4, 3, n_classes, 3);
        let (trees, arrays) = forest(&table, GrowSettings { min_samples_leaf: 3, ..table.settings(3) }, 20);
        check_predictions(&table, &table.features, table.n_rows(), &trees, &arrays);
    }
}

#[test]
fn predictions_of_more_rows_than_a_block_are_those_of_a_walk() {
    let table = random_table_with(20_011, 5, 1, 3, 1e4, 4);
    let (trees, arrays) = forest(&table, table.settings(4), 2);
    check_predictions(&table, &table.features, table.n_rows(), &trees, &arrays);
}

#[test]
fn out_of_bag_sums_are_those_of_a_walk() {
    for (n_classes, most_values) in [(0, 200.0), (2, 200.0), (5, 1e4)] {
        let table = random_table_with(1500, 4, 3, n_classes, most_values, 3);
        let settings = GrowSettings { min_samples_leaf: 3, ..table.settings(3) };
        let (trees, arrays) = forest(&table, settings, 12);
        let bags: Vec<InBag> = (0..12).map(|tree_idx| InBag::draw(settings.sampling, table.n_rows(), settings.seed, tree_idx)).collect();
        let bits: Vec<Vec<u64>> = bags.iter().map(InBag::to_bits).collect();
        let bits: Vec<&[u64]> = bits.iter().map(Vec::as_slice).collect();
        let range = 100..table.n_rows() - 7;
        for path in WalkPath::available() {
            let view = view(&table, &arrays).with_walk_path(path);
            let n_outputs = view.n_outputs();
            let oob = out_of_bag(&view, &table.columns(), &bits, range.clone()).unwrap();
            for row in range.clone() {
                let (mut sums, mut n_trees) = (vec![0.0; n_outputs], 0);
                for (tree, _) in trees.iter().zip(&bags).filter(|(_, bag)| bag.count(row) == 0) {
                    naive_add(tree, naive_leaf(&table, &table.features, tree, row), &mut sums);
                    n_trees += 1;
                }
                let at = row - range.start;
                assert_eq!((&oob.sums[at * n_outputs..][..n_outputs], oob.n_trees[at]), (&sums[..], n_trees));
            }
        }
    }
}

/// Rows that the table never had: values between and beyond its own, infinities, missing values, levels that it does not know.
fn strange_rows(table: &Table, n_rows: usize, seed: u64) -> Vec<Feature> {
    let mut draws = Draws::new(seed, 80, 0);
    let mut number = || match draws.below(12) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 => -0.0,
        _ => (draws.unit_f64() * 120.0).floor() / 2.0 - 5.0,
    };
    let mut columns = Vec::new();
    for feature in &table.features {
        columns.push(match feature {
            Feature::Numeric(_) => Feature::Numeric((0..n_rows).map(|_| number()).collect()),
            Feature::Categorical(_, n_levels) => {
                let known = *n_levels;
                let level = |x: f64| if x.is_finite() { (x + 6.0) as u32 } else { u32::MAX };
                Feature::Categorical((0..n_rows).map(|_| level(number())).collect(), known)
            }
        });
    }
    columns
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn any_rows_are_predicted_as_by_a_walk(
        seed in any::<u64>(), n_train in 1usize..400, n_rows in 1usize..150, n_numeric in 0usize..5, n_categorical in 0usize..4,
        n_classes in prop::sample::select(vec![0u32, 2, 3, 7]), wide in any::<bool>(), extra_trees in any::<bool>(), min_samples_leaf in 1u32..4,
    ) {
        let n_numeric = n_numeric.max(usize::from(n_categorical == 0));
        let table = random_table_with(n_train, n_numeric, n_categorical, n_classes, if wide { 1e4 } else { 200.0 }, seed);
        let (trees, arrays) = forest(&table, GrowSettings { extra_trees, min_samples_leaf, ..table.settings(seed) }, 3);
        check_predictions(&table, &strange_rows(&table, n_rows, seed), n_rows, &trees, &arrays);
    }
}

#[test]
fn decoded_nodes_lead_to_the_same_leaves() {
    for n_classes in [0, 3] {
        let table = random_table(600, 3, 3, n_classes, 12);
        let (trees, arrays) = forest(&table, GrowSettings { min_samples_leaf: 2, ..table.settings(12) }, 3);
        let view = view(&table, &arrays);
        let rows = strange_rows(&table, 200, 12);
        for (tree_idx, tree) in trees.iter().enumerate() {
            for row in 0..200 {
                let decoded = view.tree(tree_idx);
                let mut at = 0;
                let content = loop {
                    at = match decoded.node(at) {
                        DecodedNode::Leaf(content) => break content,
                        DecodedNode::Numeric { feature, threshold, default_left, left, right } => {
                            let value = value_of(&rows[feature], row);
                            if value.map_or(default_left, |value| value <= threshold) { left } else { right }
                        }
                        DecodedNode::Categorical { feature, levels, default_left, left, right } => {
                            let levels: Vec<u32> = levels.collect();
                            let is_in = value_of(&rows[feature], row).is_some_and(|level| levels.contains(&(level as u32)));
                            if is_in != default_left { left } else { right }
                        }
                    };
                };
                assert_eq!(at, naive_leaf(&table, &rows, tree, row));
                let mut sums = vec![0.0; view.n_outputs()];
                naive_add(tree, at, &mut sums);
                match content {
                    LeafContent::Class(class) => assert_eq!(sums[class as usize], 1.0),
                    LeafContent::Shares(shares) => assert!(shares.iter().zip(&sums).all(|(&share, &sum)| f64::from(share) == sum)),
                    LeafContent::Mean(mean) => assert_eq!(sums, [mean]),
                }
            }
            assert_eq!((view.depths()[tree_idx] as usize, decoded_leaves(&view, tree_idx)), (tree.depth(), tree.n_leaves()));
        }
    }
}

fn decoded_leaves(view: &ForestView<'_>, tree_idx: usize) -> usize {
    let tree = view.tree(tree_idx);
    (0..tree.n_nodes()).filter(|&idx| matches!(tree.node(idx), DecodedNode::Leaf(_))).count()
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
    assert!(out_of_bag(&view, &table.columns(), &[&[0]], 40..50).is_ok());
    assert!(out_of_bag(&view, &table.columns(), &[&[0]], 40..51).is_err());
    assert!(out_of_bag(&view, &table.columns(), &[&[]], 40..50).is_err());
    assert!(out_of_bag(&view, &table.columns(), &[], 40..50).is_err());
}

#[test]
fn damage_that_matters_is_named() {
    let table = random_table(200, 3, 1, 3, 10);
    let (_, good) = forest(&table, table.settings(10), 3);
    let refused = |arrays: &ForestArrays| ForestView::new(arrays.slices(), table.kinds(), table.outcome()).is_err();
    assert!(!refused(&good));
    assert!(refused(&ForestArrays::new(&table.columns())));
    let damaged = |damage: &dyn Fn(&mut ForestArrays)| {
        let mut arrays = good.clone();
        damage(&mut arrays);
        refused(&arrays)
    };
    assert!(damaged(&|a| a.nodes[0] = [a.nodes[0][0] & 0xffff, 0]), "a root that is its own child");
    assert!(damaged(&|a| a.nodes[0] = [0, PLACE_MASK]), "a child beyond the tree");
    assert!(damaged(&|a| a.nodes[0][0] |= 0xffff_0000), "a feature beyond the table");
    assert!(damaged(&|a| a.nodes[0][0] |= 0xffff), "a bin beyond the feature's");
    assert!(damaged(&|a| a.thresholds[0] = f64::NAN), "thresholds that do not ascend");
    assert!(damaged(&|a| a.threshold_starts[1] += 1), "a feature with thresholds of the next one");
    assert!(damaged(&|a| a.leaf_means.push(0.0)), "means of classes");
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
    fn a_damaged_forest_is_refused_or_harmless(array in 0usize..8, at in any::<prop::sample::Index>(), word in 0usize..2, bit in 0u32..64, seed in 0u64..3) {
        let table = random_table(60, 2, 2, [0, 2, 4][seed as usize], seed);
        let settings = GrowSettings { min_samples_leaf: 2, ..table.settings(seed) };
        let (_, mut arrays) = forest(&table, settings, 2);
        match array {
            0 | 1 => { let n = arrays.nodes.len(); arrays.nodes[at.index(n)][word] ^= 1 << (bit % 32); }
            2 => arrays.node_starts[at.index(3)] ^= 1 << bit,
            3 => arrays.level_starts[at.index(3)] ^= 1 << bit,
            4 => arrays.leaf_starts[at.index(3)] ^= 1 << bit,
            5 => { let n = arrays.thresholds.len(); arrays.thresholds[at.index(n)] = f64::from_bits(arrays.thresholds[at.index(n)].to_bits() ^ 1 << bit); }
            6 => arrays.threshold_starts[at.index(5)] ^= 1 << bit,
            _ => { let n = arrays.level_words.len(); if n > 0 { arrays.level_words[at.index(n)] ^= 1 << (bit % 32); } }
        }
        if let Ok(view) = ForestView::new(arrays.slices(), table.kinds(), table.outcome()) {
            for path in WalkPath::available() {
                let mut out = vec![0.0; table.n_rows() * view.n_outputs()];
                view.clone().with_walk_path(path).predict(&table.raw(), &mut out).unwrap();
            }
        }
    }
}
