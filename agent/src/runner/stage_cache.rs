//! Stages that are open in this runner: each (job, stage) is opened once, and its leases share it.
//! This file knows how a job's directory becomes an open stage. It must not know leases or threads.

use super::lease::StageKey;
use paceline_common::failure::Failure;
use paceline_common::ids::{JobId, StageIdx};
use paceline_common::job_dir::JobDir;
use paceline_workloads::input_cache::InputCache;
use paceline_workloads::registry;
use paceline_workloads::workload::{JobContext, StageTask};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// An open stage, with what is asked of it at every claim.
#[derive(Clone)]
pub struct OpenStage {
    /// What computes its items.
    pub task: Arc<dyn StageTask>,
    /// Items a claim; at least 1.
    pub block_len: u64,
    /// Whether items yield bytes.
    pub has_output: bool,
    /// What is to be told when item 0 begins.
    pub news: Option<String>,
}

impl OpenStage {
    /// Asks `task` once.
    pub fn new(task: Arc<dyn StageTask>) -> Self {
        Self { block_len: task.block_len().max(1), has_output: task.has_output(), news: task.news(), task }
    }
}

impl fmt::Debug for OpenStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStage").field("block_len", &self.block_len).field("has_output", &self.has_output).finish_non_exhaustive()
    }
}

/// Where a stage is between its first lease and the end of its job.
#[derive(Debug)]
pub enum StageSlot {
    /// A thread is opening it; its other leases are passed over meanwhile, so that no thread of the pool ever waits for another.
    Opening,
    /// Its leases can be claimed from.
    Open(OpenStage),
}

/// All stages that are open or being opened.
#[derive(Debug, Default)]
pub struct StageCache {
    slots: HashMap<StageKey, StageSlot>,
}

impl StageCache {
    /// Where a stage is; `None` where nobody has begun to open it.
    pub fn get(&self, key: StageKey) -> Option<&StageSlot> {
        self.slots.get(&key)
    }

    /// A thread has begun to open it.
    pub fn begin_opening(&mut self, key: StageKey) {
        self.slots.insert(key, StageSlot::Opening);
    }

    /// It is open. Earlier stages of the job are behind the barrier and never leased again: they are closed, now that the new
    /// stage shares whatever inputs it has in common with them.
    pub fn opened(&mut self, key: StageKey, stage: OpenStage) {
        let (job, stage_idx) = key;
        self.slots.retain(|&(other_job, other_stage), _| other_job != job || other_stage >= stage_idx);
        // A job that was forgotten meanwhile stays forgotten.
        if let Some(slot) = self.slots.get_mut(&key) {
            *slot = StageSlot::Open(stage);
        }
    }

    /// It could not be opened: its next lease tries again.
    pub fn not_opened(&mut self, key: StageKey) {
        self.slots.remove(&key);
    }

    /// Closes all stages of a job; their inputs are unmapped when the last thread has let go.
    pub fn forget(&mut self, job: JobId) {
        self.slots.retain(|&(other, _), _| other != job);
    }
}

/// Opens a stage of the job that stands in `job_dir`.
pub fn open_stage(job_dir: &Path, stage: StageIdx, inputs: &InputCache) -> Result<Arc<dyn StageTask>, Failure> {
    let dir = JobDir::new(job_dir);
    let record = dir.read_record()?;
    let workload = registry::workload_of(&record.request).map_err(|refusal| Failure::bad_input(refusal.message))?;
    workload.open(stage, &JobContext { record: &record, dir: &dir }, inputs)
}
