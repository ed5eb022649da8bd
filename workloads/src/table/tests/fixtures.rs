//! The same small table in every format.

use crate::table::{Column, NumericColumn, NumericKind, TableSource, TextColumn};
use arrow_array::builder::{StringBuilder, StringDictionaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, TimestampMillisecondArray};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One row of the table. What is not there is missing.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub id: i64,
    pub size: Option<f64>,
    pub is_free: Option<bool>,
    pub section: Option<String>,
    pub day: Option<i32>,
    /// Milliseconds since 1970.
    pub at: Option<i64>,
}

/// Rows with every kind of value, missing ones, delimiters, quotes and line breaks in the text; the same for the same number.
pub(super) fn rows(n_rows: usize) -> Vec<Row> {
    let names = ["admin", "a,b", "say \"hi\"", "two\nlines", "äöü", "x;y"];
    let row = |i: usize| Row {
        id: 9_007_199_254_740_993 + i64::try_from(i).unwrap(),
        size: (i % 7 != 3).then_some(f64::from(u32::try_from(i).unwrap()) * 0.1 - 3.0),
        is_free: (i % 5 != 1).then_some(i.is_multiple_of(3)),
        section: (i % 11 != 4).then(|| names[i * i % names.len()].to_owned()),
        day: (i % 13 != 5).then_some(15_706 + i32::try_from(i).unwrap()),
        at: (i % 9 != 2).then_some(1_357_034_400_000 + 250 * i64::try_from(i).unwrap()),
    };
    (0..n_rows).map(row).collect()
}

/// The formats in which the table is written.
pub(super) const FORMATS: [&str; 7] = ["csv", "tsv", "csv.gz", "csv.zst", "parquet", "arrow", "feather"];

/// Writes rows to `dir/name.extension`.
pub(super) fn write(dir: &Path, name: &str, extension: &str, rows: &[Row]) -> PathBuf {
    let path = dir.join(format!("{name}.{extension}"));
    match extension {
        "parquet" => fs::write(&path, parquet_bytes(rows)).unwrap(),
        "arrow" => fs::write(&path, ipc_bytes(rows, None)).unwrap(),
        "feather" => fs::write(&path, ipc_bytes(rows, Some(arrow_ipc::CompressionType::LZ4_FRAME))).unwrap(),
        "csv.gz" => {
            let mut encoder = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
            encoder.write_all(&csv_bytes(rows, b',')).unwrap();
            encoder.finish().unwrap();
        }
        "csv.zst" => fs::write(&path, zstd::encode_all(csv_bytes(rows, b',').as_slice(), 1).unwrap()).unwrap(),
        "tsv" => fs::write(&path, csv_bytes(rows, b'\t')).unwrap(),
        _ => fs::write(&path, csv_bytes(rows, b',')).unwrap(),
    }
    path
}

fn csv_bytes(rows: &[Row], delimiter: u8) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    writer.write_record(["id", "size", "is_free", "section", "day", "at"]).unwrap();
    for row in rows {
        let cell = |cell: Option<String>| cell.unwrap_or_default();
        let days = |days: i32| jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap().to_string();
        writer
            .write_record([
                row.id.to_string(),
                cell(row.size.map(|v| v.to_string())),
                cell(row.is_free.map(|v| v.to_string())),
                cell(row.section.clone()),
                cell(row.day.map(days)),
                cell(row.at.map(|v| jiff::Timestamp::from_millisecond(v).unwrap().to_string())),
            ])
            .unwrap();
    }
    writer.into_inner().unwrap()
}

