//! What training measures and writes beside its trees: importance by permutation, and out-of-bag predictions as a table; class
//! weights and what is refused in them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::describe;
use super::example_tables::{FEATURES, example_rows, fact, train, train_settings, write_csv, write_example};
use super::model::{ForestHeader, PERMUTATION_IMPORTANCE, PERMUTATION_STANDARD_ERROR};
use crate::table::{Column, MISSING_CODE, TableSource};
use crate::testing::{Partition, refusal_of, run_chain};
use paceline_common::artifact::Artifact;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// Both outputs have the same bytes at several partitions.
fn check_same_bytes(target: &str, changes: &serde_json::Value) {
    let dir = tempfile::tempdir().unwrap();
    let data = write_example(&dir.path().join("t.csv"), 300, target);
    let (out, table) = (dir.path().join("model"), dir.path().join("oob.parquet"));
    let outputs = [Partition::of(1, 1), Partition::of(3, 2), Partition::of(1000, 2)].map(|partition| {
        let mut changes = changes.clone();
        let entries = changes.as_object_mut().unwrap();
        entries.extend([("force".to_owned(), json!(true)), ("oob_predictions".to_owned(), json!(table))]);
        let job_dir = tempfile::tempdir().unwrap();
        let summary = run_chain(&train_settings(&data, target, &out, changes), 5, job_dir.path(), &partition).unwrap();
        assert_eq!(fact(&summary, "out-of-bag predictions"), table.display().to_string());
        (std::fs::read(&out).unwrap(), std::fs::read(&table).unwrap())
    });
    assert!(outputs.iter().all(|output| *output == outputs[0]), "{target} {changes}");
    let plain = dir.path().join("plain");
    let mut changes = changes.clone();
    changes.as_object_mut().unwrap().insert("oob".to_owned(), json!(true));
    changes.as_object_mut().unwrap().remove("oob_proba");
    train(&train_settings(&data, target, &plain, changes), 5);
    assert!(std::fs::read(&plain).unwrap() == outputs[0].0, "the table beside the model must not change the model");
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 4, "nothing else may stay: {names:?}");
}

#[test]
fn the_same_bytes_at_any_partition() {
    check_same_bytes("class", &json!({"importance": ["permutation"], "oob_proba": true}));
    check_same_bytes("amount", &json!({"importance": ["impurity", "permutation"], "max_leaf_nodes": 12}));
    check_same_bytes("class", &json!({"class_weight": "balanced-subsample", "min_samples_split": 9, "min_impurity_decrease": 0.001}));
    check_same_bytes("is_top", &json!({"class_weight": "true=4", "sample_weight": "count", "extra_trees": true}));
}

#[test]
fn permutation_tells_the_rule_from_the_noise() {
    let dir = tempfile::tempdir().unwrap();
    for target in ["class", "amount"] {
        let data = write_example(&dir.path().join("t.csv"), 1500, target);
        let out = dir.path().join(target);
        train(&train_settings(&data, target, &out, json!({"importance": ["permutation"], "trees": 30})), 2);
        let artifact = Artifact::open(&out).unwrap();
        let importance = artifact.vector::<f64>(PERMUTATION_IMPORTANCE, Some(6)).unwrap();
        let errors = artifact.vector::<f64>(PERMUTATION_STANDARD_ERROR, Some(6)).unwrap();
        // Size and colour decide both; novelty, day and zone decide nothing.
        for (rule, noise) in [(0, 3), (0, 4), (0, 5), (2, 3), (2, 4), (2, 5)] {
            assert!(importance[rule] > 5.0 * importance[noise].abs(), "{target}: {importance:?}");
            assert!(importance[rule] > 10.0 * errors[rule], "{target}: {importance:?} {errors:?}");
        }
        let described = describe(&artifact).unwrap();
        let (_, size) = described.iter().find(|(name, _)| name == "feature size").unwrap();
        assert!(size.contains(&format!("by permutation {:.4} ± {:.4}", importance[0], errors[0])), "{size}");
    }
}

#[test]
fn one_tree_has_no_standard_error() {
    let dir = tempfile::tempdir().unwrap();
    let data = write_example(&dir.path().join("t.csv"), 100, "class");
    let out = dir.path().join("model");
    train(&train_settings(&data, "class", &out, json!({"importance": ["permutation"], "trees": 1})), 2);
    let artifact = Artifact::open(&out).unwrap();
    assert!(artifact.vector::<f64>(PERMUTATION_STANDARD_ERROR, Some(6)).unwrap().iter().all(|error| error.is_nan()));
    assert!(describe(&artifact).unwrap().iter().any(|(_, value)| value.contains("by permutation") && !value.contains('±')));
}

fn column(path: &Path, name: &str) -> Arc<Column> {
    TableSource::open(&[path.to_owned()]).unwrap().read_column(name).unwrap()
}

fn numbers(path: &Path, name: &str) -> Vec<f64> {
    let Column::Numeric(column) = &*column(path, name) else { panic!("{name} is text") };
    column.values.clone()
}

