//! What the binary does without any job: help, usage errors, unreachable coordinators, model files, completions and man pages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::process::Stdio;
use support::{Place, error_line, text};

#[test]
fn help_names_every_group_example_and_exit_code() {
    let place = Place::new();
    let (out, _) = place.exits(0, &["help"]);
    for fact in [
        "run",
        "submit",
        "coordinator",
        "agent",
        "model",
        "paceline run forest train",
        "docs/command-line.md",
        "130 interrupted",
        "--cluster",
    ] {
        assert!(out.contains(fact), "help does not tell of {fact}:\n{out}");
    }
    assert!(!out.contains("\n  runner") && !out.contains("noop"), "hidden commands are shown:\n{out}");
    assert_eq!(place.exits(0, &["--help"]).0, out);
}

#[test]
fn help_of_a_workload_lists_its_flags_and_the_jobs() {
    let place = Place::new();
    for verb in ["run", "submit"] {
        let (out, _) = place.exits(0, &[verb, "forest", "train", "--help"]);
        for fact in ["--target", "--max-features", "--oob", "--seed", "Workload options", "Job options", "[default: 100]"] {
            assert!(out.contains(fact), "{verb} forest train --help does not tell of {fact}:\n{out}");
        }
        assert!(place.exits(0, &[verb, "recommend", "--help"]).0.contains("--top"));
    }
    assert!(place.exits(0, &["help", "submit"]).0.contains("--priority"));
    assert!(place.exits(0, &["help", "job", "wait"]).0.contains("exit"));
    assert!(place.exits(0, &["agent", "start", "--help"]).0.contains("--idle-timeout"));
}

#[test]
fn what_cannot_be_understood_exits_with_2() {
    let place = Place::new();
    for args in [
        &["--no-such-flag"][..],
        &["no-such-command"],
        &[],
        &["jobs", "--output", "xml"],
        &["job", "show", "0"],
        &["job", "show", "3-1"],
        &["job", "show"],
        &["agent", "start", "--cores", "0"],
        &["agent", "start", "--memory", "lots"],
        &["agent", "start", "--idle-timeout", "90"],
        &["coordinator", "start", "--listen", "nowhere"],
        &["submit", "noop", "--priority", "0"],
        &["submit", "noop", "--priority", "10001"],
        &["submit", "noop", "--items", "-1"],
        &["run", "noop", "--wait"],
        &["run", "forest", "train", "--data", "x.csv"],
    ] {
        let (out, err) = place.exits(2, args);
        assert!(out.is_empty() && !err.is_empty(), "{args:?}: {out}{err}");
    }
}

#[test]
fn a_refused_value_shows_the_right_form() {
    let place = Place::new();
    assert!(place.exits(2, &["agent", "start", "--idle-timeout", "90"]).1.contains("1h 30m"));
    assert!(place.exits(2, &["agent", "start", "--memory", "lots"]).1.contains("4GiB"));
    assert!(place.exits(2, &["job", "show", "first"]).1.contains("1-3,5"));
}

#[test]
fn a_refused_number_of_a_forest_says_what_is_possible() {
    let place = Place::new();
    let train = |flags: &[&str]| place.exits(2, &[&["run", "forest", "train", "--data", "x.csv", "--out", "m"][..], flags].concat()).1;
    for flag in ["--min-samples-split", "--min-samples-leaf"] {
        let err = train(&["--target", "y", flag, "0.1"]);
        assert!(err.contains(flag) && err.contains("0.1: is not a whole number of rows, and a share of them cannot be given"), "{err}");
    }
    for (flag, value) in [("--trees", "1e3"), ("--max-depth", "-1"), ("--max-leaf-nodes", "2.5"), ("--max-bins", "many")] {
        let err = train(&["--target", "y", flag, value]);
        assert!(err.contains(flag) && err.contains(&format!("{value}: is not a whole number such as 10")), "{err}");
    }
    // A small fraction is one, however it travels: what is refused is the table.
    let err = train(&["--target", "y", "--max-features", "0.0000001"]);
    assert!(error_line(&err).contains("x.csv"), "{err}");
    // The target can be left out where a model knows it.
    assert!(train(&[]).contains("--target"));
    assert!(train(&["--add-to", "absent.forest"]).contains("absent.forest"));
}

#[test]
fn a_workload_typed_as_a_command_is_shown_the_way() {
    let (_, err) = Place::new().exits(2, &["forest", "train", "--data", "x.csv"]);
    assert!(err.contains("paceline run forest") && err.contains("paceline submit forest"), "{err}");
}

