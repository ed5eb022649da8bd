//! The same table in every format that can hold it gives the same model, to the byte: numbers, truth values, dates and text with
//! missing values; a table of categories alone; an array of numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::example_tables::{FEATURES, example_rows, fact, predict, predict_settings, train, train_settings, write_csv, write_example};
use super::model::ForestHeader;
use arrow_array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use paceline_common::artifact::Artifact;
use paceline_common::view::JobSummary;
use parquet::arrow::ArrowWriter;
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The same rows as Parquet and as Arrow IPC.
fn write_arrow(dir: &Path, columns: Vec<(&str, ArrayRef)>) -> [PathBuf; 2] {
    write_arrow_with(dir, columns, HashMap::new())
}

/// The same with metadata of the file.
fn write_arrow_with(dir: &Path, columns: Vec<(&str, ArrayRef)>, metadata: HashMap<String, String>) -> [PathBuf; 2] {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let schema = Arc::new(batch.schema().as_ref().clone().with_metadata(metadata));
    let batch = batch.with_schema(schema).unwrap();
    let mut parquet = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    parquet.write(&batch).unwrap();
    let mut ipc = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    ipc.write(&batch).unwrap();
    ipc.finish().unwrap();
    let paths = [dir.join("t.parquet"), dir.join("t.arrow")];
    std::fs::write(&paths[0], parquet.into_inner().unwrap()).unwrap();
    std::fs::write(&paths[1], ipc.into_inner().unwrap()).unwrap();
    paths
}

/// Trains on each table and compares the files.
fn check_same_model(dir: &Path, tables: &[PathBuf], target: &str, changes: &serde_json::Value) {
    let models = tables.iter().map(|table| {
        let out = dir.join("model");
        let mut changes = changes.clone();
        changes.as_object_mut().unwrap().insert("force".to_owned(), json!(true));
        train(&train_settings(table, target, &out, changes), 3);
        std::fs::read(&out).unwrap()
    });
    let models: Vec<Vec<u8>> = models.collect();
    for (table, model) in tables.iter().zip(&models) {
        assert!(*model == models[0], "{} gives another model than {}", table.display(), tables[0].display());
    }
}

#[test]
fn every_type_of_column_is_the_same_in_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let rows = example_rows(400);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("size", Arc::new(rows.iter().map(|row| row.size).collect::<Float64Array>())),
        ("count", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.count)))),
        ("color", Arc::new(rows.iter().map(|row| row.color).collect::<StringArray>())),
        ("is_new", Arc::new(rows.iter().map(|row| Some(row.is_new)).collect::<BooleanArray>())),
        ("day", Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| 19_843 + row.day as i32)))),
        ("zone", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.zone as i64)))),
        ("class", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.class)))),
        ("amount", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.amount)))),
    ];
    let names: Vec<&str> = FEATURES.into_iter().chain(["class", "amount"]).collect();
    let csv = write_csv(&dir.path().join("t.csv"), &rows, &names);
    let [parquet, arrow] = write_arrow(dir.path(), columns);
    let tables = [csv, parquet, arrow];
    check_same_model(dir.path(), &tables, "class", &json!({"oob": true, "categorical": ["zone"], "exclude": ["amount"]}));
    check_same_model(dir.path(), &tables, "amount", &json!({"exclude": ["class"]}));
    check_same_model(dir.path(), &tables, "is_new", &json!({}));
    check_same_model(dir.path(), &tables, "zone", &json!({"class_weight": "0=3,2=0.5"}));
}

/// Quinlan's fourteen days: four categories, and whether golf was played.
const GOLF: [[&str; 5]; 14] = [
    ["sunny", "hot", "high", "weak", "no"],
    ["sunny", "hot", "high", "strong", "no"],
    ["overcast", "hot", "high", "weak", "yes"],
    ["rain", "mild", "high", "weak", "yes"],
    ["rain", "cool", "normal", "weak", "yes"],
    ["rain", "cool", "normal", "strong", "no"],
    ["overcast", "cool", "normal", "strong", "yes"],
    ["sunny", "mild", "high", "weak", "no"],
    ["sunny", "cool", "normal", "weak", "yes"],
    ["rain", "mild", "normal", "weak", "yes"],
    ["sunny", "mild", "normal", "strong", "yes"],
    ["overcast", "mild", "high", "strong", "yes"],
    ["overcast", "hot", "normal", "weak", "yes"],
    ["rain", "mild", "high", "strong", "no"],
];

#[test]
fn a_table_of_categories_alone_can_be_learnt() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["outlook", "temperature", "humidity", "wind", "play"];
    let lines: Vec<String> = GOLF.iter().map(|row| row.join(",")).collect();
    let csv = dir.path().join("golf.csv");
    std::fs::write(&csv, format!("{}\n{}\n", names.join(","), lines.join("\n"))).unwrap();
    let column = |idx: usize| -> ArrayRef { Arc::new(StringArray::from_iter_values(GOLF.iter().map(|row| row[idx]))) };
    let [parquet, arrow] = write_arrow(dir.path(), names.iter().enumerate().map(|(idx, &name)| (name, column(idx))).collect());
    let whole = json!({"no_bootstrap": true, "max_features": "all", "trees": 1});
    check_same_model(dir.path(), &[csv.clone(), parquet, arrow], "play", &whole);
    // One tree of all rows and features tells every day from the others, as ID3 does.
    let predicted = dir.path().join("predicted.csv");
    let settings = super::example_tables::predict_settings(&dir.path().join("model"), &csv, &predicted, json!({}));
    super::example_tables::predict(&settings);
    let text = std::fs::read_to_string(&predicted).unwrap();
    assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), GOLF.map(|row| row[4]));
}

