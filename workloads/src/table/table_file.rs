//! One file of a table, whatever its format: what every reader provides, and rows on their way as Arrow arrays.

use crate::table::block_index::FileBlocks;
use crate::table::schema::Schema;
use arrow_array::ArrayRef;
use paceline_common::failure::Failure;
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// One file of a table.
pub(crate) trait TableFile: Send + Sync {
    /// Where it is.
    fn path(&self) -> &Path;

    /// Its columns.
    fn schema(&self) -> &Schema;

    /// How many rows it has, where the header tells.
    fn n_rows(&self) -> Option<u64>;

    /// Whether it is known to have no row at all.
    fn is_empty(&self) -> bool {
        self.n_rows() == Some(0)
    }

    /// The row count and the blocks of `rows_per_block` rows. Reads the whole file where the header does not tell.
    fn survey(&self, _rows_per_block: u64) -> Result<FileBlocks, Failure> {
        Ok(FileBlocks { n_rows: self.n_rows().unwrap_or(0), checkpoints: Vec::new() })
    }

    /// Hands the chosen columns of the chosen rows to `each`, batch by batch in row order. `columns` holds places in the schema,
    /// ascending and each once.
    fn read(&self, columns: &[usize], rows: RowSpan, each: &mut EachBatch<'_>) -> Result<(), Failure>;
}

/// What is done with a batch.
pub(crate) type EachBatch<'a> = dyn FnMut(&Batch<'_>) -> Result<(), Failure> + 'a;

/// Rows that follow each other in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowSpan {
    /// Every row.
    All,
    /// `n_rows` rows from a checkpoint on.
    From(Checkpoint, u64),
}

impl RowSpan {
    /// First row and one past the last, within a file of `n_rows` rows that is read by row number.
    pub(crate) fn bounds(self, n_rows: u64) -> (u64, u64) {
        match self {
            Self::All => (0, n_rows),
            Self::From(start, len) => {
                let first = start.row.min(n_rows);
                (first, first.saturating_add(len).min(n_rows))
            }
        }
    }
}

/// A place in a file where a block of rows begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Rows before it in this file.
    pub row: u64,
    /// Bytes before it; only a CSV is found by them.
    pub byte: u64,
    /// Its line, from 1; only a CSV has lines.
    pub line: u64,
}

/// Consecutive rows on their way.
pub(crate) struct Batch<'a> {
    /// The file.
    pub path: &'a Path,
    /// Place in the file of the first row.
    pub first_row: u64,
    /// The line of each row, where the file has lines. Its columns are cells then: text whose meaning `cell` decides.
    pub lines: Option<&'a [u64]>,
    /// The chosen columns, equally long.
    pub columns: &'a [ArrayRef],
}

impl Batch<'_> {
    /// Where a row of the batch stands, for a person: "line 17" or "row 16" (counted from 1).
    pub(crate) fn place(&self, row: usize) -> String {
        match self.lines.and_then(|lines| lines.get(row)) {
            Some(line) => format!("line {line}"),
            None => format!("row {}", self.first_row + row as u64 + 1),
        }
    }

    /// A column, and what the schema calls it.
    pub(crate) fn column(&self, place: usize) -> Result<&ArrayRef, Failure> {
        self.columns.get(place).ok_or_else(|| damaged(self.path, "a batch lacks a column"))
    }
}

/// The refusal of a file whose bytes are not what its format says.
pub(crate) fn damaged(path: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::bad_input(format!("{}: is damaged or cut short ({}); write or copy it again", path.display(), one_line(&what.to_string())))
}

/// Decoders' messages can hold line breaks and pages of bytes; a person gets one line of at most this many letters.
fn one_line(message: &str) -> String {
    const MAX_LETTERS: usize = 200;
    message.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_LETTERS).collect()
}

/// Runs a decoder of another crate on bytes that may be hostile. These decoders check most of what they read, but not all of it:
/// where one panics, the file is refused and the process lives.
pub(crate) fn guarded<T>(path: &Path, decode: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err(damaged(path, "its decoder gave up")))
}
