//! The codes and contributions of the rows that a subtree is grown from: of the whole table, or of a block of few rows copied
//! close together so that they stay in the cache from there down. This room must not know how nodes are split.

use super::columns::{BinnedColumn, Codes};
use super::criterion::Measure;
use super::interleaved::{LineBytes, RowLayout, Rows};
use super::lanes::{N_LANES, Vector, VisitRows, prefetch};
use super::partition::RowIdx;
use super::row_table::{BlockedRows, MAX_VISITED_BYTES};

/// Rows by number, with what they contribute and their codes.
pub(super) trait Frame<M: Measure>: Sync {
    /// How rows are numbered.
    type Row: RowIdx;
    /// What a row contributes.
    fn item(&self, row: Self::Row) -> M::Item;
    /// The codes of a feature, by row number.
    fn column(&self, feature: u32) -> impl Fn(Self::Row) -> u16 + Copy + '_;
    /// False where a feature is known to have the same code in all rows of the frame.
    fn may_vary(&self, feature: u32) -> bool;
    /// Whether a feature has the same code in all rows.
    #[inline(always)]
    fn is_constant(&self, feature: u32, rows: &[Self::Row]) -> bool {
        if !self.may_vary(feature) {
            return true;
        }
        let code = self.column(feature);
        rows.split_first().is_none_or(|(&first, others)| {
            let first = code(first);
            others.iter().all(|&row| code(row) == first)
        })
    }
    /// Visits rows with the codes of up to eight features in lanes; `buffer` may be used for it.
    fn for_each_row<V: Vector>(
        &self,
        vector: V,
        features: &[u32],
        rows: &[Self::Row],
        buffer: &mut Vec<[u16; N_LANES]>,
        visit: &mut impl VisitRows<Self::Row>,
    );
    /// Copies all codes of rows behind one another.
    fn copy_rows(&self, rows: &[Self::Row], out: &mut [u8]);
}

/// Rows whose codes are held at once while columns are read one after the other.
const ROWS_AT_ONCE: usize = 1 << 10;

/// How far ahead codes of a column are asked for: some cache lines of a node that has every tenth row.
const CODES_AHEAD: usize = 96;

/// Puts the codes of rows into a lane.
#[inline(always)]
fn gather_ahead<C: Copy + Into<u16>>(codes: &[C], rows: &[u32], out: &mut [[u16; N_LANES]], lane: usize) {
    let (near, last) = rows.split_at(rows.len().saturating_sub(CODES_AHEAD));
    let (near_out, last_out) = out.split_at_mut(near.len());
    for ((&row, &later), out) in near.iter().zip(&rows[CODES_AHEAD.min(rows.len())..]).zip(near_out) {
        if let Some(later) = codes.get(later.idx()) {
            prefetch(later);
        }
        out[lane] = codes[row.idx()].into();
    }
    last.iter().zip(last_out).for_each(|(&row, out)| out[lane] = codes[row.idx()].into());
}

/// The whole table. Unless rows are short its columns are read feature by feature: a large node has rows in every cache line of a
/// column, and processors fetch lines that follow one another ahead of time.
pub(super) struct TableFrame<'a, M> {
    pub measure: &'a M,
    pub columns: &'a [BinnedColumn<'a>],
    pub rows: BlockedRows<'a>,
    pub layout: &'a RowLayout,
    /// How often each row was drawn; `None` where each that is in the bag was drawn once.
    pub in_bag: Option<&'a [u8]>,
}

