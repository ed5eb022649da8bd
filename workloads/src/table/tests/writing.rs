//! Tables written: the same bytes for the same rows, read back as they were, and nothing left of one that was given up.

use super::fixtures::{assert_same, open};
use crate::table::{Column, Ids, MISSING_CODE, NumericColumn, NumericKind, OutputColumn, OutputType, TableFormat, TableWriter};
use std::path::Path;

const COLUMNS: [(&str, OutputType); 7] = [
    ("user", OutputType::I64),
    ("score", OutputType::F64),
    ("weight", OutputType::F32),
    ("rank", OutputType::U32),
    ("name", OutputType::Text),
    ("class", OutputType::Text),
    ("is_new", OutputType::Bool),
];

struct Rows {
    users: Vec<i64>,
    scores: Vec<f64>,
    weights: Vec<f32>,
    ranks: Vec<u32>,
    names: Vec<&'static str>,
    codes: Vec<u32>,
    levels: Vec<String>,
    flags: Vec<bool>,
}

fn rows(n_rows: u32) -> Rows {
    let name = |i: u32| ["plain", "with, comma", "with \"quote\"", "two\nlines", "ä"][(i % 5) as usize];
    Rows {
        users: (0..n_rows).map(|i| i64::from(i) - 9_007_199_254_740_993).collect(),
        scores: (0..n_rows).map(|i| if i % 10 == 7 { f64::NAN } else { f64::from(i) / 3.0 * 1e-9 }).collect(),
        weights: (0..n_rows).map(|i| 1.0 / (i as f32 + 1.0)).collect(),
        ranks: (0..n_rows).map(|i| i % 100).collect(),
        names: (0..n_rows).map(name).collect(),
        codes: (0..n_rows).map(|i| if i % 8 == 5 { MISSING_CODE } else { i % 2 }).collect(),
        levels: vec!["no".to_owned(), "yes".to_owned()],
        flags: (0..n_rows).map(|i| i % 3 == 1).collect(),
    }
}

/// Writes the rows, `step` at a time.
fn write(path: &Path, format: TableFormat, rows: &Rows, step: usize) {
    let mut writer = TableWriter::create(path, format, &COLUMNS).unwrap();
    for start in (0..rows.users.len()).step_by(step) {
        let range = start..rows.users.len().min(start + step);
        writer
            .append(&[
                OutputColumn::I64(&rows.users[range.clone()]),
                OutputColumn::F64(&rows.scores[range.clone()]),
                OutputColumn::F32(&rows.weights[range.clone()]),
                OutputColumn::U32(&rows.ranks[range.clone()]),
                OutputColumn::Text(&rows.names[range.clone()]),
                OutputColumn::Codes { codes: &rows.codes[range.clone()], levels: &rows.levels },
                OutputColumn::Bool(&rows.flags[range]),
            ])
            .unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn the_bytes_do_not_depend_on_how_rows_are_appended() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(150_000);
    for (format, extension) in [(TableFormat::Parquet, "parquet"), (TableFormat::Csv, "csv")] {
        let hashes: Vec<_> = [1_000, 65_536, 150_000]
            .iter()
            .map(|&step| {
                let path = dir.path().join(format!("{step}.{extension}"));
                assert_eq!(TableFormat::of_output(&path).unwrap(), format);
                write(&path, format, &rows, step);
                blake3::hash(&std::fs::read(&path).unwrap())
            })
            .collect();
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{extension}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(70_001);
    for (format, extension) in [(TableFormat::Parquet, "parquet"), (TableFormat::Csv, "csv")] {
        let path = dir.path().join(format!("t.{extension}"));
        write(&path, format, &rows, 9_999);
        let source = open(&path);
        assert_eq!(source.read_ids(&["user"]).unwrap(), [Ids::Int(rows.users.clone())]);
        let numeric = |values: Vec<f64>, kind| Column::Numeric(NumericColumn { values, kind });
        assert_same(&source.read_column("score").unwrap(), &numeric(rows.scores.clone(), NumericKind::Float), extension);
        let ranks = numeric(rows.ranks.iter().map(|&v| f64::from(v)).collect(), NumericKind::Integer);
        assert_same(&source.read_column("rank").unwrap(), &ranks, extension);
        let flags = numeric(rows.flags.iter().map(|&v| f64::from(u8::from(v))).collect(), NumericKind::Bool);
        assert_same(&source.read_column("is_new").unwrap(), &flags, extension);
        let Column::Numeric(weights) = &*source.read_column("weight").unwrap() else { panic!() };
        #[allow(clippy::cast_possible_truncation, reason = "the values were f32")]
        let weights: Vec<f32> = weights.values.iter().map(|&v| v as f32).collect();
        assert_eq!(weights, rows.weights);
        let Column::Text(names) = &*source.read_column("name").unwrap() else { panic!() };
        assert!(names.codes.iter().zip(&rows.names).all(|(&code, &name)| names.levels[code as usize] == name));
        let Column::Text(classes) = &*source.read_column("class").unwrap() else { panic!() };
        assert_eq!((&classes.codes, &classes.levels), (&rows.codes, &rows.levels));
    }
}

#[test]
fn a_table_given_up_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let mut writer = TableWriter::create(&path, TableFormat::Parquet, &[("a", OutputType::U32)]).unwrap();
    writer.append(&[OutputColumn::U32(&[1, 2])]).unwrap();
    assert!(writer.append(&[OutputColumn::F32(&[1.0])]).is_err());
    assert!(writer.append(&[OutputColumn::U32(&[1]), OutputColumn::U32(&[1])]).is_err());
    drop(writer);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_table_without_rows_and_a_staged_one_are_whole_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    TableWriter::create_staged(&path, TableFormat::Csv, &[("a b", OutputType::U32), ("c,d", OutputType::Text)]).unwrap().finish().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a b,\"c,d\"\n");
    let path = dir.path().join("t.parquet");
    TableWriter::create_staged(&path, TableFormat::Parquet, &[("a", OutputType::U32)]).unwrap().finish().unwrap();
    let refusal = crate::table::TableSource::open(&[path]).unwrap_err();
    assert!(refusal.message.contains("has no rows"), "{refusal}");
}
