//! Gini and entropy over classes, counted when rows have no weights and summed when they do. This room must not know bins,
//! features or trees.

use super::criterion::{LeafValue, Measure, Sides};
use super::lanes::{ClassLanes, LaneClass, LaneWeight};
use super::level_order::principal_component_keys;
use std::marker::PhantomData;

/// What a class weight adds to the impurity's sum.
pub(super) trait ClassTerm: Copy + Send + Sync + Default {
    /// Whether the lanes, which sum squares, score by it.
    const IS_SQUARE: bool;
    /// How much the sum of terms grows when a class goes from `before` to `before + added`.
    fn growth(before: f64, added: f64) -> f64;
    /// The score of one side from its sum of terms and its weight.
    fn side_score(sum_of_terms: f64, weight: f64) -> f64;
}

/// The term of a class is its weight squared.
#[derive(Clone, Copy, Default)]
pub(super) struct Gini;

impl ClassTerm for Gini {
    const IS_SQUARE: bool = true;

    fn growth(before: f64, added: f64) -> f64 {
        added * (2.0 * before + added)
    }
    fn side_score(sum_of_terms: f64, weight: f64) -> f64 {
        sum_of_terms / weight
    }
}

/// The term of a class is w ln w.
#[derive(Clone, Copy, Default)]
pub(super) struct Entropy;

impl ClassTerm for Entropy {
    const IS_SQUARE: bool = false;

    fn growth(before: f64, added: f64) -> f64 {
        x_ln_x(before + added) - x_ln_x(before)
    }
    fn side_score(sum_of_terms: f64, weight: f64) -> f64 {
        sum_of_terms - x_ln_x(weight)
    }
}

fn x_ln_x(x: f64) -> f64 {
    if x > 0.0 { x * x.ln() } else { 0.0 }
}

/// Classes of rows without weights: a row counts as often as it was drawn.
pub(super) struct ClassCounts<'a, T> {
    pub classes: &'a [u32],
    pub n_classes: usize,
    pub term: PhantomData<T>,
}

/// A class and a count in four bytes, since every feature tried at a node reads it: the class above, the draws in the low byte.
#[derive(Clone, Copy)]
pub(super) struct CountedClass(u32);

impl CountedClass {
    fn class(self) -> usize {
        (self.0 >> 8) as usize
    }
    fn draws(self) -> u32 {
        self.0 & 0xff
    }
}

impl<T: ClassTerm> Measure for ClassCounts<'_, T> {
    type Item = CountedClass;
    type Cell = u32;
    type Sides = CountSides<T>;
    type Lanes = ClassLanes<LaneClass>;

    fn item(&self, row: usize, draws: u8) -> CountedClass {
        CountedClass(self.classes[row] << 8 | u32::from(draws))
    }
    fn leaf_of_one(item: CountedClass) -> LeafValue<'static> {
        LeafValue::Class(item.class() as u32)
    }
    fn counts(&self, _row: usize) -> bool {
        true
    }
    fn n_cells(&self) -> usize {
        self.n_classes
    }
    #[inline]
    fn add(cells: &mut [u32], item: CountedClass) {
        cells[item.class()] += item.draws();
    }
    fn sides(&self) -> CountSides<T> {
        CountSides { sums: ClassSides::new(self.n_classes), node: vec![[0; 2]; self.n_classes] }
    }
    fn n_level_sums(&self) -> usize {
        self.n_classes
    }
    fn add_to_level(sums: &mut [f64], item: CountedClass) {
        sums[item.class()] += f64::from(item.draws());
    }
    fn add_cells_to_level(sums: &mut [f64], cells: &[u32]) {
        sums.iter_mut().zip(cells).for_each(|(sum, &cell)| *sum += f64::from(cell));
    }
    fn level_keys(&self, sums: &[f64], keys: &mut Vec<f64>) {
        class_level_keys(sums, self.n_classes, keys);
    }

    fn lanes(&self) -> ClassLanes<LaneClass> {
        ClassLanes::new(self.n_classes)
    }
    fn begin_lanes(&self, node: &CountSides<T>, lanes: &mut ClassLanes<LaneClass>) -> bool {
        T::IS_SQUARE && lanes.begin(&node.sums.node, node.sums.node_weight, node.sums.node_weight)
    }
    #[inline(always)]
    fn lane_item(&self, item: CountedClass, lanes: &ClassLanes<LaneClass>) -> LaneClass {
        lanes.item(item.class(), item.draws())
    }
}

/// Classes of weighted rows. A bin's last cell counts its draws.
pub(super) struct ClassWeights<'a, T> {
    pub classes: &'a [u32],
    /// Of each row.
    pub weights: Option<&'a [f64]>,
    /// Of each class, by which those of its rows are multiplied.
    pub class_weights: Option<Vec<f64>>,
    pub n_classes: usize,
    pub term: PhantomData<T>,
}

