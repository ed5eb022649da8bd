//! One pass over the rows or bins of a node in the order of their codes, in all lanes at once. This room must not know what is
//! summed, nor which instructions it is compiled to.

use super::vector::Vector;
use super::{LaneColumn, LaneSums, N_LANES};

/// The best division in each lane so far. Of equal ones the first stays.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub scores: [f64; N_LANES],
    /// The last position on the left: of a row in its order, or of a bin. Small whole numbers.
    pub ends: [f64; N_LANES],
    /// Whether positions are those of the order in which missing values come first.
    pub missing_first: [bool; N_LANES],
}

impl Found {
    pub fn new() -> Self {
        Self { scores: [f64::NEG_INFINITY; N_LANES], ends: [0.0; N_LANES], missing_first: [false; N_LANES] }
    }

    /// Goes on with what another order of the rows gave, where that is better.
    fn improve<V: Vector>(&mut self, vector: V, best: Best<V>, missing_first: bool) {
        let before = self.scores;
        vector.store(best.scores, &mut self.scores);
        vector.store(best.ends, &mut self.ends);
        if missing_first {
            self.missing_first = std::array::from_fn(|lane| self.scores[lane] > before[lane]);
        }
    }
}

/// The same while it is in registers.
struct Best<V: Vector> {
    scores: V::Doubles,
    ends: V::Doubles,
    position: V::Doubles,
}

impl<V: Vector> Best<V> {
    #[inline(always)]
    fn of(vector: V, found: &Found) -> Self {
        Self { scores: vector.load(&found.scores), ends: vector.load(&found.ends), position: vector.splat(0.0) }
    }

    /// Takes the divisions at this position where they are better. A score that is not a number never is.
    #[inline(always)]
    fn consider(&mut self, vector: V, scores: V::Doubles, allowed: V::Mask) {
        let better = vector.and(allowed, vector.gt(scores, self.scores));
        self.scores = vector.select(better, scores, self.scores);
        self.ends = vector.select(better, self.position, self.ends);
    }
}

/// Sweeps over sorted keys. A division lies behind the last row of a code; with missing values first, not behind them alone,
/// which is a division that the other order has already.
#[inline(always)]
pub(super) fn sweep_rows<V: Vector, S: LaneSums>(
    vector: V,
    keys: &[[u32; N_LANES]],
    items: &[S::Item],
    sums: &mut S,
    min_draws: f64,
    found: &mut Found,
    missing_first: bool,
) {
    sums.start();
    let mut best = Best::of(vector, found);
    let one = vector.splat(1.0);
    let Some((first, others)) = keys.split_first() else { return };
    let mut now = vector.load_words(first);
    for (key, next) in keys.iter().zip(others) {
        let next = vector.load_words(next);
        let scores = sums.move_rows(vector, now, key, items);
        let code = vector.field::<16>(now, 0xffff);
        let mut allowed = vector.and(vector.differ(code, vector.field::<16>(next, 0xffff)), sums.have_draws(vector, min_draws));
        if missing_first {
            allowed = vector.and(allowed, vector.gt(vector.to_doubles(code), vector.splat(0.0)));
        }
        best.consider(vector, scores, allowed);
        best.position = vector.add(best.position, one);
        now = next;
    }
    found.improve(vector, best, missing_first);
}

/// Sweeps over bins. Behind an empty bin the score is that of the bin before, which is not better.
#[inline(always)]
pub(super) fn sweep_bins<V: Vector, S: LaneSums>(
    vector: V,
    cells: &[[S::Cell; N_LANES]],
    sums: &mut S,
    min_draws: f64,
    found: &mut Found,
    missing_first: bool,
) {
    sums.start();
    let mut best = Best::of(vector, found);
    let one = vector.splat(1.0);
    let n_cells = sums.n_cells();
    for (bin, cells) in cells.chunks_exact(n_cells).enumerate() {
        let scores = sums.move_cells(vector, cells);
        if !(missing_first && bin == 0) {
            best.consider(vector, scores, sums.have_draws(vector, min_draws));
        }
        best.position = vector.add(best.position, one);
    }
    found.improve(vector, best, missing_first);
}

/// The keys with codes one higher, and 0 for missing ones.
pub(super) fn put_missing_first(keys: &[[u32; N_LANES]], columns: &[LaneColumn], out: &mut Vec<[u32; N_LANES]>) {
    let mut missing = [u32::MAX; N_LANES];
    columns.iter().zip(&mut missing).for_each(|(column, missing)| *missing = column.n_value_bins as u32);
    out.clear();
    out.extend(keys.iter().map(|key| {
        std::array::from_fn(|lane| {
            let code = key[lane] >> 16;
            key[lane] & 0xffff | if code == missing[lane] { 0 } else { (code + 1) << 16 }
        })
    }));
}

/// The bins moved up by one, those of missing values before all others; false where no lane has missing values.
pub(super) fn put_missing_bins_first<S: LaneSums>(
    cells: &[[S::Cell; N_LANES]],
    n_cells: usize,
    columns: &[LaneColumn],
    out: &mut Vec<[S::Cell; N_LANES]>,
) -> bool {
    let missing_bin = |column: &LaneColumn| column.n_value_bins * n_cells..(column.n_value_bins + 1) * n_cells;
    if !columns.iter().enumerate().any(|(lane, column)| S::n_draws(&cells[missing_bin(column)], lane) > 0.0) {
        return false;
    }
    out.clear();
    out.resize(n_cells, [S::Cell::default(); N_LANES]);
    out.extend_from_slice(cells);
    for (lane, column) in columns.iter().enumerate() {
        for (cell, from) in missing_bin(column).enumerate() {
            let missing = std::mem::take(&mut out[n_cells + from][lane]);
            out[cell][lane] = missing;
        }
    }
    true
}
