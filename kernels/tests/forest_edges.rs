//! Tables at the edge of what is legal, and changes of a table that must not change a tree.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod forest_support;

use forest_support::{Feature, Label, NaiveCheck, Table, random_table};
use paceline_kernels::draws::Draws;
use paceline_kernels::forest::{
    BinnedColumn, BinnedColumns, Codes, Criterion, GrowSettings, Grower, RowTable, Sampling, Target, TrainingSet, Tree, importance,
};

fn numeric(values: &[f64]) -> Feature {
    Feature::Numeric(values.to_vec())
}

fn classes(classes: &[u32]) -> Label {
    Label::Classes(classes.to_vec(), classes.iter().max().unwrap() + 1)
}

/// A tree of all rows and all features.
fn whole_tree(table: &Table) -> Tree {
    let settings = GrowSettings { max_features: table.features.len(), sampling: Sampling::All, ..table.settings(1) };
    let tree = table.grow(settings, 0);
    NaiveCheck::run(table, settings, &tree, 0);
    tree
}

fn table(features: Vec<Feature>, label: Label) -> Table {
    Table::with_bins(features, label, None, 255)
}

#[test]
fn tables_without_a_split_give_a_leaf() {
    let one_row = table(vec![numeric(&[1.0])], classes(&[1]));
    let constant_column = table(vec![numeric(&[3.0; 4])], classes(&[0, 1, 0, 1]));
    let constant_target = table(vec![numeric(&[1.0, 2.0])], Label::Values(vec![5.0, 5.0]));
    let all_missing = table(vec![numeric(&[f64::NAN; 3])], classes(&[0, 1, 2]));
    for table in [one_row, constant_column, constant_target, all_missing] {
        assert_eq!(whole_tree(&table).n_nodes(), 1);
    }
}

#[test]
fn missing_alone_can_be_split_off() {
    let tree = whole_tree(&table(vec![numeric(&[1.0, f64::NAN, 2.0, f64::NAN])], classes(&[0, 1, 0, 1])));
    assert_eq!((tree.n_nodes(), tree.depth()), (3, 1));
    let tree = whole_tree(&table(vec![numeric(&[1.0, f64::NAN, 1.0, f64::NAN])], Label::Values(vec![0.0, 1.0, 0.0, 1.0])));
    assert_eq!(tree.n_leaves(), 2);
}

#[test]
fn infinities_split_like_other_values() {
    let tree = whole_tree(&table(vec![numeric(&[f64::NEG_INFINITY, 0.0, f64::INFINITY, f64::NAN])], classes(&[0, 1, 2, 3])));
    assert_eq!(tree.n_leaves(), 4);
}

#[test]
fn no_gain_at_once_does_not_end_the_tree() {
    let xor = table(vec![numeric(&[0.0, 0.0, 1.0, 1.0]), numeric(&[0.0, 1.0, 0.0, 1.0])], classes(&[0, 1, 1, 0]));
    assert_eq!(whole_tree(&xor).n_leaves(), 4);
}

#[test]
fn ten_thousand_levels_are_one_column() {
    let n_rows = 30_000;
    let mut draws = Draws::new(5, 0, 0);
    let levels: Vec<u32> = (0..n_rows).map(|_| draws.below(10_000) as u32).collect();
    let values = levels.iter().map(|&level| f64::from(level % 2)).collect();
    let tree = whole_tree_unchecked(&table(vec![Feature::Categorical(levels, 10_000)], Label::Values(values)));
    assert_eq!(tree.n_nodes(), 3, "odd and even levels are told apart by one set");
    assert!(tree.level_words.len() <= 2 + 10_000 / 32 + 1);
}

fn whole_tree_unchecked(table: &Table) -> Tree {
    table.grow(GrowSettings { max_features: table.features.len(), sampling: Sampling::All, ..table.settings(1) }, 0)
}

#[test]
fn a_deep_chain_of_nodes_needs_no_deep_stack() {
    // Where classes alternate along the only feature, cutting off one end gains most, so the tree is a chain.
    let n_rows = 8_000;
    let features = vec![numeric(&(0..n_rows).map(f64::from).collect::<Vec<_>>())];
    let table = Table::with_bins(features, classes(&(0..n_rows).map(|row| row % 2).collect::<Vec<_>>()), None, 65_535);
    let tree = whole_tree_unchecked(&table);
    assert_eq!(tree.n_leaves(), n_rows as usize);
    assert!(tree.depth() > 3_500, "{}", tree.depth());
}

#[test]
fn rows_of_weight_0_teach_nothing() {
    let mut table = random_table(300, 4, 2, 3, 6);
    table.weights = Some((0..300).map(|row| f64::from(row % 3).min(1.0)).collect());
    let tree = whole_tree(&table);
    let Label::Classes(classes, _) = &mut table.label else { unreachable!() };
    (0..300).step_by(3).for_each(|row| classes[row] = (classes[row] + 1) % 3);
    assert_eq!(whole_tree(&table), tree);
}