/// A class with its weight, the row's own times its draws.
#[derive(Clone, Copy)]
pub(super) struct WeightedClass {
    weight: f64,
    class: u32,
    draws: u32,
}

impl<T> ClassWeights<'_, T> {
    fn weight(&self, row: usize) -> f64 {
        let of_class = self.class_weights.as_ref().map_or(1.0, |weights| weights[self.classes[row] as usize]);
        self.weights.map_or(of_class, |weights| weights[row] * of_class)
    }
}

impl<T: ClassTerm> Measure for ClassWeights<'_, T> {
    type Item = WeightedClass;
    type Cell = f64;
    type Sides = WeightSides<T>;
    type Lanes = ClassLanes<LaneWeight>;

    fn item(&self, row: usize, draws: u8) -> WeightedClass {
        WeightedClass { weight: self.weight(row) * f64::from(draws), class: self.classes[row], draws: u32::from(draws) }
    }
    fn leaf_of_one(item: WeightedClass) -> LeafValue<'static> {
        LeafValue::Class(item.class)
    }
    fn counts(&self, row: usize) -> bool {
        self.weight(row) > 0.0
    }
    fn n_cells(&self) -> usize {
        self.n_classes + 1
    }
    #[inline]
    fn add(cells: &mut [f64], item: WeightedClass) {
        cells[item.class as usize] += item.weight;
        if let Some(draws) = cells.last_mut() {
            *draws += f64::from(item.draws);
        }
    }
    fn sides(&self) -> WeightSides<T> {
        WeightSides { sums: ClassSides::new(self.n_classes), n_draws: 0.0, n_left_draws: 0.0 }
    }
    fn n_level_sums(&self) -> usize {
        self.n_classes
    }
    fn add_to_level(sums: &mut [f64], item: WeightedClass) {
        sums[item.class as usize] += item.weight;
    }
    fn add_cells_to_level(sums: &mut [f64], cells: &[f64]) {
        // The cell of the draws is one more than there are sums.
        sums.iter_mut().zip(cells).for_each(|(sum, &cell)| *sum += cell);
    }
    fn level_keys(&self, sums: &[f64], keys: &mut Vec<f64>) {
        class_level_keys(sums, self.n_classes, keys);
    }

    fn lanes(&self) -> ClassLanes<LaneWeight> {
        ClassLanes::new(self.n_classes)
    }
    fn begin_lanes(&self, node: &WeightSides<T>, lanes: &mut ClassLanes<LaneWeight>) -> bool {
        T::IS_SQUARE && lanes.begin(&node.sums.node, node.sums.node_weight, node.n_draws)
    }
    #[inline(always)]
    fn lane_item(&self, item: WeightedClass, lanes: &ClassLanes<LaneWeight>) -> LaneWeight {
        lanes.item(item.class, item.weight, item.draws)
    }
}

/// Two classes: the share of the second, along which the best division is contiguous for any concave impurity (Breiman et al.,
/// "Classification and Regression Trees", 1984, theorem 4.5). More: the first principal component.
fn class_level_keys(sums: &[f64], n_classes: usize, keys: &mut Vec<f64>) {
    if n_classes == 2 {
        keys.extend(sums.chunks_exact(2).map(|level| level[1] / (level[0] + level[1])));
    } else {
        principal_component_keys(sums, n_classes, keys);
    }
}

/// Class weights of a node and of its left side, with the impurity's sums kept up to date as rows move.
pub(super) struct ClassSides<T> {
    node: Vec<f64>,
    left: Vec<f64>,
    node_weight: f64,
    left_weight: f64,
    left_terms: f64,
    right_terms: f64,
    term: PhantomData<T>,
}

impl<T: ClassTerm> ClassSides<T> {
    fn new(n_classes: usize) -> Self {
        let zeros = vec![0.0; n_classes];
        let (node, left) = (zeros.clone(), zeros);
        let term = PhantomData;
        Self { node, left, node_weight: 0.0, left_weight: 0.0, left_terms: 0.0, right_terms: 0.0, term }
    }

    /// The sum of the node's terms.
    fn node_terms(&self) -> f64 {
        self.node.iter().filter(|&&weight| weight > 0.0).map(|&weight| T::growth(0.0, weight)).sum()
    }

    fn only_class(&self) -> Option<u32> {
        self.node.iter().position(|&weight| weight == self.node_weight).map(|class| class as u32)
    }

