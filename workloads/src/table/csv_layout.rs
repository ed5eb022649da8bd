//! How a CSV is laid out: compression, delimiter and header, found from its first bytes.

use crate::table::cell::{self, Cell};
use crate::table::column::NumericKind;
use crate::table::input_files::Compression;
use crate::table::schema::{Field, LogicalType, Schema};
use crate::table::table_file::damaged;
use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder, StringRecord};
use paceline_common::failure::Failure;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A decoded stream of a CSV's bytes.
pub(crate) type CsvStream = Box<dyn Read + Send>;

/// How much of the beginning decides about the delimiter.
const SNIFFED_BYTES: u64 = 64 * 1024;
/// Rows that are compared with the header for it.
const SNIFFED_ROWS: usize = 20;
/// The delimiters that are recognised, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// The layout of one file.
#[derive(Clone, Debug)]
pub(crate) struct CsvLayout {
    /// How it is compressed.
    pub compression: Compression,
    /// Between two cells.
    pub delimiter: u8,
    /// The header.
    pub schema: Schema,
    /// Whether there is no row below the header.
    pub has_no_rows: bool,
}

impl CsvLayout {
    /// Looks at the beginning of a file.
    pub(crate) fn sniff(path: &Path, compression: Compression) -> Result<Self, Failure> {
        let mut head = Vec::new();
        open_stream(path, compression)?.take(SNIFFED_BYTES).read_to_end(&mut head).map_err(|e| stream_failure(path, compression, &e))?;
        if head.is_empty() {
            return Err(Failure::bad_input(format!("{}: is empty; write the table again", path.display())));
        }
        let delimiter = sniff_delimiter(&head);
        // The header itself is read from the file: it may be longer than what was sniffed.
        let mut reader = reader_over(open_stream(path, compression)?, delimiter);
        let mut record = StringRecord::new();
        let has_header = reader.read_record(&mut record).map_err(|e| read_failure(path, compression, &e))?;
        if !has_header {
            return Err(Failure::bad_input(format!("{}: has no header; write the column names into its first line", path.display())));
        }
        let schema = header_schema(&record, path)?;
        let has_no_rows = !reader.read_record(&mut record).map_err(|e| read_failure(path, compression, &e))?;
        Ok(Self { compression, delimiter, schema, has_no_rows })
    }

    /// A reader at the beginning of the file; its first record is the header.
    pub(crate) fn reader(&self, path: &Path) -> Result<Reader<CsvStream>, Failure> {
        Ok(reader_over(open_stream(path, self.compression)?, self.delimiter))
    }

    /// A reader of the bytes of an uncompressed file, which can be placed at a checkpoint.
    pub(crate) fn seekable_reader(&self, path: &Path) -> Result<Reader<File>, Failure> {
        let file = File::open(path).map_err(|e| Failure::from_io("read", path, &e))?;
        Ok(reader_over(file, self.delimiter))
    }
}

/// Rows of unequal length are refused by the reader itself.
fn reader_over<R: Read>(stream: R, delimiter: u8) -> Reader<R> {
    const BUFFER_BYTES: usize = 1 << 18;
    ReaderBuilder::new().has_headers(false).delimiter(delimiter).buffer_capacity(BUFFER_BYTES).from_reader(stream)
}

fn open_stream(path: &Path, compression: Compression) -> Result<CsvStream, Failure> {
    let file = File::open(path).map_err(|e| Failure::from_io("read", path, &e))?;
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::new(file))),
        Compression::Zstd => Box::new(zstd::Decoder::new(file).map_err(|e| Failure::from_io("read", path, &e))?),
    })
}

fn stream_failure(path: &Path, compression: Compression, error: &io::Error) -> Failure {
    // What the operating system reports carries its number; everything else comes from a decoder that met bad bytes.
    if compression == Compression::None || error.raw_os_error().is_some() {
        return Failure::from_io("read", path, error);
    }
    damaged(path, error)
}

