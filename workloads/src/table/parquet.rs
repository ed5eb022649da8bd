//! Parquet files as tables: the footer once, then any rows of any columns.

use crate::table::schema::{Field, Schema};
use crate::table::table_file::{Batch, EachBatch, RowSpan, TableFile, damaged, guarded};
use crate::table::typed;
use paceline_common::failure::Failure;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Rows decoded at once.
const ROWS_PER_BATCH: usize = 8192;

/// One Parquet file.
pub(crate) struct ParquetFile {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    schema: Schema,
    /// Rows before each row group, and after the last.
    group_starts: Vec<u64>,
}

impl ParquetFile {
    /// Reads the footer.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|e| Failure::from_io("read", path, &e))?;
        let load = || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|e| failure(path, e));
        let metadata = guarded(path, load)?;
        let field =
            |field: &arrow_schema::FieldRef| Field { name: field.name().clone(), logical_type: typed::logical_type(field.data_type()) };
        let schema = Schema::checked(metadata.schema().fields().iter().map(field).collect(), path)?;
        let schema = schema.with_pandas_metadata(metadata.schema().metadata());
        let mut group_starts = vec![0];
        let mut n_rows: u64 = 0;
        for group in metadata.metadata().row_groups() {
            group.columns().iter().try_for_each(|column| check_codec(column.compression(), path))?;
            let rows = u64::try_from(group.num_rows()).ok().and_then(|rows| n_rows.checked_add(rows));
            n_rows = rows.ok_or_else(|| damaged(path, "a row group has an impossible number of rows"))?;
            group_starts.push(n_rows);
        }
        Ok(Self { path: path.to_owned(), metadata, schema, group_starts })
    }

    /// A reader of these columns and of the rows `start..end`, decoding the row groups that hold them only.
    fn reader(&self, columns: &[usize], start: u64, end: u64) -> Result<ParquetRecordBatchReader, Failure> {
        let file = File::open(&self.path).map_err(|e| Failure::from_io("read", &self.path, &e))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let bounds = || self.group_starts.iter().zip(self.group_starts.iter().skip(1)).enumerate();
        let touched = || bounds().filter(|&(_, (&from, &to))| from < end && start < to);
        let groups: Vec<usize> = touched().map(|(group, _)| group).collect();
        let first_row = touched().map(|(_, (&from, _))| from).next().unwrap_or(start);
        let too_many = || damaged(&self.path, "it claims more rows than a machine can count");
        let n_skipped = usize::try_from(start - first_row).map_err(|_| too_many())?;
        let n_selected = usize::try_from(end - start).map_err(|_| too_many())?;
        let selection = RowSelection::from(vec![RowSelector::skip(n_skipped), RowSelector::select(n_selected)]);
        let builder = builder.with_projection(mask).with_row_groups(groups).with_row_selection(selection).with_batch_size(ROWS_PER_BATCH);
        builder.build().map_err(|e| failure(&self.path, e))
    }

    fn read_rows(&self, columns: &[usize], start: u64, end: u64, each: &mut EachBatch<'_>) -> Result<(), Failure> {
        let mut reader = guarded(&self.path, || self.reader(columns, start, end))?;
        let mut row = start;
        while let Some(batch) = guarded(&self.path, || reader.next().transpose().map_err(|e| damaged(&self.path, e)))? {
            each(&Batch { path: &self.path, first_row: row, lines: None, columns: batch.columns() })?;
            row += batch.num_rows() as u64;
        }
        if row == end { Ok(()) } else { Err(damaged(&self.path, format!("it holds {} rows fewer than its footer says", end - row))) }
    }
}

/// Two codecs are hardly ever met and would each add a library to the build.
fn check_codec(codec: Compression, path: &Path) -> Result<(), Failure> {
    match codec {
        Compression::BROTLI(_) | Compression::LZO => {
            let message = format!("{}: is compressed with {codec}, which is not supported; write it with zstd or snappy", path.display());
            Err(Failure::bad_input(message))
        }
        _ => Ok(()),
    }
}

fn failure(path: &Path, error: ParquetError) -> Failure {
    if let ParquetError::External(source) = &error
        && let Some(io) = source.downcast_ref::<std::io::Error>().filter(|io| io.raw_os_error().is_some())
    {
        return Failure::from_io("read", path, io);
    }
    damaged(path, error)
}

impl TableFile for ParquetFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn n_rows(&self) -> Option<u64> {
        self.group_starts.last().copied()
    }

    fn read(&self, columns: &[usize], rows: RowSpan, each: &mut EachBatch<'_>) -> Result<(), Failure> {
        let n_rows = self.n_rows().unwrap_or(0);
        let (start, end) = rows.bounds(n_rows);
        if start == end { Ok(()) } else { self.read_rows(columns, start, end, each) }
    }
}
