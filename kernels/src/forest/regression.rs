//! The variance of a numeric target. This room must not know bins, features or trees.

use super::criterion::{LeafValue, Measure, Sides};
use super::lanes::{LaneResponse, ResponseLanes};

/// The target's values, with weights or without. Without, a row weighs as much as it was drawn, and bins save a cell.
pub(super) struct Response<'a, const WEIGHTED: bool> {
    pub values: &'a [f64],
    pub weights: Option<&'a [f64]>,
}

/// A value with its weight, the row's own times its draws.
#[derive(Clone, Copy)]
pub(super) struct WeightedValue {
    value: f64,
    weight: f64,
    draws: f64,
}

impl<const WEIGHTED: bool> Measure for Response<'_, WEIGHTED> {
    type Item = WeightedValue;
    type Cell = f64;
    type Sides = ResponseSides<WEIGHTED>;
    type Lanes = ResponseLanes<WEIGHTED>;

    fn item(&self, row: usize, draws: u8) -> WeightedValue {
        let draws = f64::from(draws);
        WeightedValue { value: self.values[row], weight: self.weights.map_or(draws, |weights| weights[row] * draws), draws }
    }
    fn leaf_of_one(item: WeightedValue) -> LeafValue<'static> {
        LeafValue::Mean(item.value)
    }
    fn counts(&self, row: usize) -> bool {
        self.weights.is_none_or(|weights| weights[row] > 0.0)
    }
    /// Weight, sum and, where they differ from the weight, draws.
    fn n_cells(&self) -> usize {
        if WEIGHTED { 3 } else { 2 }
    }
    #[inline]
    fn add(cells: &mut [f64], item: WeightedValue) {
        cells[0] += item.weight;
        cells[1] += item.weight * item.value;
        if WEIGHTED {
            cells[2] += item.draws;
        }
    }
    fn sides(&self) -> ResponseSides<WEIGHTED> {
        ResponseSides::default()
    }
    fn n_level_sums(&self) -> usize {
        2
    }
    fn add_to_level(sums: &mut [f64], item: WeightedValue) {
        sums[0] += item.weight;
        sums[1] += item.weight * item.value;
    }
    fn add_cells_to_level(sums: &mut [f64], cells: &[f64]) {
        sums[0] += cells[0];
        sums[1] += cells[1];
    }
    /// The mean, along which the best division is contiguous (Fisher, "On grouping for maximum homogeneity", JASA 53, 1958).
    fn level_keys(&self, sums: &[f64], keys: &mut Vec<f64>) {
        keys.extend(sums.chunks_exact(2).map(|level| level[1] / level[0]));
    }

    fn lanes(&self) -> ResponseLanes<WEIGHTED> {
        ResponseLanes::default()
    }
    fn begin_lanes(&self, node: &ResponseSides<WEIGHTED>, lanes: &mut ResponseLanes<WEIGHTED>) -> bool {
        lanes.begin(node.node.weight, node.node.sum / node.node.weight, node.node.draws);
        true
    }
    #[inline(always)]
    fn lane_item(&self, item: WeightedValue, _lanes: &ResponseLanes<WEIGHTED>) -> LaneResponse {
        LaneResponse { weight: item.weight, sum: item.weight * item.value, draws: item.draws }
    }
}

/// Sums of a node and of its left side.
#[derive(Default)]
pub(super) struct ResponseSides<const WEIGHTED: bool> {
    node: Sums,
    left: Sums,
    mean: f64,
    lowest: f64,
    highest: f64,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    weight: f64,
    sum: f64,
    draws: f64,
}

impl Sums {
    #[inline]
    fn add(&mut self, item: WeightedValue) {
        self.weight += item.weight;
        self.sum += item.weight * item.value;
        self.draws += item.draws;
    }
}

impl<const WEIGHTED: bool> Sides for ResponseSides<WEIGHTED> {
    type Item = WeightedValue;
    type Cell = f64;

    #[inline]
    fn sum_up(&mut self, items: impl Iterator<Item = WeightedValue>) {
        let (mut node, mut lowest, mut highest) = (Sums::default(), f64::INFINITY, f64::NEG_INFINITY);
        for item in items {
            node.add(item);
            // Not `min` and `max`, which would also look out for NaN.
            lowest = if item.value < lowest { item.value } else { lowest };
            highest = if item.value > highest { item.value } else { highest };
        }
        *self = Self { node, lowest, highest, ..Self::default() };
    }
    fn is_pure(&self) -> bool {
        self.lowest >= self.highest
    }
    fn n_draws(&self) -> f64 {
        self.node.draws
    }
    fn weight(&self) -> f64 {
        self.node.weight
    }
    fn leaf(&self) -> LeafValue<'_> {
        // Equal values are kept as they are: a mean could round them.
        LeafValue::Mean(if self.is_pure() { self.lowest } else { self.node.sum / self.node.weight })
    }
    fn start(&mut self) {
        self.left = Sums::default();
        self.mean = self.node.sum / self.node.weight;
    }
    #[inline]
    fn move_item(&mut self, item: WeightedValue) {
        self.left.add(item);
    }
    #[inline]
    fn move_cells(&mut self, cells: &[f64]) {
        self.left.weight += cells[0];
        self.left.sum += cells[1];
        self.left.draws += if WEIGHTED { cells[2] } else { cells[0] };
    }
    #[inline]
    fn score(&self) -> f64 {
        let right_weight = self.node.weight - self.left.weight;
        // Weights of very different size can leave a side without weight though it has rows.
        if right_weight <= 0.0 {
            return f64::NAN;
        }
        let excess = self.left.sum - self.mean * self.left.weight;
        excess * excess * self.node.weight / (self.left.weight * right_weight)
    }
    #[inline]
    fn n_left_draws(&self) -> f64 {
        self.left.draws
    }
    fn left_weight(&self) -> f64 {
        self.left.weight
    }
    fn gain(&self, score: f64) -> f64 {
        score
    }
}