/// The refusal for what a CSV reader met.
pub(crate) fn read_failure(path: &Path, compression: Compression, error: &csv::Error) -> Failure {
    let at = error.position().map_or(0, csv::Position::line);
    let name = path.display();
    match error.kind() {
        ErrorKind::Io(error) => stream_failure(path, compression, error),
        ErrorKind::Utf8 { err, .. } => {
            let column = err.field() + 1;
            Failure::bad_input(format!("{name}: line {at}: column {column} is not UTF-8; convert the file to UTF-8"))
        }
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let (cells, header) = (count(*len, "cell"), count(*expected_len, "column"));
            Failure::bad_input(format!("{name}: line {at}: has {cells} where the header has {header}; correct that line"))
        }
        _ => damaged(path, error),
    }
}

fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// The delimiter under which the first rows have as many cells as the header; where several do, the one with the most cells.
fn sniff_delimiter(head: &[u8]) -> u8 {
    let score = |delimiter: u8| -> usize {
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(head);
        let mut record = ByteRecord::new();
        let mut n_cells = Vec::new();
        while n_cells.len() <= SNIFFED_ROWS && matches!(reader.read_byte_record(&mut record), Ok(true)) {
            n_cells.push(record.len());
        }
        // The last row may be cut by the end of the sample.
        if n_cells.len() > 2 {
            n_cells.pop();
        }
        let header = n_cells.first().copied().unwrap_or(0);
        let n_equal = n_cells.iter().filter(|&&n| n == header).count();
        // Agreement first: a text column full of semicolons must not outvote the commas around it.
        if header < 2 { 0 } else { n_equal * 1_000_000 / n_cells.len().max(1) + header.min(999_999) }
    };
    // The first of the best; commas where nothing separates anything.
    let best = DELIMITERS.iter().rev().copied().max_by_key(|&delimiter| score(delimiter));
    best.unwrap_or(b',')
}

fn header_schema(record: &StringRecord, path: &Path) -> Result<Schema, Failure> {
    const BYTE_ORDER_MARK: char = '\u{feff}';
    let names: Vec<&str> = record.iter().map(|name| name.trim_start_matches(BYTE_ORDER_MARK).trim()).collect();
    if looks_like_data(&names) {
        let message = format!("{}: line 1 holds numbers where column names belong; add a header line", path.display());
        return Err(Failure::bad_input(message));
    }
    let field = |name: &&str| Field { name: (*name).to_owned(), logical_type: LogicalType::Unknown };
    Schema::checked(names.iter().map(field).collect(), path)
}

/// Whether a first line is a row of numbers rather than names. Numbers that count the columns are names, as pandas writes them.
fn looks_like_data(names: &[&str]) -> bool {
    let numbers: Vec<(f64, NumericKind)> = names
        .iter()
        .filter_map(|name| match cell::parse(name) {
            Cell::Number(value, kind) => Some((value, kind)),
            Cell::Missing | Cell::Text(_) => None,
        })
        .collect();
    let is_count = |first: u32| numbers.iter().zip(first..).all(|(&number, place)| number == (f64::from(place), NumericKind::Integer));
    !names.is_empty() && numbers.len() == names.len() && !is_count(0) && !is_count(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_recognised() {
        for (head, delimiter) in [
            ("a,b\n1,2\n", b','),
            ("a;b\n1,5;2,5\n", b';'),
            ("a\tb c\n1\t2,3\n", b'\t'),
            ("a|b\n1|2\n", b'|'),
            ("one\n1\n2\n", b','),
            ("\"x;y;z\",b\n\"1;2\",2\n\"3\",4\n5,6\n", b','),
        ] {
            assert_eq!(sniff_delimiter(head.as_bytes()), delimiter, "{head:?}");
        }
    }

    #[test]
    fn a_row_of_numbers_is_no_header() {
        assert!(looks_like_data(&["2596", "51", "3"]));
        assert!(!looks_like_data(&["0", "1", "2"]));
        assert!(!looks_like_data(&["1", "2"]));
        assert!(!looks_like_data(&["a", "2"]));
    }
}
