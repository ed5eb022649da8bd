//! Some rows of a table, with all of its columns as they are, in a table of its own.
//!
//! Parquet keeps every type that Arrow has. What CSV cannot say is refused by name; dates and times are written in ISO 8601, to the
//! microsecond. The cells of a CSV are copied into a CSV as they stand, and into Parquet as the narrowest type that holds them all.

use crate::table::cell;
use crate::table::cell_type::CellType;
use crate::table::schema::LogicalType;
use crate::table::source::TableSource;
use crate::table::table_file::Batch;
use crate::table::typed::{self, IdValue};
use crate::table::write::{Sink, TableFormat};
use crate::table::write_csv::CsvWriter;
use crate::table::write_parquet::ParquetWriter;
use arrow_array::builder::{Int64Builder, StringBuilder};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::filter::filter;
use paceline_common::failure::Failure;
use paceline_common::files::NewFile;
use std::path::Path;
use std::sync::Arc;

/// Writes the rows that `is_copied` chooses by number, at least one of them, to a table at `path`, which appears whole and durable or
/// not at all. `cell_types` are those of [`TableSource::cell_types`]. Returns how many rows it has.
pub(crate) fn copy_rows(
    source: &TableSource,
    cell_types: &[CellType],
    is_copied: impl Fn(u64) -> bool,
    path: &Path,
    format: TableFormat,
) -> Result<u64, Failure> {
    let mut copy: Option<TableCopy> = None;
    let (mut n_read, mut n_copied) = (0, 0);
    source.read_batches(&mut |batch| {
        let n_rows = batch.columns.first().map_or(0, |column| column.len()) as u64;
        let mask: BooleanArray = (n_read..n_read + n_rows).map(|row| Some(is_copied(row))).collect();
        n_read += n_rows;
        if mask.true_count() == 0 {
            return Ok(());
        }
        n_copied += mask.true_count() as u64;
        let columns = chosen_columns(source, batch, &mask, cell_types, format)?;
        match &mut copy {
            Some(copy) => copy.write(columns, batch.path),
            None => copy.insert(TableCopy::create(source, &columns, path, format)?).write(columns, batch.path),
        }
    })?;
    let Some(copy) = copy else {
        return Err(Failure::item(format!("{}: not one row would be in it", path.display())));
    };
    copy.finish(path)?;
    Ok(n_copied)
}

/// The columns of the chosen rows, as the format takes them.
fn chosen_columns(
    source: &TableSource,
    batch: &Batch<'_>,
    mask: &BooleanArray,
    cell_types: &[CellType],
    format: TableFormat,
) -> Result<Vec<ArrayRef>, Failure> {
    let mut columns = Vec::with_capacity(batch.columns.len());
    for (place, (column, field)) in batch.columns.iter().zip(&source.schema().fields).enumerate() {
        let chosen = filter(column.as_ref(), mask).map_err(|e| refused(batch.path, &field.name, &e.to_string()))?;
        let converted = match (format, batch.lines) {
            (TableFormat::Parquet, None) => Some(chosen),
            (TableFormat::Parquet, Some(_)) => cell_types.get(place).and_then(|cell_type| cell_type.convert(chosen.as_ref())),
            (TableFormat::Csv, _) => as_csv_holds_it(&chosen),
        };
        let of_type = || format!("is of type {}, which CSV does not hold; name outputs in .parquet, or leave it out", column.data_type());
        columns.push(converted.ok_or_else(|| refused(batch.path, &field.name, &of_type()))?);
    }
    Ok(columns)
}

fn refused(path: &Path, column: &str, why: &str) -> Failure {
    Failure::bad_input(format!("{}: column '{column}' {why}", path.display()))
}

/// An array of a type that the CSV writer knows, with the same values; `None` where there is none.
fn as_csv_holds_it(array: &ArrayRef) -> Option<ArrayRef> {
    if matches!(array.data_type(), DataType::Boolean | DataType::Float32 | DataType::Float64 | DataType::Int64 | DataType::Utf8) {
        return Some(Arc::clone(array));
    }
    match typed::logical_type(array.data_type()) {
        LogicalType::Integer => {
            let mut integers = Int64Builder::new();
            let mut is_too_large = false;
            typed::for_each_int(array, |value| match value {
                IdValue::Int(value) => integers.append_value(value),
                IdValue::Missing => integers.append_null(),
                IdValue::TooLarge => is_too_large = true,
            })?;
            (!is_too_large).then(|| Arc::new(integers.finish()) as ArrayRef)
        }
        LogicalType::Text => {
            let mut texts = StringBuilder::new();
            typed::for_each_text(array.as_ref(), |text| texts.append_option(text))?;
            Some(Arc::new(texts.finish()))
        }
        LogicalType::Float => {
            let numbers = numbers(array)?;
            Some(Arc::new(numbers.into_iter().collect::<Float64Array>()))
        }
        LogicalType::Date | LogicalType::Timestamp => {
            let kind = typed::logical_type(array.data_type()).numeric_kind()?;
            let mut texts = StringBuilder::new();
            numbers(array)?.iter().for_each(|moment| texts.append_option(moment.map(|moment| cell::canonical_text(moment, kind))));
            Some(Arc::new(texts.finish()))
        }
        LogicalType::Bool | LogicalType::Unknown | LogicalType::Unsupported(_) => None,
    }
}

fn numbers(array: &ArrayRef) -> Option<Vec<Option<f64>>> {
    let mut values = vec![];
    typed::append_numbers(array.as_ref(), &mut values)?;
    Some(values.into_iter().map(|value| Some(value).filter(|value| !value.is_nan())).collect())
}

/// A table in the making.
struct TableCopy {
    schema: SchemaRef,
    encoder: Encoder,
}

enum Encoder {
    Parquet(ParquetWriter),
    Csv(CsvWriter),
}

impl TableCopy {
    /// A table with columns of the types of these.
    fn create(source: &TableSource, columns: &[ArrayRef], path: &Path, format: TableFormat) -> Result<Self, Failure> {
        let field = |(array, of): (&ArrayRef, &crate::table::schema::Field)| Field::new(&of.name, array.data_type().clone(), true);
        let schema = Arc::new(Schema::new(columns.iter().zip(&source.schema().fields).map(field).collect::<Vec<_>>()));
        let sink = Sink::New(NewFile::create(path)?);
        let encoder = match format {
            TableFormat::Parquet => Encoder::Parquet(ParquetWriter::new(sink, path, &schema)?),
            TableFormat::Csv => Encoder::Csv(CsvWriter::new(sink, path, &schema)?),
        };
        Ok(Self { schema, encoder })
    }

    /// Adds rows, which come from `from`.
    fn write(&mut self, columns: Vec<ArrayRef>, from: &Path) -> Result<(), Failure> {
        for (column, field) in columns.iter().zip(self.schema.fields()) {
            if column.data_type() != field.data_type() {
                let (this, that) = (column.data_type(), field.data_type());
                let why = format!("is of type {this}, and of {that} in the files before; write all files with one type");
                return Err(refused(from, field.name(), &why));
            }
        }
        let batch = RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)
            .map_err(|e| Failure::item(format!("{}: its rows cannot be copied: {e}", from.display())))?;
        match &mut self.encoder {
            Encoder::Parquet(writer) => writer.write(&batch),
            Encoder::Csv(writer) => writer.write(&batch),
        }
    }

    fn finish(self, path: &Path) -> Result<(), Failure> {
        let sink = match self.encoder {
            Encoder::Parquet(writer) => writer.finish()?,
            Encoder::Csv(writer) => writer.finish()?,
        };
        sink.finish(path)
    }
}
