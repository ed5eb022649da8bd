//! The codes and contributions of the rows that a subtree is grown from: of the whole table, or of a block of few rows copied
//! close together so that they stay in the cache from there down. This room must not know how nodes are split.

use super::columns::{BinnedColumns, Codes};
use super::criterion::Measure;
use super::tally::RowIdx;

/// Rows by number, with what they contribute and their codes in each feature.
pub(super) trait Frame<M: Measure>: Sync {
    /// How rows are numbered.
    type Row: RowIdx;
    /// What a row contributes.
    fn item(&self, row: Self::Row) -> M::Item;
    /// The codes of a feature, by row number. Empty for features that are constant in the frame.
    fn codes(&self, feature: u32) -> Codes<'_>;
}

/// The whole table.
pub(super) struct TableFrame<'a, M> {
    pub measure: &'a M,
    pub columns: &'a BinnedColumns<'a>,
    pub in_bag: &'a [u8],
}

impl<M: Measure> Frame<M> for TableFrame<'_, M> {
    type Row = u32;

    #[inline]
    fn item(&self, row: u32) -> M::Item {
        self.measure.item(row.idx(), self.in_bag[row.idx()])
    }

    fn codes(&self, feature: u32) -> Codes<'_> {
        self.columns.as_slice()[feature as usize].codes
    }
}

/// A copy of the rows of one node, numbered from 0 in their order, feature by feature.
pub(super) struct BlockFrame<M: Measure> {
    items: Vec<M::Item>,
    narrow: Vec<u8>,
    wide: Vec<u16>,
    places: Vec<Place>,
    n_rows: usize,
}

/// Where a feature's codes stand.
#[derive(Clone, Copy, Debug)]
enum Place {
    Absent,
    Narrow(usize),
    Wide(usize),
}

impl<M: Measure> BlockFrame<M> {
    /// The most rows of a block: their codes in some dozens of features fill a second-level cache, and a row number takes two
    /// bytes.
    pub const MAX_ROWS: usize = 1 << 15;

    /// An empty block, to be filled again and again.
    pub fn new() -> Self {
        Self { items: Vec::new(), narrow: Vec::new(), wide: Vec::new(), places: Vec::new(), n_rows: 0 }
    }

    /// Copies rows of the table in the features that may still vary among them.
    pub fn fill(&mut self, table: &TableFrame<'_, M>, rows: &[u32], features: &[u32]) {
        self.n_rows = rows.len();
        self.items.clear();
        self.items.extend(rows.iter().map(|&row| table.item(row)));
        self.narrow.clear();
        self.wide.clear();
        self.places.clear();
        self.places.resize(table.columns.n_features(), Place::Absent);
        for &feature in features {
            self.places[feature as usize] = match table.codes(feature) {
                Codes::U8(codes) => {
                    self.narrow.extend(rows.iter().map(|row| codes[row.idx()]));
                    Place::Narrow(self.narrow.len() - rows.len())
                }
                Codes::U16(codes) => {
                    self.wide.extend(rows.iter().map(|row| codes[row.idx()]));
                    Place::Wide(self.wide.len() - rows.len())
                }
            };
        }
    }
}

impl<M: Measure> Frame<M> for BlockFrame<M> {
    type Row = u16;

    #[inline]
    fn item(&self, row: u16) -> M::Item {
        self.items[row.idx()]
    }

    fn codes(&self, feature: u32) -> Codes<'_> {
        match self.places[feature as usize] {
            Place::Absent => Codes::U8(&[]),
            Place::Narrow(start) => Codes::U8(&self.narrow[start..start + self.n_rows]),
            Place::Wide(start) => Codes::U16(&self.wide[start..start + self.n_rows]),
        }
    }
}
