//! A whole table row by row, in blocks that may stand in mapped files: what growing copies the rows of small nodes from. This room
//! must not know what codes mean.

use super::columns::{BinnedColumn, BinnedColumns};
use super::error::ForestError;
use super::interleaved::{LINE_BYTES, LineBytes, ROWS_AHEAD, RowLayout};
use super::lanes::{LanePlaces, Vector, VisitRows, prefetch};
use super::partition::RowIdx;
use rayon::prelude::*;

/// The codes of all rows of a table, laid out by [`RowLayout`], in blocks of as many rows each; the last one may be shorter.
#[derive(Debug)]
pub struct RowTable<'a> {
    layout: RowLayout,
    n_rows: usize,
    /// Rows of a block are two to this power.
    block_shift: u32,
    blocks: Vec<RowBlock<'a>>,
}

#[derive(Debug)]
enum RowBlock<'a> {
    Borrowed(&'a [u8]),
    Owned(LineBytes),
}

impl RowBlock<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes.as_slice(),
        }
    }
}

impl<'a> RowTable<'a> {
    /// The rows of `columns` as they stand in `blocks` of `rows_per_block` rows, which is a power of two. Looks for codes that no
    /// bin has, in the calling rayon pool. Rows are read fastest where blocks begin at a multiple of 64 bytes.
    ///
    /// # Errors
    /// Another number of features, blocks of another number or length than the columns have rows for, or codes beyond a column's bins.
    pub fn of_blocks(
        columns: &BinnedColumns<'_>,
        layout: RowLayout,
        rows_per_block: usize,
        blocks: Vec<&'a [u8]>,
    ) -> Result<Self, ForestError> {
        let n_rows = columns.n_rows();
        if layout.n_features() != columns.n_features() {
            return Err(ForestError::Length { what: "the layout of a row", got: layout.n_features(), expected: columns.n_features() });
        }
        if !rows_per_block.is_power_of_two() {
            return Err(ForestError::Setting("the rows of a block must be a power of two"));
        }
        let n_blocks = n_rows.div_ceil(rows_per_block);
        if blocks.len() != n_blocks {
            return Err(ForestError::Length { what: "the list of row blocks", got: blocks.len(), expected: n_blocks });
        }
        blocks.par_iter().enumerate().try_for_each(|(block_idx, block)| {
            let expected = rows_per_block.min(n_rows - block_idx * rows_per_block) * layout.stride;
            if block.len() != expected {
                return Err(ForestError::Length { what: "a block of rows", got: block.len(), expected });
            }
            let mut bins = columns.as_slice().iter().map(BinnedColumn::n_value_bins).enumerate();
            match bins.find(|&(feature, n_value_bins)| layout.exceeds(feature, n_value_bins, block)) {
                Some((feature, _)) => Err(ForestError::Column { feature, why: "has a code beyond its bins in a block of rows" }),
                None => Ok(()),
            }
        })?;
        let blocks = blocks.into_iter().map(RowBlock::Borrowed).collect();
        Ok(Self { layout, n_rows, block_shift: rows_per_block.trailing_zeros(), blocks })
    }

    /// The rows of `columns`, laid out in memory: a copy of the table, for those that are small.
    pub fn in_memory(columns: &BinnedColumns<'_>) -> Self {
        let (codes, n_rows) = (columns.codes(), columns.n_rows());
        let layout = RowLayout::of_codes(&codes);
        let mut bytes = LineBytes::default();
        bytes.resize(n_rows * layout.stride);
        layout.fill_rows(&codes, 0, bytes.as_mut_slice());
        Self { layout, n_rows, block_shift: n_rows.next_power_of_two().trailing_zeros(), blocks: vec![RowBlock::Owned(bytes)] }
    }

    pub(super) fn layout(&self) -> &RowLayout {
        &self.layout
    }

    /// Refuses to go with columns whose rows are laid out otherwise.
    pub(super) fn check(&self, columns: &BinnedColumns<'_>) -> Result<(), ForestError> {
        if self.n_rows != columns.n_rows() {
            return Err(ForestError::Length { what: "the table of rows", got: self.n_rows, expected: columns.n_rows() });
        }
        if self.layout.n_features() != columns.n_features() {
            return Err(ForestError::Setting("the rows are laid out for other columns"));
        }
        Ok(())
    }

