//! The variance of a numeric target in all lanes at once. This room must not know bins, features or trees.

use super::vector::Vector;
use super::{LaneSums, N_LANES};

/// A row's weight, its value times its weight, and its draws.
#[derive(Clone, Copy, Default)]
pub(in crate::forest) struct LaneResponse {
    pub weight: f64,
    pub sum: f64,
    pub draws: f64,
}

/// Sums of a node and of the left side in each lane. Without weights the weight of a row is its draws.
#[derive(Default)]
pub(in crate::forest) struct ResponseLanes<const WEIGHTED: bool> {
    node_weight: f64,
    node_draws: f64,
    mean: f64,
    left_weight: [f64; N_LANES],
    left_sum: [f64; N_LANES],
    left_draws: [f64; N_LANES],
}

impl<const WEIGHTED: bool> ResponseLanes<WEIGHTED> {
    /// Turns to a node.
    pub fn begin(&mut self, weight: f64, mean: f64, draws: f64) {
        (self.node_weight, self.mean, self.node_draws) = (weight, mean, draws);
    }

    #[inline(always)]
    fn scores<V: Vector>(&self, vector: V) -> V::Doubles {
        let left = vector.load(&self.left_weight);
        let right = vector.sub(vector.splat(self.node_weight), left);
        let excess = vector.sub(vector.load(&self.left_sum), vector.mul(vector.splat(self.mean), left));
        let divisor = vector.mul(left, right);
        let score = vector.div(vector.mul(vector.mul(excess, excess), vector.splat(self.node_weight)), divisor);
        // Weights of very different size can leave a side without weight though it has rows.
        vector.select(vector.gt(divisor, vector.splat(0.0)), score, vector.splat(f64::NEG_INFINITY))
    }
}

impl<const WEIGHTED: bool> LaneSums for ResponseLanes<WEIGHTED> {
    type Item = LaneResponse;
    type Cell = f64;

    /// Weight, sum and, where they differ from the weight, draws.
    #[inline(always)]
    fn n_cells(&self) -> usize {
        if WEIGHTED { 3 } else { 2 }
    }
    #[inline(always)]
    fn packed(_item: LaneResponse, position: usize) -> u32 {
        position as u32
    }
    #[inline(always)]
    fn unpacked(packed: u32, items: &[LaneResponse]) -> LaneResponse {
        items[packed as usize]
    }
    #[inline(always)]
    fn add<V: Vector>(&self, vector: V, cells: &mut [f64], codes: V::Codes, item: LaneResponse, n_lanes: usize) {
        let mut slots = [0; N_LANES];
        vector.store_words(vector.slots(codes, self.n_cells() as u32, 0), &mut slots);
        for &slot in &slots[..n_lanes] {
            let slot = slot as usize;
            cells[slot] += item.weight;
            cells[slot + N_LANES] += item.sum;
            if WEIGHTED {
                cells[slot + 2 * N_LANES] += item.draws;
            }
        }
    }
    #[inline(always)]
    fn n_draws(cells: &[[f64; N_LANES]], lane: usize) -> f64 {
        cells[if WEIGHTED { 2 } else { 0 }][lane]
    }
    fn weight_of_cells(cells: &[[f64; N_LANES]], lane: usize) -> f64 {
        cells[0][lane]
    }
    fn weight_of(item: LaneResponse) -> f64 {
        item.weight
    }

    #[inline(always)]
    fn start(&mut self) {
        self.left_weight = [0.0; N_LANES];
        self.left_sum = [0.0; N_LANES];
        self.left_draws = [0.0; N_LANES];
    }
    #[inline(always)]
    fn move_rows<V: Vector>(&mut self, vector: V, _words: V::Words, key: &[u32; N_LANES], items: &[LaneResponse]) -> V::Doubles {
        let (mut weights, mut sums, mut draws) = ([0.0; N_LANES], [0.0; N_LANES], [0.0; N_LANES]);
        for lane in 0..N_LANES {
            let item = items[(key[lane] & 0xffff) as usize];
            (weights[lane], sums[lane], draws[lane]) = (item.weight, item.sum, item.draws);
        }
        add_to(vector, &mut self.left_weight, &weights);
        add_to(vector, &mut self.left_sum, &sums);
        if WEIGHTED {
            add_to(vector, &mut self.left_draws, &draws);
        }
        self.scores(vector)
    }
    #[inline(always)]
    fn move_cells<V: Vector>(&mut self, vector: V, cells: &[[f64; N_LANES]]) -> V::Doubles {
        add_to(vector, &mut self.left_weight, &cells[0]);
        add_to(vector, &mut self.left_sum, &cells[1]);
        if WEIGHTED {
            add_to(vector, &mut self.left_draws, &cells[2]);
        }
        self.scores(vector)
    }
    #[inline(always)]
    fn have_draws<V: Vector>(&self, vector: V, min_draws: f64) -> V::Mask {
        let left = vector.load(if WEIGHTED { &self.left_draws } else { &self.left_weight });
        let right = vector.sub(vector.splat(self.node_draws), left);
        vector.and(vector.ge(left, vector.splat(min_draws)), vector.ge(right, vector.splat(min_draws)))
    }
}

#[inline(always)]
fn add_to<V: Vector>(vector: V, sums: &mut [f64; N_LANES], more: &[f64; N_LANES]) {
    vector.store(vector.add(vector.load(sums), vector.load(more)), sums);
}