#[test]
fn a_bag_of_weightless_rows_falls_back_to_the_others() {
    let mut table = table(vec![numeric(&[1.0, 2.0, 3.0])], Label::Values(vec![1.0, 2.0, 3.0]));
    table.weights = Some(vec![0.0, 0.0, 1.0]);
    for tree_idx in 0..20 {
        let settings = GrowSettings { sampling: Sampling::Subsample { n_rows: 1 }, ..table.settings(1) };
        let tree = table.grow(settings, tree_idx);
        assert_eq!((tree.n_nodes(), &tree.leaf_means[..]), (1, &[3.0][..]));
    }
}

#[test]
fn weights_count_like_repeated_rows() {
    let plain = random_table(200, 4, 2, 3, 7);
    let mut weighted = plain.clone();
    weighted.weights = Some(vec![2.0; 200]);
    let settings = GrowSettings { min_samples_leaf: 3, ..plain.settings(7) };
    assert_eq!(plain.grow(settings, 0).nodes, weighted.grow(settings, 0).nodes);
}

#[test]
fn monotone_scaling_changes_thresholds_only() {
    let table = random_table(400, 6, 0, 3, 8);
    let mut scaled = table.features.clone();
    for feature in &mut scaled {
        let Feature::Numeric(values) = feature else { unreachable!() };
        values.iter_mut().for_each(|value| *value = (*value / 50.0).exp());
    }
    let scaled = Table::with_bins(scaled, table.label.clone(), None, 255);
    for tree_idx in 0..5 {
        let (a, b) = (table.grow(table.settings(8), tree_idx), scaled.grow(table.settings(8), tree_idx));
        assert_eq!(a.nodes, b.nodes);
        assert_eq!(a.feature_gains, b.feature_gains);
    }
}

#[test]
fn a_minimum_decrease_prunes() {
    let table = random_table(500, 4, 2, 0, 9);
    let sizes = [0.0, 0.01, 0.1, 1e6].map(|min| table.grow(GrowSettings { min_impurity_decrease: min, ..table.settings(9) }, 0).n_nodes());
    assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
    assert_eq!(sizes[3], 1);
}

#[test]
fn importance_finds_the_feature_that_decides() {
    let mut table = random_table(500, 5, 0, 2, 10);
    let Feature::Numeric(values) = &table.features[2] else { unreachable!() };
    table.label = classes(&values.iter().map(|&value| u32::from(value > 80.0)).collect::<Vec<_>>());
    let gains: Vec<f64> = (0..20).flat_map(|tree_idx| table.grow(table.settings(10), tree_idx).feature_gains).collect();
    let importance = importance(&gains, 5);
    assert!(importance[2] > 0.5 && (importance.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{importance:?}");
}

#[test]
fn what_cannot_be_used_is_refused() {
    let codes = [0u8, 1, 2];
    let column = |thresholds| BinnedColumn::numeric(Codes::U8(&codes), thresholds);
    assert!(BinnedColumns::new(vec![column(&[0.5, 1.5])]).is_ok());
    assert!(BinnedColumns::new(vec![column(&[0.5])]).is_ok(), "the last code is the missing one");
    assert!(BinnedColumns::new(vec![column(&[])]).is_err());
    assert!(BinnedColumns::new(vec![column(&[1.5, 0.5])]).is_err());
    assert!(BinnedColumns::new(vec![column(&[0.5, f64::INFINITY])]).is_err());
    assert!(BinnedColumns::new(vec![column(&[0.5]), BinnedColumn::categorical(Codes::U8(&codes[..2]), 2)]).is_err());
    assert!(BinnedColumns::new(vec![]).is_err());
    assert!(BinnedColumns::new(vec![BinnedColumn::categorical(Codes::U8(&[]), 2)]).is_err());
    let columns = BinnedColumns::new(vec![column(&[0.5, 1.5])]).unwrap();
    let classes = |classes| TrainingSet::new(columns.clone(), Target::Classes { classes, n_classes: 2 }, None);
    assert!(classes(&[0, 1]).is_err() && classes(&[0, 1, 2]).is_err() && classes(&[0, 1, 1]).is_ok());
    let values = |values| TrainingSet::new(columns.clone(), Target::Values(values), None);
    assert!(values(&[0.0, f64::NAN, 0.0]).is_err() && values(&[0.0, f64::INFINITY, 0.0]).is_err());
    let weights = |weights| TrainingSet::new(columns.clone(), Target::Values(&[1.0, 2.0, 3.0]), Some(weights));
    assert!(weights(&[1.0, -1.0, 0.0]).is_err() && weights(&[0.0; 3]).is_err() && weights(&[f64::NAN; 3]).is_err());
    let set = weights(&[1.0; 3]).unwrap();
    let usual = GrowSettings::regression(3, 1, 0);
    let rows = || RowTable::in_memory(&columns);
    assert!(Grower::new(set.clone(), rows(), usual).is_ok());
    for bad in [
        GrowSettings { criterion: Criterion::Gini, ..usual },
        GrowSettings { max_features: 0, ..usual },
        GrowSettings { min_samples_leaf: 0, ..usual },
        GrowSettings { min_impurity_decrease: f64::NAN, ..usual },
        GrowSettings { sampling: Sampling::Subsample { n_rows: 4 }, ..usual },
    ] {
        assert!(Grower::new(set.clone(), rows(), bad).is_err());
    }
}