impl<M: Measure> Frame<M> for TableFrame<'_, M> {
    type Row = u32;

    #[inline(always)]
    fn item(&self, row: u32) -> M::Item {
        self.measure.item(row.idx(), self.in_bag.map_or(1, |in_bag| in_bag[row.idx()]))
    }
    fn may_vary(&self, _feature: u32) -> bool {
        true
    }
    #[inline(always)]
    fn column(&self, feature: u32) -> impl Fn(u32) -> u16 + Copy + '_ {
        let codes = self.columns[feature as usize].codes;
        move |row: u32| match codes {
            Codes::U8(codes) => u16::from(codes[row.idx()]),
            Codes::U16(codes) => codes[row.idx()],
        }
    }
    #[inline(always)]
    fn for_each_row<V: Vector>(
        &self,
        vector: V,
        features: &[u32],
        rows: &[u32],
        buffer: &mut Vec<[u16; N_LANES]>,
        visit: &mut impl VisitRows<u32>,
    ) {
        if self.rows.stride <= MAX_VISITED_BYTES {
            self.rows.for_each_row(vector, &self.layout.lane_places(features), rows, visit);
            return;
        }
        for rows in rows.chunks(ROWS_AT_ONCE) {
            buffer.clear();
            buffer.resize(rows.len(), [0; N_LANES]);
            for (lane, &feature) in features.iter().enumerate() {
                match self.columns[feature as usize].codes {
                    Codes::U8(codes) => gather_ahead(codes, rows, buffer, lane),
                    Codes::U16(codes) => gather_ahead(codes, rows, buffer, lane),
                }
            }
            for (&row, codes) in rows.iter().zip(&*buffer) {
                visit.visit(vector, row, vector.load_codes(codes));
            }
        }
    }
    fn copy_rows(&self, rows: &[u32], out: &mut [u8]) {
        self.rows.copy_to(rows, out);
    }
}

/// A copy of the rows of one node, numbered from 0 in their order. Its codes are read row by row: below a small node rows lie far
/// apart, and all features of one are in a line or two.
pub(super) struct BlockFrame<'a, M: Measure> {
    items: Vec<M::Item>,
    bytes: LineBytes,
    /// The bits in which rows differ from the first one, laid out like a row.
    differences: Vec<u8>,
    layout: &'a RowLayout,
}

/// The most bytes of codes in a block: what a second-level cache holds.
const MAX_BLOCK_BYTES: usize = 1 << 21;

impl<'a, M: Measure> BlockFrame<'a, M> {
    /// The most rows of a block whatever their codes take, as a row number takes two bytes.
    pub const MAX_ROWS: usize = 1 << 15;
    /// The most rows of a block that is copied out of another.
    pub const MAX_INNER_ROWS: usize = 1 << 10;

    /// The most rows of a block, of so many bytes each.
    pub fn max_rows(stride: usize) -> usize {
        (MAX_BLOCK_BYTES / stride).clamp(256, Self::MAX_ROWS)
    }

    /// An empty block, to be filled again and again.
    pub fn new(layout: &'a RowLayout) -> Self {
        Self { items: Vec::new(), bytes: LineBytes::default(), differences: Vec::new(), layout }
    }

    /// Copies rows of another frame.
    pub fn fill<F: Frame<M>>(&mut self, frame: &F, rows: &[F::Row]) {
        self.items.clear();
        self.items.extend(rows.iter().map(|&row| frame.item(row)));
        self.bytes.resize(rows.len() * self.layout.stride);
        frame.copy_rows(rows, self.bytes.as_mut_slice());
        self.differences = differences(self.bytes.as_slice(), self.layout.stride);
    }

    /// The codes, row by row.
    #[inline(always)]
    fn interleaved(&self) -> Rows<'_> {
        Rows { bytes: self.bytes.as_slice(), stride: self.layout.stride }
    }
}

impl<M: Measure> Frame<M> for BlockFrame<'_, M> {
    type Row = u16;

    #[inline(always)]
    fn item(&self, row: u16) -> M::Item {
        self.items[row.idx()]
    }
    #[inline(always)]
    fn may_vary(&self, feature: u32) -> bool {
        self.layout.place(feature).code(&self.differences) != 0
    }
    #[inline(always)]
    fn column(&self, feature: u32) -> impl Fn(u16) -> u16 + Copy + '_ {
        self.interleaved().column(self.layout.place(feature))
    }
    #[inline(always)]
    fn for_each_row<V: Vector>(
        &self,
        vector: V,
        features: &[u32],
        rows: &[u16],
        _buffer: &mut Vec<[u16; N_LANES]>,
        visit: &mut impl VisitRows<u16>,
    ) {
        self.interleaved().for_each_row(vector, &self.layout.lane_places(features), rows, visit);
    }
    fn copy_rows(&self, rows: &[u16], out: &mut [u8]) {
        self.interleaved().copy_to(rows, out);
    }
}

/// The bits in which any row differs from the first one.
fn differences(rows: &[u8], stride: usize) -> Vec<u8> {
    let mut differences = vec![0; stride];
    let Some((first, others)) = rows.split_at_checked(stride) else { return differences };
    for row in others.chunks_exact(stride) {
        differences.iter_mut().zip(row).zip(first).for_each(|((difference, code), first)| *difference |= code ^ first);
    }
    differences
}
