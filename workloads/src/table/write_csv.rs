//! CSV out: a header, commas, quotes where RFC 4180 asks for them, lines that end in a line feed, and floats in the shortest
//! spelling that reads back as the same number.

use crate::table::write::Sink;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use csv::ErrorKind;
use paceline_common::failure::Failure;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A CSV file in the making.
pub(crate) struct CsvWriter {
    path: PathBuf,
    writer: csv::Writer<Sink>,
}

impl CsvWriter {
    /// Starts the file with its header.
    pub(crate) fn new(sink: Sink, path: &Path, schema: &SchemaRef) -> Result<Self, Failure> {
        let mut writer = csv::Writer::from_writer(sink);
        writer.write_record(schema.fields().iter().map(|field| field.name())).map_err(|e| failure(path, &e))?;
        Ok(Self { path: path.to_owned(), writer })
    }

    /// Adds a batch.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let mut cell = String::new();
        for row in 0..batch.num_rows() {
            for column in batch.columns() {
                cell.clear();
                append_cell(column.as_ref(), row, &mut cell);
                self.writer.write_field(&cell).map_err(|e| failure(&self.path, &e))?;
            }
            self.writer.write_record(None::<&[u8]>).map_err(|e| failure(&self.path, &e))?;
        }
        Ok(())
    }

    /// Writes what is buffered.
    pub(crate) fn finish(self) -> Result<Sink, Failure> {
        let path = self.path;
        self.writer.into_inner().map_err(|e| Failure::from_io("write", &path, e.error()))
    }
}

fn append_cell(column: &dyn Array, row: usize, cell: &mut String) {
    if column.is_null(row) {
        return;
    }
    // Writing into a String cannot fail. `{:?}` is the shortest spelling of a float, with an exponent where that is shorter.
    let _ = match column.data_type() {
        DataType::Int64 => write!(cell, "{}", column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt32 => write!(cell, "{}", column.as_primitive::<UInt32Type>().value(row)),
        DataType::Boolean => write!(cell, "{}", column.as_boolean().value(row)),
        DataType::Float64 => write!(cell, "{:?}", column.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => write!(cell, "{:?}", column.as_primitive::<Float32Type>().value(row)),
        _ => write!(cell, "{}", column.as_string::<i32>().value(row)),
    };
}

fn failure(path: &Path, error: &csv::Error) -> Failure {
    match error.kind() {
        ErrorKind::Io(io) => Failure::from_io("write", path, io),
        _ => Failure::item(format!("{}: cannot be written as CSV: {error}", path.display())),
    }
}
