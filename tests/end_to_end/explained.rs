//! What a person is told when something dies, and what agents do when they are alone: real processes on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use paceline_tests::binary::checkout;
use paceline_tests::cluster::{Cluster, hash_of, wait_for};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_dead_runner_and_a_lost_agent_stand_in_the_log_of_their_job() {
    let mut cluster = Cluster::new();
    cluster.start_coordinator();
    let agent = cluster.start_agent(1);
    cluster.wait_for_agents(1);
    let output = cluster.run(&["submit", "--wait", "noop", "--items", "8", "--crash-at", "3"]);
    assert_eq!(output.status.code(), Some(1));
    wait_for("the death in the log", || cluster.succeed(&["logs", "last"]).contains("killed by signal 6, at work on item 3").then_some(()));

    cluster.succeed(&["submit", "noop", "--items", "100000", "--sleep-us", "10000"]);
    wait_for("the work to begin", || (cluster.json(&["job", "show", "last"])["job"]["n_agents"] == 1).then_some(()));
    cluster.kill_agent(agent);
    // The lease may be of one item still, or of many.
    wait_for("the loss in the log", || cluster.succeed(&["logs", "last"]).contains("agent lost while it had item").then_some(()));
}

#[test]
fn an_agent_that_falls_silent_stands_in_the_log_of_its_job() {
    let mut cluster = Cluster::new();
    cluster.start_coordinator();
    let agent = cluster.start_agent(1);
    cluster.succeed(&["submit", "noop", "--items", "100000", "--sleep-us", "10000"]);
    wait_for("the work to begin", || (cluster.json(&["job", "show", "last"])["job"]["n_agents"] == 1).then_some(()));
    // Stopped, it keeps its connection and says nothing.
    assert!(Command::new("kill").args(["-STOP", &agent.to_string()]).status().unwrap().success());
    let told = "agent silent for too long while it had item";
    wait_for("the silence in the log", || cluster.succeed(&["logs", "last"]).contains(told).then_some(()));
    cluster.kill_agent(agent);
}

#[test]
fn a_job_that_is_over_cannot_be_cancelled() {
    let cluster = Cluster::with_agents(&[1]);
    cluster.succeed(&["submit", "--wait", "noop"]);
    let output = cluster.run(&["job", "cancel", "last"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("over already (succeeded)"));
}

#[test]
fn an_agent_with_nothing_in_hand_and_no_coordinator_leaves_at_the_first_word() {
    let cluster = Cluster::new();
    let mut agent = cluster.command(&["agent", "start"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // Its first line comes when it listens for signals, or is about to.
    let mut first = [0];
    std::io::Read::read_exact(agent.stdout.as_mut().unwrap(), &mut first).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let begin = Instant::now();
    assert!(Command::new("kill").arg(agent.id().to_string()).status().unwrap().success());
    assert_eq!(agent.wait().unwrap().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(10), "it took {:?}, as if somebody had to release it", begin.elapsed());
}

#[test]
fn a_model_copied_to_the_node_gives_the_same_bytes() {
    let mut cluster = Cluster::new();
    cluster.start_coordinator();
    let scratch = cluster.scratch().join("disk");
    std::fs::create_dir(&scratch).unwrap();
    let mut agent = cluster
        .command(&["agent", "start", "--input-access", "stage", "--scratch", scratch.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let model = checkout().join("data/debian.safetensors");
    let (mapped, staged) = (cluster.scratch().join("mapped.csv"), cluster.scratch().join("staged.csv"));
    let job = |out: &std::path::Path| ["recommend", "--model", model.to_str().unwrap(), "--out", out.to_str().unwrap()].map(str::to_owned);
    let run = |first: &[&str], out| {
        let job = job(out);
        cluster.succeed(&[first, &job.each_ref().map(String::as_str)].concat());
    };
    run(&["submit", "--wait"], &staged);
    run(&["run"], &mapped);
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(hash_of(&mapped), hash_of(&staged));
    let copies: Vec<u64> = walk(&scratch)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "copy"))
        .map(|p| p.metadata().unwrap().len())
        .collect();
    assert_eq!(copies, [model.metadata().unwrap().len()], "one copy of the model stands on the node's disk");
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn the_loss_of_each_iteration_is_told_while_the_job_runs() {
    let cluster = Cluster::with_agents(&[1]);
    cluster.wait_for_agents(1);
    let (table, out) = (cluster.scratch().join("table.csv"), cluster.scratch().join("als.model"));
    std::fs::write(&table, "user,item\na,1\na,2\nb,2\nb,3\nc,3\nc,1\n").unwrap();
    let job = ["als", "train", "--data", table.to_str().unwrap(), "--out", out.to_str().unwrap(), "--iterations", "3", "--force"];
    let told_in = |text: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| line.find("iteration ").map(|at| line[at..].to_owned()))
            .filter(|line| line.contains(": loss "))
            .collect()
    };
    let run = cluster.run(&[&["run"], &job[..]].concat());
    let summary = String::from_utf8_lossy(&run.stdout).into_owned();
    let losses: Vec<String> = (1..=3)
        .map(|iteration| {
            let name = format!("loss after iteration {iteration}");
            let line = summary.lines().find(|line| line.contains(&name)).unwrap_or_else(|| panic!("{summary}"));
            format!("iteration {iteration}: loss {}", line.split_whitespace().last().unwrap())
        })
        .collect();
    assert_eq!(told_in(&String::from_utf8_lossy(&run.stderr)), losses, "beside the progress of `run`");
    cluster.succeed(&[&["submit", "--wait"], &job[..]].concat());
    let told = wait_for("the log", || Some(told_in(&cluster.succeed(&["logs", "last"]))).filter(|told| told.len() == 3));
    assert_eq!(told, losses, "in the log of a cluster");
}
