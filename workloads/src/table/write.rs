//! Tables out: columns appended batch by batch to a Parquet or CSV file. The same rows give the same bytes, however they are cut
//! into appends: rows are gathered into batches of a fixed size before any format sees them.

use crate::table::column::MISSING_CODE;
use crate::table::write_csv::CsvWriter;
use crate::table::write_parquet::ParquetWriter;
use arrow_array::builder::{ArrayBuilder, BooleanBuilder, Float32Builder, Float64Builder, Int64Builder, StringBuilder, UInt32Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use paceline_common::failure::Failure;
use paceline_common::files::{self, NewFile};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows gathered before they are encoded. Part of the output's definition: another number gives other bytes.
pub(crate) const ROWS_PER_BATCH: usize = 65_536;

/// The format of a table that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated text.
    Csv,
}

impl TableFormat {
    /// What the name of an output promises: `.parquet` or `.csv`.
    pub fn of_output(path: &Path) -> Result<Self, Failure> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => Ok(Self::Parquet),
            Some("csv") => Ok(Self::Csv),
            _ => Err(Failure::bad_input(format!("{}: is no table by its name; name a file in .parquet or .csv", path.display()))),
        }
    }
}

/// The type of a column that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputType {
    /// Whole numbers of 64 bits.
    I64,
    /// Floats of 64 bits.
    F64,
    /// Floats of 32 bits.
    F32,
    /// Whole numbers of 32 bits without sign.
    U32,
    /// True or false.
    Bool,
    /// Text.
    Text,
    /// Numbers or truth values of this type, some of which are not there.
    Optional(&'static OutputType),
}

/// Rows of a column that is written.
#[derive(Clone, Copy, Debug)]
pub enum OutputColumn<'a> {
    /// For [`OutputType::I64`].
    I64(&'a [i64]),
    /// For [`OutputType::F64`]. NaN is written as NaN.
    F64(&'a [f64]),
    /// For [`OutputType::F32`]. NaN is written as NaN.
    F32(&'a [f32]),
    /// For [`OutputType::U32`].
    U32(&'a [u32]),
    /// For [`OutputType::Bool`].
    Bool(&'a [bool]),
    /// For [`OutputType::Text`].
    Text(&'a [&'a str]),
    /// For [`OutputType::Text`]: places in `levels`; [`MISSING_CODE`] is written as no value.
    Codes {
        /// One per row.
        codes: &'a [u32],
        /// What they stand for.
        levels: &'a [String],
    },
    /// For [`OutputType::Optional`]: a row has no value where `is_there` is false, whatever `values` holds there.
    Optional {
        /// One per row; no text.
        values: &'a OutputColumn<'a>,
        /// One per row.
        is_there: &'a [bool],
    },
}

impl OutputColumn<'_> {
    fn len(&self) -> usize {
        match self {
            Self::I64(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Codes { codes, .. } => codes.len(),
            Self::Optional { values, .. } => values.len(),
        }
    }
}

/// A table that is being written.
pub struct TableWriter {
    path: PathBuf,
    schema: SchemaRef,
    columns: Vec<Gathered>,
    n_gathered: usize,
    encoder: Encoder,
}

enum Encoder {
    Parquet(ParquetWriter),
    Csv(CsvWriter),
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableWriter").field("path", &self.path).field("n_gathered", &self.n_gathered).finish_non_exhaustive()
    }
}

impl TableWriter {
    /// Starts a table that appears at `path` whole and durable with [`Self::finish`], and not at all without it.
    pub fn create(path: &Path, format: TableFormat, columns: &[(&str, OutputType)]) -> Result<Self, Failure> {
        Self::over(Sink::New(NewFile::create(path)?), path, format, columns)
    }

    /// Starts a table that grows at `path` itself, in place of what stood there, durable with [`Self::finish`]: for an output that
    /// is published by the caller.
    pub fn create_staged(path: &Path, format: TableFormat, columns: &[(&str, OutputType)]) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|e| Failure::from_io("create", path, &e))?;
        Self::over(Sink::Staged(BufWriter::with_capacity(1 << 20, file)), path, format, columns)
    }

    fn over(sink: Sink, path: &Path, format: TableFormat, columns: &[(&str, OutputType)]) -> Result<Self, Failure> {
        let field = |&(name, output_type): &(&str, OutputType)| {
            let may_lack_values = matches!(output_type, OutputType::Text | OutputType::Optional(_));
            Field::new(name, output_type.data_type(), may_lack_values)
        };
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let encoder = match format {
            TableFormat::Parquet => Encoder::Parquet(ParquetWriter::new(sink, path, &schema)?),
            TableFormat::Csv => Encoder::Csv(CsvWriter::new(sink, path, &schema)?),
        };
        let columns = columns.iter().map(|&(_, output_type)| Gathered::new(output_type)).collect();
        Ok(Self { path: path.to_owned(), schema, columns, n_gathered: 0, encoder })
    }

    /// Adds rows: one slice for each column, in order, all equally long.
    pub fn append(&mut self, columns: &[OutputColumn<'_>]) -> Result<(), Failure> {
        let n_rows = columns.first().map_or(0, OutputColumn::len);
        let misfit = |path: &Path, what: &str| Failure::item(format!("{}: the rows to be written do not fit: {what}", path.display()));
        if columns.len() != self.columns.len() || columns.iter().any(|column| column.len() != n_rows) {
            return Err(misfit(&self.path, "columns differ in number or length"));
        }
        let mut from = 0;
        while from < n_rows {
            let to = n_rows.min(from + ROWS_PER_BATCH - self.n_gathered);
            for (gathered, column) in self.columns.iter_mut().zip(columns) {
                gathered.add(column, from..to).ok_or_else(|| misfit(&self.path, "a column is of another type"))?;
            }
            self.n_gathered += to - from;
            from = to;
            if self.n_gathered == ROWS_PER_BATCH {
                self.encode_gathered()?;
            }
        }
        Ok(())
    }

    /// Writes what is left and makes the file durable.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.encode_gathered()?;
        let sink = match self.encoder {
            Encoder::Parquet(writer) => writer.finish()?,
            Encoder::Csv(writer) => writer.finish()?,
        };
        sink.finish(&self.path)
    }

    fn encode_gathered(&mut self) -> Result<(), Failure> {
        if self.n_gathered == 0 {
            return Ok(());
        }
        self.n_gathered = 0;
        let arrays = self.columns.iter_mut().map(Gathered::take).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|e| Failure::item(format!("{}: cannot write its rows: {e}", self.path.display())))?;
        match &mut self.encoder {
            Encoder::Parquet(writer) => writer.write(&batch),
            Encoder::Csv(writer) => writer.write(&batch),
        }
    }
}