/// Text as a dictionary in the one, plain in the other: both occur.
fn batch(rows: &[Row], text_as_dictionary: bool) -> RecordBatch {
    let section: ArrayRef = if text_as_dictionary {
        let mut builder = StringDictionaryBuilder::<Int32Type>::new();
        rows.iter().for_each(|row| builder.append_option(row.section.as_deref()));
        Arc::new(builder.finish())
    } else {
        let mut builder = StringBuilder::new();
        rows.iter().for_each(|row| builder.append_option(row.section.as_deref()));
        Arc::new(builder.finish())
    };
    let columns: [(&str, ArrayRef); 6] = [
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.id)))),
        ("size", Arc::new(rows.iter().map(|row| row.size).collect::<Float64Array>())),
        ("is_free", Arc::new(rows.iter().map(|row| row.is_free).collect::<BooleanArray>())),
        ("section", section),
        ("day", Arc::new(rows.iter().map(|row| row.day).collect::<Date32Array>())),
        ("at", Arc::new(rows.iter().map(|row| row.at).collect::<TimestampMillisecondArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

/// Row groups of 40 rows, so that blocks begin inside of them.
fn parquet_bytes(rows: &[Row]) -> Vec<u8> {
    let batch = batch(rows, false);
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(40)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// Batches of 30 rows, and an empty one in front.
fn ipc_bytes(rows: &[Row], compression: Option<arrow_ipc::CompressionType>) -> Vec<u8> {
    let options = arrow_ipc::writer::IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let whole = batch(rows, true);
    let mut writer = arrow_ipc::writer::FileWriter::try_new_with_options(Vec::new(), &whole.schema(), options).unwrap();
    writer.write(&whole.slice(0, 0)).unwrap();
    for start in (0..rows.len()).step_by(30) {
        writer.write(&whole.slice(start, 30.min(rows.len() - start))).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

/// What a column of the rows must be when it is read.
pub(super) fn expected(rows: &[Row], name: &str) -> Column {
    let numeric = |kind, value: &dyn Fn(&Row) -> Option<f64>| {
        Column::Numeric(NumericColumn { values: rows.iter().map(|row| value(row).unwrap_or(f64::NAN)).collect(), kind })
    };
    match name {
        #[allow(clippy::cast_precision_loss, reason = "that is what a numeric column does")]
        "id" => numeric(NumericKind::Integer, &|row| Some(row.id as f64)),
        "size" => numeric(NumericKind::Float, &|row| row.size),
        "is_free" => numeric(NumericKind::Bool, &|row| row.is_free.map(|v| f64::from(u8::from(v)))),
        "day" => numeric(NumericKind::Date, &|row| row.day.map(f64::from)),
        #[allow(clippy::cast_precision_loss, reason = "present-day milliseconds are exact")]
        "at" => numeric(NumericKind::Timestamp, &|row| row.at.map(|v| v as f64 / 1e3)),
        _ => {
            let mut levels: Vec<String> = rows.iter().filter_map(|row| row.section.clone()).collect();
            levels.sort();
            levels.dedup();
            let code = |name: &String| u32::try_from(levels.binary_search(name).unwrap()).unwrap();
            let codes = rows.iter().map(|row| row.section.as_ref().map_or(crate::table::MISSING_CODE, code)).collect();
            Column::Text(TextColumn { codes, levels })
        }
    }
}

/// Equal, with missing values equal to each other.
pub(super) fn assert_same(found: &Column, expected: &Column, what: &str) {
    match (found, expected) {
        (Column::Numeric(found), Column::Numeric(expected)) => {
            assert_eq!(found.kind, expected.kind, "{what}");
            let bits = |values: &[f64]| values.iter().map(|v| if v.is_nan() { u64::MAX } else { v.to_bits() }).collect::<Vec<_>>();
            assert_eq!(bits(&found.values), bits(&expected.values), "{what}");
        }
        _ => assert_eq!(found, expected, "{what}"),
    }
}

/// Opens one file.
pub(super) fn open(path: &Path) -> TableSource {
    TableSource::open(&[path.to_owned()]).unwrap()
}

/// Writes text to a file.
pub(super) fn text_file(dir: &Path, name: &str, content: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, content).unwrap();
    path
}

/// A `.npy` file of version 1 with this description of its values, order, shape and bytes.
pub(super) fn npy_file(dir: &Path, name: &str, descr: &str, is_fortran: bool, shape: &str, bytes: &[u8]) -> PathBuf {
    let order = if is_fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut content = b"\x93NUMPY\x01\x00".to_vec();
    content.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    content.extend(header.as_bytes());
    content.extend(bytes);
    let path = dir.join(name);
    fs::write(&path, content).unwrap();
    path
}
