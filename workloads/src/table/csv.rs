//! CSV files as tables: cells as they stand, row by row; what they mean is not decided here.
//!
//! A plain file is entered at any checkpoint of its survey. A compressed one can only be decoded from its start, so readers that
//! have come part of the way are kept: with n threads that take blocks in order, the file is decoded at most n times.

use crate::table::block_index::FileBlocks;
use crate::table::csv_layout::{CsvLayout, CsvStream, read_failure};
use crate::table::input_files::Compression;
use crate::table::schema::Schema;
use crate::table::table_file::{Batch, Checkpoint, EachBatch, RowSpan, TableFile, damaged};
use arrow_array::ArrayRef;
use arrow_array::builder::LargeStringBuilder;
use csv::{ByteRecord, Position, Reader, StringRecord};
use paceline_common::failure::Failure;
use std::io::{Read, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Rows handed on at once: enough to spread the cost of a batch, few enough to stay in a core's cache.
const ROWS_PER_BATCH: usize = 4096;

/// One CSV file.
pub(crate) struct CsvFile {
    path: PathBuf,
    layout: CsvLayout,
    /// Readers of a compressed file between two blocks; never more than there were threads at work at once.
    idle_readers: Mutex<Vec<PartlyRead>>,
}

/// A reader and how many rows are behind it.
struct PartlyRead {
    row: u64,
    reader: Reader<CsvStream>,
}

impl CsvFile {
    /// Looks at the header.
    pub(crate) fn open(path: &Path, compression: Compression) -> Result<Self, Failure> {
        let layout = CsvLayout::sniff(path, compression)?;
        Ok(Self { path: path.to_owned(), layout, idle_readers: Mutex::default() })
    }

    fn failure(&self, error: &csv::Error) -> Failure {
        read_failure(&self.path, self.layout.compression, error)
    }

    /// A reader that has passed the header.
    fn reader_at_first_row(&self) -> Result<Reader<CsvStream>, Failure> {
        let mut reader = self.layout.reader(&self.path)?;
        reader.read_byte_record(&mut ByteRecord::new()).map_err(|e| self.failure(&e))?;
        Ok(reader)
    }

    fn read_plain_block(&self, columns: &[usize], start: Checkpoint, n_rows: u64, each: &mut EachBatch<'_>) -> Result<(), Failure> {
        let mut reader = self.layout.seekable_reader(&self.path)?;
        // The header again, so that a row of another length is refused in every block, and so is a file that has changed.
        reader.read_byte_record(&mut ByteRecord::new()).map_err(|e| self.failure(&e))?;
        let mut position = Position::new();
        position.set_byte(start.byte).set_line(start.line).set_record(start.row + 1);
        reader.seek_raw(SeekFrom::Start(start.byte), position).map_err(|e| self.failure(&e))?;
        self.read_rows(&mut reader, columns, start.row, n_rows, each)
    }

    fn read_compressed_block(&self, columns: &[usize], start: Checkpoint, n_rows: u64, each: &mut EachBatch<'_>) -> Result<(), Failure> {
        let mut partly_read = match self.take_idle_reader(start.row) {
            Some(partly_read) => partly_read,
            None => PartlyRead { row: 0, reader: self.reader_at_first_row()? },
        };
        let mut record = ByteRecord::new();
        while partly_read.row < start.row {
            if !partly_read.reader.read_byte_record(&mut record).map_err(|e| self.failure(&e))? {
                return Err(self.ends_early(partly_read.row));
            }
            partly_read.row += 1;
        }
        self.read_rows(&mut partly_read.reader, columns, start.row, n_rows, each)?;
        partly_read.row += n_rows;
        self.idle_readers.lock().unwrap_or_else(PoisonError::into_inner).push(partly_read);
        Ok(())
    }

    /// The idle reader that has come furthest without passing `row`.
    fn take_idle_reader(&self, row: u64) -> Option<PartlyRead> {
        let mut readers = self.idle_readers.lock().unwrap_or_else(PoisonError::into_inner);
        let candidates = readers.iter().enumerate().filter(|(_, reader)| reader.row <= row);
        let (place, _) = candidates.max_by_key(|(_, reader)| reader.row)?;
        Some(readers.swap_remove(place))
    }

    fn ends_early(&self, n_rows: u64) -> Failure {
        damaged(&self.path, format!("it ends after {n_rows} rows, fewer than it had"))
    }

    /// Hands on exactly `n_rows` rows, or all that are left for `u64::MAX`.
    fn read_rows<R: Read>(
        &self,
        reader: &mut Reader<R>,
        columns: &[usize],
        first_row: u64,
        n_rows: u64,
        each: &mut EachBatch<'_>,
    ) -> Result<(), Failure> {
        let mut cells: Vec<LargeStringBuilder> = columns.iter().map(|_| LargeStringBuilder::new()).collect();
        let mut lines = Vec::with_capacity(ROWS_PER_BATCH);
        let mut record = StringRecord::new();
        let mut n_read = 0;
        while n_read < n_rows {
            if !reader.read_record(&mut record).map_err(|e| self.failure(&e))? {
                break;
            }
            lines.push(record.position().map_or(0, Position::line));
            for (builder, &column) in cells.iter_mut().zip(columns) {
                builder.append_value(record.get(column).unwrap_or_default());
            }
            n_read += 1;
            if lines.len() == ROWS_PER_BATCH {
                self.hand_on(&mut cells, &mut lines, first_row + n_read, each)?;
            }
        }
        self.hand_on(&mut cells, &mut lines, first_row + n_read, each)?;
        if n_rows != u64::MAX && n_read < n_rows { Err(self.ends_early(first_row + n_read)) } else { Ok(()) }
    }

    fn hand_on(
        &self,
        cells: &mut [LargeStringBuilder],
        lines: &mut Vec<u64>,
        end_row: u64,
        each: &mut EachBatch<'_>,
    ) -> Result<(), Failure> {
        if lines.is_empty() {
            return Ok(());
        }
        let columns: Vec<ArrayRef> = cells.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef).collect();
        each(&Batch { path: &self.path, first_row: end_row - lines.len() as u64, lines: Some(lines), columns: &columns })?;
        lines.clear();
        Ok(())
    }
}

impl TableFile for CsvFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn schema(&self) -> &Schema {
        &self.layout.schema
    }

    fn n_rows(&self) -> Option<u64> {
        None
    }

    fn is_empty(&self) -> bool {
        self.layout.has_no_rows
    }

    fn survey(&self, rows_per_block: u64) -> Result<FileBlocks, Failure> {
        let mut reader = self.reader_at_first_row()?;
        let mut record = StringRecord::new();
        let mut checkpoints = Vec::new();
        let mut row = 0;
        loop {
            let place = reader.position().clone();
            if !reader.read_record(&mut record).map_err(|e| self.failure(&e))? {
                return Ok(FileBlocks { n_rows: row, checkpoints });
            }
            if row % rows_per_block.max(1) == 0 {
                checkpoints.push(Checkpoint { row, byte: place.byte(), line: place.line() });
            }
            row += 1;
        }
    }

    fn read(&self, columns: &[usize], rows: RowSpan, each: &mut EachBatch<'_>) -> Result<(), Failure> {
        match rows {
            RowSpan::All => self.read_rows(&mut self.reader_at_first_row()?, columns, 0, u64::MAX, each),
            RowSpan::From(start, n_rows) if self.layout.compression == Compression::None => {
                self.read_plain_block(columns, start, n_rows, each)
            }
            RowSpan::From(start, n_rows) => self.read_compressed_block(columns, start, n_rows, each),
        }
    }
}
