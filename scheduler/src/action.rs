//! Imperatives: everything that the state machine ever asks for, in the order in which it must be done.

use crate::view::LeaseStatus;
use paceline_common::failure::Failure;
use paceline_common::ids::{AgentId, JobId, LeaseId, StageIdx};
use paceline_common::range::ItemRange;

/// One thing for the driver to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Give this range to this agent.
    Grant {
        /// To whom.
        agent: AgentId,
        /// The attempt.
        lease: LeaseId,
        /// Of which job.
        job: JobId,
        /// Of which stage.
        stage: StageIdx,
        /// Which items.
        range: ItemRange,
        /// At most this many threads.
        cores: u32,
        /// Whether nothing else may run beside it in the runner.
        alone: bool,
    },
    /// Ask the agent to end the lease earlier; answered by `LeaseShortened`.
    Shorten {
        /// Whom.
        agent: AgentId,
        /// Which lease.
        lease: LeaseId,
        /// Where it should end.
        end: u64,
    },
    /// Tell the agent to drop the lease; the machine has forgotten it already.
    Revoke {
        /// Whom.
        agent: AgentId,
        /// Which lease.
        lease: LeaseId,
    },
    /// The part that came with this `RangeFinished` is accepted for these items (never empty, disjoint, in order; all of the
    /// part's unless some were committed from elsewhere before). Make it durable before doing anything that follows.
    Commit {
        /// The attempt.
        lease: LeaseId,
        /// Of which job.
        job: JobId,
        /// Of which stage.
        stage: StageIdx,
        /// All items of the part.
        part_items: ItemRange,
        /// Those accepted from it.
        accepted: Vec<ItemRange>,
    },
    /// Set this item aside for good. Make it durable.
    Quarantine {
        /// Of which job.
        job: JobId,
        /// Of which stage.
        stage: StageIdx,
        /// Which item.
        item: u64,
        /// One sentence.
        cause: String,
    },
    /// The stages before it are done: find out how many items it has and say so by `StageSized`.
    StartStage {
        /// Of which job.
        job: JobId,
        /// Which.
        stage: StageIdx,
    },
    /// No work can go on for want of room; tell people.
    PauseJob {
        /// Which.
        job: JobId,
        /// One sentence.
        reason: String,
    },
    /// A paused or failed job goes on.
    ResumeJob {
        /// Which.
        job: JobId,
    },
    /// The job is over. Always the last action on a job (unless it is retried).
    EndJob {
        /// Which.
        job: JobId,
        /// How.
        outcome: Outcome,
    },
    /// A draining agent holds nothing any more: it may exit.
    Release {
        /// Which.
        agent: AgentId,
    },
    /// The agent was silent for too long: its leases are void; drop its connection.
    DropAgent {
        /// Which.
        agent: AgentId,
        /// What it held until now, for whoever tells people.
        leases: Vec<LeaseStatus>,
    },
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every item of every stage is committed.
    Succeeded,
    /// The last stage is done, but this many items were set aside.
    SucceededInPart {
        /// How many.
        n_quarantined: u64,
    },
    /// It could not go on.
    Failed {
        /// One sentence.
        reason: String,
    },
    /// Its input is wrong.
    BadInput {
        /// What is wrong.
        failure: Failure,
    },
    /// A person ended it.
    Cancelled,
}
