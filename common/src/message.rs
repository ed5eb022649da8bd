//! What agents and the coordinator say to each other. Every list here is bounded by a constant beside it.

use crate::failure::{Failure, RunnerDeath};
use crate::ids::{AgentId, Epoch, JobId, LeaseId, StageIdx};
use crate::range::ItemRange;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The version of everything in this file; an agent and a coordinator of different versions refuse each other.
pub const PROTOCOL_VERSION: u32 = 1;
/// Largest part that travels in a message; a larger one is a file.
pub const MAX_INLINE_BYTES: usize = 16 * 1024;
/// Most log lines in one report: a report stays far below the frame limit.
pub const MAX_LOG_LINES_PER_REPORT: usize = 256;
/// Longest log line in bytes; the rest is cut and marked.
pub const MAX_LOG_LINE_BYTES: usize = 4 * 1024;
/// Most events in one report, for the same reason.
pub const MAX_EVENTS_PER_REPORT: usize = 256;
/// Most orders in one answer, for the same reason.
pub const MAX_ORDERS_PER_REPLY: usize = 256;

/// What an agent says of itself when it comes, and when it comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentHello {
    /// [`PROTOCOL_VERSION`] of the agent.
    pub protocol_version: u32,
    /// Drawn once per agent process: a reconnecting agent is known by it.
    pub session: u64,
    /// The node's name.
    pub host: String,
    /// The agent's process number.
    pub pid: u32,
    /// How many cores it uses.
    pub cores: u32,
    /// What decided that number.
    pub cores_reason: String,
    /// Memory that it may use, in bytes, where a limit is known.
    pub memory_limit_bytes: Option<u64>,
    /// The SLURM job that it runs in.
    pub slurm_job: Option<String>,
    /// Leases that it still works on from before the connection or the coordinator was lost.
    pub held: Vec<LeaseGrant>,
}

/// The coordinator's welcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The agent's number from now on.
    pub agent: AgentId,
    /// Which start of the coordinator this is.
    pub epoch: Epoch,
    /// An agent reports at least this often, in milliseconds.
    pub heartbeat_interval_ms: u64,
    /// Held leases that the coordinator no longer wants.
    pub abandon: Vec<LeaseId>,
}

/// Up: everything an agent has to say, and what it has received so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentReport {
    /// Who.
    pub agent: AgentId,
    /// The highest order number received; orders above it are sent again.
    pub last_order_seq: u64,
    /// What has happened, numbered without gaps from 1; sent again until acknowledged.
    pub events: Vec<(u64, AgentEvent)>,
    /// Every lease that it holds now.
    pub leases: Vec<LeaseProgress>,
    /// Log lines since the last acknowledged report.
    pub logs: LogBatch,
    /// What it uses now.
    pub usage: AgentUsage,
}

/// Down: what the agent shall do, and what has been heard of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ExchangeReply {
    /// The usual answer.
    Orders(AgentOrders),
    /// The coordinator does not know this agent (any more): register anew, naming the leases held.
    UnknownAgent,
    /// A newer report of the same agent is being answered instead.
    Superseded,
}

/// What the agent shall do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentOrders {
    /// Events up to this number are settled; the agent forgets them.
    pub acked_event_seq: u64,
    /// Log batches up to this number are stored.
    pub acked_log_seq: u64,
    /// Numbered without gaps; one already received is skipped.
    pub orders: Vec<(u64, Order)>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Work on this.
    Grant(LeaseGrant),
    /// End the lease at `end`, or as soon after it as what is already claimed allows.
    Shorten {
        /// Which.
        lease: LeaseId,
        /// The new end.
        end: u64,
    },
    /// Stop working on it and throw its results away.
    Revoke {
        /// Which.
        lease: LeaseId,
    },
    /// The job is over: its inputs can be unmapped.
    ForgetJob {
        /// Which.
        job: JobId,
    },
    /// Nothing more will come: exit.
    Release,
}

/// A range to work on, with all that is needed to do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseGrant {
    /// This attempt's number.
    pub lease: LeaseId,
    /// Of which job.
    pub job: JobId,
    /// Of which stage.
    pub stage: StageIdx,
    /// Which items.
    pub range: ItemRange,
    /// At most this many threads at once.
    pub cores: u32,
    /// Whether it must be the only lease at work in its runner (its items were there when a runner died).
    pub alone: bool,
    /// The job's directory, where its record and the earlier stages' parts stand.
    pub job_dir: PathBuf,
}

/// Something that happened at an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AgentEvent {
    /// Items from the lease's start up to `end` are done; the part holds them.
    RangeFinished {
        /// Which attempt.
        lease: LeaseId,
        /// One past the last item done: the lease's own end, which a shortening may have moved.
        end: u64,
        /// The results.
        part: PartBody,
    },
    /// The lease now ends at `end`; the agent will not touch what comes after.
    LeaseShortened {
        /// Which.
        lease: LeaseId,
        /// The end that holds from now on.
        end: u64,
    },
    /// The lease is over without a result.
    RangeFailed {
        /// Which attempt.
        lease: LeaseId,
        /// The item that failed, where one is known.
        item: Option<u64>,
        /// Why.
        failure: Failure,
    },
    /// The runner is dead, and with it these leases.
    RunnerDied {
        /// Every lease that was at work in it.
        leases: Vec<LeaseId>,
        /// Leases that it held but had not begun: nothing speaks against their items.
        unstarted: Vec<LeaseId>,
        /// How.
        death: RunnerDeath,
    },
    /// The agent takes no new leases and will leave when its present ones are done.
    DrainAsked {
        /// Why, for people.
        reason: String,
    },
    /// The agent is leaving now, with nothing left to report.
    Leaving,
}

/// Where the results of a range are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartBody {
    /// The stage yields nothing but the fact that it is done.
    Empty,
    /// A part file's bytes, at most [`MAX_INLINE_BYTES`].
    Inline(Vec<u8>),
    /// A part file in the job's directory.
    File(PartFile),
}

/// A part on the shared filesystem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFile {
    /// Its name within the stage's `parts` directory.
    pub name: String,
    /// Its length: a reader waits until it sees this much.
    pub size_bytes: u64,
    /// CRC-32 of all of it.
    pub crc32: u32,
}

/// How far a lease is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseProgress {
    /// Which.
    pub lease: LeaseId,
    /// One past the last item that a thread has claimed.
    pub claimed: u64,
    /// How many items are computed.
    pub n_done: u64,
}

/// What an agent uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentUsage {
    /// Anonymous resident memory of agent and runner, in bytes.
    pub anonymous_bytes: u64,
    /// File-backed resident memory of agent and runner, in bytes.
    pub file_backed_bytes: u64,
    /// Bytes of inputs mapped.
    pub mapped_bytes: u64,
    /// CPU time of agent and runner since their start, in milliseconds.
    pub cpu_ms: u64,
}

/// Log lines of an agent and its runner.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogBatch {
    /// This batch's number; 0 where it is empty. A batch already stored is skipped.
    pub seq: u64,
    /// At most [`MAX_LOG_LINES_PER_REPORT`].
    pub lines: Vec<LogLine>,
    /// Lines lost at the agent since its start because they came faster than they could be sent.
    pub n_dropped: u64,
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, in milliseconds since 1970, by the node's own clock.
    pub at_ms: u64,
    /// Of which job, where it belongs to one.
    pub job: Option<JobId>,
    /// The lease at work, where known.
    pub lease: Option<LeaseId>,
    /// "error", "warn", "info" or "debug".
    pub level: String,
    /// The text, at most [`MAX_LOG_LINE_BYTES`].
    pub text: String,
}
