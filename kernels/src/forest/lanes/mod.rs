//! The best thresholds of up to eight numeric features of a node, found side by side: a lane of a vector for each feature. The
//! rows of a small node are sorted by their codes, all lanes at once; those of a large one are counted into bins. Then one sweep
//! over the rows, or over the bins, moves them to the left and scores every lane's division with the same instructions.
//! This room must not know which features are tried, nor what becomes of the node.

mod class_lanes;
mod response_lanes;
mod sort;
mod sweep;
mod vector;

pub(super) use class_lanes::{ClassLanes, LaneClass, LaneWeight};
pub(super) use response_lanes::{LaneResponse, ResponseLanes};
pub(super) use vector::{LanePlaces, Vector, prefetch};

use super::criterion::Measure;
use super::frame::Frame;
use super::splitting::{Rule, Split, last_bin_left};
use sweep::{Found, sweep_bins, sweep_rows};
use vector::{OnVectors, on_vectors};

/// Features that are judged at once: a 512-bit vector of doubles.
pub(super) const N_LANES: usize = 8;
/// Rows of a node whose features may be sorted; with more, bins are cheaper.
const MAX_SORTED_ROWS: usize = 128;
/// Rows for each bin from which on bins are cheaper in a small node too.
const ROWS_PER_BIN: usize = 1;
/// Bin sums for which one row must pay. With fewer rows a feature by itself is cheaper, which need not touch every bin.
const MAX_CELLS_PER_ROW: usize = 64;

/// The sums of one measure for a division in each lane.
pub(super) trait LaneSums: Send {
    /// What a row adds, as the lanes take it.
    type Item: Copy + Default + Send;
    /// One sum of a bin.
    type Cell: Copy + Default + PartialEq + Send;

    /// Sums of a bin.
    fn n_cells(&self) -> usize;
    /// What stands for an item in the low half of a sorted key: the item itself, or where it stands.
    fn packed(item: Self::Item, position: usize) -> u32;
    /// The item again.
    fn unpacked(packed: u32, items: &[Self::Item]) -> Self::Item;
    /// Adds a row to its bins in the first `n_lanes` lanes; `cells` is [n_bins, n_cells, N_LANES].
    fn add<V: Vector>(&self, vector: V, cells: &mut [Self::Cell], codes: V::Codes, item: Self::Item, n_lanes: usize);
    /// Draws in a bin.
    fn n_draws(cells: &[[Self::Cell; N_LANES]], lane: usize) -> f64;
    /// Weight of a bin, and of an item.
    fn weight_of_cells(cells: &[[Self::Cell; N_LANES]], lane: usize) -> f64;
    /// Weight of an item.
    fn weight_of(item: Self::Item) -> f64;

    /// Puts all rows on the right.
    fn start(&mut self);
    /// Moves the row of a key in each lane to the left and scores the divisions; `words` is the key as a vector. Negative and
    /// infinite when a side has no weight.
    fn move_rows<V: Vector>(&mut self, vector: V, words: V::Words, key: &[u32; N_LANES], items: &[Self::Item]) -> V::Doubles;
    /// Moves one bin in each lane to the left and scores the divisions.
    fn move_cells<V: Vector>(&mut self, vector: V, cells: &[[Self::Cell; N_LANES]]) -> V::Doubles;
    /// Where both sides have so many draws.
    fn have_draws<V: Vector>(&self, vector: V, min_draws: f64) -> V::Mask;
}

/// A feature in a lane.
#[derive(Clone, Copy, Default)]
pub(super) struct LaneColumn {
    pub feature: u32,
    pub n_value_bins: usize,
}

/// Buffers for the nodes of one thread, and the verdict on the last features.
pub(super) struct LaneJudge<M: Measure> {
    sums: M::Lanes,
    items: Vec<ItemOf<M>>,
    codes: Vec<[u16; N_LANES]>,
    /// Codes above, packed items below; first in the order of codes, then with the missing code first.
    keys: [Vec<[u32; N_LANES]>; 2],
    /// Sums by bin, [n_bins, n_cells]; likewise.
    cells: [Vec<[CellOf<M>; N_LANES]>; 2],
    form: Form,
    found: Found,
}

type ItemOf<M> = <<M as Measure>::Lanes as LaneSums>::Item;
type CellOf<M> = <<M as Measure>::Lanes as LaneSums>::Cell;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Sorted,
    Binned,
}

impl<M: Measure> LaneJudge<M> {
    pub fn new(measure: &M) -> Self {
        Self {
            sums: measure.lanes(),
            items: Vec::new(),
            codes: Vec::new(),
            keys: [Vec::new(), Vec::new()],
            cells: [Vec::new(), Vec::new()],
            form: Form::Sorted,
            found: Found::new(),
        }
    }

