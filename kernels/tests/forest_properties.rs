//! What must hold of any table: changes of it that must not change what a tree says, or must change it in a known way. Every
//! statement here is exact: where sums of fractions would depend on their order, the tables have whole numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod forest_support;

use forest_support::{Feature, Label, Table, feature_of, goes_left, random_table, random_table_with, right_of};
use paceline_kernels::draws::Draws;
use paceline_kernels::forest::tree::{BIN_MASK, LEAF};
use paceline_kernels::forest::{
    BinnedColumn, BinnedColumns, Codes, ForestArrays, ForestError, ForestView, GrowSettings, PackedNode, RawColumn, Sampling, Tree,
};
use proptest::prelude::*;

/// All rows and, at every node, all features: no draw has a part in the tree.
fn without_draws(table: &Table) -> GrowSettings {
    GrowSettings { max_features: table.features.len(), sampling: Sampling::All, ..table.settings(1) }
}

fn with_features(table: &Table, features: Vec<Feature>) -> Table {
    Table::with_bins(features, table.label.clone(), table.weights.clone(), 255)
}

/// The same table with row `order[i]` as its row i.
fn in_order(table: &Table, order: &[u32]) -> Table {
    fn pick<T: Copy>(values: &[T], order: &[u32]) -> Vec<T> {
        order.iter().map(|&row| values[row as usize]).collect()
    }
    let feature = |feature: &Feature| match feature {
        Feature::Numeric(values) => Feature::Numeric(pick(values, order)),
        Feature::Categorical(levels, n_levels) => Feature::Categorical(pick(levels, order), *n_levels),
    };
    let label = match &table.label {
        Label::Classes(classes, n_classes) => Label::Classes(pick(classes, order), *n_classes),
        Label::Values(values) => Label::Values(pick(values, order)),
    };
    let weights = table.weights.as_ref().map(|weights| pick(weights, order));
    Table::with_bins(table.features.iter().map(feature).collect(), label, weights, 255)
}

