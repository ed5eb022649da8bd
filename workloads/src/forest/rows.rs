//! The second stage of training: every item lays out one block of rows, all codes of a row together, from the columns where they
//! are mapped. Its results are mapped in turn, so that however many processes grow trees, a node holds the rows once. It knows how
//! many rows a block has, and must not know what is done with them.

use super::training_data::{TrainingParts, refusal};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::forest::{BinnedColumns, Codes, RowLayout, RowTable};
use std::ops::Range;

/// Rows of so few bytes are laid out by each process itself: a stage of its own would take longer.
const MAX_BYTES_IN_MEMORY: usize = 1 << 20;
/// Bytes of a block: several for each core where a table is large.
const BLOCK_BYTES: usize = 4 << 20;
/// Blocks of fewer rows would read too little of each column, however long the rows are.
const MIN_ROWS_PER_BLOCK: usize = 1024;
/// Items of the stage at most: more would spread no better.
const MAX_BLOCKS: usize = 1024;

/// How a table is cut into blocks of rows: a function of the table alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowBlocks {
    layout: RowLayout,
    n_rows: usize,
    rows_per_block: usize,
}

impl RowBlocks {
    /// Looks at the beginnings of the columns alone.
    pub(super) fn of(columns: &TrainingParts) -> Result<Self, Failure> {
        let (layout, n_rows) = (RowLayout::of_largest(columns.largest_codes()?), columns.n_rows()?);
        let rows_per_block = rows_per_block(n_rows, layout.stride_bytes());
        Ok(Self { layout, n_rows, rows_per_block })
    }

    /// None for a small table.
    pub(super) fn n_blocks(&self) -> u64 {
        let is_small = self.n_rows * self.layout.stride_bytes() <= MAX_BYTES_IN_MEMORY;
        if is_small { 0 } else { self.n_rows.div_ceil(self.rows_per_block) as u64 }
    }

    fn rows(&self, block: u64) -> Range<usize> {
        let edge = |block: u64| self.n_rows.min(block as usize * self.rows_per_block);
        edge(block)..edge(block + 1)
    }

    /// The blocks where they are mapped, checked against `columns`.
    pub(super) fn table<'a>(&self, blocks: &'a StageParts, columns: &BinnedColumns<'_>) -> Result<RowTable<'a>, Failure> {
        if self.n_blocks() == 0 {
            return Ok(RowTable::in_memory(columns));
        }
        let block = |item| {
            let bytes = blocks.item(item)?;
            bytes.ok_or_else(|| Failure::storage(format!("row block {item} was set aside; submit the job again")))
        };
        let blocks = (0..blocks.n_items()).map(block).collect::<Result<_, _>>()?;
        RowTable::of_blocks(columns, self.layout.clone(), self.rows_per_block, blocks).map_err(refusal)
    }
}

/// A power of two.
fn rows_per_block(n_rows: usize, stride_bytes: usize) -> usize {
    let rows_of_block_bytes = 1 << (BLOCK_BYTES / stride_bytes).max(MIN_ROWS_PER_BLOCK).ilog2();
    n_rows.div_ceil(MAX_BLOCKS).next_power_of_two().max(rows_of_block_bytes)
}

self_cell::self_cell!(
    /// The codes of all columns together with the maps that they lie in.
    struct MappedCodes {
        owner: TrainingParts,
        #[covariant]
        dependent: CodesOfColumns,
    }
);

type CodesOfColumns<'a> = Vec<Codes<'a>>;

/// The stage, opened.
pub(super) struct RowsTask {
    codes: MappedCodes,
    blocks: RowBlocks,
}

impl RowsTask {
    pub(super) fn open(columns: TrainingParts) -> Result<Self, Failure> {
        let blocks = RowBlocks::of(&columns)?;
        Ok(Self { codes: MappedCodes::try_new(columns, TrainingParts::codes)?, blocks })
    }

    fn lay_out(&self, item: u64, outputs: &mut ItemOutputs) -> Result<(), Failure> {
        let (codes, rows) = (self.codes.borrow_dependent(), self.blocks.rows(item));
        let mut laid_out = Ok(());
        outputs.push_with(|bytes| laid_out = self.blocks.layout.append_rows(codes, rows, bytes));
        laid_out.map_err(refusal)
    }
}

impl StageTask for RowsTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        for item in block.start..block.end {
            self.lay_out(item, outputs).map_err(|failure| ItemFailure { item, failure })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_bounded_in_bytes_and_number_and_cover_all_rows() {
        for (n_rows, stride, expected) in [
            (600_000, 2, 1 << 21),
            (1_000_000, 64, 1 << 16),
            (1_000_000, 192, 1 << 14),
            (1_000_000, 100_032, 1024),
            (i32::MAX as usize, 64, 1 << 21),
        ] {
            let rows_per_block = rows_per_block(n_rows, stride);
            assert_eq!(rows_per_block, expected, "{n_rows} rows of {stride} bytes");
            let layout = RowLayout::of_largest(vec![u16::MAX; stride / 2]);
            let blocks = RowBlocks { layout, n_rows, rows_per_block };
            let rows: Vec<Range<usize>> = (0..blocks.n_blocks()).map(|block| blocks.rows(block)).collect();
            assert!(rows.len() <= MAX_BLOCKS && rows.iter().all(|rows| !rows.is_empty()));
            assert!(rows.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].len() == rows_per_block));
            assert_eq!((rows.first().map(|rows| rows.start), rows.last().map(|rows| rows.end)), (Some(0), Some(n_rows)));
        }
    }

    #[test]
    fn a_small_table_has_no_blocks() {
        let blocks = |n_rows| RowBlocks { layout: RowLayout::of_largest([u16::MAX; 8]), n_rows, rows_per_block: 1 << 18 };
        assert_eq!((blocks(1 << 16).n_blocks(), blocks((1 << 16) + 1).n_blocks()), (0, 1));
    }
}
