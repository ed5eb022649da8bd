//! What every workload provides. Adding a workload is one module that implements these two traits and one line in
//! [`crate::registry`]; no scheduler, coordinator or agent code changes.

use crate::input_cache::InputCache;
use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::StageIdx;
use paceline_common::job::{JobPlan, JobRecord};
use paceline_common::job_dir::JobDir;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_common::view::JobSummary;
use std::sync::Arc;

/// A kind of job, with its settings checked.
pub trait Workload: Send + Sync {
    /// Looks at the headers of the inputs and lays out the stages; refuses what can be seen to be wrong. Reads no bulk data:
    /// the coordinator calls it, perhaps on a login node.
    fn plan(&self) -> Result<JobPlan, Refusal>;

    /// How many items a stage has. Called when the stages before it are done; their results are there to be looked at (small
    /// ones only: the coordinator calls this too).
    fn n_items(&self, stage: StageIdx, job: &JobContext<'_>) -> Result<u64, Failure>;

    /// Opens what a stage works on: once on a node, however many leases and threads follow. May itself use the thread pool
    /// that it is called in.
    fn open(&self, stage: StageIdx, job: &JobContext<'_>, inputs: &InputCache) -> Result<Arc<dyn StageTask>, Failure>;

    /// What a person reads of the result, from the last stage's results. Called when all is done.
    fn summarize(&self, job: &JobContext<'_>) -> Result<JobSummary, Failure>;
}

/// The job that a stage belongs to.
#[derive(Clone, Copy, Debug)]
pub struct JobContext<'a> {
    /// The checked job.
    pub record: &'a JobRecord,
    /// Its directory.
    pub dir: &'a JobDir,
}

impl JobContext<'_> {
    /// The results of an earlier stage.
    pub fn results_of(&self, stage: StageIdx) -> Result<StageParts, Failure> {
        StageParts::open(self.dir, stage)
    }

    /// The same for a look at the beginnings of large results, which the coordinator must not read whole.
    pub fn unread_results_of(&self, stage: StageIdx) -> Result<StageParts, Failure> {
        StageParts::open_unread(self.dir, stage)
    }
}

/// One stage, opened on one node and shared by all of its threads.
pub trait StageTask: Send + Sync {
    /// How many consecutive items a thread claims at once. Blocks begin at multiples of this number, except where a lease does
    /// not; no result may depend on where they begin.
    fn block_len(&self) -> u64 {
        1
    }

    /// Whether items yield bytes. Where they do not, nothing is stored but that they are done.
    fn has_output(&self) -> bool {
        true
    }

    /// What a person watching the job is told when the first item begins, such as what the stages before came to: one line.
    fn news(&self) -> Option<String> {
        None
    }

    /// Computes the items of `block` in order and adds the bytes of each to `outputs`, which is empty. Runs in a thread of the
    /// pool and may use the pool for parallelism inside an item. On a failure the items before it are computed again elsewhere.
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure>;
}

/// The first item of a block that could not be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemFailure {
    /// Which.
    pub item: u64,
    /// Why.
    pub failure: Failure,
}
