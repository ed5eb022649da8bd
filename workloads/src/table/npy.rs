//! NumPy arrays as tables: a vector is a column named x0, a matrix has columns x0, x1, … in either memory order.

use crate::table::schema::{Field, LogicalType, Schema};
use crate::table::table_file::{Batch, EachBatch, RowSpan, TableFile, damaged, guarded};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, UInt64Array};
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};
use paceline_common::failure::Failure;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most columns of a matrix: each gets a name in memory.
const MAX_COLUMNS: u64 = 1_000_000;
/// Bytes read at once.
const CHUNK_BYTES: u64 = 4 << 20;

/// One `.npy` file.
pub(crate) struct NpyFile {
    path: PathBuf,
    schema: Schema,
    value: ValueType,
    data_offset: u64,
    n_rows: u64,
    n_columns: u64,
    order: Order,
}

/// How one value is stored.
#[derive(Clone, Copy, Debug)]
struct ValueType {
    kind: ValueKind,
    /// 1, 2, 4 or 8.
    n_bytes: usize,
    is_big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueKind {
    Bool,
    Int,
    Uint,
    Float,
}

impl NpyFile {
    /// Reads the header and compares it with the size of the file.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let io = |e| Failure::from_io("read", path, &e);
        let file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut reader = BufReader::new(file);
        check_header_len(&mut reader, path, size)?;
        let header = guarded(path, || NpyHeader::from_reader(&mut reader).map_err(|e| damaged(path, e)))?;
        let data_offset = reader.stream_position().map_err(io)?;
        let value = ValueType::of(&header.dtype(), path)?;
        let (n_rows, n_columns) = match *header.shape() {
            [n_rows] => (n_rows, 1),
            [n_rows, n_columns] => (n_rows, n_columns),
            ref shape => {
                let n = shape.len();
                let message = format!("{}: is an array of {n} dimensions; a table is a vector or a matrix", path.display());
                return Err(Failure::bad_input(message));
            }
        };
        let n_bytes =
            n_rows.checked_mul(n_columns).and_then(|n| n.checked_mul(value.n_bytes as u64)).and_then(|n| n.checked_add(data_offset));
        if n_bytes.is_none_or(|n_bytes| n_bytes > size) {
            return Err(damaged(path, format!("{size} bytes are too few for its shape, {n_rows} by {n_columns}")));
        }
        if n_columns > MAX_COLUMNS {
            let message = format!("{}: has {n_columns} columns; a matrix can have {MAX_COLUMNS}", path.display());
            return Err(Failure::bad_input(message));
        }
        let fields = (0..n_columns).map(|i| Field { name: format!("x{i}"), logical_type: value.logical_type() }).collect();
        let schema = Schema::checked(fields, path)?;
        Ok(Self { path: path.to_owned(), schema, value, data_offset, n_rows, n_columns, order: header.order() })
    }

    /// Reads `n` values, from the one at `first` on in the order of the file.
    fn values_at(&self, file: &mut File, first: u64, n: u64) -> Result<Vec<u8>, Failure> {
        let width = self.value.n_bytes as u64;
        let mut bytes = vec![0; usize::try_from(n * width).map_err(|_| damaged(&self.path, "a row is too long"))?];
        let read = file.seek(SeekFrom::Start(self.data_offset + first * width)).and_then(|_| file.read_exact(&mut bytes));
        match read {
            Ok(()) => Ok(bytes),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(damaged(&self.path, "it became shorter while it was read")),
            Err(e) => Err(Failure::from_io("read", &self.path, &e)),
        }
    }

    /// The chosen columns of the rows `start..end`.
    fn columns(&self, file: &mut File, columns: &[usize], start: u64, end: u64) -> Result<Vec<ArrayRef>, Failure> {
        let n = end - start;
        if self.order == Order::Fortran {
            let column = |&column: &usize| Ok(self.value.array(&self.values_at(file, column as u64 * self.n_rows + start, n)?, 0, 1));
            return columns.iter().map(column).collect();
        }
        let bytes = self.values_at(file, start * self.n_columns, n * self.n_columns)?;
        let stride = usize::try_from(self.n_columns).unwrap_or(usize::MAX);
        Ok(columns.iter().map(|&column| self.value.array(&bytes, column, stride)).collect())
    }
}

