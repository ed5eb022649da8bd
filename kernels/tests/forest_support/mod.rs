//! Small tables for the tests of forests, and a check of a grown tree against plain loops over all divisions of every node.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use paceline_kernels::draws::Draws;
use paceline_kernels::forest::tree::{BIN_MASK, CATEGORICAL, DEFAULT_LEFT, FEATURE_SHIFT, LEAF, LEAF_ROW, PLACE_MASK};
use paceline_kernels::forest::{
    BinCodes, BinnedColumn, BinnedColumns, Criterion, FeatureKind, GrowSettings, Grower, InBag, MISSING_LEVEL, Nesting, NumericBins,
    Outcome, PackedNode, RawColumn, RowTable, Target, TrainingSet, Tree, encode_levels,
};
use std::collections::BTreeSet;

/// A feature as a user has it.
#[derive(Clone, Debug)]
pub enum Feature {
    Numeric(Vec<f64>),
    Categorical(Vec<u32>, usize),
}

/// A target as a user has it.
#[derive(Clone, Debug)]
pub enum Label {
    Classes(Vec<u32>, u32),
    Values(Vec<f64>),
}

/// A table that owns its columns, binned.
#[derive(Clone, Debug)]
pub struct Table {
    pub features: Vec<Feature>,
    pub label: Label,
    pub weights: Option<Vec<f64>>,
    binned: Vec<(Vec<f64>, BinCodes)>,
}

impl Table {
    pub fn with_bins(features: Vec<Feature>, label: Label, weights: Option<Vec<f64>>, max_bins: usize) -> Self {
        let bin = |feature: &Feature| match feature {
            Feature::Numeric(values) => {
                let bins = NumericBins::fit(values, max_bins).unwrap();
                (bins.thresholds().to_vec(), bins.encode(values))
            }
            Feature::Categorical(levels, n_levels) => (Vec::new(), encode_levels(levels, *n_levels).unwrap()),
        };
        let binned = features.iter().map(bin).collect();
        Self { features, label, weights, binned }
    }

    pub fn n_rows(&self) -> usize {
        match &self.label {
            Label::Classes(classes, _) => classes.len(),
            Label::Values(values) => values.len(),
        }
    }

    pub fn columns(&self) -> BinnedColumns<'_> {
        let mut columns = Vec::new();
        for (feature, (thresholds, codes)) in self.features.iter().zip(&self.binned) {
            columns.push(match feature {
                Feature::Numeric(_) => BinnedColumn::numeric(codes.as_codes(), thresholds),
                Feature::Categorical(_, n_levels) => BinnedColumn::categorical(codes.as_codes(), *n_levels),
            });
        }
        BinnedColumns::new(columns).unwrap()
    }

    pub fn set(&self) -> TrainingSet<'_> {
        let target = match &self.label {
            Label::Classes(classes, n_classes) => Target::Classes { classes, n_classes: *n_classes },
            Label::Values(values) => Target::Values(values),
        };
        TrainingSet::new(self.columns(), target, self.weights.as_deref()).unwrap()
    }

    pub fn rows(&self) -> RowTable<'static> {
        RowTable::in_memory(&self.columns())
    }

    pub fn settings(&self, seed: u64) -> GrowSettings {
        match self.label {
            Label::Classes(..) => GrowSettings::classification(self.n_rows(), self.features.len(), seed),
            Label::Values(_) => GrowSettings::regression(self.n_rows(), self.features.len(), seed),
        }
    }

    pub fn grow(&self, settings: GrowSettings, tree_idx: u64) -> Tree {
        Grower::new(self.set(), self.rows(), settings).unwrap().grow(tree_idx, Nesting::Sequential)
    }

    pub fn raw(&self) -> Vec<RawColumn<'_>> {
        let mut raw = Vec::new();
        for feature in &self.features {
            raw.push(match feature {
                Feature::Numeric(values) => RawColumn::Numeric(values),
                Feature::Categorical(levels, _) => RawColumn::Categorical(levels),
            });
        }
        raw
    }

    /// The upper ends of a numeric feature's bins.
    pub fn thresholds(&self, feature: usize) -> &[f64] {
        &self.binned[feature].0
    }

    pub fn kinds(&self) -> Vec<FeatureKind> {
        let kind = |feature: &Feature| match feature {
            Feature::Numeric(_) => FeatureKind::Numeric,
            Feature::Categorical(_, n_levels) => FeatureKind::Categorical { n_levels: *n_levels as u32 },
        };
        self.features.iter().map(kind).collect()
    }

    pub fn outcome(&self) -> Outcome {
        match self.label {
            Label::Classes(_, n_classes) => Outcome::Classes(n_classes),
            Label::Values(_) => Outcome::Value,
        }
    }
}