    /// Turns to a node, which may be judged here if it is so.
    pub fn begin(&mut self, measure: &M, node: &M::Sides) -> bool {
        measure.begin_lanes(node, &mut self.sums)
    }

    /// Whether a node is so small that its rows may be sorted.
    pub fn is_small(n_rows: usize) -> bool {
        n_rows <= MAX_SORTED_ROWS
    }

    /// Whether a feature is worth a lane.
    pub fn takes(&self, n_rows: usize, n_value_bins: usize) -> bool {
        Self::is_small(n_rows) || (n_value_bins + 1) * self.sums.n_cells() <= n_rows.saturating_mul(MAX_CELLS_PER_ROW)
    }

    /// Judges features of the node.
    pub fn judge<F: Frame<M>>(&mut self, measure: &M, columns: &[LaneColumn], frame: &F, rows: &[F::Row], min_draws: f64) {
        let n_bins = columns.iter().map(|column| column.n_value_bins + 1).max().unwrap_or(0);
        let is_sorted = Self::is_small(rows.len()) && n_bins * ROWS_PER_BIN > rows.len();
        self.form = if is_sorted { Form::Sorted } else { Form::Binned };
        on_vectors(Judging { judge: self, measure, columns, frame, rows, n_bins, min_draws });
    }

    /// The score of the best division of the feature in a lane, below all others where none is allowed.
    pub fn score(&self, lane: usize) -> f64 {
        self.found.scores[lane]
    }

    /// The best division of the feature in a lane, where there is one.
    pub fn split(&self, lane: usize, column: &LaneColumn) -> Split {
        let missing_first = self.found.missing_first[lane];
        let at = self.found.ends[lane] as usize;
        let (last, next, left_weight) = match self.form {
            Form::Sorted => self.sorted_end(lane, at, missing_first),
            Form::Binned => self.binned_end(lane, at, missing_first),
        };
        // With the missing code first, codes are one more than they were.
        let shift = usize::from(missing_first);
        let (last, next) = (last - shift, next.map(|next| next - shift).filter(|&next| next < column.n_value_bins));
        let has_missing = missing_first || self.has_missing(lane, column);
        Split {
            feature: column.feature,
            score: self.found.scores[lane],
            left_weight,
            rule: Rule::Threshold {
                last_left: last_bin_left(last, next, column.n_value_bins),
                missing_left: has_missing.then_some(missing_first),
            },
        }
    }

    /// The last code on the left, the next that occurs, and the weight on the left.
    fn sorted_end(&self, lane: usize, at: usize, missing_first: bool) -> (usize, Option<usize>, f64) {
        let keys = &self.keys[usize::from(missing_first)];
        let weight = keys[..=at].iter().map(|key| M::Lanes::weight_of(M::Lanes::unpacked(key[lane] & 0xffff, &self.items))).sum();
        let code = |position: usize| keys.get(position).map(|key| (key[lane] >> 16) as usize);
        (code(at).unwrap_or(0), code(at + 1), weight)
    }

    fn binned_end(&self, lane: usize, at: usize, missing_first: bool) -> (usize, Option<usize>, f64) {
        let mut bins = self.cells[usize::from(missing_first)].chunks_exact(self.sums.n_cells());
        let weight = bins.by_ref().take(at + 1).map(|cells| M::Lanes::weight_of_cells(cells, lane)).sum();
        let next = bins.position(|cells| M::Lanes::n_draws(cells, lane) > 0.0).map(|further| at + 1 + further);
        (at, next, weight)
    }

    fn has_missing(&self, lane: usize, column: &LaneColumn) -> bool {
        match self.form {
            Form::Sorted => self.keys[0].last().is_some_and(|key| (key[lane] >> 16) as usize == column.n_value_bins),
            Form::Binned => self.bin(column.n_value_bins).is_some_and(|cells| M::Lanes::n_draws(cells, lane) > 0.0),
        }
    }

    fn bin(&self, bin: usize) -> Option<&[[CellOf<M>; N_LANES]]> {
        self.cells[0].chunks_exact(self.sums.n_cells()).nth(bin)
    }
}

fn features_of(columns: &[LaneColumn]) -> [u32; N_LANES] {
    let mut features = [0; N_LANES];
    columns.iter().zip(&mut features).for_each(|(column, feature)| *feature = column.feature);
    features
}

/// The part that is worth vector instructions.
struct Judging<'a, M: Measure, F: Frame<M>> {
    judge: &'a mut LaneJudge<M>,
    measure: &'a M,
    columns: &'a [LaneColumn],
    frame: &'a F,
    rows: &'a [F::Row],
    n_bins: usize,
    min_draws: f64,
}

