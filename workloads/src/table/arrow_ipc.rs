//! Arrow IPC files (Feather version 2) as tables: footer and batch headers once, then any rows of any columns.

use crate::table::arrow_ipc_layout::{self, IpcLayout};
use crate::table::schema::{Field, Schema};
use crate::table::table_file::{Batch, EachBatch, RowSpan, TableFile, damaged, guarded};
use crate::table::typed;
use arrow_array::RecordBatch;
use arrow_ipc::reader::FileReader;
use arrow_schema::ArrowError;
use paceline_common::failure::Failure;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// One Arrow IPC file.
pub(crate) struct ArrowIpcFile {
    path: PathBuf,
    schema: Schema,
    layout: IpcLayout,
}

impl ArrowIpcFile {
    /// Reads the footer and the header of each batch.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let layout = guarded(path, || arrow_ipc_layout::read(path))?;
        let field =
            |field: &arrow_schema::FieldRef| Field { name: field.name().clone(), logical_type: typed::logical_type(field.data_type()) };
        let schema = Schema::checked(layout.arrow_schema.fields().iter().map(field).collect(), path)?;
        let schema = schema.with_pandas_metadata(layout.arrow_schema.metadata());
        Ok(Self { path: path.to_owned(), schema, layout })
    }

    /// A reader whose next batch is the one that holds row `start`, and the first row of that batch.
    fn reader(&self, columns: &[usize], start: u64) -> Result<(FileReader<BufReader<File>>, u64), Failure> {
        let file = File::open(&self.path).map_err(|e| Failure::from_io("read", &self.path, &e))?;
        let fail = |e| failure(&self.path, e);
        let mut reader = FileReader::try_new_buffered(file, Some(columns.to_vec())).map_err(fail)?;
        // The last batch that begins at or before the row; empty batches before it are passed over.
        let place = self.layout.batch_starts.partition_point(|&first| first <= start).saturating_sub(1);
        reader.set_index(place).map_err(fail)?;
        Ok((reader, self.layout.batch_starts.get(place).copied().unwrap_or(0)))
    }

    fn read_rows(&self, columns: &[usize], start: u64, end: u64, each: &mut EachBatch<'_>) -> Result<(), Failure> {
        let (mut reader, mut row) = guarded(&self.path, || self.reader(columns, start))?;
        while row < end {
            let next = || reader.next().transpose().map_err(|e| failure(&self.path, e));
            let batch = guarded(&self.path, next)?.ok_or_else(|| damaged(&self.path, "it ends before its last row"))?;
            let n_rows = batch.num_rows() as u64;
            let wanted = (start.max(row) - row).min(n_rows)..(end - row).min(n_rows);
            if wanted.start < wanted.end {
                let arrays = guarded(&self.path, || self.slice(&batch, wanted.clone()))?;
                each(&Batch { path: &self.path, first_row: row + wanted.start, lines: None, columns: arrays.columns() })?;
            }
            row += n_rows;
        }
        Ok(())
    }

    fn slice(&self, batch: &RecordBatch, rows: std::ops::Range<u64>) -> Result<RecordBatch, Failure> {
        let too_many = || damaged(&self.path, "a batch claims more rows than a machine can count");
        let offset = usize::try_from(rows.start).map_err(|_| too_many())?;
        let len = usize::try_from(rows.end - rows.start).map_err(|_| too_many())?;
        Ok(batch.slice(offset, len))
    }
}

fn failure(path: &Path, error: ArrowError) -> Failure {
    match &error {
        ArrowError::IoError(_, io) if io.raw_os_error().is_some() => Failure::from_io("read", path, io),
        _ => damaged(path, error),
    }
}

impl TableFile for ArrowIpcFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn n_rows(&self) -> Option<u64> {
        Some(self.layout.n_rows)
    }

    fn read(&self, columns: &[usize], rows: RowSpan, each: &mut EachBatch<'_>) -> Result<(), Failure> {
        let (start, end) = rows.bounds(self.layout.n_rows);
        if start == end { Ok(()) } else { self.read_rows(columns, start, end, each) }
    }
}