/// One value as a tree sees it: missing ones have none.
pub fn value_of(feature: &Feature, row: usize) -> Option<f64> {
    match feature {
        Feature::Numeric(values) => Some(values[row]).filter(|value| !value.is_nan()),
        Feature::Categorical(levels, n_levels) => Some(levels[row]).filter(|&level| (level as usize) < *n_levels).map(f64::from),
    }
}

/// The feature that an inner node tests.
pub fn feature_of(node: PackedNode) -> usize {
    (node[0] >> FEATURE_SHIFT) as usize
}

/// Where the level set of a categorical node begins.
fn set_start(node: PackedNode) -> usize {
    ((node[0] & BIN_MASK) as usize) << 29 | (node[1] & PLACE_MASK) as usize
}

/// The right child of an inner node.
pub fn right_of(tree: &Tree, node: PackedNode) -> usize {
    if node[1] & CATEGORICAL != 0 { tree.level_words[set_start(node)] as usize } else { (node[1] & PLACE_MASK) as usize }
}

/// Whether a row goes left at an inner node, by the node's written meaning. `thresholds` are those of its feature.
pub fn goes_left(tree: &Tree, thresholds: &[f64], node: PackedNode, value: Option<f64>) -> bool {
    let default_left = node[1] & DEFAULT_LEFT != 0;
    match value {
        None => default_left,
        Some(level) if node[1] & CATEGORICAL != 0 => {
            let set = &tree.level_words[set_start(node)..];
            let (first_word, n_words, level) = (set[1] & 0xffff, set[1] >> 16, level as u32);
            let words = &set[2..2 + n_words as usize];
            let in_set =
                level / 32 >= first_word && words.get((level / 32 - first_word) as usize).is_some_and(|word| word >> (level % 32) & 1 == 1);
            in_set != default_left
        }
        Some(value) => thresholds.get((node[0] & BIN_MASK) as usize).is_none_or(|&threshold| value <= threshold),
    }
}

/// A row of a node: its number, its draws and its weight.
#[derive(Clone, Copy, Debug)]
pub struct BagRow {
    row: usize,
    draws: f64,
    weight: f64,
}

/// A check of one tree.
pub struct NaiveCheck<'a> {
    pub table: &'a Table,
    pub settings: GrowSettings,
    pub tree: &'a Tree,
    /// Gain of the tree's splits, and of the best divisions, over all nodes.
    pub gain: f64,
    pub best_gain: f64,
}

impl<'a> NaiveCheck<'a> {
    /// Follows the tree's rows down from the root and looks at every node.
    pub fn run(table: &'a Table, settings: GrowSettings, tree: &'a Tree, tree_idx: u64) -> Self {
        let bag = InBag::draw(settings.sampling, table.n_rows(), settings.seed, tree_idx);
        let weight = |row: usize| table.weights.as_ref().map_or(1.0, |weights| weights[row]);
        let all = |draws: fn(u8) -> u8| -> Vec<BagRow> {
            let bag_row =
                |row| BagRow { row, draws: f64::from(draws(bag.count(row))), weight: f64::from(draws(bag.count(row))) * weight(row) };
            (0..table.n_rows()).map(bag_row).filter(|row| row.weight > 0.0).collect()
        };
        let mut rows = all(|count| count);
        if rows.is_empty() {
            rows = all(|_| 1);
        }
        let mut check = Self { table, settings, tree, gain: 0.0, best_gain: 0.0 };
        let features = (0..table.features.len() as u32).collect();
        let end = check.node(0, rows, features, Draws::new(settings.seed, 2, tree_idx), 0);
        assert_eq!(end, tree.n_nodes(), "nodes are depth first, without gaps");
        check
    }

