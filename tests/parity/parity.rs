//! Results beside those of outside libraries, computed by Python scripts that use the binary as anyone would. The Python to use is
//! named by `PACELINE_TEST_PYTHON`; what it must have installed stands in `requirements.txt` and
//! `requirements_lenskit.txt` beside this file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use paceline_tests::binary::{checkout, paceline};
use std::path::Path;
use std::process::Command;

/// Runs `tests/parity/SCRIPT ARGS`, which says by its exit code whether all of its comparisons held.
fn check(script: &str, args: &[&Path]) {
    let python = std::env::var_os("PACELINE_TEST_PYTHON")
        .expect("PACELINE_TEST_PYTHON: is not set; name a Python that has the packages of tests/parity/requirements.txt");
    let script = checkout().join("tests/parity").join(script);
    // The scripts import one another; nothing shall be left beside them.
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(&script).args(args);
    let output = command.output().expect("the Python of PACELINE_TEST_PYTHON starts");
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {}\n{printed}{errors}", script.display(), output.status);
}

#[test]
fn forests_are_as_accurate_as_those_of_scikit_learn() {
    let scratch = tempfile::tempdir().unwrap();
    let flights = checkout().join("data/flights.parquet");
    check("forest.py", &[&paceline(), &flights, scratch.path()]);
}

#[test]
fn forests_differ_from_those_of_scikit_learn_by_chance_only() {
    let scratch = tempfile::tempdir().unwrap();
    let flights = checkout().join("data/flights.parquet");
    check("forest_accuracy.py", &[&paceline(), &flights, scratch.path()]);
}

#[test]
fn settings_of_a_forest_mean_what_they_mean_in_scikit_learn() {
    let scratch = tempfile::tempdir().unwrap();
    let flights = checkout().join("data/flights.parquet");
    check("forest_settings.py", &[&paceline(), &flights, scratch.path()]);
}

#[test]
fn a_forest_on_categories_tells_all_rows_of_a_classic_table_apart() {
    let scratch = tempfile::tempdir().unwrap();
    check("forest_small_sets.py", &[&paceline(), scratch.path()]);
}

#[test]
fn exported_forests_predict_as_their_models_do() {
    let scratch = tempfile::tempdir().unwrap();
    let (flights, page) = (checkout().join("data/flights.parquet"), checkout().join("docs/model-export.md"));
    check("export.py", &[&paceline(), &flights, scratch.path(), &page]);
}

#[test]
fn recommendations_equal_numpy() {
    let scratch = tempfile::tempdir().unwrap();
    check("recommend.py", &[&paceline(), scratch.path()]);
}

#[test]
fn metrics_equal_those_of_lenskit() {
    let scratch = tempfile::tempdir().unwrap();
    check("evaluate.py", &[Path::new("run"), scratch.path(), &paceline()]);
}

#[test]
fn models_of_other_packages_give_the_lists_of_these_packages() {
    let scratch = tempfile::tempdir().unwrap();
    let (page, needs) = (checkout().join("docs/interop.md"), checkout().join("data/debian-needs.parquet"));
    check("interop.py", &[&paceline(), scratch.path(), &page, &needs]);
}

#[test]
fn factors_solve_the_equations_of_other_packages_and_recommend_as_well() {
    let scratch = tempfile::tempdir().unwrap();
    check("als_trainer.py", &[&paceline(), scratch.path(), &checkout().join("data/debian-needs.parquet")]);
}

#[test]
fn neighbours_and_popularity_are_those_of_other_packages() {
    let scratch = tempfile::tempdir().unwrap();
    check("knn_trainer.py", &[&paceline(), scratch.path(), &checkout().join("data/debian-needs.parquet")]);
}
