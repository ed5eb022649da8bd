//! Past facts: everything that the state machine is ever told.

use paceline_common::failure::{Failure, RunnerDeath};
use paceline_common::ids::{AgentId, JobId, LeaseId, StageIdx};
use paceline_common::message::LeaseProgress;
use paceline_common::range::ItemRange;

/// Monotonic time in nanoseconds since any fixed moment. The machine only ever compares and subtracts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// Nanoseconds from `earlier` to here; 0 where it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This much later.
    #[must_use]
    pub fn plus(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }
}

/// What a job asks of the scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobTerms {
    /// Weight against other jobs; at least 1.
    pub priority: u32,
    /// At most this many cores leased at once.
    pub max_cores: Option<u32>,
    /// The job fails once more than this many items are set aside.
    pub max_failures: Option<u64>,
    /// One entry a stage: whether the stages after it can do without items that were set aside.
    pub tolerates_missing_items: Vec<bool>,
}

/// A lease that an agent works on and that this machine may not know, because it was granted before a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLease {
    /// Its number.
    pub lease: LeaseId,
    /// Its job.
    pub job: JobId,
    /// Its stage.
    pub stage: StageIdx,
    /// Its items, as the agent knows them now.
    pub range: ItemRange,
    /// Its threads.
    pub cores: u32,
}

/// A past fact.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A job is there. Answered by `StartStage` for its first stage.
    JobSubmitted {
        /// Its number, never seen before.
        job: JobId,
        /// What it asks.
        terms: JobTerms,
    },
    /// A stage that was to be started has this many items; 0 is allowed and ends the stage at once.
    StageSized {
        /// Which job.
        job: JobId,
        /// Which stage.
        stage: StageIdx,
        /// Its items.
        n_items: u64,
    },
    /// From the journal, before the stage's `StageSized` (or after it, while no agent has joined): these items were committed in an
    /// earlier life.
    Restored {
        /// Which job.
        job: JobId,
        /// Which stage: the present one.
        stage: StageIdx,
        /// Which items.
        items: ItemRange,
    },
    /// From the journal, at the same time: this item was set aside in an earlier life.
    RestoredQuarantine {
        /// Which job.
        job: JobId,
        /// Which stage: the present one.
        stage: StageIdx,
        /// Which item.
        item: u64,
    },
    /// The driver could not go on with a job: its input is wrong, its stage cannot be sized, its directory cannot be written.
    JobBroken {
        /// Which job.
        job: JobId,
        /// Why.
        failure: Failure,
    },
    /// A person wants it ended.
    CancelAsked {
        /// Which job.
        job: JobId,
    },
    /// A person wants a paused job to go on, or the set-aside items of a failed one tried again.
    RetryAsked {
        /// Which job.
        job: JobId,
    },
    /// An agent is there, for the first time or again under a new number.
    AgentJoined {
        /// Its number, never seen before.
        agent: AgentId,
        /// Its cores; at least 1.
        cores: u32,
        /// What it still works on.
        held: Vec<HeldLease>,
    },
    /// A heartbeat: the agent holds exactly these leases.
    AgentReported {
        /// Which agent.
        agent: AgentId,
        /// What it holds, and how far it is.
        leases: Vec<LeaseProgress>,
    },
    /// The connection is gone, or the agent has left. Silence needs no event: `Tick` finds it.
    AgentLost {
        /// Which agent.
        agent: AgentId,
    },
    /// The agent will leave: it gets nothing new and is released when it holds nothing.
    DrainAsked {
        /// Which agent.
        agent: AgentId,
    },
    /// Items of a lease from its start to `end` are done, and their part is there.
    RangeFinished {
        /// Which agent.
        agent: AgentId,
        /// Which lease.
        lease: LeaseId,
        /// One past the last item done.
        end: u64,
    },
    /// A lease now ends at `end`: because it was asked to, or because the agent gives its tail back.
    LeaseShortened {
        /// Which agent.
        agent: AgentId,
        /// Which lease.
        lease: LeaseId,
        /// Its new end; its start where nothing was begun.
        end: u64,
    },
    /// A lease is over without a result.
    RangeFailed {
        /// Which agent.
        agent: AgentId,
        /// Which lease.
        lease: LeaseId,
        /// The item that failed, where one is known.
        item: Option<u64>,
        /// Why.
        failure: Failure,
    },
    /// A runner is dead.
    RunnerDied {
        /// Whose.
        agent: AgentId,
        /// The leases at work in it: one of their items may have killed it.
        leases: Vec<LeaseId>,
        /// Leases that it held and had not begun.
        unstarted: Vec<LeaseId>,
        /// How.
        death: RunnerDeath,
    },
    /// Time has passed. Comes at least every [`crate::policy::Policy::tick_interval_ns`].
    Tick,
}
