//! What the agent's tests share: job directories as a coordinator would make them, and the way to the runner's program.
#![allow(dead_code, reason = "each test file uses its own part of it")]

pub mod coordinator;

use paceline_common::ids::{JobId, LeaseId, StageIdx};
use paceline_common::job::{JobPlan, JobRecord, JobRequest, StagePlan};
use paceline_common::job_dir::JobDir;
use paceline_common::message::LeaseGrant;
use paceline_common::range::ItemRange;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Long enough for a loaded machine; nothing waits for it to pass.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The example `paceline_runner`, which cargo builds with the tests.
pub fn runner_program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/paceline_runner");
    assert!(program.exists(), "{}: is not built; run the tests by `cargo test -p paceline-agent`", program.display());
    program
}

/// A job of `noop` items in `dir`.
pub fn make_noop_job(dir: &Path, sleep_us: u64, crash_at: &[u64], fail_at: &[u64]) {
    let settings = serde_json::json!({"items": 1_000_000, "sleep_us": sleep_us, "crash_at": crash_at, "fail_at": fail_at});
    let request = JobRequest {
        workload: "noop".to_owned(),
        settings_json: settings.to_string(),
        name: None,
        seed: 7,
        priority: 100,
        max_cores: None,
        max_failures: None,
    };
    let stage = StagePlan { name: "nothing".to_owned(), item_name: "item".to_owned(), tolerates_missing_items: true };
    let plan = JobPlan { stages: vec![stage], inputs: vec![], output: None, notes: vec![] };
    let record = JobRecord { job: JobId(1), request, plan, submitted_at_ms: 0 };
    std::fs::create_dir_all(dir).unwrap();
    JobDir::write_json(&JobDir::new(dir).record_path(), &record).unwrap();
}

/// A lease on items of the job in `dir`.
pub fn grant(lease: u64, start: u64, end: u64, dir: &Path) -> LeaseGrant {
    LeaseGrant {
        lease: LeaseId(lease),
        job: JobId(1),
        stage: StageIdx(0),
        range: ItemRange::new(start, end),
        cores: 2,
        alone: false,
        job_dir: dir.to_owned(),
    }
}
