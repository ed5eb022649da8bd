//! Parquet out, with settings that are part of the output's definition: the same rows give the same bytes on every machine.

use crate::table::write::{ROWS_PER_BATCH, Sink};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use paceline_common::failure::Failure;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use std::path::{Path, PathBuf};

/// Rows of a row group: sixteen batches, which readers decode in parallel and skip as one.
const ROWS_PER_GROUP: usize = 16 * ROWS_PER_BATCH;

/// A Parquet file in the making.
pub(crate) struct ParquetWriter {
    path: PathBuf,
    writer: ArrowWriter<Sink>,
}

impl ParquetWriter {
    /// Starts the file.
    pub(crate) fn new(sink: Sink, path: &Path, schema: &SchemaRef) -> Result<Self, Failure> {
        let properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            // The library's release would otherwise be part of the bytes.
            .set_created_by("paceline".to_owned())
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties);
        let writer = ArrowWriter::try_new_with_options(sink, SchemaRef::clone(schema), options).map_err(|e| failure(path, &e))?;
        Ok(Self { path: path.to_owned(), writer })
    }

    /// Adds a batch.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        self.writer.write(batch).map_err(|e| failure(&self.path, &e))
    }

    /// Writes the footer.
    pub(crate) fn finish(self) -> Result<Sink, Failure> {
        let path = self.path;
        self.writer.into_inner().map_err(|e| failure(&path, &e))
    }
}

fn failure(path: &Path, error: &ParquetError) -> Failure {
    if let ParquetError::External(source) = error
        && let Some(io) = source.downcast_ref::<std::io::Error>()
    {
        return Failure::from_io("write", path, io);
    }
    Failure::item(format!("{}: cannot be written as Parquet: {error}", path.display()))
}
