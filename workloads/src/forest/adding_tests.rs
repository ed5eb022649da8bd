//! Trees added to a forest: the file is the one that training all trees at once writes, and anything that would make it another is
//! refused by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::example_tables::{FEATURES, example_rows, train, train_settings, write_csv, write_example};
use crate::testing::{Partition, refusal_of, run_chain};
use paceline_common::artifact::Artifact;
use serde_json::{Value, json};
use std::collections::BTreeMap;
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
    // In two steps.
    for (model, out) in [("20", "25"), ("25", "25+5")] {
        train(&train_settings(&data, target, &path(out), with(asked_again, json!({"trees": 5, "add_to": path(model)}))), 6);
    }
    assert!(std::fs::read(path("25+5")).unwrap() == expected, "{target} {changes} {asked_again}");
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

/// The arrays and the metadata of a model, without its settings.
fn without_settings(model: &Path) -> (BTreeMap<String, String>, Vec<u8>) {
    let artifact = Artifact::open(model).unwrap();
    let mut metadata = artifact.metadata().clone();
    metadata.remove("settings");
    (metadata, artifact.array::<u32>("nodes").map(|(words, _)| bytemuck::cast_slice(words).to_vec()).unwrap())
}

#[test]
fn what_the_model_was_grown_with_may_be_said_in_any_spelling() {
    let dir = tempfile::tempdir().unwrap();
    let rows = example_rows(300);
    let columns: Vec<&str> = FEATURES.into_iter().chain(["class", "amount"]).collect();
    let data = write_csv(&dir.path().join("t.csv"), &rows, &columns);
    let path = |name: &str| dir.path().join(name);
    let third = (1.0_f64 / 3.0).to_string();
    let nothing = json!({});
    // What the model is grown with, and what says the same of it. The target is left out every time.
    let cases = [
        ("class", json!({"exclude": ["amount", "day"]}), json!({"exclude": ["day", "amount"]})),
        ("class", nothing.clone(), json!({"task": "classification", "criterion": "gini", "max_features": "sqrt"})),
        ("class", nothing.clone(), json!({"max_features": "2", "max_bins": 255, "min_samples_leaf": 1, "min_samples_split": 2})),
        ("class", nothing.clone(), json!({"min_impurity_decrease": 0.0, "sample_fraction": 1.0})),
        ("class", json!({"categorical": ["zone", "count"]}), json!({"categorical": ["count", "zone", "count"]})),
        ("amount", nothing.clone(), json!({"task": "regression", "max_features": third})),
        ("amount", json!({"max_features": "all"}), json!({"max_features": "1.0"})),
    ];
    for (target, changes, again) in cases {
        let model = |out: &str, n_trees: u64, more: &Value| {
            let changes = with(&changes, with(more, json!({"trees": n_trees, "force": true})));
            train(&train_settings(&data, target, &path(out), changes), 6);
        };
        model("8", 8, &nothing);
        model("5", 5, &nothing);
        let settings = train_settings(&data, "", &path("5+3"), with(&again, json!({"trees": 3, "add_to": path("5"), "force": true})));
        train(&settings, 0);
        assert!(std::fs::read(path("5+3")).unwrap() == std::fs::read(path("8")).unwrap(), "{target} {again}");
        // It is indeed the same: a training that is told grows what one grows that is told nothing.
        model("told", 8, &again);
        assert!(without_settings(&path("told")) == without_settings(&path("8")), "{target} {again}");
    }
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
        (json!({"max_features": "3"}), "--max-features 3: the model was grown with 2"),
        (json!({"criterion": "entropy"}), "--criterion entropy: the model was grown with gini"),
        (json!({"task": "regression"}), "--task regression: the model was grown with classification"),
        (json!({"target": "zone"}), "--target zone: the model was grown with class"),
        (json!({"trees": 0}), "--trees 0"),
        (json!({"trees": 1_000_000}), "--trees"),
        (json!({"add_to": data}), "t.csv"),
        (json!({"add_to": dir.path().join("nothing")}), "nothing"),
        (json!({"out": dir.path().join("model"), "force": true}), "model: is an input of this job"),
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
