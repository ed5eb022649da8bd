//! Whole columns and exact ids.

use super::fixtures::{FORMATS, assert_same, expected, npy_file, open, rows, text_file, write};
use crate::table::{Column, Ids, LogicalType, MISSING_CODE, NumericKind, TableSource};
use std::path::PathBuf;

const NAMES: [&str; 6] = ["id", "size", "is_free", "section", "day", "at"];

#[test]
fn every_format_holds_the_same_columns() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(101);
    for format in FORMATS {
        let source = open(&write(dir.path(), "t", format, &rows));
        let names: Vec<&str> = source.schema().fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, NAMES, "{format}");
        assert_eq!(source.n_rows(), (!source.needs_scan()).then_some(101), "{format}");
        for name in NAMES {
            assert_same(&source.read_column(name).unwrap(), &expected(&rows, name), &format!("{format} {name}"));
        }
        assert_eq!(source.read_ids(&["id", "id"]).unwrap()[1], Ids::Int(rows.iter().map(|row| row.id).collect()), "{format}");
    }
}

#[test]
fn several_files_are_one_table_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(90);
    for format in FORMATS {
        let sub = dir.path().join(format);
        std::fs::create_dir(&sub).unwrap();
        // Written in another order than that of their names; what is hidden or no table is passed over.
        write(&sub, "part-2", format, &rows[50..]);
        write(&sub, "part-1", format, &rows[..50]);
        write(&sub, ".hidden", format, &rows[..1]);
        std::fs::write(sub.join("_SUCCESS"), "").unwrap();
        let source = TableSource::open(&[sub]).unwrap();
        assert_eq!(source.files().len(), 2);
        for name in NAMES {
            assert_same(&source.read_column(name).unwrap(), &expected(&rows, name), &format!("{format} {name}"));
        }
    }
}

#[test]
fn the_type_of_a_csv_column_is_that_of_all_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = text_file(
        dir.path(),
        "t.csv",
        "late,mixed,empty,none_first,dates,upgrade,007\n1,true,,NA,2013-01-01,1,007\n2,1,NA,x,2013-01-01T00:00:00Z,2.5,8\n007,false,,NaN,,3,9\n",
    );
    let source = open(&path);
    let text = |name: &str| match &*source.read_column(name).unwrap() {
        Column::Text(column) => (column.codes.clone(), column.levels.clone()),
        Column::Numeric(_) => panic!("{name} is numeric"),
    };
    let numbers = |name: &str| match &*source.read_column(name).unwrap() {
        Column::Numeric(column) => (column.values.clone(), column.kind),
        Column::Text(_) => panic!("{name} is text"),
    };
    assert_eq!(numbers("late"), (vec![1.0, 2.0, 7.0], NumericKind::Integer));
    assert_eq!(text("mixed"), (vec![2, 0, 1], vec!["1".to_owned(), "false".to_owned(), "true".to_owned()]));
    assert_eq!(text("none_first"), (vec![MISSING_CODE, 0, MISSING_CODE], vec!["x".to_owned()]));
    assert!(numbers("empty").0.iter().all(|v| v.is_nan()));
    let (dates, kind) = numbers("dates");
    assert_eq!((dates[0], dates[1], kind), (15706.0 * 86400.0, 15706.0 * 86400.0, NumericKind::Timestamp));
    assert_eq!(numbers("upgrade"), (vec![1.0, 2.5, 3.0], NumericKind::Float));
    // As ids, what is not plainly a number is text, the rows before it too.
    let ids = source.read_ids(&["late", "007"]).unwrap();
    let Ids::Text(late) = &ids[0] else { panic!("late ids are not text") };
    assert_eq!((late.codes.as_slice(), late.levels.join(" ").as_str()), ([1, 2, 0].as_slice(), "007 1 2"));
    assert!(matches!(&ids[1], Ids::Text(column) if column.levels.len() == 3));
}

#[test]
fn numbers_become_categories_by_their_plain_spelling() {
    let dir = tempfile::tempdir().unwrap();
    let source = open(&text_file(dir.path(), "t.csv", "a,b\n3.0,x\n10,y\n,x\n2.50,x\n"));
    let Column::Text(column) = &*source.read_column_as_text("a").unwrap() else { panic!("not text") };
    assert_eq!(column.levels, ["10", "2.5", "3"]);
    assert_eq!(column.codes, [2, 0, MISSING_CODE, 1]);
}

#[test]
fn arrays_of_numpy_have_columns_x0_x1() {
    let dir = tempfile::tempdir().unwrap();
    let values: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, f32::NAN];
    let little: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let big: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
    let c = npy_file(dir.path(), "c.npy", "<f4", false, "(3, 2)", &little);
    let f = npy_file(dir.path(), "f.npy", ">f4", true, "(3, 2)", &big);
    let column = |path: &PathBuf, name: &str| match &*open(path).read_column(name).unwrap() {
        Column::Numeric(column) => column.values.clone(),
        Column::Text(_) => panic!("text"),
    };
    assert_eq!(column(&c, "x0"), [1.0, 3.0, 5.0]);
    assert_eq!(column(&c, "x1")[..2], [2.0, 4.0]);
    assert_eq!(column(&f, "x0"), [1.0, 2.0, 3.0]);
    assert_eq!(column(&f, "x1")[..2], [4.0, 5.0]);
    let ids: Vec<u8> = [-3i16, 7].iter().flat_map(|v| v.to_le_bytes()).collect();
    let ids = npy_file(dir.path(), "ids.npy", "<i2", false, "(2,)", &ids);
    assert_eq!(open(&ids).schema().fields[0].logical_type, LogicalType::Integer);
    assert_eq!(open(&ids).read_ids(&["x0"]).unwrap(), [Ids::Int(vec![-3, 7])]);
}