#[test]
fn out_of_bag_predictions_are_those_that_the_score_counts() {
    let dir = tempfile::tempdir().unwrap();
    let data = write_example(&dir.path().join("t.csv"), 700, "class");
    for (name, n_trees) in [("few.parquet", 2), ("many.csv", 40)] {
        let (out, table) = (dir.path().join("model"), dir.path().join(name));
        let changes = json!({"trees": n_trees, "oob_predictions": table, "oob_proba": true, "force": true});
        train(&train_settings(&data, "class", &out, changes), 8);
        let Column::Text(predicted) = &*column(&table, "prediction") else { panic!("classes are text") };
        let Column::Text(truth) = &*column(&data, "class") else { panic!("classes are text") };
        let (seen, shares) =
            (numbers(&table, "n_trees"), ["low", "mid", "top"].map(|class| numbers(&table, &format!("probability_{class}"))));
        let (mut n_scored, mut n_correct) = (0, 0);
        for row in 0..700 {
            let sum: f64 = shares.iter().map(|share| share[row]).sum();
            if seen[row] == 0.0 {
                assert!(predicted.codes[row] == MISSING_CODE && sum.is_nan(), "row {row} was in every bag");
                continue;
            }
            assert!((sum - 1.0).abs() < 1e-6, "row {row}: {sum}");
            n_scored += 1;
            n_correct += u32::from(predicted.levels[predicted.codes[row] as usize] == truth.levels[truth.codes[row] as usize]);
        }
        assert_eq!(n_trees == 2, n_scored < 700, "of two trees some rows are in both bags");
        let header = ForestHeader::of(&Artifact::open(&out).unwrap()).unwrap();
        assert_eq!(header.oob_score, Some(f64::from(n_correct) / f64::from(n_scored)));
    }
}

#[test]
fn out_of_bag_numbers_stand_in_the_order_of_the_data() {
    let dir = tempfile::tempdir().unwrap();
    let data = write_example(&dir.path().join("t.csv"), 500, "amount");
    let table = dir.path().join("oob.csv");
    train(&train_settings(&data, "amount", &dir.path().join("model"), json!({"oob_predictions": table, "trees": 50})), 8);
    let (predicted, truth) = (numbers(&table, "prediction"), numbers(&data, "amount"));
    let error: f64 = predicted.iter().zip(&truth).map(|(predicted, truth)| (predicted - truth).abs()).sum::<f64>() / 500.0;
    assert!(error < 4.0, "the amounts spread over 60, and the mean error is {error}");
}

#[test]
fn class_weights_move_the_forest() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = example_rows(900);
    // Two classes told apart by nothing, one of them rare.
    rows.iter_mut().enumerate().for_each(|(i, row)| row.class = if i % 10 == 0 { "rare" } else { "usual" });
    let columns: Vec<&str> = FEATURES.into_iter().chain(["class"]).collect();
    let data = write_csv(&dir.path().join("t.csv"), &rows, &columns);
    let share_of_rare = |changes: serde_json::Value| {
        let table = dir.path().join("oob.csv");
        let mut changes = changes;
        changes.as_object_mut().unwrap().extend([
            ("force".to_owned(), json!(true)),
            ("oob_predictions".to_owned(), json!(table)),
            ("oob_proba".to_owned(), json!(true)),
            ("max_depth".to_owned(), json!(1)),
            // So many that no row is in every bag.
            ("trees".to_owned(), json!(60)),
        ]);
        train(&train_settings(&data, "class", &dir.path().join("model"), changes), 8);
        numbers(&table, "probability_rare").iter().sum::<f64>() / 900.0
    };
    assert!((share_of_rare(json!({})) - 0.1).abs() < 0.02);
    assert!((share_of_rare(json!({"class_weight": "balanced"})) - 0.5).abs() < 0.05);
    // 0.1 · 18 against 0.9.
    assert!((share_of_rare(json!({"class_weight": "rare=18"})) - 2.0 / 3.0).abs() < 0.05);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let columns: Vec<&str> = FEATURES.into_iter().chain(["class", "amount"]).collect();
    let table = write_csv(&dir.path().join("t.csv"), &example_rows(50), &columns);
    let taken = write_csv(&dir.path().join("taken.csv"), &example_rows(1), &columns);
    let cases: Vec<(&str, serde_json::Value, &[&str])> = vec![
        ("class", json!({"class_weight": "low=2,tall=3"}), &["--class-weight", "tall", "low, mid, top"]),
        ("class", json!({"class_weight": "low=0,mid=0,top=0"}), &["weights are 0"]),
        ("amount", json!({"class_weight": "low=2"}), &["--class-weight", "amount"]),
        ("amount", json!({"class_weight": "balanced-subsample"}), &["--class-weight", "amount"]),
        ("class", json!({"max_features": "8"}), &["--max-features 8", "7 columns"]),
        ("class", json!({"oob_predictions": dir.path().join("oob.txt")}), &["oob.txt", ".parquet or .csv"]),
        ("class", json!({"oob_predictions": dir.path().join("no/such.csv")}), &["no/such.csv"]),
        ("class", json!({"oob_predictions": taken}), &["taken.csv", "--force"]),
        ("amount", json!({"oob_predictions": dir.path().join("p.csv"), "oob_proba": true}), &["--oob-proba"]),
    ];
    for (target, changes, named) in cases {
        let sentence = refusal_of(&train_settings(&table, target, &dir.path().join("model"), changes.clone()));
        assert!(named.iter().all(|part| sentence.contains(part)), "{target} {changes}: {sentence}");
    }
}