impl<M: Measure, F: Frame<M>> OnVectors for Judging<'_, M, F> {
    #[inline(always)]
    fn run<V: Vector>(mut self, vector: V) {
        self.judge.found = Found::new();
        match self.judge.form {
            Form::Sorted => {
                self.load_keys(vector);
                self.sweep_keys(vector);
            }
            Form::Binned => {
                self.load_cells(vector);
                self.sweep_cells(vector);
            }
        }
    }
}

impl<M: Measure, F: Frame<M>> Judging<'_, M, F> {
    #[inline(always)]
    fn load_keys<V: Vector>(&mut self, vector: V) {
        let Self { judge: LaneJudge { sums, items, codes, keys: [keys, _], .. }, measure, columns, frame, rows, .. } = self;
        let features = features_of(columns);
        items.clear();
        items.extend(rows.iter().map(|&row| measure.lane_item(frame.item(row), sums)));
        keys.resize(rows.len(), [0; N_LANES]);
        let mut load = LoadKeys::<M::Lanes> { items, keys, position: 0 };
        frame.for_each_row(vector, &features[..columns.len()], rows, codes, &mut load);
    }

    #[inline(always)]
    fn sweep_keys<V: Vector>(&mut self, vector: V) {
        let Self { judge, columns, min_draws, .. } = self;
        let LaneJudge { sums, items, keys: [keys, missing_first_keys], found, .. } = &mut **judge;
        sort::sort_lanes(vector, keys);
        let Some(last) = keys.last() else { return };
        let has_missing = columns.iter().zip(last).any(|(column, key)| (key >> 16) as usize == column.n_value_bins);
        sweep_rows(vector, keys, items, sums, *min_draws, found, false);
        if has_missing {
            sweep::put_missing_first(keys, columns, missing_first_keys);
            sort::sort_lanes(vector, missing_first_keys);
            sweep_rows(vector, missing_first_keys, items, sums, *min_draws, found, true);
        }
    }

    #[inline(always)]
    fn load_cells<V: Vector>(&mut self, vector: V) {
        let Self { judge: LaneJudge { sums, codes, cells: [cells, _], .. }, measure, columns, frame, rows, n_bins, .. } = self;
        cells.clear();
        cells.resize(*n_bins * sums.n_cells(), [CellOf::<M>::default(); N_LANES]);
        let (features, n_lanes) = (features_of(columns), columns.len());
        let mut load = LoadCells { measure: *measure, frame: *frame, sums, cells: cells.as_flattened_mut(), n_lanes };
        frame.for_each_row(vector, &features[..n_lanes], rows, codes, &mut load);
    }

    #[inline(always)]
    fn sweep_cells<V: Vector>(&mut self, vector: V) {
        let Self { judge, columns, min_draws, .. } = self;
        let LaneJudge { sums, cells: [cells, missing_first_cells], found, .. } = &mut **judge;
        let n_cells = sums.n_cells();
        sweep_bins(vector, cells, sums, *min_draws, found, false);
        if sweep::put_missing_bins_first::<M::Lanes>(cells, n_cells, columns, missing_first_cells) {
            sweep_bins(vector, missing_first_cells, sums, *min_draws, found, true);
        }
    }
}

/// What is done with each row and its codes. Not a closure, as those are compiled without the vectors' instructions.
pub(super) trait VisitRows<R> {
    /// Takes the next row.
    fn visit<V: Vector>(&mut self, vector: V, row: R, codes: V::Codes);
}

/// Turns the codes of rows into keys.
struct LoadKeys<'a, S: LaneSums> {
    items: &'a [S::Item],
    keys: &'a mut [[u32; N_LANES]],
    position: usize,
}

impl<S: LaneSums, R> VisitRows<R> for LoadKeys<'_, S> {
    #[inline(always)]
    fn visit<V: Vector>(&mut self, vector: V, _row: R, codes: V::Codes) {
        let low = S::packed(self.items[self.position], self.position);
        vector.store_words(vector.keys(codes, low), &mut self.keys[self.position]);
        self.position += 1;
    }
}

/// Adds rows to their bins.
struct LoadCells<'a, M: Measure, F> {
    measure: &'a M,
    frame: &'a F,
    sums: &'a M::Lanes,
    cells: &'a mut [CellOf<M>],
    n_lanes: usize,
}

impl<M: Measure, F: Frame<M>> VisitRows<F::Row> for LoadCells<'_, M, F> {
    #[inline(always)]
    fn visit<V: Vector>(&mut self, vector: V, row: F::Row, codes: V::Codes) {
        let item = self.measure.lane_item(self.frame.item(row), self.sums);
        self.sums.add(vector, self.cells, codes, item, self.n_lanes);
    }
}
