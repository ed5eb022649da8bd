//! Runs the whole chain of a workload in a directory, as agents would but without any, so that a workload's tests can compare
//! outputs across partitions. Only for tests; it must not know any one workload.

#![allow(clippy::panic, reason = "a test fails by panicking")]

use crate::input_cache::InputCache;
use crate::registry::Settings;
use crate::workload::{JobContext, StageTask, Workload};
use paceline_common::failure::Failure;
use paceline_common::ids::{JobId, LeaseId, StageIdx};
use paceline_common::job::{DEFAULT_PRIORITY, JobRecord, JobRequest};
use paceline_common::job_dir::{CommittedPart, JobDir, StageManifest};
use paceline_common::message::PartBody;
use paceline_common::part::{self, ItemOutputs};
use paceline_common::range::ItemRange;
use paceline_common::view::JobSummary;
use std::path::Path;
use std::sync::Arc;

/// How a chain is cut into pieces.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Items of a lease.
    pub range_len: u64,
    /// Items of a block, where not the stage's own number.
    pub block_len: Option<u64>,
    /// Threads of the pool that each range runs in.
    pub n_threads: usize,
    /// Items that are set aside instead of run.
    pub quarantined: Vec<(StageIdx, u64)>,
}

impl Partition {
    /// Leases of `range_len` items on `n_threads` threads.
    pub fn of(range_len: u64, n_threads: usize) -> Self {
        Self { range_len, block_len: None, n_threads, quarantined: vec![] }
    }
}

/// A node: what it has opened of the present stage.
struct Node {
    inputs: InputCache,
    task: Arc<dyn StageTask>,
}

/// Checks, plans and runs a job in `job_dir`. Ranges run in reverse order, by turns on two nodes that share nothing but files,
/// and their parts are stored and read back as in a cluster. A refusal comes back as a failure.
pub fn run_chain<S: Settings>(settings: &S, seed: u64, job_dir: &Path, partition: &Partition) -> Result<JobSummary, Failure> {
    let refused = |refusal: paceline_common::failure::Refusal| Failure::bad_input(refusal.message);
    let settings_json = serde_json::to_string(settings).map_err(|e| Failure::bad_input(e.to_string()))?;
    let read_back: S = serde_json::from_str(&settings_json).map_err(|e| Failure::bad_input(e.to_string()))?;
    let workload = read_back.check(seed).map_err(refused)?;
    let plan = workload.plan().map_err(refused)?;
    let workload_name = S::WORKLOAD.to_owned();
    let request = JobRequest {
        workload: workload_name,
        settings_json,
        name: None,
        seed,
        priority: DEFAULT_PRIORITY,
        max_cores: None,
        max_failures: None,
    };
    let record = JobRecord { job: JobId(1), request, plan, submitted_at_ms: 0 };
    let dir = JobDir::new(job_dir);
    std::fs::create_dir_all(job_dir.join("parts")).map_err(|e| Failure::from_io("create", job_dir, &e))?;
    let job = JobContext { record: &record, dir: &dir };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(partition.n_threads).build().map_err(|e| Failure::storage(e.to_string()))?;
    for stage in 0..record.plan.stages.len() {
        pool.install(|| run_stage(&*workload, StageIdx(stage as u32), &job, partition))?;
    }
    workload.summarize(&job)
}

fn run_stage(workload: &dyn Workload, stage: StageIdx, job: &JobContext<'_>, partition: &Partition) -> Result<(), Failure> {
    let n_items = workload.n_items(stage, job)?;
    let open = || -> Result<Node, Failure> {
        let inputs = InputCache::default();
        Ok(Node { task: workload.open(stage, job, &inputs)?, inputs })
    };
    let nodes = [open()?, open()?];
    let quarantined: Vec<u64> = partition.quarantined.iter().filter(|(s, _)| *s == stage).map(|&(_, item)| item).collect();
    let mut parts = Vec::new();
    for (turn, range) in ranges(n_items, partition.range_len, &quarantined).into_iter().rev().enumerate() {
        let node = &nodes[turn % nodes.len()];
        let outputs = run_range(&*node.task, range, partition.block_len)?;
        let body = if node.task.has_output() {
            let name = JobDir::part_name(range, LeaseId(turn as u64));
            part::store(&job.dir.parts_path(stage), &name, range, &[outputs])?
        } else {
            PartBody::Empty
        };
        parts.push(CommittedPart { items: range, part_items: range, body });
    }
    parts.reverse();
    // A task may hold its inputs only by reference to what its node keeps open.
    drop(nodes.map(|node| (node.task, node.inputs)));
    JobDir::write_json(&job.dir.manifest_path(stage), &StageManifest { n_items, parts, quarantined })
}

/// `0..n_items` in pieces of `range_len`, cut further so that no piece holds an item that is set aside.
fn ranges(n_items: u64, range_len: u64, quarantined: &[u64]) -> Vec<ItemRange> {
    let mut left = paceline_common::range_set::RangeSet::of(ItemRange::new(0, n_items));
    quarantined.iter().for_each(|&item| left.remove(ItemRange::one(item)));
    std::iter::from_fn(|| left.take_first(range_len)).collect()
}

fn run_range(task: &dyn StageTask, range: ItemRange, block_len: Option<u64>) -> Result<ItemOutputs, Failure> {
    let block_len = block_len.unwrap_or(task.block_len());
    let mut outputs = ItemOutputs::default();
    let mut rest = range;
    while !rest.is_empty() {
        let (block, after) = rest.split_at((rest.start / block_len + 1) * block_len);
        let mut of_block = ItemOutputs::default();
        task.run(block, &mut of_block)
            .map_err(|e| Failure { kind: e.failure.kind, message: format!("item {}: {}", e.item, e.failure.message) })?;
        assert!(!task.has_output() || of_block.len() as u64 == block.len(), "a block yields as many results as it has items");
        outputs.append(&of_block);
        rest = after;
    }
    Ok(outputs)
}

/// The sentence with which a job ends that must not succeed.
pub fn refusal_of<S: Settings>(settings: &S) -> String {
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    match run_chain(settings, 0, dir.path(), &Partition::of(7, 2)) {
        Ok(summary) => panic!("the job succeeded: {summary:?}"),
        Err(failure) => {
            assert_eq!(failure.kind, paceline_common::failure::FailureKind::BadInput, "{failure}");
            failure.message
        }
    }
}
