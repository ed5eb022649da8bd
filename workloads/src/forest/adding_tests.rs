//! Trees added to a forest: the file is the one that training all trees at once writes, and anything that would make it another is
//! refused by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::example_tables::{FEATURES, example_rows, train, train_settings, write_csv, write_example};
use crate::testing::{Partition, refusal_of, run_chain};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn with(changes: &Value, more: Value) -> Value {
    let mut changes = changes.clone();
    changes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    changes
}

/// 20 trees and 10 more are 30, at several partitions.
fn check_added(target: &str, changes: &Value, asked_again: &Value) {
    let dir = tempfile::tempdir().unwrap();
    let columns: Vec<&str> = FEATURES.into_iter().chain([target]).collect();
    let data = write_csv(&dir.path().join("t.csv"), &example_rows(300), &columns);
    let path = |name: &str| dir.path().join(name);
    train(&train_settings(&data, target, &path("20"), with(changes, json!({"trees": 20}))), 6);
    train(&train_settings(&data, target, &path("30"), with(&with(changes, asked_again.clone()), json!({"trees": 30}))), 6);
    let expected = std::fs::read(path("30")).unwrap();
    for partition in [Partition::of(3, 2), Partition::of(100, 1)] {
        let out = path(&format!("20+10-{}", partition.range_len));
        let settings = train_settings(&data, target, &out, with(asked_again, json!({"trees": 10, "add_to": path("20")})));
        let job_dir = tempfile::tempdir().unwrap();
        run_chain(&settings, 0, job_dir.path(), &partition).unwrap();
        assert!(std::fs::read(&out).unwrap() == expected, "{target} {changes} {asked_again}");
    }
    // In place, and in two steps.
    for _ in 0..2 {
        train(&train_settings(&data, target, &path("20"), with(asked_again, json!({"trees": 5, "add_to": path("20"), "force": true}))), 6);
    }
    assert!(std::fs::read(path("20")).unwrap() == expected, "{target} {changes} {asked_again}");
}

#[test]
fn added_trees_are_those_of_one_training() {
    let nothing = json!({});
    check_added("class", &json!({}), &nothing);
    check_added("class", &json!({"oob": true, "importance": ["permutation"]}), &nothing);
    // Measuring may begin with the trees that are added.
    check_added("class", &json!({}), &json!({"oob": true, "importance": ["permutation"]}));
    check_added("amount", &json!({"oob": true, "max_features": "all", "min_samples_leaf": 3, "max_bins": 20}), &nothing);
    check_added("class", &json!({"class_weight": "balanced", "sample_weight": "count", "categorical": ["zone"]}), &nothing);
    check_added("is_top", &json!({"class_weight": "true=3", "extra_trees": true, "no_bootstrap": true, "sample_fraction": 0.5}), &nothing);
    // What the model has may be said again.
    check_added("amount", &json!({"max_depth": 4, "exclude": ["day"]}), &json!({"max_depth": 4, "exclude": ["day"]}));
}

/// A model of 5 trees on `t.csv`, and what adding to it with `changes` on `data` is refused with.
fn refusal(dir: &Path, data: &Path, changes: Value) -> String {
    let settings = train_settings(data, "class", &dir.join("more"), with(&changes, json!({"trees": 5, "add_to": dir.join("model")})));
    refusal_of(&settings)
}

fn example(dir: &Path) -> PathBuf {
    let data = write_example(&dir.join("t.csv"), 200, "class");
    train(&train_settings(&data, "class", &dir.join("model"), json!({"trees": 5, "min_samples_leaf": 2, "exclude": ["day"]})), 6);
    data
}

#[test]
fn flags_that_contradict_the_model_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = example(dir.path());
    for (changes, named) in [
        (json!({"min_samples_leaf": 1}), "--min-samples-leaf 1: the model was grown with 2"),
        (json!({"max_depth": 7}), "--max-depth 7: the model was grown with none"),
        (json!({"extra_trees": true}), "--extra-trees true: the model was grown with false"),
        (json!({"exclude": ["size"]}), "--exclude size: the model was grown with day"),
        (json!({"max_features": "3"}), "--max-features 3"),
        (json!({"target": "zone"}), "--target zone: the model was grown with class"),
        (json!({"trees": 0}), "--trees 0"),
        (json!({"trees": 1_000_000}), "--trees"),
        (json!({"add_to": data}), "t.csv"),
        (json!({"add_to": dir.path().join("nothing")}), "nothing"),
    ] {
        let settings =
            train_settings(&data, "class", &dir.path().join("more"), with(&json!({"add_to": dir.path().join("model")}), changes.clone()));
        let sentence = refusal_of(&settings);
        assert!(sentence.contains(named), "{changes}: {sentence}");
    }
    let settings = train_settings(&data, "class", &dir.path().join("more"), json!({"add_to": dir.path().join("model")}));
    let job_dir = tempfile::tempdir().unwrap();
    let failure = run_chain(&settings, 7, job_dir.path(), &Partition::of(7, 2)).unwrap_err();
    assert!(failure.message.contains("--seed 7") && failure.message.contains("seed 6"), "{failure}");
}

#[test]
fn other_data_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    example(dir.path());
    let rows = example_rows(200);
    let columns: Vec<&str> = FEATURES.into_iter().chain(["class"]).collect();
    let path = dir.path().join("other.csv");
    let refused =
        |rows: &[super::example_tables::ExampleRow], columns: &[&str]| refusal(dir.path(), &write_csv(&path, rows, columns), json!({}));
    assert!(refused(&rows[1..], &columns).contains("has 199 rows, and the model was trained on 200"));
    let mut other = rows.clone();
    other[7].size = Some(123.0);
    assert!(refused(&other, &columns).contains("size holds other values"));
    let mut other = rows.clone();
    other.swap(0, 1);
    assert!(refused(&other, &columns).contains("other values"));
    let mut other = rows.clone();
    other[3].class = "odd";
    assert!(refused(&other, &columns).contains("the classes of class are low, mid, odd, top, and those of the model low, mid, top"));
    let swapped = ["count", "size", "color", "is_new", "day", "zone", "class"];
    assert!(refused(&rows, &swapped).contains("has the column count where the model has size"));
    let fewer = ["size", "count", "color", "is_new", "day", "class"];
    assert!(refused(&rows, &fewer).contains("has the columns size, count, color, is_new, and the model size, count, color, is_new, zone"));
}
