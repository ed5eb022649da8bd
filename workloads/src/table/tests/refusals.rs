//! Bad input: one sentence that names the file, what is wrong with it, and what to do.

use super::fixtures::{npy_file, open, rows, text_file, write};
use crate::table::{NumericKind, TableSource, TargetColumn, TargetSchema, TargetType};
use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt64Array};
use paceline_common::failure::{Failure, FailureKind};
use parquet::arrow::ArrowWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Checks that a refusal is the user's to mend, is one line and says all of `parts`.
fn assert_says(refused: Result<impl std::fmt::Debug, Failure>, parts: &[&str]) {
    let failure = refused.expect_err(&parts.join(" "));
    assert_eq!(failure.kind, FailureKind::BadInput, "{failure}");
    assert!(!failure.message.contains('\n'), "{failure}");
    for part in parts {
        assert!(failure.message.contains(part), "'{part}' is not in: {failure}");
    }
}

fn open_all(paths: &[&Path]) -> Result<TableSource, Failure> {
    TableSource::open(&paths.iter().map(|&path| path.to_owned()).collect::<Vec<_>>())
}

#[test]
fn files_that_are_no_tables() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| text_file(dir.path(), name, content);
    assert_says(open_all(&[]), &["no table is named"]);
    assert_says(open_all(&[&dir.path().join("none.csv")]), &["none.csv: cannot read"]);
    assert_says(open_all(&[&file("notes.txt", "a\n1\n")]), &["notes.txt: is no table by its name", ".parquet"]);
    let empty_dir = dir.path().join("empty");
    std::fs::create_dir(&empty_dir).unwrap();
    assert_says(open_all(&[&empty_dir]), &["empty: holds no table"]);
    assert_says(open_all(&[&file("z.csv", "")]), &["z.csv: is empty"]);
    assert_says(open_all(&[&file("z.parquet", "")]), &["z.parquet: is empty"]);
    assert_says(open_all(&[&file("p.parquet", "a,b\n1,2\n")]), &["p.parquet: is no Parquet file, though its name says so"]);
    assert_says(open_all(&[&file("f.feather", "FEA1....")]), &["f.feather: is Feather version 1 by its first bytes"]);
    let parquet = write(dir.path(), "t", "parquet", &rows(5));
    let renamed = dir.path().join("renamed.csv");
    std::fs::copy(&parquet, &renamed).unwrap();
    assert_says(open_all(&[&renamed]), &["renamed.csv: is Parquet by its first bytes and CSV by its name"]);
    assert_says(open_all(&[&parquet, &file("c.csv", "a\n1\n")]), &["c.csv: is a CSV file beside the Parquet file"]);
    assert_says(open_all(&[Path::new("/dev/null")]), &["/dev/null"]);
}

#[test]
fn headers_that_do_not_name_columns() {
    let dir = tempfile::tempdir().unwrap();
    let opened = |content: &str| open_all(&[&text_file(dir.path(), "t.csv", content)]);
    assert_says(opened("a,b\n"), &["t.csv: has no rows"]);
    assert_says(opened("\n\n"), &["t.csv: has no header"]);
    assert_says(opened("a,b,a\n1,2,3\n"), &["t.csv: two columns are named 'a'"]);
    assert_says(opened(",a\n0,2\n"), &["t.csv: column 1 has no name"]);
    assert_says(opened("2596,51,3\n2590,56,2\n"), &["t.csv: line 1 holds numbers where column names belong"]);
    assert_says(opened("a,\u{0}\u{1}\n1\n"), &["t.csv: line 2: has 1 cell where the header has 2 columns"]);
    assert!(opened("\u{feff}0,1\n5,6\n").unwrap().column_idx("0").is_ok());
}

#[test]
fn columns_that_are_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let source = open(&text_file(dir.path(), "t.csv", "Price,weight,colour\n1,2,3\n"));
    assert_says(source.read_column("price"), &["t.csv: has no column 'price'; did you mean 'Price'?"]);
    assert_says(source.read_ids(&["color"]), &["did you mean 'colour'?"]);
    assert_says(source.column_idx("user"), &["its columns are 'Price', 'weight', 'colour'"]);
    let target = TargetSchema::new(vec![TargetColumn { name: "wieght".to_owned(), target: TargetType::Numeric(NumericKind::Float) }]);
    assert_says(source.check_target(&target), &["t.csv: has no column 'wieght'; did you mean 'weight'?"]);
}

