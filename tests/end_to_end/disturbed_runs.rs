//! The whole path on real data with real processes: what a cluster makes while agents are killed and its coordinator is restarted
//! must be, to the byte, what one core makes undisturbed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use paceline_tests::binary::checkout;
use paceline_tests::cluster::{Cluster, hash_of, wait_for};
use std::path::Path;

/// The committed items of the named stage; 0 before it begins, `None` once it has ended.
fn committed_in(cluster: &Cluster, stage: &str) -> Option<u64> {
    let detail = cluster.json(&["job", "show", "last"]);
    let job = &detail["job"];
    assert!(job["state"] == "running" || job["state"] == "succeeded", "{job}");
    let stages = detail["stages"].as_array().unwrap();
    let n_committed = stages.iter().find(|s| s["name"] == stage)?["n_committed"].as_u64();
    if job["stage"] == stage || stages.iter().all(|s| s["name"] != stage) { n_committed } else { None }
}

/// Submits a job, kills one of two agents in the middle of `stage`, then kills and restarts the coordinator, and brings a new agent.
fn run_disturbed(job: &[&str], stage: &str, n_items_at_least: u64) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.start_coordinator();
    let doomed = cluster.start_agent(1);
    cluster.start_agent(1);
    cluster.wait_for_agents(2);
    cluster.succeed(&[&["submit"], job].concat());

    let reached =
        |cluster: &Cluster, n: u64| wait_for("the stage to get on", || committed_in(cluster, stage).is_none_or(|c| c >= n).then_some(()));
    reached(&cluster, 1);
    assert!(committed_in(&cluster, stage).is_some(), "the stage {stage} ended before an agent could be killed in it");
    cluster.kill_agent(doomed);
    reached(&cluster, n_items_at_least / 3);
    cluster.kill_coordinator();
    cluster.start_coordinator();
    let after_restart = cluster.json(&["job", "show", "last"]);
    assert_eq!(after_restart["job"]["state"], "running", "the job was over before the coordinator could be restarted in it");
    cluster.start_agent(1);
    cluster.succeed(&["job", "wait", "last"]);

    let job = cluster.json(&["job", "show", "last"]);
    assert_eq!(job["job"]["state"], "succeeded");
    assert_eq!(job["job"]["n_quarantined"], 0, "a killed agent is no fault of an item");
    cluster
}

fn undisturbed(cluster: &Cluster, job: &[&str]) {
    cluster.succeed(&[&["run", "--cores", "1"], job].concat());
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
