//! The whole chain: a table in, two tables out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use crate::table::{Column, Ids, TableSource};
use crate::testing::{Partition, refusal_of, run_chain};
use arrow_array::builder::{ListBuilder, UInt8Builder};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float32Array, Int16Array, RecordBatch, TimestampMillisecondArray, UInt64Array};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A split of `data`, by the names that a flag's JSON has.
fn settings(data: &Path, method: serde_json::Value) -> SplitSettings {
    let dir = data.parent().unwrap();
    let mut json = serde_json::json!({"data": [data], "out_train": dir.join("train.csv"), "out_test": dir.join("test.csv"), "force": true});
    json.as_object_mut().unwrap().extend(method.as_object().unwrap().clone());
    serde_json::from_value(json).unwrap()
}

fn table(dir: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("data.csv");
    std::fs::write(&path, text).unwrap();
    path
}

fn run(settings: &SplitSettings, seed: u64) -> BTreeMap<String, String> {
    run_chain(settings, seed, tempfile::tempdir().unwrap().path(), &Partition::of(1, 2)).unwrap().facts.into_iter().collect()
}

fn outputs(settings: &SplitSettings) -> [String; 2] {
    [&settings.out_train, &settings.out_test].map(|path| std::fs::read_to_string(path).unwrap())
}

/// 40 users, user u with u % 9 rows, in no order.
fn many_rows() -> String {
    let row = |user: u64, k: u64| format!("{user},{},{}\n", (user * 7 + k * 13) % 50, (user * 31 + k * 17) % 23);
    let rows: String = (0..9).flat_map(|k| (0..40).filter(move |user| k < user % 9).map(move |user| row(user * 37 % 40, k))).collect();
    format!("user,item,time\n{rows}")
}

#[test]
fn the_latest_rows_are_tested_and_all_is_copied_as_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let header = "time,note,item,user\n";
    let data = table(
        &dir,
        &format!("{header}3,\"a,b\",x,ann\n1,,y,ann\n3,007,z,ann\n9,n,x,bob\n,lost,x,cid\n2,NA,x,cid\n5,,,cid\n1,é,y,cid\n0, c ,z,cid\n"),
    );
    let settings = settings(&data, serde_json::json!({"method": "leave-n-out", "n": 1, "latest": true}));
    let facts = run(&settings, 0);
    let [train, test] = outputs(&settings);
    assert_eq!(train, format!("{header}3,\"a,b\",x,ann\n1,,y,ann\n1,é,y,cid\n0, c ,z,cid\n"));
    assert_eq!(test, format!("{header}3,007,z,ann\n2,NA,x,cid\n"), "of equal times the one further down is later");
    let expected = [
        ("rows", "9"),
        ("users", "3"),
        ("rows to train on", "4"),
        ("rows to test on", "2"),
        ("users to test on", "2"),
        ("rows without a user or an item, left out", "1"),
        ("rows without a time, left out", "1"),
        ("rows of users with fewer than 1 row to train on, not tested", "1"),
    ];
    assert_eq!(facts, expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
}

#[test]
fn a_point_in_time_divides_all_rows() {
    let dir = tempfile::tempdir().unwrap();
    let data = table(&dir, "user,item,day\na,x,2015-01-01\na,y,2015-03-01\nb,x,2015-03-02\nb,y,2014-12-31\nc,z,2015-04-01\n");
    let at = |change: serde_json::Value| {
        let mut json = serde_json::json!({"method": "temporal", "time_column": "day"});
        json.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        settings(&data, json)
    };
    let by_date = at(serde_json::json!({"at": "2015-03-01"}));
    let facts = run(&by_date, 0);
    let [train, test] = outputs(&by_date);
    assert_eq!(train, "user,item,day\na,x,2015-01-01\nb,y,2014-12-31\n");
    assert_eq!(test, "user,item,day\na,y,2015-03-01\nb,x,2015-03-02\n", "nobody knows c");
    assert_eq!(facts["tested from"], "2015-03-01");
    let by_share = at(serde_json::json!({"test_fraction": 0.3, "min_train": 0}));
    let facts = run(&by_share, 0);
    // Of five rows the linear 0.7-quantile lies at 2.8: the fourth in time is the first after it.
    assert_eq!((facts["tested from"].as_str(), facts["rows to test on"].as_str()), ("2015-03-02", "2"));
    let refused = refusal_of(&at(serde_json::json!({"at": "1425168000"})));
    assert!(
        refused.contains("column 'day' holds dates, and --at 1425168000 is of whole numbers; write it as the column does"),
        "{refused}"
    );
}

