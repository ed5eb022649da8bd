//! The client commands against a real coordinator and agent on loopback: listings, selectors, exit codes, interruptions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use rustix::process::Signal;
use std::process::Stdio;
use support::{Daemons, Place, error_line, send, text, wait_for};

#[test]
fn jobs_are_submitted_listed_selected_and_judged() {
    let place = Place::new();
    let _daemons = Daemons::start(&place, 1);
    assert_eq!(place.json(&["jobs"]), serde_json::json!([]));
    error_line(&place.exits(2, &["job", "show", "last"]).1);

    assert_eq!(place.exits(0, &["submit", "--wait", "noop", "--items", "3"]).0, "1\n");
    assert_eq!(place.exits(1, &["submit", "noop", "--items", "3", "--fail-at", "2", "--wait"]).0, "2\n");
    assert_eq!(place.exits(0, &["submit", "noop", "--sleep-us", "600000000", "--name", "sleeper\n\u{1b}[31m"]).0, "3\n");

    // The listing shows what is active, and hints at the rest.
    let (out, err) = place.exits(0, &["jobs"]);
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(err.contains("2 jobs") && !out.contains('\u{1b}'), "{out}{err}");
    assert_eq!(place.json(&["jobs"]).as_array().unwrap().len(), 1);
    assert_eq!(place.json(&["jobs", "--all"]).as_array().unwrap().len(), 3);
    assert_eq!(place.exits(0, &["jobs", "--all", "--output", "quiet"]).0, "1\n2\n3\n");

    // Selectors.
    assert_eq!(place.json(&["job", "show", "last"])["job"]["job"], 3);
    assert_eq!(place.json(&["job", "show", "2"])["quarantined"][0]["item"], 2);
    assert_eq!(place.json(&["job", "show", "1-2"]).as_array().unwrap().len(), 2);
    assert_eq!(place.json(&["job", "show", "all"]).as_array().unwrap().len(), 3);
    assert!(error_line(&place.exits(2, &["job", "show", "9"]).1).contains('9'));
    let (out, _) = place.exits(0, &["job", "show", "2"]);
    assert!(out.contains("item 2") && out.contains("failed"), "{out}");

    // What became of them, as exit codes.
    place.exits(0, &["job", "wait", "1"]);
    place.exits(1, &["job", "wait", "1-2"]);
    place.exits(1, &["progress", "2"]);
    assert!(!place.json(&["job", "explain", "3"])["reasons"].as_array().unwrap().is_empty());
    place.exits(0, &["job", "cancel", "all"]);
    assert_eq!(place.json(&["job", "show", "3"])["job"]["state"], "cancelled");
    let (_, err) = place.exits(4, &["job", "wait", "3"]);
    assert!(error_line(&err).contains("cancelled"), "{err}");

    // The other listings.
    assert_eq!(place.json(&["agents"])[0]["cores"], 1);
    assert!(place.exits(0, &["agents"]).0.contains("1 agent with 1 core"));
    assert_eq!(place.json(&["coordinator", "status"])["n_jobs"], 3);
    assert!(place.json(&["logs", "2"])["lines"].is_array());
    place.exits(0, &["logs", "2"]);
    place.exits(2, &["logs", "-f", "2", "--output", "json"]);
}

#[test]
fn bad_input_is_refused_by_the_coordinator_in_one_sentence() {
    let place = Place::new();
    let _daemons = Daemons::start(&place, 0);
    let (out, err) = place.exits(2, &["submit", "recommend", "--model", "absent.safetensors", "--out", "top.csv"]);
    assert!(out.is_empty() && error_line(&err).contains("absent.safetensors"), "{out}{err}");
    assert_eq!(place.json(&["jobs", "--all"]), serde_json::json!([]));
}

#[test]
fn who_stops_watching_does_not_stop_the_job() {
    let place = Place::new();
    let _daemons = Daemons::start(&place, 0);
    let submit = ["submit", "--progress", "noop"];
    let child = place.command(&submit).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the job", || (place.json(&["jobs"]).as_array().unwrap().len() == 1).then_some(()));
    // The signals are taken over right after the submission.
    let output = interrupted(child);
    assert_eq!(text(&output.stdout), "1\n");
    let err = text(&output.stderr);
    assert!(err.contains("job 1 goes on") && err.contains("paceline job cancel 1"), "{err}");
    for args in [&["progress", "1"][..], &["job", "wait", "1"]] {
        let child = place.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        assert!(text(&interrupted(child).stderr).contains("job 1 goes on"));
    }
    assert_eq!(place.json(&["job", "show", "1"])["job"]["state"], "running");
}

/// Interrupts a watching client as soon as it listens for it, and gives what it printed; it must exit with 130.
fn interrupted(child: std::process::Child) -> std::process::Output {
    // A client that has taken SIGINT over shows it in its process status: bit 1 of the caught signals.
    let status = format!("/proc/{}/status", child.id());
    wait_for("the client to listen for signals", || {
        let caught = std::fs::read_to_string(&status).unwrap();
        let mask = caught.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        (u64::from_str_radix(&mask, 16).unwrap() & 0b10 != 0).then_some(())
    });
    send(Signal::INT, child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    output
}

#[test]
fn the_coordinator_stops_cleanly_and_a_second_one_is_refused() {
    let place = Place::new();
    let mut daemons = Daemons::start(&place, 0);
    error_line(&place.exits(2, &["coordinator", "start"]).1);
    place.exits(0, &["coordinator", "stop"]);
    place.exits(3, &["coordinator", "status"]);
    let pid = daemons.spawn(&place, "second.log", &["coordinator", "start", "--listen", "127.0.0.1:0"]);
    wait_for("the second coordinator", || place.run(&["coordinator", "status"]).status.success().then_some(()));
    assert_eq!(place.json(&["coordinator", "status"])["pid"], pid);
    let log = std::fs::read_to_string(place.path().join("second.log")).unwrap();
    assert!(log.contains("coordinator listens on 127.0.0.1:"), "{log}");
    send(Signal::TERM, pid);
    assert_eq!(daemons.wait(pid), Some(0));
    place.exits(3, &["jobs"]);
}

#[test]
fn an_agent_drains_on_sigterm_and_gives_up_without_a_coordinator() {
    let place = Place::new();
    let mut daemons = Daemons::start(&place, 0);
    let pid = daemons.spawn(&place, "agent.log", &["agent", "start", "--cores", "1"]);
    wait_for("the agent", || (place.json(&["coordinator", "status"])["n_agents"] == 1).then_some(()));
    send(Signal::TERM, pid);
    assert_eq!(daemons.wait(pid), Some(0));
    place.exits(0, &["coordinator", "stop"]);
    let (_, err) = place.exits(3, &["agent", "start", "--orphan-timeout", "200ms"]);
    assert!(error_line(&err).contains("no coordinator"), "{err}");
}

#[test]
fn a_daemon_can_log_as_json() {
    let place = Place::new();
    let mut daemons = Daemons::start(&place, 0);
    daemons.spawn(&place, "agent.log", &["agent", "start", "--cores", "1", "--log-format", "json"]);
    wait_for("the agent", || (place.json(&["coordinator", "status"])["n_agents"] == 1).then_some(()));
    let log = wait_for("a line of log", || {
        let log = std::fs::read_to_string(place.path().join("agent.log")).unwrap();
        log.lines().any(|line| line.starts_with('{')).then_some(log)
    });
    let line = log.lines().find(|line| line.starts_with('{')).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
}