/// What a tree says of rows: one after the other, each with an entry for every class.
fn predict(tree: &Tree, table: &Table, rows: &[RawColumn<'_>], n_rows: usize) -> Vec<f64> {
    let mut arrays = ForestArrays::new(&table.columns());
    arrays.push(tree);
    let view = ForestView::new(arrays.slices(), table.kinds(), table.outcome()).unwrap();
    let mut out = vec![f64::NAN; n_rows * view.n_outputs()];
    view.predict(rows, &mut out).unwrap();
    out
}

fn predict_itself(tree: &Tree, table: &Table) -> Vec<f64> {
    predict(tree, table, &table.raw(), table.n_rows())
}

/// Whole numbers as targets and weights, whose sums are exact in any order.
fn with_whole_numbers(mut table: Table, weighted: bool, seed: u64) -> Table {
    let mut draws = Draws::new(seed, 79, 0);
    if let Label::Values(values) = &mut table.label {
        values.iter_mut().for_each(|value| *value = value.floor());
    }
    table.weights = weighted.then(|| (0..table.n_rows()).map(|_| (1 + draws.below(3)) as f64).collect());
    table
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn the_order_of_rows_does_not_matter_where_all_are_drawn(
        seed in any::<u64>(), n_rows in 2usize..200, n_classes in 0u32..5, weighted in any::<bool>(), extra_trees in any::<bool>(),
        min_samples_leaf in 1u32..4,
    ) {
        let table = with_whole_numbers(random_table(n_rows, 3, 2, n_classes, seed), weighted, seed);
        let mut order: Vec<u32> = (0..n_rows as u32).collect();
        let mut draws = Draws::new(seed, 80, 0);
        (0..n_rows).for_each(|position| draws.draw_to(&mut order, position));
        let settings = GrowSettings { sampling: Sampling::All, extra_trees, min_samples_leaf, ..table.settings(seed) };
        prop_assert_eq!(table.grow(settings, 0), in_order(&table, &order).grow(settings, 0));
    }
}

#[test]
fn thresholds_follow_a_monotone_scaling() {
    for (seed, n_classes) in [(1, 3), (2, 0)] {
        let table = random_table(400, 4, 0, n_classes, seed);
        let scale = |value: f64| (value / 40.0).exp() - 2.0;
        let scaled = table.features.iter().map(|feature| match feature {
            Feature::Numeric(values) => Feature::Numeric(values.iter().map(|&value| scale(value)).collect()),
            Feature::Categorical(..) => unreachable!("there are numbers only"),
        });
        let scaled = with_features(&table, scaled.collect());
        let (tree, scaled_tree) = (table.grow(table.settings(seed), 0), scaled.grow(table.settings(seed), 0));
        assert_eq!(tree.n_nodes(), scaled_tree.n_nodes());
        for (node, scaled_node) in tree.nodes.iter().zip(&scaled_tree.nodes) {
            assert_eq!(node, scaled_node);
            if node[1] & LEAF == 0 {
                let feature = feature_of(*node);
                assert_eq!(n_below(&table, feature, *node), n_below(&scaled, feature, *scaled_node), "a threshold between other values");
            }
        }
        assert_eq!(predict_itself(&tree, &table), predict_itself(&scaled_tree, &scaled));
    }
}

/// How many values of a column are not above a node's threshold.
fn n_below(table: &Table, feature: usize, node: PackedNode) -> usize {
    // The last bin has no end.
    let threshold = table.thresholds(feature).get((node[0] & BIN_MASK) as usize).copied().unwrap_or(f64::INFINITY);
    let Feature::Numeric(values) = &table.features[feature] else { panic!("feature {feature} is no number") };
    values.iter().filter(|&&value| value <= threshold).count()
}

/// Tables on which no two features divide any node equally well: real numbers to be learned, and leaves too large for chance.
fn table_without_ties(seed: u64) -> (Table, GrowSettings) {
    let table = random_table(600, 3, 2, 0, seed);
    let settings = GrowSettings { min_samples_leaf: 20, ..without_draws(&table) };
    (table, settings)
}

#[test]
fn a_copy_of_a_column_or_another_order_of_them_adds_nothing_where_all_are_tried() {
    for seed in 0..5 {
        let (table, settings) = table_without_ties(seed);
        let tree = table.grow(settings, 0);
        assert!(tree.n_nodes() > 20);
        let predicted = predict_itself(&tree, &table);
        for copied in 0..5 {
            let mut features = table.features.clone();
            features.push(features[copied].clone());
            let doubled = with_features(&table, features);
            let twin = doubled.grow(GrowSettings { max_features: 6, ..settings }, 0);
            assert_eq!(predict_itself(&twin, &doubled), predicted);
            let gain = twin.feature_gains[copied] + twin.feature_gains[5];
            assert!((gain - tree.feature_gains[copied]).abs() <= 1e-9 * gain.abs(), "the gain is the column's, whoever is chosen");
        }
        let reversed = with_features(&table, table.features.iter().rev().cloned().collect());
        assert_eq!(predict_itself(&reversed.grow(settings, 0), &reversed), predicted);
    }
}

#[test]
fn columns_that_do_not_vary_do_not_count_as_tried() {
    for n_classes in [0, 2, 4] {
        let table = random_table(300, 1, 0, n_classes, 3);
        let constants = [Feature::Numeric(vec![7.0; 300]), Feature::Numeric(vec![f64::NAN; 300]), Feature::Categorical(vec![2; 300], 5)];
        let padded = with_features(&table, [&constants, &table.features[..], &constants].concat());
        // One feature a split: were constants counted, most nodes would be leaves.
        for tree_idx in 0..5 {
            let settings = GrowSettings { max_features: 1, ..table.settings(3) };
            let (tree, padded_tree) = (table.grow(settings, tree_idx), padded.grow(settings, tree_idx));
            assert_eq!(predict_itself(&tree, &table), predict_itself(&padded_tree, &padded));
            assert_eq!(padded_tree.n_nodes(), tree.n_nodes());
        }
    }
}

#[test]
fn rows_of_weight_0_are_as_if_left_out() {
    for (seed, n_classes) in [(1, 0), (2, 2), (3, 5)] {
        let mut kept = random_table(300, 4, 2, n_classes, seed);
        kept.weights = Some(vec![1.0; 300]);
        let twice: Vec<u32> = (0..600).map(|row| row % 300).collect();
        let mut all = in_order(&kept, &twice);
        // The second copies say something else, and nothing, since they weigh nothing. Their features are those of rows that stay:
        // bins are chosen by all rows.
        match &mut all.label {
            Label::Values(values) => values[300..].iter_mut().for_each(|value| *value = -*value),
            Label::Classes(classes, n_classes) => classes[300..].iter_mut().for_each(|class| *class = (*class + 1) % *n_classes),
        }
        all.weights = Some((0..600).map(|row| if row < 300 { 1.0 } else { 0.0 }).collect());
        for min_samples_leaf in [1, 5] {
            let settings = GrowSettings { sampling: Sampling::All, min_samples_leaf, ..kept.settings(seed) };
            assert_eq!(all.grow(settings, 0), kept.grow(settings, 0));
        }
    }
}

#[test]
fn missing_values_that_training_had_not_go_with_most_rows() {
    for (seed, n_classes) in [(1, 0), (2, 3)] {
        let full = random_table_with(500, 3, 2, n_classes, 200.0, seed);
        let filled = full.features.iter().map(|feature| match feature {
            Feature::Numeric(values) => Feature::Numeric(values.iter().map(|value| if value.is_nan() { 3.0 } else { *value }).collect()),
            Feature::Categorical(levels, n_levels) => {
                Feature::Categorical(levels.iter().map(|&level| level.min(*n_levels as u32 - 1)).collect(), *n_levels)
            }
        });
        let table = with_features(&full, filled.collect());
        let tree = table.grow(GrowSettings { sampling: Sampling::All, ..table.settings(seed) }, 0);
        let (number, level) = ([f64::NAN], [u32::MAX]);
        let missing = table.features.iter().map(|feature| match feature {
            Feature::Numeric(_) => RawColumn::Numeric(&number),
            Feature::Categorical(..) => RawColumn::Categorical(&level),
        });
        let rows: Vec<usize> = (0..table.n_rows()).collect();
        let found = predict(&tree, &table, &missing.collect::<Vec<_>>(), 1);
        let leaf_rows = follow_most_rows(&tree, &table, 0, rows);
        // The rows of the leaf where most rows lead all the way are told what the row of missing values is told.
        let n_outputs = found.len();
        let predicted = predict_itself(&tree, &table);
        assert!(leaf_rows.iter().all(|&row| predicted[row * n_outputs..][..n_outputs] == found));
    }
}

/// The rows of the leaf that is reached by always going where more of the rows go; where as many go left as right, where the
/// node says that missing ones go.
fn follow_most_rows(tree: &Tree, table: &Table, node_idx: usize, rows: Vec<usize>) -> Vec<usize> {
    let node = tree.nodes[node_idx];
    if node[1] & LEAF != 0 {
        return rows;
    }
    let (feature, right) = (feature_of(node), right_of(tree, node));
    let value = |row: usize| match &table.features[feature] {
        Feature::Numeric(values) => values[row],
        Feature::Categorical(levels, _) => f64::from(levels[row]),
    };
    let (left, right_rows): (Vec<usize>, Vec<usize>) =
        rows.into_iter().partition(|&row| goes_left(tree, table.thresholds(feature), node, Some(value(row))));
    let is_left =
        if left.len() == right_rows.len() { goes_left(tree, table.thresholds(feature), node, None) } else { left.len() > right_rows.len() };
    if is_left { follow_most_rows(tree, table, node_idx + 1, left) } else { follow_most_rows(tree, table, right, right_rows) }
}

#[test]
fn more_rows_than_row_numbers_are_refused_before_they_are_read() {
    // Fresh zeroed memory: the pages are never touched, so it takes no room.
    let codes = vec![0u8; 1 << 31];
    let refusal = BinnedColumns::new(vec![BinnedColumn::numeric(Codes::U8(&codes), &[])]).unwrap_err();
    assert!(matches!(refusal, ForestError::Setting(text) if text.contains("2,147,483,647 rows")), "{refusal}");
}

#[test]
fn a_node_of_two_rows_is_split_like_any_other() {
    let mut draws = Draws::new(9, 0, 0);
    let values = [0.0, 1.0, 2.0, f64::NAN];
    let mut n_splits = 0;
    for seed in 0..200 {
        let pairs: Vec<[f64; 2]> = (0..6).map(|_| [(); 2].map(|()| values[draws.below(4) as usize])).collect();
        // A copy of the second row makes no further division, but three rows are not settled as two are.
        let root = |n_rows: usize, is_class: bool| {
            let features = pairs.iter().map(|&[first, second]| Feature::Numeric([first, second, second][..n_rows].to_vec())).collect();
            // All means are whole numbers, so that the same division has the same score from either side.
            let (classes, numbers) = (vec![0, 1, 1], vec![2.0, 8.0, 8.0]);
            let label = if is_class { Label::Classes(classes[..n_rows].to_vec(), 2) } else { Label::Values(numbers[..n_rows].to_vec()) };
            let table = Table::with_bins(features, label, None, 255);
            let settings = GrowSettings { max_features: 3, sampling: Sampling::All, ..table.settings(seed) };
            table.grow(settings, 0).nodes
        };
        for is_class in [true, false] {
            let (two, three) = (root(2, is_class), root(3, is_class));
            assert_eq!((two.len(), two[0][0]), (three.len(), three[0][0]), "{pairs:?}");
            n_splits += usize::from(two.len() > 1);
        }
    }
    assert!(n_splits > 300);
}