#[test]
fn without_a_coordinator_every_client_command_exits_with_3() {
    let place = Place::new();
    for args in [
        &["jobs"][..],
        &["job", "show", "last"],
        &["job", "wait", "1"],
        &["job", "cancel", "all"],
        &["job", "retry", "1"],
        &["job", "explain", "1"],
        &["progress", "last"],
        &["logs", "1"],
        &["agents"],
        &["coordinator", "status"],
        &["coordinator", "stop"],
        &["submit", "noop"],
        &["submit", "--wait", "noop"],
    ] {
        let (out, err) = place.exits(3, args);
        assert!(out.is_empty(), "{args:?}: {out}");
        error_line(&err);
    }
    assert!(place.names().is_empty(), "a client made something: {:?}", place.names());
}

#[test]
fn a_missing_file_is_named() {
    let place = Place::new();
    let (_, err) = place.exits(2, &["model", "show", "absent.safetensors"]);
    assert!(error_line(&err).contains("absent.safetensors"), "{err}");
    let (_, err) = place.exits(2, &["run", "recommend", "--model", "absent.safetensors", "--out", "top.csv"]);
    assert!(error_line(&err).contains("absent.safetensors"), "{err}");
    assert!(place.names().is_empty(), "something was left behind: {:?}", place.names());
}

/// A safetensors file as any program may write it.
fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

#[test]
fn a_model_file_of_any_program_is_shown() {
    let place = Place::new();
    let header = r#"{"__metadata__":{"source":"test"},"item_factors":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]},"user_factors":{"dtype":"F32","shape":[1,2],"data_offsets":[24,32]}}"#;
    std::fs::write(place.path().join("m.safetensors"), safetensors(header, &[0; 32])).unwrap();
    let view = place.json(&["model", "show", "m.safetensors"]);
    assert_eq!(view["metadata"]["source"], "test");
    assert_eq!(view["arrays"][0]["name"], "item_factors");
    assert_eq!(view["arrays"][0]["dtype"], "F32");
    assert_eq!(view["arrays"][0]["shape"], serde_json::json!([3, 2]));
    assert_eq!(view["kind"], serde_json::Value::Null);
    let (out, _) = place.exits(0, &["model", "show", "m.safetensors"]);
    assert!(out.contains("3 x 2") && out.contains("users"), "{out}");
    assert_eq!(place.exits(0, &["model", "show", "m.safetensors", "--output", "quiet"]).0, "safetensors\n");
}

#[test]
fn a_malformed_model_file_is_refused_with_the_reason() {
    let place = Place::new();
    let whole = safetensors(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, &[0; 8]);
    let cases: [(&str, Vec<u8>); 5] = [
        ("empty", vec![]),
        ("truncated", whole[..whole.len() - 1].to_vec()),
        ("longer", [&whole[..], &[0]].concat()),
        ("huge-header", u64::MAX.to_le_bytes().to_vec()),
        ("text", b"this is no model at all".to_vec()),
    ];
    for (name, bytes) in cases {
        std::fs::write(place.path().join(name), bytes).unwrap();
        let (out, err) = place.exits(2, &["model", "show", name]);
        assert!(out.is_empty() && error_line(&err).contains(name), "{err}");
        assert!(error_line(&err).contains(if name == "truncated" || name == "longer" { "copy it again" } else { "name a model" }), "{err}");
    }
    let (_, err) = place.exits(2, &["model", "show", "."]);
    error_line(&err);
}

#[test]
fn completions_are_written_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (out, _) = place.exits(0, &["completions", shell]);
        // Fish's script goes two commands deep, the others' to the flags of every workload.
        let deepest = if shell == "fish" { "priority" } else { "max-features" };
        assert!(out.contains("coordinator") && out.contains(deepest), "{shell} knows too little");
    }
}

#[test]
fn every_visible_command_has_a_man_page() {
    let place = Place::new();
    place.exits(0, &["man", "man1"]);
    let pages: Vec<String> =
        std::fs::read_dir(place.path().join("man1")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    for command in
        ["", "-run", "-run-forest-train", "-submit-recommend", "-job-explain", "-coordinator-start", "-agent-start", "-model-show"]
    {
        assert!(pages.contains(&format!("paceline{command}.1")), "no page for paceline{command} among {pages:?}");
    }
    assert!(!pages.iter().any(|page| page.contains("runner") || page.contains("noop")), "{pages:?}");
    let (_, err) = place.exits(2, &["man", "/proc/nowhere"]);
    assert!(error_line(&err).contains("/proc/nowhere"));
}

#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    let place = Place::new();
    let mut child = place.command(&["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn an_output_that_cannot_be_written_is_no_success() {
    let place = Place::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.command(&["completions", "bash"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error_line(&text(&output.stderr)).contains("standard output"));
}

#[test]
fn a_log_filter_that_makes_no_sense_is_refused() {
    let place = Place::new();
    let output = place.command(&["jobs"]).env("PACELINE_LOG", "paceline=loud").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error_line(&text(&output.stderr)).contains("PACELINE_LOG"));
}