    /// Checks a node and all below it; returns the number of the node that follows them.
    fn node(&mut self, idx: usize, rows: Vec<BagRow>, candidates: Vec<u32>, draws: Draws, depth: u32) -> usize {
        let node = self.tree.nodes[idx];
        let (tried, constant) = self.features_tried(&rows, &candidates, draws);
        let impurity = self.impurity(&rows);
        let n_draws: f64 = rows.iter().map(|row| row.draws).sum();
        let fewest = f64::from(self.settings.min_samples_split.max(2 * self.settings.min_samples_leaf).max(2));
        let may_split = n_draws >= fewest && !self.is_pure(&rows) && self.settings.max_depth.is_none_or(|max| depth < max);
        let best = if may_split { self.best_gain_of(&rows, &tried) } else { None };
        if node[1] & LEAF != 0 {
            assert!(best.is_none() || self.may_fall_short(&tried), "node {idx} is a leaf but could gain {best:?}");
            self.check_leaf(node, &rows);
            return idx + 1;
        }
        let best = best.expect("a split node must have a division");
        let feature = feature_of(node) as u32;
        assert!(tried.contains(&feature), "node {idx} splits on a feature that it did not draw");
        let thresholds = self.table.thresholds(feature as usize);
        let (left, right): (Vec<_>, Vec<_>) =
            rows.iter().partition(|row| goes_left(self.tree, thresholds, node, value_of(&self.table.features[feature as usize], row.row)));
        let smaller = n_draws_of(&left).min(n_draws_of(&right));
        assert!(smaller >= f64::from(self.settings.min_samples_leaf), "node {idx} has a child that is too small");
        let gain = impurity - self.impurity(&left) - self.impurity(&right);
        let tolerance = 1e-9 * (1.0 + impurity);
        assert!(gain <= best + tolerance, "node {idx} gains more than is possible");
        assert!(self.may_fall_short(&tried) || gain >= best - tolerance, "node {idx} gains {gain}, possible are {best}");
        self.gain += gain;
        self.best_gain += best;
        let has_missing = rows.iter().any(|row| value_of(&self.table.features[feature as usize], row.row).is_none());
        let (left_weight, right_weight) = (weight_of(&left), weight_of(&right));
        if !has_missing && (left_weight - right_weight).abs() > 1e-9 * left_weight {
            assert_eq!(
                node[1] & DEFAULT_LEFT != 0,
                left_weight > right_weight,
                "node {idx}: unseen missing values go with most of the weight"
            );
        }
        let candidates: Vec<u32> = candidates.into_iter().filter(|feature| !constant.contains(feature)).collect();
        let after_left = self.node(idx + 1, left, candidates.clone(), draws.child(0), depth + 1);
        assert_eq!(right_of(self.tree, node), after_left, "the right child follows the left part");
        self.node(after_left, right, candidates, draws.child(1), depth + 1)
    }

    /// Draws features one by one until enough of them vary.
    fn features_tried(&self, rows: &[BagRow], candidates: &[u32], mut draws: Draws) -> (Vec<u32>, Vec<u32>) {
        let mut order = candidates.to_vec();
        let (mut tried, mut constant) = (Vec::new(), Vec::new());
        for position in 0..order.len() {
            if tried.len() == self.settings.max_features {
                break;
            }
            draws.draw_to(&mut order, position);
            let feature = &self.table.features[order[position] as usize];
            let distinct: BTreeSet<_> = rows.iter().map(|row| value_of(feature, row.row).map(f64::to_bits)).collect();
            if distinct.len() > 1 { tried.push(order[position]) } else { constant.push(order[position]) }
        }
        (tried, constant)
    }

