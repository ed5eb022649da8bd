//! The codes and contributions of the rows that a subtree is grown from: of the whole table, or of a block of few rows copied
//! close together so that they stay in the cache from there down. This room must not know how nodes are split.

use super::columns::{BinnedColumn, Codes};
use super::criterion::Measure;
use super::interleaved::{LineBytes, Place, RowLayout, Rows};
use super::lanes::prefetch;
use super::partition::RowIdx;

/// Rows by number, with what they contribute and their codes.
pub(super) trait Frame<M: Measure>: Sync {
    /// How rows are numbered.
    type Row: RowIdx;
    /// What a row contributes.
    fn item(&self, row: Self::Row) -> M::Item;
    /// The codes of a feature, by row number.
    fn column(&self, feature: u32) -> impl Fn(Self::Row) -> u16 + Copy + '_;
    /// The codes of several features in rows, row by row.
    fn gather<const N: usize>(&self, features: &[u32], rows: &[Self::Row], out: &mut Vec<[u16; N]>);
    /// Visits the codes of several features, row by row, with what each row contributes; `buffer` may be used for it.
    fn for_each_code<const N: usize>(
        &self,
        features: &[u32],
        rows: &[Self::Row],
        buffer: &mut Vec<[u16; N]>,
        visit: impl FnMut(usize, u16, M::Item),
    );
    /// All codes, row by row.
    fn interleaved(&self) -> Rows<'_>;
}

/// Rows whose codes are held at once while columns are read one after the other.
const ROWS_AT_ONCE: usize = 1 << 10;

/// How far ahead codes of a column are asked for: some cache lines of a node that has every tenth row.
const CODES_AHEAD: usize = 96;

/// Visits the codes of rows.
#[inline(always)]
fn gather_ahead<C: Copy>(codes: &[C], rows: &[u32], mut visit: impl FnMut(usize, C)) {
    for (position, row) in rows.iter().enumerate() {
        if let Some(later) = rows.get(position + CODES_AHEAD).and_then(|later| codes.get(later.idx())) {
            prefetch(later);
        }
        visit(position, codes[row.idx()]);
    }
}

/// The whole table. Its columns are read feature by feature: a large node has rows in every cache line of a column, and processors
/// fetch lines that follow one another ahead of time.
pub(super) struct TableFrame<'a, M> {
    pub measure: &'a M,
    pub columns: &'a [BinnedColumn<'a>],
    pub rows: Rows<'a>,
    /// How often each row was drawn; `None` where each that is in the bag was drawn once.
    pub in_bag: Option<&'a [u8]>,
}

impl<M: Measure> Frame<M> for TableFrame<'_, M> {
    type Row = u32;

    #[inline(always)]
    fn item(&self, row: u32) -> M::Item {
        self.measure.item(row.idx(), self.in_bag.map_or(1, |in_bag| in_bag[row.idx()]))
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
    fn gather<const N: usize>(&self, features: &[u32], rows: &[u32], out: &mut Vec<[u16; N]>) {
        out.clear();
        out.resize(rows.len(), [0; N]);
        for (lane, &feature) in features.iter().enumerate() {
            match self.columns[feature as usize].codes {
                Codes::U8(codes) => gather_ahead(codes, rows, |position, code| out[position][lane] = u16::from(code)),
                Codes::U16(codes) => gather_ahead(codes, rows, |position, code| out[position][lane] = code),
            }
        }
    }
    #[inline(always)]
    fn for_each_code<const N: usize>(
        &self,
        features: &[u32],
        rows: &[u32],
        buffer: &mut Vec<[u16; N]>,
        mut visit: impl FnMut(usize, u16, M::Item),
    ) {
        for rows in rows.chunks(ROWS_AT_ONCE) {
            self.gather(features, rows, buffer);
            for (&row, codes) in rows.iter().zip(&*buffer) {
                let item = self.item(row);
                codes.iter().take(features.len()).enumerate().for_each(|(lane, &code)| visit(lane, code, item));
            }
        }
    }
    #[inline(always)]
    fn interleaved(&self) -> Rows<'_> {
        self.rows
    }
}

/// A copy of the rows of one node, numbered from 0 in their order. Its codes are read row by row: below a small node rows lie far
/// apart, and all features of one are in a line or two.
pub(super) struct BlockFrame<'a, M: Measure> {
    items: Vec<M::Item>,
    bytes: LineBytes,
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
        Self { items: Vec::new(), bytes: LineBytes::default(), layout }
    }

    /// Copies rows of another frame.
    pub fn fill<F: Frame<M>>(&mut self, frame: &F, rows: &[F::Row]) {
        let from = frame.interleaved();
        self.items.clear();
        self.items.extend(rows.iter().map(|&row| frame.item(row)));
        self.bytes.resize(rows.len() * from.stride);
        from.copy_to(rows, self.bytes.as_mut_slice());
    }
}

impl<M: Measure> Frame<M> for BlockFrame<'_, M> {
    type Row = u16;

    #[inline(always)]
    fn item(&self, row: u16) -> M::Item {
        self.items[row.idx()]
    }
    #[inline(always)]
    fn column(&self, feature: u32) -> impl Fn(u16) -> u16 + Copy + '_ {
        let (rows, place) = (self.interleaved(), self.layout.place(feature));
        move |row| rows.code(place, row)
    }
    #[inline(always)]
    fn gather<const N: usize>(&self, features: &[u32], rows: &[u16], out: &mut Vec<[u16; N]>) {
        let mut places = [Place::default(); N];
        features.iter().zip(&mut places).for_each(|(&feature, place)| *place = self.layout.place(feature));
        self.interleaved().gather(&places[..features.len()], rows, out);
    }
    #[inline(always)]
    fn for_each_code<const N: usize>(
        &self,
        features: &[u32],
        rows: &[u16],
        _buffer: &mut Vec<[u16; N]>,
        visit: impl FnMut(usize, u16, M::Item),
    ) {
        let mut places = [Place::default(); N];
        features.iter().zip(&mut places).for_each(|(&feature, place)| *place = self.layout.place(feature));
        self.interleaved().for_each_code(&places[..features.len()], rows, |row| self.item(row), visit);
    }
    #[inline(always)]
    fn interleaved(&self) -> Rows<'_> {
        Rows { bytes: self.bytes.as_slice(), stride: self.layout.stride }
    }
}
