//! Where the blocks of rows of a table begin, so that any node reads any block without reading what goes before it.

use crate::table::table_file::Checkpoint;
use paceline_common::failure::Failure;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Rows of a block where nothing speaks for another number: the columns of a block fit into a core's cache a few at a time, and
/// the cost of finding a block is spread over many rows.
pub const ROWS_PER_BLOCK: u64 = 65_536;

/// The blocks of a table, numbered through all of its files. A block never spans two files, so the last one of a file can be short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockIndex {
    rows_per_block: u64,
    files: Vec<FileBlocks>,
}

/// The blocks of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileBlocks {
    /// Its rows.
    pub n_rows: u64,
    /// Where each block begins, in a file that is entered by bytes; empty for one that is entered by row numbers.
    pub checkpoints: Vec<Checkpoint>,
}

impl FileBlocks {
    fn n_blocks(&self, rows_per_block: u64) -> u64 {
        self.n_rows.div_ceil(rows_per_block.max(1))
    }

    fn checkpoint(&self, block_idx: u64, rows_per_block: u64) -> Option<Checkpoint> {
        if self.checkpoints.is_empty() {
            return Some(Checkpoint { row: block_idx.checked_mul(rows_per_block)?, byte: 0, line: 0 });
        }
        self.checkpoints.get(usize::try_from(block_idx).ok()?).copied()
    }

    /// Whether the checkpoints, if there are any, are those of its blocks.
    fn is_sound(&self, rows_per_block: u64) -> bool {
        let mut places = self.checkpoints.iter().zip(0u64..);
        let is_complete = self.checkpoints.len() as u64 == self.n_blocks(rows_per_block);
        self.checkpoints.is_empty() || (is_complete && places.all(|(c, i)| i.checked_mul(rows_per_block) == Some(c.row)))
    }
}

/// A block, found in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockPlace {
    /// Place of the file among the files.
    pub file_idx: usize,
    /// Where it begins.
    pub checkpoint: Checkpoint,
    /// Its rows.
    pub n_rows: u64,
    /// Rows of the files before.
    pub rows_before_file: u64,
}

impl BlockIndex {
    pub(crate) fn new(rows_per_block: u64, files: Vec<FileBlocks>) -> Self {
        Self { rows_per_block, files }
    }

    /// How many rows the table has.
    #[must_use]
    pub fn n_rows(&self) -> u64 {
        self.files.iter().map(|file| file.n_rows).sum()
    }

    /// How many blocks.
    #[must_use]
    pub fn n_blocks(&self) -> u64 {
        self.files.iter().map(|file| file.n_blocks(self.rows_per_block)).sum()
    }

    /// How many files.
    pub(crate) fn n_files(&self) -> usize {
        self.files.len()
    }

    /// The rows of a block, counted through the whole table; empty for a block that there is not.
    #[must_use]
    pub fn block_rows(&self, block_idx: u64) -> Range<u64> {
        self.place(block_idx).map_or(0..0, |place| {
            let start = place.rows_before_file + place.checkpoint.row;
            start..start + place.n_rows
        })
    }

    /// Where a block is.
    pub(crate) fn place(&self, block_idx: u64) -> Option<BlockPlace> {
        let (mut left, mut rows_before_file) = (block_idx, 0);
        for (file_idx, file) in self.files.iter().enumerate() {
            let n_blocks = file.n_blocks(self.rows_per_block);
            if left < n_blocks {
                let checkpoint = file.checkpoint(left, self.rows_per_block)?;
                let n_rows = self.rows_per_block.min(file.n_rows.saturating_sub(checkpoint.row));
                return Some(BlockPlace { file_idx, checkpoint, n_rows, rows_before_file });
            }
            left -= n_blocks;
            rows_before_file += file.n_rows;
        }
        None
    }

    /// As bytes, to be handed to other nodes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec(self).map_err(|e| Failure::item(format!("block index: cannot be written: {e}")))
    }

    /// From such bytes; anything that they could not have come from is refused.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Failure> {
        let index: Self = serde_json::from_slice(bytes).map_err(|e| Failure::item(format!("block index: cannot be read: {e}")))?;
        let is_sound = index.rows_per_block > 0
            && index.files.iter().all(|file| file.is_sound(index.rows_per_block))
            && index.files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.n_rows)).is_some();
        if is_sound { Ok(index) } else { Err(Failure::item("block index: its blocks do not fit its rows; run the job again")) }
    }
}