impl OutputType {
    fn data_type(self) -> DataType {
        match self {
            Self::I64 => DataType::Int64,
            Self::F64 => DataType::Float64,
            Self::F32 => DataType::Float32,
            Self::U32 => DataType::UInt32,
            Self::Bool => DataType::Boolean,
            Self::Text => DataType::Utf8,
            Self::Optional(inner) => inner.data_type(),
        }
    }
}

/// Rows of a column that wait to be encoded.
enum Gathered {
    I64(Int64Builder),
    F64(Float64Builder),
    F32(Float32Builder),
    U32(UInt32Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
}

impl Gathered {
    fn new(output_type: OutputType) -> Self {
        match output_type {
            OutputType::I64 => Self::I64(Int64Builder::new()),
            OutputType::F64 => Self::F64(Float64Builder::new()),
            OutputType::F32 => Self::F32(Float32Builder::new()),
            OutputType::U32 => Self::U32(UInt32Builder::new()),
            OutputType::Bool => Self::Bool(BooleanBuilder::new()),
            OutputType::Text => Self::Text(StringBuilder::new()),
            OutputType::Optional(inner) => Self::new(*inner),
        }
    }

    /// Adds rows of a column; `None` where it is of another type.
    fn add(&mut self, column: &OutputColumn<'_>, rows: Range<usize>) -> Option<()> {
        match (self, column) {
            (Self::I64(builder), OutputColumn::I64(values)) => builder.append_slice(values.get(rows)?),
            (Self::F64(builder), OutputColumn::F64(values)) => builder.append_slice(values.get(rows)?),
            (Self::F32(builder), OutputColumn::F32(values)) => builder.append_slice(values.get(rows)?),
            (Self::U32(builder), OutputColumn::U32(values)) => builder.append_slice(values.get(rows)?),
            (Self::Bool(builder), OutputColumn::Bool(values)) => builder.append_slice(values.get(rows)?),
            (Self::Text(builder), OutputColumn::Text(values)) => values.get(rows)?.iter().for_each(|value| builder.append_value(value)),
            (Self::Text(builder), OutputColumn::Codes { codes, levels }) => {
                for &code in codes.get(rows)? {
                    let level = if code == MISSING_CODE { None } else { Some(levels.get(code as usize)?) };
                    builder.append_option(level);
                }
            }
            (gathered, OutputColumn::Optional { values, is_there }) => gathered.add_optional(values, is_there.get(rows.clone())?, rows)?,
            _ => return None,
        }
        Some(())
    }

    fn add_optional(&mut self, column: &OutputColumn<'_>, is_there: &[bool], rows: Range<usize>) -> Option<()> {
        match (self, column) {
            (Self::I64(builder), OutputColumn::I64(values)) => builder.append_values(values.get(rows)?, is_there),
            (Self::F64(builder), OutputColumn::F64(values)) => builder.append_values(values.get(rows)?, is_there),
            (Self::F32(builder), OutputColumn::F32(values)) => builder.append_values(values.get(rows)?, is_there),
            (Self::U32(builder), OutputColumn::U32(values)) => builder.append_values(values.get(rows)?, is_there),
            (Self::Bool(builder), OutputColumn::Bool(values)) => builder.append_values(values.get(rows)?, is_there).ok()?,
            _ => return None,
        }
        Some(())
    }

    fn take(&mut self) -> ArrayRef {
        let builder: &mut dyn ArrayBuilder = match self {
            Self::I64(builder) => builder,
            Self::F64(builder) => builder,
            Self::F32(builder) => builder,
            Self::U32(builder) => builder,
            Self::Bool(builder) => builder,
            Self::Text(builder) => builder,
        };
        builder.finish()
    }
}

/// Where the bytes go.
pub(crate) enum Sink {
    /// A file that is not visible yet.
    New(NewFile),
    /// A file that its owner will publish.
    Staged(BufWriter<File>),
}

impl Sink {
    /// Makes the file durable, and visible where it is not yet.
    pub(crate) fn finish(self, path: &Path) -> Result<(), Failure> {
        match self {
            Self::New(file) => file.commit(),
            Self::Staged(mut writer) => {
                let synced = writer.flush().and_then(|()| writer.get_ref().sync_all());
                synced.map_err(|e| Failure::from_io("write", path, &e))?;
                files::sync_parent(path)
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::New(file) => file.write(bytes),
            Self::Staged(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::New(file) => file.flush(),
            Self::Staged(file) => file.flush(),
        }
    }
}