    /// Where the grower does not promise the best: random divisions, and levels of which the best division need not lie along
    /// an order, as with more than two classes or where the sides must have a size.
    fn may_fall_short(&self, tried: &[u32]) -> bool {
        let has_levels = tried.iter().any(|&feature| matches!(self.table.features[feature as usize], Feature::Categorical(..)));
        let is_multiclass = matches!(self.table.label, Label::Classes(_, 3..));
        self.settings.extra_trees || has_levels && (is_multiclass || self.settings.min_samples_leaf > 1)
    }

    /// The best gain over all divisions: every cut of the values with missing ones on either side, every subset of levels.
    fn best_gain_of(&self, rows: &[BagRow], tried: &[u32]) -> Option<f64> {
        let mut best: Option<f64> = None;
        let impurity = self.impurity(rows);
        for &feature in tried {
            let column = &self.table.features[feature as usize];
            for left_values in divisions(column, rows) {
                let is_left = |row: &&BagRow| left_values.contains(&value_of(column, row.row).map(f64::to_bits));
                let (left, right): (Vec<_>, Vec<_>) = rows.iter().partition(is_left);
                if n_draws_of(&left).min(n_draws_of(&right)) >= f64::from(self.settings.min_samples_leaf) {
                    let gain = impurity - self.impurity(&left) - self.impurity(&right);
                    best = Some(best.map_or(gain, |best| best.max(gain)));
                }
            }
        }
        best
    }

    /// Impurity times weight, by its definition.
    fn impurity(&self, rows: &[BagRow]) -> f64 {
        let weight = weight_of(rows);
        match &self.table.label {
            Label::Values(values) => {
                let mean = rows.iter().map(|row| row.weight * values[row.row]).sum::<f64>() / weight;
                rows.iter().map(|row| row.weight * (values[row.row] - mean).powi(2)).sum()
            }
            Label::Classes(_, n_classes) => {
                let shares = (0..*n_classes).map(|class| self.class_weight(rows, class) / weight).filter(|&share| share > 0.0);
                let terms = shares.map(|p| if self.settings.criterion == Criterion::Entropy { -p * p.ln() } else { p * (1.0 - p) });
                weight * terms.sum::<f64>()
            }
        }
    }

    fn class_weight(&self, rows: &[BagRow], class: u32) -> f64 {
        let Label::Classes(classes, _) = &self.table.label else { return 0.0 };
        rows.iter().filter(|row| classes[row.row] == class).map(|row| row.weight).sum()
    }

    fn is_pure(&self, rows: &[BagRow]) -> bool {
        match &self.table.label {
            Label::Values(values) => rows.iter().all(|row| values[row.row] == values[rows[0].row]),
            Label::Classes(classes, _) => rows.iter().all(|row| classes[row.row] == classes[rows[0].row]),
        }
    }

    fn check_leaf(&self, node: PackedNode, rows: &[BagRow]) {
        let content = node[1] & PLACE_MASK;
        let weight = weight_of(rows);
        match (&self.table.label, node[1] & LEAF_ROW != 0) {
            (Label::Values(values), true) => {
                let mean = rows.iter().map(|row| row.weight * values[row.row]).sum::<f64>() / weight;
                assert!((self.tree.leaf_means[content as usize] - mean).abs() <= 1e-9 * (1.0 + mean.abs()));
            }
            (Label::Classes(..), false) => assert!((self.class_weight(rows, content) - weight).abs() <= 1e-9 * weight),
            (Label::Classes(_, n_classes), true) => {
                for class in 0..*n_classes {
                    let share = f64::from(self.tree.leaf_shares[(content * n_classes + class) as usize]);
                    assert!((share - self.class_weight(rows, class) / weight).abs() < 1e-6);
                }
            }
            other => panic!("a leaf of a wrong kind: {other:?}"),
        }
    }
}

