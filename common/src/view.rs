//! What the coordinator tells a client: jobs, agents and logs as people see them. The same structs are the JSON output.

use crate::ids::{AgentId, Epoch, JobId};
use crate::message::{AgentUsage, LogLine};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Work is left; whether an agent is at it, `n_agents` tells.
    Running,
    /// Waiting for room on a disk; goes on by itself or by `job retry`.
    Paused,
    /// Every item is committed and the output stands.
    Succeeded,
    /// Over, with items set aside or without its output.
    Failed,
    /// Over, because its input is wrong.
    BadInput,
    /// Ended by a person.
    Cancelled,
}

impl JobState {
    /// Whether nothing more will happen by itself.
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Running | Self::Paused)
    }
}

/// A job in a listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// Its number.
    pub job: JobId,
    /// Its name, or the workload's.
    pub name: String,
    /// Its workload.
    pub workload: String,
    /// Where it is.
    pub state: JobState,
    /// One sentence on that state, where there is something to say.
    pub reason: Option<String>,
    /// Name of the present stage.
    pub stage: String,
    /// Its place, from 0.
    pub stage_idx: u32,
    /// How many stages.
    pub n_stages: u32,
    /// What one item of the stage is called.
    pub item_name: String,
    /// Committed items of the present stage.
    pub n_committed: u64,
    /// Items of the present stage; `None` until it is known.
    pub n_items: Option<u64>,
    /// Items set aside in all stages.
    pub n_quarantined: u64,
    /// Items whose second result was dropped.
    pub n_duplicates_dropped: u64,
    /// Committed items per second of late.
    pub items_per_second: f64,
    /// Seconds until the present stage ends at that rate.
    pub eta_seconds: Option<f64>,
    /// Agents at work on it.
    pub n_agents: u32,
    /// Cores at work on it.
    pub n_cores: u32,
    /// Share of the agents.
    pub priority: u32,
    /// When it was submitted, in milliseconds since 1970.
    pub submitted_at_ms: u64,
    /// When it ended.
    pub ended_at_ms: Option<u64>,
    /// Where its record, parts and logs are.
    pub job_dir: PathBuf,
    /// Where its output is or will be.
    pub output: Option<PathBuf>,
    /// What the workload says of its result; once it has succeeded.
    pub summary: Option<JobSummary>,
}

/// A job's result in figures and words; also the file `summary.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobSummary {
    /// Name and value, in the order in which a person reads them.
    pub facts: Vec<(String, String)>,
    /// blake3 of the output's bytes, in hex: equal for equal results.
    pub output_hash: Option<String>,
}

/// All there is to know of one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobDetail {
    /// As in the listing.
    pub job: JobView,
    /// Every stage so far: name, committed, items.
    pub stages: Vec<StageView>,
    /// Items that were set aside, with their cause; the first [`MAX_QUARANTINED_SHOWN`].
    pub quarantined: Vec<QuarantinedItem>,
    /// Leases at work.
    pub leases: Vec<LeaseView>,
    /// The settings as submitted, as JSON.
    pub settings_json: String,
    /// The seed.
    pub seed: u64,
}

/// Most set-aside items in one answer; all of them are in the journal.
pub const MAX_QUARANTINED_SHOWN: usize = 1000;

/// One stage of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageView {
    /// Its name.
    pub name: String,
    /// Committed items.
    pub n_committed: u64,
    /// All items; `None` until the stage begins.
    pub n_items: Option<u64>,
    /// From its begin to its end or to now, in milliseconds.
    pub duration_ms: Option<u64>,
}

/// An item that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedItem {
    /// Of which stage.
    pub stage: u32,
    /// Which.
    pub item: u64,
    /// Why, in a sentence.
    pub cause: String,
}

/// A lease at work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeaseView {
    /// Its number.
    pub lease: u64,
    /// The agent's node.
    pub host: String,
    /// Its agent.
    pub agent: AgentId,
    /// First item.
    pub start: u64,
    /// One past its last item.
    pub end: u64,
    /// Computed so far.
    pub n_done: u64,
    /// How old it is, in milliseconds.
    pub age_ms: u64,
}

/// An agent in a listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentView {
    /// Its number.
    pub agent: AgentId,
    /// Its node.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// "idle", "working", "silent", "draining" or "lost".
    pub state: String,
    /// Cores that it uses.
    pub cores: u32,
    /// What decided that number.
    pub cores_reason: String,
    /// Leases that it holds.
    pub n_leases: u32,
    /// Items that it has had committed.
    pub n_committed: u64,
    /// Since it was last heard, in milliseconds.
    pub silent_ms: u64,
    /// What it uses.
    pub usage: AgentUsage,
    /// Its memory limit in bytes.
    pub memory_limit_bytes: Option<u64>,
    /// The SLURM job that it runs in.
    pub slurm_job: Option<String>,
}

/// The coordinator itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoordinatorView {
    /// Its version.
    pub version: String,
    /// Which start on this cluster directory.
    pub epoch: Epoch,
    /// Its node.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub addresses: Vec<String>,
    /// Since its start, in milliseconds.
    pub uptime_ms: u64,
    /// Agents connected.
    pub n_agents: u32,
    /// Their cores.
    pub n_cores: u32,
    /// Jobs that are not over.
    pub n_active_jobs: u32,
    /// All jobs.
    pub n_jobs: u32,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Reports dropped because their lease was over.
    pub n_stale_reports: u64,
}

/// Stored log lines of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogPage {
    /// At most [`MAX_LOG_LINES_PER_PAGE`], oldest first.
    pub lines: Vec<StoredLogLine>,
    /// Where the next page begins.
    pub next_offset: u64,
    /// Whether the job is over and this page is its last.
    pub is_last: bool,
    /// Lines lost on their way.
    pub n_dropped: u64,
}

/// Most log lines in one answer.
pub const MAX_LOG_LINES_PER_PAGE: usize = 1000;

/// A line with its origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredLogLine {
    /// The agent's node.
    pub host: String,
    /// Its agent.
    pub agent: AgentId,
    /// Stage and items at work, where known.
    pub place: Option<String>,
    /// The line.
    pub line: LogLine,
}