/// The decoder allocates what the header claims to be long, so the claim is held against the file first.
fn check_header_len(reader: &mut BufReader<File>, path: &Path, size: u64) -> Result<(), Failure> {
    let io = |e| Failure::from_io("read", path, &e);
    let mut head = Vec::new();
    reader.by_ref().take(12).read_to_end(&mut head).map_err(io)?;
    reader.rewind().map_err(io)?;
    let claimed = match *head.as_slice() {
        // Version 1 has a length of two bytes, later ones of four.
        [_, _, _, _, _, _, 1, _, a, b, ..] => u64::from(u16::from_le_bytes([a, b])),
        [_, _, _, _, _, _, _, _, a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        _ => u64::MAX,
    };
    if claimed > size { Err(damaged(path, "its header is longer than it is")) } else { Ok(()) }
}

impl ValueType {
    fn of(dtype: &DType, path: &Path) -> Result<Self, Failure> {
        let refuse = || {
            let (path, what) = (path.display(), dtype.descr());
            Failure::bad_input(format!("{path}: holds values of type {what}; save whole numbers, booleans, or floats of 32 or 64 bits"))
        };
        let DType::Plain(plain) = dtype else { return Err(refuse()) };
        let kind = match plain.type_char() {
            TypeChar::Bool => ValueKind::Bool,
            TypeChar::Int => ValueKind::Int,
            TypeChar::Uint => ValueKind::Uint,
            TypeChar::Float => ValueKind::Float,
            _ => return Err(refuse()),
        };
        let n_bytes = plain.num_bytes().ok_or_else(refuse)?;
        let is_known = match kind {
            ValueKind::Bool => n_bytes == 1,
            ValueKind::Int | ValueKind::Uint => matches!(n_bytes, 1 | 2 | 4 | 8),
            ValueKind::Float => matches!(n_bytes, 4 | 8),
        };
        if !is_known {
            return Err(refuse());
        }
        Ok(Self { kind, n_bytes, is_big_endian: plain.endianness() == Endianness::Big })
    }

    fn logical_type(self) -> LogicalType {
        match self.kind {
            ValueKind::Bool => LogicalType::Bool,
            ValueKind::Int | ValueKind::Uint => LogicalType::Integer,
            ValueKind::Float => LogicalType::Float,
        }
    }

    /// Every `stride`-th value from the one at `first` on, widened to 64 bits.
    fn array(self, bytes: &[u8], first: usize, stride: usize) -> ArrayRef {
        let values = bytes.chunks_exact(self.n_bytes).skip(first).step_by(stride).map(|value| self.widened(value));
        match self.kind {
            ValueKind::Bool => Arc::new(values.map(|bits| Some(bits != 0)).collect::<BooleanArray>()),
            ValueKind::Int => Arc::new(values.map(u64::cast_signed).collect::<Int64Array>()),
            ValueKind::Uint => Arc::new(values.collect::<UInt64Array>()),
            ValueKind::Float => Arc::new(values.map(f64::from_bits).collect::<Float64Array>()),
        }
    }

    /// The 64 bits of a value of the same kind: whole numbers extended with their sign, floats as f64.
    fn widened(self, value: &[u8]) -> u64 {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(value).for_each(|(to, &from)| *to = from);
        if self.is_big_endian
            && let Some(bytes) = bytes.get_mut(..self.n_bytes)
        {
            bytes.reverse();
        }
        let bits = u64::from_le_bytes(bytes);
        match (self.kind, self.n_bytes) {
            #[expect(clippy::cast_possible_truncation, reason = "the upper half is zero")]
            (ValueKind::Float, 4) => f64::from(f32::from_bits(bits as u32)).to_bits(),
            (ValueKind::Int, n_bytes) => {
                let unused = 64 - 8 * n_bytes;
                ((bits << unused).cast_signed() >> unused).cast_unsigned()
            }
            _ => bits,
        }
    }
}

impl TableFile for NpyFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn n_rows(&self) -> Option<u64> {
        Some(self.n_rows)
    }

    fn read(&self, columns: &[usize], rows: RowSpan, each: &mut EachBatch<'_>) -> Result<(), Failure> {
        let mut file = File::open(&self.path).map_err(|e| Failure::from_io("read", &self.path, &e))?;
        let (start, end) = rows.bounds(self.n_rows);
        let row_bytes = self.value.n_bytes as u64 * if self.order == Order::Fortran { 1 } else { self.n_columns };
        let rows_per_chunk = (CHUNK_BYTES / row_bytes.max(1)).max(1);
        let mut row = start;
        while row < end {
            let next = row.saturating_add(rows_per_chunk).min(end);
            let arrays = self.columns(&mut file, columns, row, next)?;
            each(&Batch { path: &self.path, first_row: row, lines: None, columns: &arrays })?;
            row = next;
        }
        Ok(())
    }
}
