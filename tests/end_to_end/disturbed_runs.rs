//! The whole path on real data with real processes: what a cluster makes while agents are killed and its coordinator is restarted
//! must be, to the byte, what one core makes undisturbed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use paceline_common::artifact::{self, Artifact, NewArray};
use paceline_tests::binary::checkout;
use paceline_tests::cluster::{Cluster, hash_of, wait_for};
use paceline_tests::interactions::InteractionTable;
use paceline_tests::simulation::random::Random;
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The committed items of the named stage; 0 before it begins, `None` once it has ended.
fn committed_in(cluster: &Cluster, stage: &str) -> Option<u64> {
    let detail = cluster.json(&["job", "show", "last"]);
    let job = &detail["job"];
    assert!(job["state"] == "running" || job["state"] == "succeeded", "{job}");
    let stages = detail["stages"].as_array().unwrap();
    let Some(found) = stages.iter().find(|s| s["name"] == stage) else { return Some(0) };
    let n_committed = found["n_committed"].as_u64().unwrap();
    (found["n_items"].as_u64() != Some(n_committed)).then_some(n_committed)
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

fn data(name: &str) -> String {
    checkout().join("data").join(name).to_str().unwrap().to_owned()
}

/// Both runs of `job`, which gets its output's path last; gives both paths.
fn both(job: &[&str], out: &str, stage: &str, n_items: u64) -> (Cluster, PathBuf, PathBuf) {
    let calm = Cluster::new();
    let (quiet, rough) = (calm.scratch().join(out), calm.scratch().join(format!("disturbed-{out}")));
    undisturbed(&calm, &[job, &[quiet.to_str().unwrap()]].concat());
    drop(run_disturbed(&[job, &[rough.to_str().unwrap()]].concat(), stage, n_items));
    (calm, quiet, rough)
}

#[test]
fn a_forest_on_336_776_flights() {
    let flights = data("flights.parquet");
    let job = ["forest", "train", "--data", &flights, "--target", "outcome", "--trees", "24", "--min-samples-leaf", "5", "--oob", "--out"];
    let (_kept, quiet, rough) = both(&job, "flights.forest", "trees", 24);
    assert_eq!(hash_of(&quiet), hash_of(&rough), "the disturbed forest differs from that of one core");
}

/// How often the real users and items are repeated, so that scoring them takes long enough to be disturbed.
const N_USER_COPIES: usize = 8;
const N_ITEM_COPIES: usize = 24;

/// The rows of a matrix over and over, and their names with the number of the copy behind them (the first copy keeps its own).
fn repeated(model: &Artifact, rows: &str, names: &str, n_copies: usize) -> (Vec<f32>, Vec<u8>, usize) {
    let factors = model.matrix::<f32>(rows).unwrap().0.repeat(n_copies);
    let (bytes, n_names, width) = model.matrix::<u8>(names).unwrap();
    let mut copies = Vec::with_capacity(n_copies * n_names * (width + 3));
    for copy in 0..n_copies {
        for name in bytes.chunks_exact(width) {
            let end = name.iter().position(|&b| b == 0).unwrap_or(width);
            let begin = copies.len();
            copies.extend_from_slice(&name[..end]);
            if copy > 0 {
                copies.extend_from_slice(format!("~{copy}").as_bytes());
            }
            copies.resize(begin + width + 3, 0);
        }
    }
    (factors, copies, n_names * n_copies)
}

fn write_repeated_model(path: &Path) {
    let model = Artifact::open(Path::new(&data("debian.safetensors"))).unwrap();
    let n_factors = model.matrix::<f32>("user_factors").unwrap().2;
    let (users, user_ids, n_users) = repeated(&model, "user_factors", "user_ids", N_USER_COPIES);
    let (items, item_ids, n_items) = repeated(&model, "item_factors", "item_ids", N_ITEM_COPIES);
    let arrays = [
        NewArray::new("user_factors", &[n_users, n_factors], &users),
        NewArray::new("item_factors", &[n_items, n_factors], &items),
        NewArray::new("user_ids", &[n_users, user_ids.len() / n_users], &user_ids),
        NewArray::new("item_ids", &[n_items, item_ids.len() / n_items], &item_ids),
    ];
    artifact::write(path, "factors", 1, &BTreeMap::new(), &arrays).unwrap();
}

#[test]
fn recommendations_for_debian_packages() {
    let inputs = tempfile::tempdir().unwrap();
    let model = inputs.path().join("debian-repeated.safetensors");
    write_repeated_model(&model);
    let seen = data("debian-needs.parquet");
    let job = ["recommend", "--model", model.to_str().unwrap(), "--seen", &seen, "--top", "20", "--out"];
    let (_kept, quiet, rough) = both(&job, "top.parquet", "score", 50_000);
    assert_eq!(hash_of(&quiet), hash_of(&rough), "the disturbed recommendations differ from those of one core");
}

/// With 256 factors and exact solutions, half an iteration of so many users takes seconds.
const TRAINED: InteractionTable = InteractionTable { n_users: 12_000, n_items: 1_000, max_rows_per_user: 16 };
/// Blocks of users that this makes, of 1,024 rows each.
const N_TRAINED_BLOCKS: u64 = 12;

#[test]
fn factors_of_made_up_interactions() {
    let inputs = tempfile::tempdir().unwrap();
    let table = inputs.path().join("table.csv");
    TRAINED.write(&table);
    let job = ["als", "train", "--data", table.to_str().unwrap(), "--factors", "256", "--cholesky", "--iterations", "2", "--out"];
    let (_kept, quiet, rough) = both(&job, "factors.model", "users 2", N_TRAINED_BLOCKS);
    assert_eq!(hash_of(&quiet), hash_of(&rough), "the disturbed factors differ from those of one core");
}

/// So many that a hundred numbers of each take about a second.
const N_MEASURED_USERS: u64 = 400_000;
const ALL_METRICS: &str = "ndcg,dcg,graded_ndcg,graded_dcg,precision,recall,hit,reciprocal_rank,average_precision,rbp";

/// Lists of five items of three hundred, and two of them that each user rated.
fn write_lists_and_truth(lists: &Path, truth: &Path) {
    let mut random = Random::new(5);
    let [mut lists, mut truth] = [lists, truth].map(|path| BufWriter::new(std::fs::File::create(path).unwrap()));
    writeln!(lists, "user,item,rank").unwrap();
    writeln!(truth, "user,item,rating").unwrap();
    for user in 0..N_MEASURED_USERS {
        (1..=5).for_each(|rank| writeln!(lists, "{user},{},{rank}", random.below(300)).unwrap());
        (0..2).for_each(|_| writeln!(truth, "{user},{},{}", random.below(300), random.between(1, 5)).unwrap());
    }
    lists.flush().unwrap();
    truth.flush().unwrap();
}

#[test]
fn metrics_of_made_up_lists() {
    let inputs = tempfile::tempdir().unwrap();
    let [lists, truth] = ["lists.csv", "truth.csv"].map(|name| inputs.path().join(name));
    write_lists_and_truth(&lists, &truth);
    let (lists, truth) = (lists.to_str().unwrap(), truth.to_str().unwrap());
    let at = "1,2,3,4,5,6,7,8,9,10";
    let job = ["evaluate", "--lists", lists, "--truth", truth, "--metrics", ALL_METRICS, "--at", at, "--out"];
    let (_kept, quiet, rough) = both(&job, "users.parquet", "measure", N_MEASURED_USERS);
    assert_eq!(hash_of(&quiet), hash_of(&rough), "the disturbed metrics differ from those of one core");
}