    /// The bytes of every block.
    pub(super) fn blocks(&self) -> Vec<&[u8]> {
        self.blocks.iter().map(RowBlock::bytes).collect()
    }

    /// The rows in `blocks`, which are [`Self::blocks`].
    pub(super) fn rows<'b>(&self, blocks: &'b [&'b [u8]]) -> BlockedRows<'b> {
        BlockedRows { blocks, block_shift: self.block_shift, stride: self.layout.stride }
    }
}

/// The longest rows that are read as rows from a whole table: four of them lie in a cache line. Of longer ones a line holds more
/// that is not asked for than reading column by column costs.
pub(super) const MAX_VISITED_BYTES: usize = 16;

/// Rows behind one another in blocks.
#[derive(Clone, Copy)]
pub(super) struct BlockedRows<'a> {
    blocks: &'a [&'a [u8]],
    block_shift: u32,
    pub stride: usize,
}

impl<'a> BlockedRows<'a> {
    /// Copies rows behind one another.
    pub fn copy_to(self, rows: &[u32], out: &mut [u8]) {
        // Lengths that are known beforehand need no call for every row.
        match self.stride {
            LINE_BYTES => self.copy_rows::<LINE_BYTES>(rows, out),
            32 => self.copy_rows::<32>(rows, out),
            16 => self.copy_rows::<16>(rows, out),
            8 => self.copy_rows::<8>(rows, out),
            stride if stride.is_multiple_of(LINE_BYTES) => self.copy_pieces::<LINE_BYTES>(rows, out),
            _ => self.copy_pieces::<1>(rows, out),
        }
    }

    /// Visits rows of at most [`MAX_VISITED_BYTES`] with their codes in lanes.
    #[inline(always)]
    pub fn for_each_row<V: Vector>(self, vector: V, places: &LanePlaces, rows: &[u32], visit: &mut impl VisitRows<u32>) {
        match self.stride {
            16 => self.pick_each::<16, V>(vector, places, rows, visit),
            8 => self.pick_each::<8, V>(vector, places, rows, visit),
            4 => self.pick_each::<4, V>(vector, places, rows, visit),
            _ => self.pick_each::<2, V>(vector, places, rows, visit),
        }
    }

    #[inline(always)]
    fn pick_each<const N: usize, V: Vector>(self, vector: V, places: &LanePlaces, rows: &[u32], visit: &mut impl VisitRows<u32>) {
        for (position, &row) in rows.iter().enumerate() {
            if let Some(&later) = rows.get(position + ROWS_AHEAD) {
                prefetch(self.row::<N>(later));
            }
            visit.visit(vector, row, vector.pick_codes(self.row::<N>(row), places));
        }
    }

    /// A row of `N` bytes.
    #[inline(always)]
    fn row<const N: usize>(self, row: u32) -> &'a [u8; N] {
        let (block, row) = self.place(row);
        &block.as_chunks().0[row]
    }

    /// The block of a row, and its number there.
    #[inline(always)]
    fn place(self, row: u32) -> (&'a [u8], usize) {
        (self.blocks[row.idx() >> self.block_shift], row.idx() & ((1 << self.block_shift) - 1))
    }

    #[inline(always)]
    fn copy_rows<const N: usize>(self, rows: &[u32], out: &mut [u8]) {
        for ((position, &row), out) in rows.iter().enumerate().zip(out.as_chunks_mut().0) {
            // Rows lie apart, and no processor guesses where.
            if let Some(&later) = rows.get(position + ROWS_AHEAD) {
                prefetch(self.row::<N>(later));
            }
            *out = *self.row::<N>(row);
        }
    }

    /// Rows of several pieces of `N` bytes.
    #[inline(always)]
    fn copy_pieces<const N: usize>(self, rows: &[u32], out: &mut [u8]) {
        for ((position, &row), out) in rows.iter().enumerate().zip(out.chunks_exact_mut(self.stride)) {
            if let Some(&later) = rows.get(position + ROWS_AHEAD) {
                self.bytes_of(later).iter().step_by(LINE_BYTES).for_each(prefetch);
            }
            let (from, _) = self.bytes_of(row).as_chunks::<N>();
            out.as_chunks_mut::<N>().0.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
    }

    #[inline(always)]
    fn bytes_of(self, row: u32) -> &'a [u8] {
        let (block, row) = self.place(row);
        &block[row * self.stride..][..self.stride]
    }
}