/// Every method: each row is on one side, each user has as many as asked for, and a seed decides.
#[test]
fn a_seed_decides_which_rows_are_tested() {
    let dir = tempfile::tempdir().unwrap();
    let data = table(&dir, &many_rows());
    let settings = settings(&data, serde_json::json!({"method": "leave-n-out", "n": 2, "min_train": 2}));
    let facts = run(&settings, 7);
    let first = outputs(&settings);
    run(&settings, 8);
    assert_ne!(first, outputs(&settings));
    run(&settings, 7);
    assert_eq!(first, outputs(&settings));
    let per_user = |text: &str| {
        let mut counts = BTreeMap::<String, usize>::new();
        text.lines().skip(1).for_each(|line| *counts.entry(line.split(',').next().unwrap().to_owned()).or_default() += 1);
        counts
    };
    let [all, train, test] = [&many_rows(), &first[0], &first[1]].map(|text| per_user(text));
    for (user, n) in &all {
        let expected = if *n >= 4 { (n - 2, 2) } else { (n - n.min(&2), 0) };
        assert_eq!((*train.get(user).unwrap_or(&0), *test.get(user).unwrap_or(&0)), expected, "user {user} of {n} rows");
    }
    // Five users each of 1, 2 and 3 rows are not tested: 1, 2 and 2 rows of each would be.
    assert_eq!(facts["rows of users with fewer than 2 rows to train on, not tested"], (5 + 5 * 2 + 5 * 2).to_string());
    let is_in_order = |text: &str| {
        let all = many_rows();
        let mut rest = all.lines();
        text.lines().all(|line| rest.any(|other| other == line))
    };
    assert!(first.iter().all(|text| is_in_order(text)));
}

#[test]
fn the_same_bytes_at_any_partition() {
    let dir = tempfile::tempdir().unwrap();
    let data = table(&dir, &many_rows());
    for (method, format) in [
        (serde_json::json!({"method": "fraction", "fraction": 0.3}), "parquet"),
        (serde_json::json!({"method": "fraction", "fraction": 0.5, "latest": true}), "csv"),
        (serde_json::json!({"method": "temporal", "test_fraction": 0.2}), "parquet"),
    ] {
        let mut settings = settings(&data, method);
        settings.out_train.set_extension(format);
        settings.out_test.set_extension(format);
        let hashes: Vec<_> = [(1000, 1), (1, 2), (2, 3)]
            .into_iter()
            .map(|(range_len, n_threads)| {
                let job = tempfile::tempdir().unwrap();
                let summary = run_chain(&settings, 5, job.path(), &Partition::of(range_len, n_threads)).unwrap();
                (summary, [&settings.out_train, &settings.out_test].map(|path| blake3::hash(&std::fs::read(path).unwrap())))
            })
            .collect();
        assert!(hashes.iter().all(|hash| hash == &hashes[0]), "{hashes:?}");
    }
}

/// One of every sort of column, of users 1, 1, 2, 2.
fn typed_columns() -> Vec<(&'static str, ArrayRef)> {
    let tags: DictionaryArray<Int32Type> = [Some("x"), None, Some("y"), Some("x")].into_iter().collect();
    vec![
        ("user", Arc::new(Int16Array::from(vec![1, 1, 2, 2])) as ArrayRef),
        ("item", Arc::new(UInt64Array::from(vec![9_007_199_254_740_993, 5, 5, 7])) as ArrayRef),
        ("rating", Arc::new(Float32Array::from(vec![Some(0.1), None, Some(3.0), Some(4.5)])) as ArrayRef),
        ("timestamp", Arc::new(TimestampMillisecondArray::from(vec![1_500, 0, 2_000, 1_000]).with_timezone("UTC")) as ArrayRef),
        ("tag", Arc::new(tags) as ArrayRef),
    ]
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn types_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data.parquet");
    write_parquet(&data, typed_columns());
    let mut settings = settings(&data, serde_json::json!({"method": "leave-n-out", "n": 1, "latest": true}));
    settings.out_train.set_extension("parquet");
    run(&settings, 0);
    let read = |path: &Path| {
        let mut reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap().build().unwrap();
        reader.next().unwrap().unwrap()
    };
    let (all, train) = (read(&data), read(&settings.out_train));
    assert_eq!(train.schema().fields(), all.schema().fields());
    assert_eq!(train.num_rows(), 2);
    for (row, of_all) in [1, 3].into_iter().enumerate() {
        for (found, expected) in train.columns().iter().zip(all.columns()) {
            assert_eq!(&*found.slice(row, 1), &*expected.slice(of_all, 1));
        }
    }
    let test = std::fs::read_to_string(&settings.out_test).unwrap();
    assert_eq!(test, "user,item,rating,timestamp,tag\n1,9007199254740993,0.1,1970-01-01T00:00:01.5Z,x\n2,5,3.0,1970-01-01T00:00:02Z,y\n");
}