#[test]
fn an_array_is_a_table_of_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let rows = example_rows(200);
    let mut text = "x0,x1,x2\n".to_owned();
    let mut bytes = Vec::new();
    for row in &rows {
        let values = [row.size.unwrap_or(f64::NAN), row.count as f64 + 0.5, row.amount];
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let size = row.size.map_or(String::new(), |size| size.to_string());
        text += &format!("{size},{},{}\n", values[1], values[2]);
    }
    let (csv, npy) = (dir.path().join("t.csv"), dir.path().join("t.npy"));
    std::fs::write(&csv, text).unwrap();
    let mut header = "{'descr': '<f8', 'fortran_order': False, 'shape': (200, 3), }".to_owned();
    header += &" ".repeat(128 - 10 - 1 - header.len());
    header.push('\n');
    let mut content = b"\x93NUMPY\x01\x00".to_vec();
    content.extend((header.len() as u16).to_le_bytes());
    content.extend(header.as_bytes());
    content.extend(bytes);
    std::fs::write(&npy, content).unwrap();
    check_same_model(dir.path(), &[csv, npy], "x2", &json!({"oob": true}));
}

fn features_of(model: &Path) -> Vec<String> {
    let header = ForestHeader::of(&Artifact::open(model).unwrap()).unwrap();
    header.features.into_iter().map(|feature| feature.name).collect()
}

#[test]
fn the_row_index_of_pandas_is_left_out_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let rows = example_rows(200);
    let numbers = || Arc::new(Int64Array::from_iter_values(0..200)) as ArrayRef;
    let columns = || -> Vec<(&str, ArrayRef)> {
        vec![
            ("size", Arc::new(rows.iter().map(|row| row.size).collect::<Float64Array>())),
            ("count", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.count)))),
            ("class", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.class)))),
        ]
    };
    let with_index = || [columns(), vec![("key", numbers()), ("__index_level_1__", numbers())]].concat();
    // As pandas writes it; what is declared and not there, and an index that is a range, are no columns.
    let metadata = json!({"index_columns": ["key", "gone", {"kind": "range", "name": null, "start": 0, "stop": 200, "step": 1}]});
    let plain = write_arrow(dir.path(), columns())[0].clone();
    let indexed = dir.path().join("indexed");
    std::fs::create_dir(&indexed).unwrap();
    let tables = write_arrow_with(&indexed, with_index(), HashMap::from([("pandas".to_owned(), metadata.to_string())]));
    check_same_model(dir.path(), &[&[plain.clone()][..], &tables].concat(), "class", &json!({"oob": true}));
    assert_eq!(features_of(&dir.path().join("model")), ["size", "count"]);
    for table in &tables {
        let model = dir.path().join("told");
        let note = |changes| fact_or_none(&train(&train_settings(table, "class", &model, changes), 3), "note");
        assert!(note(json!({"force": true})).unwrap().starts_with("key, __index_level_1__: not learnt from"));
        assert!(note(json!({"force": true, "exclude": ["key"]})).unwrap().starts_with("__index_level_1__: not learnt from"));
        assert_eq!(note(json!({"force": true, "exclude": ["key", "__index_level_1__"]})), None);
        // Who names it wants it.
        assert!(note(json!({"force": true, "categorical": ["key"]})).is_some());
        assert_eq!(features_of(&model), ["size", "count", "key"]);
    }
    assert_eq!(fact_or_none(&train(&train_settings(&plain, "class", &dir.path().join("plain"), json!({})), 3), "note"), None);
    // The model takes tables with the index and without.
    let hashes = [&plain, &tables[0], &tables[1]].map(|table| {
        let settings = predict_settings(&dir.path().join("model"), table, &dir.path().join("p.csv"), json!({"force": true}));
        predict(&settings).output_hash.unwrap()
    });
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
    // Metadata that is not as pandas writes it declares nothing.
    for metadata in ["", "{", "[]", r#"{"index_columns": 3}"#] {
        let tables = write_arrow_with(&indexed, with_index(), HashMap::from([("pandas".to_owned(), metadata.to_owned())]));
        for table in tables {
            train(&train_settings(&table, "class", &dir.path().join("model"), json!({"force": true})), 3);
            assert_eq!(features_of(&dir.path().join("model")), ["size", "count", "key"], "{metadata}");
        }
    }
}

fn fact_or_none(summary: &JobSummary, name: &str) -> Option<String> {
    summary.facts.iter().find(|(fact, _)| fact == name).map(|(_, value)| value.clone())
}

#[test]
fn the_settings_reach_the_trees() {
    let dir = tempfile::tempdir().unwrap();
    let data = write_example(&dir.path().join("t.csv"), 500, "class");
    let n_nodes = |changes: serde_json::Value| -> u64 {
        let out = dir.path().join("model");
        let mut changes = changes;
        changes.as_object_mut().unwrap().insert("force".to_owned(), json!(true));
        fact(&train(&train_settings(&data, "class", &out, changes), 3), "nodes").parse().unwrap()
    };
    let free = n_nodes(json!({}));
    for changes in
        [json!({"min_samples_split": 60}), json!({"min_samples_leaf": 20}), json!({"min_impurity_decrease": 0.02}), json!({"max_depth": 3})]
    {
        assert!(n_nodes(changes.clone()) * 2 < free, "{changes}");
    }
}