    fn leaf(&self) -> LeafValue<'_> {
        self.only_class().map_or(LeafValue::Shares(&self.node, self.node_weight), LeafValue::Class)
    }

    fn start(&mut self) {
        self.left.fill(0.0);
        self.left_weight = 0.0;
        self.left_terms = 0.0;
        self.right_terms = self.node_terms();
    }

    #[inline]
    fn move_weight(&mut self, class: usize, weight: f64) {
        let left = self.left[class];
        let right_after = self.node[class] - (left + weight);
        self.left[class] = left + weight;
        self.left_weight += weight;
        self.left_terms += T::growth(left, weight);
        self.right_terms -= T::growth(right_after, weight);
    }

    #[inline]
    fn score(&self) -> f64 {
        let right_weight = self.node_weight - self.left_weight;
        // Weights of very different size can leave a side without weight though it has rows.
        if right_weight <= 0.0 {
            return f64::NAN;
        }
        T::side_score(self.left_terms, self.left_weight) + T::side_score(self.right_terms, right_weight)
    }

    fn gain(&self, score: f64) -> f64 {
        score - T::side_score(self.node_terms(), self.node_weight)
    }
}

/// Sides without weights: a weight is a number of draws.
pub(super) struct CountSides<T> {
    sums: ClassSides<T>,
    /// Draws of each class in the node's even and odd rows: rows of the same class need not wait for one another.
    node: Vec<[u32; 2]>,
}

impl<T: ClassTerm> Sides for CountSides<T> {
    type Item = CountedClass;
    type Cell = u32;

    #[inline]
    fn sum_up(&mut self, items: impl Iterator<Item = CountedClass>) {
        let Self { sums, node } = self;
        let node = node.as_mut_slice();
        node.fill([0; 2]);
        let mut n_draws = 0;
        for (position, item) in items.enumerate() {
            node[item.class()][position % 2] += item.draws();
            n_draws += u64::from(item.draws());
        }
        sums.node.iter_mut().zip(node).for_each(|(weight, &mut [even, odd])| *weight = f64::from(even + odd));
        sums.node_weight = n_draws as f64;
    }
    fn is_pure(&self) -> bool {
        self.sums.only_class().is_some()
    }
    fn n_draws(&self) -> f64 {
        self.sums.node_weight
    }
    fn weight(&self) -> f64 {
        self.sums.node_weight
    }
    fn leaf(&self) -> LeafValue<'_> {
        self.sums.leaf()
    }
    fn start(&mut self) {
        self.sums.start();
    }
    #[inline]
    fn move_item(&mut self, item: CountedClass) {
        self.sums.move_weight(item.class(), f64::from(item.draws()));
    }
    #[inline]
    fn move_cells(&mut self, cells: &[u32]) {
        for (class, &count) in cells.iter().enumerate() {
            if count > 0 {
                self.sums.move_weight(class, f64::from(count));
            }
        }
    }
    #[inline]
    fn score(&self) -> f64 {
        self.sums.score()
    }
    #[inline]
    fn n_left_draws(&self) -> f64 {
        self.sums.left_weight
    }
    fn left_weight(&self) -> f64 {
        self.sums.left_weight
    }
    fn gain(&self, score: f64) -> f64 {
        self.sums.gain(score)
    }
}

/// Sides with weights, where draws are counted beside them.
pub(super) struct WeightSides<T> {
    sums: ClassSides<T>,
    n_draws: f64,
    n_left_draws: f64,
}

impl<T: ClassTerm> Sides for WeightSides<T> {
    type Item = WeightedClass;
    type Cell = f64;

    #[inline]
    fn sum_up(&mut self, items: impl Iterator<Item = WeightedClass>) {
        self.sums.node.fill(0.0);
        self.n_draws = 0.0;
        for item in items {
            self.sums.node[item.class as usize] += item.weight;
            self.n_draws += f64::from(item.draws);
        }
        self.sums.node_weight = self.sums.node.iter().sum();
    }
    fn is_pure(&self) -> bool {
        self.sums.only_class().is_some()
    }
    fn n_draws(&self) -> f64 {
        self.n_draws
    }
    fn weight(&self) -> f64 {
        self.sums.node_weight
    }
    fn leaf(&self) -> LeafValue<'_> {
        self.sums.leaf()
    }
    fn start(&mut self) {
        self.sums.start();
        self.n_left_draws = 0.0;
    }
    fn move_item(&mut self, item: WeightedClass) {
        self.sums.move_weight(item.class as usize, item.weight);
        self.n_left_draws += f64::from(item.draws);
    }
    fn move_cells(&mut self, cells: &[f64]) {
        let Some((draws, weights)) = cells.split_last() else { return };
        for (class, &weight) in weights.iter().enumerate() {
            if weight > 0.0 {
                self.sums.move_weight(class, weight);
            }
        }
        self.n_left_draws += draws;
    }
    fn score(&self) -> f64 {
        self.sums.score()
    }
    fn n_left_draws(&self) -> f64 {
        self.n_left_draws
    }
    fn left_weight(&self) -> f64 {
        self.sums.left_weight
    }
    fn gain(&self, score: f64) -> f64 {
        self.sums.gain(score)
    }
}