fn weight_of(rows: &[BagRow]) -> f64 {
    rows.iter().map(|row| row.weight).sum()
}

fn n_draws_of(rows: &[BagRow]) -> f64 {
    rows.iter().map(|row| row.draws).sum()
}

/// The sets of values, as bits, that could go left.
fn divisions(feature: &Feature, rows: &[BagRow]) -> Vec<BTreeSet<Option<u64>>> {
    let mut present: Vec<Option<f64>> = rows.iter().map(|row| value_of(feature, row.row)).collect();
    // None, the missing value, comes first.
    present.sort_by(|a, b| a.partial_cmp(b).unwrap());
    present.dedup();
    let bits = |values: &mut dyn Iterator<Item = Option<f64>>| values.map(|value| value.map(f64::to_bits)).collect::<BTreeSet<_>>();
    match feature {
        Feature::Categorical(..) => {
            let subset = |mask: usize| bits(&mut present.iter().enumerate().filter(|(at, _)| mask >> at & 1 == 1).map(|(_, &value)| value));
            (1..(1 << present.len()) - 1).map(subset).collect()
        }
        Feature::Numeric(_) => {
            let values: Vec<_> = present.iter().copied().filter(Option::is_some).collect();
            let has_missing = values.len() < present.len();
            let mut divisions: Vec<_> = (1..values.len()).map(|cut| bits(&mut values[..cut].iter().copied())).collect();
            if has_missing {
                let with_missing = (0..values.len()).map(|cut| bits(&mut values[..cut].iter().copied().chain([None])));
                divisions.extend(with_missing.collect::<Vec<_>>());
            }
            divisions
        }
    }
}

/// A table of random values: numeric features of few or many values, categorical ones, missing values, a target that depends on
/// some of them.
pub fn random_table(n_rows: usize, n_numeric: usize, n_categorical: usize, n_classes: u32, seed: u64) -> Table {
    // No more distinct values than bins, so that no division is out of reach.
    let most_values = if n_rows <= 100 { 1e6 } else { 200.0 };
    random_table_with(n_rows, n_numeric, n_categorical, n_classes, most_values, seed)
}

/// The same with a third of the numeric features taking up to `most_values` values.
pub fn random_table_with(n_rows: usize, n_numeric: usize, n_categorical: usize, n_classes: u32, most_values: f64, seed: u64) -> Table {
    let mut draws = Draws::new(seed, 77, 0);
    let mut features = Vec::new();
    for feature in 0..n_numeric {
        let spread = [5.0, 40.0, most_values][feature % 3];
        let mut value = || if draws.below(20) == 0 { f64::NAN } else { (draws.unit_f64() * spread).floor() };
        features.push(Feature::Numeric((0..n_rows).map(|_| value()).collect()));
    }
    for feature in 0..n_categorical {
        let n_levels = 2 + 3 * (feature % 3);
        let mut level = || if draws.below(20) == 0 { MISSING_LEVEL } else { draws.below(n_levels as u64) as u32 };
        features.push(Feature::Categorical((0..n_rows).map(|_| level()).collect(), n_levels));
    }
    let signal =
        |row: usize| -> f64 { features.iter().filter_map(|feature| value_of(feature, row)).map(|value| (value * 0.7).sin()).sum() };
    let label = if n_classes == 0 {
        Label::Values((0..n_rows).map(|row| 1000.0 + 3.0 * signal(row) + draws.unit_f64()).collect())
    } else {
        let class = |row: usize, noise: f64| ((signal(row) + 2.0 + noise).max(0.0) as u32) % n_classes;
        Label::Classes((0..n_rows).map(|row| class(row, draws.unit_f64())).collect(), n_classes)
    };
    Table::with_bins(features, label, None, if most_values > 255.0 { 65_535 } else { 255 })
}
