//! `paceline run`: exit codes, what is told, what is left behind, and interruptions, with real runner processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use rustix::process::Signal;
use serde_json::json;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use support::{PATIENCE, Place, assert_no_crash, error_line, send, text, wait_for};

#[test]
fn a_job_whose_items_are_all_committed_exits_with_0() {
    let place = Place::new();
    let (out, err) = place.exits(0, &["run", "noop", "--items", "1000", "--cores", "1"]);
    assert!(out.contains("succeeded") && out.contains("1,000/1,000"), "{out}");
    assert!(err.contains("using 1 of "), "{err}");
    assert!(place.names().is_empty(), "something was left behind: {:?}", place.names());
}

#[test]
fn a_job_without_items_exits_with_0() {
    let (out, _) = Place::new().exits(0, &["run", "--cores", "1", "noop", "--items", "0"]);
    assert!(out.contains("0/0"), "{out}");
}

#[test]
fn json_is_one_document() {
    let detail = Place::new().json(&["run", "noop", "--items", "5", "--name", "five", "--seed", "7"]);
    assert_eq!(detail["job"]["state"], "succeeded");
    assert_eq!(detail["job"]["name"], "five");
    assert_eq!(detail["seed"], 7);
    assert_eq!(detail["stages"][0]["n_committed"], 5);
}

#[test]
fn an_item_that_fails_is_named_and_the_rest_is_done() {
    let place = Place::new();
    let (out, err) = place.exits(1, &["run", "noop", "--items", "20", "--fail-at", "7"]);
    assert!(err.contains("item 7") && error_line(&err).contains("failed"), "{err}");
    assert!(out.contains("19/20"), "{out}");
    assert!(place.names().is_empty(), "something was left behind: {:?}", place.names());
}

#[test]
fn an_item_that_kills_its_runner_is_named_with_the_signal() {
    let place = Place::new();
    let (out, err) = place.exits(1, &["run", "noop", "--items", "20", "--crash-at", "11"]);
    assert!(err.contains("item 11") && err.contains("signal 6"), "{err}");
    assert!(out.contains("19/20"), "{out}");
}

#[test]
fn more_failures_than_allowed_end_the_job() {
    let (_, err) = Place::new().exits(1, &["run", "noop", "--items", "20", "--fail-at", "3,4,5", "--max-failures", "1"]);
    error_line(&err);
}

#[test]
fn kept_directories_are_named_and_kept() {
    let place = Place::new();
    let (_, err) = place.exits(0, &["run", "noop", "--keep"]);
    let names = place.names();
    assert_eq!(names.len(), 1);
    assert!(err.contains(&names[0]), "{err}");
    assert!(place.path().join(&names[0]).join("jobs").is_dir());
}

/// A run of an hour, once it has said that it is at work.
fn long_run(place: &Place) -> (std::process::Child, BufReader<std::process::ChildStderr>, String) {
    let args = ["run", "noop", "--items", "3600", "--sleep-us", "1000000", "--cores", "1"];
    let mut child = place.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("committed") {
        assert!(err.read_line(&mut said).unwrap() > 0, "the run ended early: {said}");
    }
    (child, err, said)
}

#[test]
fn an_interrupted_run_ends_its_job_and_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::new();
        let (mut child, mut err, mut said) = long_run(&place);
        send(signal, child.id());
        let status = wait_for("the run to end", || child.try_wait().unwrap());
        err.read_to_string(&mut said).unwrap();
        assert_eq!(status.code(), Some(130), "{said}");
        assert!(said.contains("interrupted"), "{said}");
        assert_no_crash(&said);
        assert!(place.names().is_empty(), "something was left behind: {:?}", place.names());
    }
}

#[test]
fn a_run_interrupted_twice_ends_at_once() {
    let place = Place::new();
    let (mut child, mut err, mut said) = long_run(&place);
    send(Signal::INT, child.id());
    while !said.contains("once more") {
        assert!(err.read_line(&mut said).unwrap() > 0, "{said}");
    }
    // The run may have ended by the first already; then there is nobody to receive the second.
    if child.try_wait().unwrap().is_none() {
        send(Signal::INT, child.id());
    }
    let status = wait_for("the run to end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
    assert!(place.names().is_empty(), "something was left behind: {:?}", place.names());
    // The runner has gone with it: nobody holds standard error open any more.
    let begin = std::time::Instant::now();
    err.read_to_string(&mut said).unwrap();
    assert!(begin.elapsed() < PATIENCE);
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next() {
    let place = Place::new();
    let (mut child, _err, _) = long_run(&place);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(place.names().len(), 1);
    place.exits(0, &["run", "noop"]);
    assert!(place.names().is_empty(), "something was left behind: {:?}", place.names());
}

#[test]
fn bad_input_is_refused_before_anything_is_made() {
    let place = Place::new();
    std::fs::write(place.path().join("t.csv"), "a,y\n1,0\n2,1\n").unwrap();
    let train = |rest: &[&str]| {
        let args = [&["run", "forest", "train", "--data", "t.csv", "--out", "m.safetensors"], rest].concat();
        text(place.exits(2, &args).1.as_bytes())
    };
    assert!(error_line(&train(&["--target", "absent"])).contains("absent"));
    assert!(error_line(&train(&["--target", "y", "--trees", "0"])).contains("--trees"));
    assert_eq!(place.names(), ["t.csv"]);
}

#[test]
fn a_forest_is_shown_as_data() {
    let place = Place::new();
    let rows: String =
        (0..60).map(|row| format!("{row},{},{}\n", ["red", "blue"][row % 2], ["no", "yes"][usize::from(row > 30)])).collect();
    std::fs::write(place.path().join("t.csv"), format!("size,colour,kind\n{rows}")).unwrap();
    let train = ["run", "forest", "train", "--data", "t.csv", "--target", "kind", "--trees", "9", "--importance", "permutation"];
    place.exits(0, &[&train[..], &["--min-samples-leaf", "2", "--out", "m.forest"]].concat());
    let forest = &place.json(&["model", "show", "m.forest"])["forest"];
    assert_eq!((&forest["task"], &forest["target"]), (&json!("classification"), &json!("kind")));
    assert_eq!(forest["classes"], json!(["no", "yes"]));
    assert_eq!((&forest["n_trees"], &forest["settings"]["min_samples_leaf"]), (&json!(9), &json!(2)));
    let features = forest["features"].as_array().unwrap();
    assert_eq!(features[1]["levels"], json!(["blue", "red"]));
    let sum: f64 = features.iter().map(|feature| feature["importance"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{features:?}");
    for key in ["permutation_importance", "permutation_standard_error"] {
        assert!(features.iter().all(|feature| feature[key].is_f64()), "{features:?}");
    }
    assert!(features[0]["permutation_importance"].as_f64() > features[1]["permutation_importance"].as_f64());
}