#[test]
fn cells_of_a_csv_get_the_types_that_hold_them() {
    let dir = tempfile::tempdir().unwrap();
    let data = table(&dir, "user,item,rating,is_new,note\n1,007,4,true,\n1,8,,false,NA\n2,9,2.5,,2015-01-01\n2,10,3,true,x\n");
    let mut settings = settings(&data, serde_json::json!({"method": "leave-n-out", "n": 1}));
    settings.out_train.set_extension("parquet");
    settings.out_test.set_extension("parquet");
    run(&settings, 3);
    let both: Vec<TableSource> =
        [settings.out_train, settings.out_test].into_iter().map(|path| TableSource::open(&[path]).unwrap()).collect();
    for table in &both {
        let ids = table.read_ids(&["user", "item"]).unwrap();
        assert_eq!(ids[0], Ids::Int(vec![1, 2]));
        assert!(matches!(&ids[1], Ids::Text(texts) if texts.levels.iter().all(|item| ["007", "8", "9", "10"].contains(&item.as_str()))));
        assert!(matches!(&*table.read_column("note").unwrap(), Column::Text(_)));
        let kinds = ["rating", "is_new"].map(|name| match &*table.read_column(name).unwrap() {
            Column::Numeric(numbers) => numbers.kind,
            Column::Text(_) => panic!("{name} is text"),
        });
        assert_eq!(kinds, [NumericKind::Float, NumericKind::Bool]);
    }
}

#[test]
fn what_cannot_be_divided_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = table(&dir, "user,item,time\na,x,1\na,y,2\nb,x,3\n");
    let untimed = dir.path().join("untimed.csv");
    std::fs::write(&untimed, "user,item\na,x\n,y\n").unwrap();
    let worded = dir.path().join("worded.csv");
    std::fs::write(&worded, "user,item,time\na,x,then\na,y,now\n").unwrap();
    let nobody = dir.path().join("nobody.csv");
    std::fs::write(&nobody, "user,item\n,x\na,\n").unwrap();
    let listed = dir.path().join("listed.parquet");
    let mut lists = ListBuilder::new(UInt8Builder::new());
    (0..4).for_each(|_| lists.append(true));
    write_parquet(&listed, typed_columns().into_iter().chain([("list", Arc::new(lists.finish()) as ArrayRef)]).collect());
    for (data, method, words) in [
        (&data, serde_json::json!({"method": "leave-n-out"}), "--method leave-n-out: needs --n; give it"),
        (&data, serde_json::json!({"method": "leave-n-out", "n": 0}), "--n 0: tests nothing"),
        (&data, serde_json::json!({"method": "fraction", "n": 1}), "--n: means nothing to the method fraction, only to leave-n-out"),
        (&data, serde_json::json!({"method": "fraction", "fraction": 1.0}), "--fraction 1: is no share that leaves rows on both sides"),
        (&data, serde_json::json!({"method": "temporal"}), "--method temporal: needs --at or --test-fraction"),
        (&data, serde_json::json!({"method": "temporal", "at": "1", "test_fraction": 0.1}), "both say when the test begins"),
        (&data, serde_json::json!({"method": "temporal", "at": "soon"}), "--at soon: is neither a number nor a date"),
        (&data, serde_json::json!({"method": "temporal", "at": "2", "latest": true}), "--latest: means nothing to the method temporal"),
        (&data, serde_json::json!({"method": "temporal", "at": "9"}), "no row would be tested"),
        (&data, serde_json::json!({"method": "temporal", "at": "0", "min_train": 0}), "no row would be left to train on"),
        (
            &data,
            serde_json::json!({"method": "temporal", "at": "3"}),
            "the 1 that would be are of users with fewer than 1 rows to train on",
        ),
        (&data, serde_json::json!({"method": "leave-n-out", "n": 1, "time_column": "time"}), "--time-column: no time is looked at"),
        (&data, serde_json::json!({"method": "leave-n-out", "n": 1, "out_test": dir.path().join("train.csv")}), "is named as both outputs"),
        (&data, serde_json::json!({"method": "leave-n-out", "n": 1, "out_test": &data}), "data.csv: is an input of this job"),
        (
            &data,
            serde_json::json!({"method": "leave-n-out", "n": 1, "out_test": dir.path().join("t.xls")}),
            "t.xls: is no table by its name",
        ),
        (&untimed, serde_json::json!({"method": "temporal", "at": "2"}), "untimed.csv: has no column of times called time"),
        (&worded, serde_json::json!({"method": "temporal", "at": "2"}), "column 'time' holds text where numbers are wanted"),
        (&nobody, serde_json::json!({"method": "leave-n-out", "n": 1}), "nobody.csv: no row has a user and an item"),
        (&listed, serde_json::json!({"method": "leave-n-out", "n": 1}), "column 'list' is of type List(UInt8), which CSV does not hold"),
    ] {
        let refused = refusal_of(&settings(data, method));
        assert!(refused.contains(words), "{words}: {refused}");
    }
    assert!(!dir.path().join("train.csv").exists() && !dir.path().join("test.csv").exists());
}