#[test]
fn rows_that_do_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let read = |content: &[u8]| {
        let path = dir.path().join("t.csv");
        std::fs::write(&path, content).unwrap();
        TableSource::open(&[path]).and_then(|source| source.read_column("a"))
    };
    assert_says(read(b"a,b\n1,2\n\"x\ny\",4\n5\n"), &["t.csv: line 5: has 1 cell where the header has 2 columns"]);
    assert_says(read(b"a,b\n1,2\n3,\xff\n"), &["t.csv: line 3: column 2 is not UTF-8"]);
    assert_says(read(b"a,\xff\n1,2\n"), &["t.csv: line 1: column 2 is not UTF-8"]);
    let survey = |content: &str| open(&text_file(dir.path(), "s.csv", content)).survey(1);
    assert_says(survey("a,b\n1,2\n3\n"), &["s.csv: line 3"]);
    let ids = |content: &str| open(&text_file(dir.path(), "i.csv", content)).read_ids(&["a"]);
    assert_says(ids("a,b\n1,2\nNA,2\n"), &["i.csv: line 3: the id in column 'a' is missing"]);
}

#[test]
fn files_that_are_cut_short() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(3000);
    for format in ["csv.gz", "csv.zst", "parquet", "arrow", "feather"] {
        let path = write(dir.path(), "t", format, &rows);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let read = TableSource::open(&[path]).and_then(|source| source.read_column("size"));
        assert_says(read, &[format, "is damaged or cut short"]);
    }
    let npy = npy_file(dir.path(), "t.npy", "<f8", false, "(3, 2)", &[0; 47]);
    assert_says(open_all(&[&npy]), &["t.npy: is damaged or cut short", "too few for its shape, 3 by 2"]);
}

#[test]
fn files_of_different_schemas() {
    let dir = tempfile::tempdir().unwrap();
    let a = text_file(dir.path(), "a.csv", "x,y\n1,2\n");
    let b = text_file(dir.path(), "b.csv", "x,z\n1,2\n");
    assert_says(open_all(&[&a, &b]), &["b.csv: has no column 'y'", "a.csv"]);
    let wider = text_file(dir.path(), "c.csv", "y,x,z\n1,2,3\n");
    assert_says(open_all(&[&a, &wider]), &["c.csv: has a column 'z', which", "a.csv has not"]);
    // Another order is the same schema.
    let swapped = text_file(dir.path(), "d.csv", "y;x\n8;9\n");
    let source = open_all(&[&a, &swapped]).unwrap();
    let crate::table::Column::Numeric(x) = &*source.read_column("x").unwrap() else { panic!() };
    assert_eq!(x.values, [1.0, 9.0]);
    let ints = parquet(dir.path(), "i.parquet", "x", Arc::new(Int64Array::from(vec![1])));
    let texts = parquet(dir.path(), "t.parquet", "x", Arc::new(arrow_array::StringArray::from(vec!["1"])));
    assert_says(open_all(&[&ints, &texts]), &["t.parquet: column 'x' holds text, and whole numbers in", "i.parquet"]);
}

#[test]
fn types_that_cannot_serve() {
    let dir = tempfile::tempdir().unwrap();
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.append_value([Some(1)]);
    let lists = parquet(dir.path(), "l.parquet", "tags", Arc::new(lists.finish()));
    assert_says(open(&lists).read_column("tags"), &["l.parquet: column 'tags' is of type List", "leave it out or convert it"]);
    let texts = parquet(dir.path(), "t.parquet", "x", Arc::new(arrow_array::StringArray::from(vec!["1"])));
    let target = TargetSchema::new(vec![TargetColumn { name: "x".to_owned(), target: TargetType::Numeric(NumericKind::Float) }]);
    assert_says(open(&texts).check_target(&target), &["t.parquet: column 'x' holds text where numbers are wanted"]);
    let huge = parquet(dir.path(), "u.parquet", "id", Arc::new(UInt64Array::from(vec![1, u64::MAX])));
    assert_says(open(&huge).read_ids(&["id"]), &["u.parquet: row 2: the id in column 'id' is above the largest id"]);
    let floats = parquet(dir.path(), "f.parquet", "id", Arc::new(arrow_array::Float64Array::from(vec![1.0])));
    assert_says(open(&floats).read_ids(&["id"]), &["f.parquet: column 'id' holds numbers; ids must be whole numbers or text"]);
    let gaps = parquet(dir.path(), "g.parquet", "id", Arc::new(Int64Array::from(vec![Some(1), None])));
    assert_says(open(&gaps).read_ids(&["id"]), &["g.parquet: row 2: the id in column 'id' is missing"]);
    let none = parquet(dir.path(), "n.parquet", "id", Arc::new(Int64Array::from(Vec::<i64>::new())));
    assert_says(open_all(&[&none]), &["n.parquet: has no rows"]);
    let complex = npy_file(dir.path(), "c.npy", "<c16", false, "(1,)", &[0; 16]);
    assert_says(open_all(&[&complex]), &["c.npy: holds values of type"]);
    let cube = npy_file(dir.path(), "d.npy", "<f8", false, "(1, 1, 1)", &[0; 8]);
    assert_says(open_all(&[&cube]), &["d.npy: is an array of 3 dimensions"]);
}

fn parquet(dir: &Path, name: &str, column: &str, array: ArrayRef) -> PathBuf {
    let batch = RecordBatch::try_from_iter_with_nullable([(column, array, true)]).unwrap();
    let path = dir.join(name);
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}
