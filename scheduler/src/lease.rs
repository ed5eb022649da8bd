//! One attempt at one range by one agent.
//!
//! ```text
//! granted ──reported──► held ──finished──────────────► (over)
//!    │                    │ ──shortened: its tail goes back
//!    └── absent from reports for a grace, agent lost or dropped, failed, revoked ──► (over, its items go back)
//! ```

use crate::event::Time;
use crate::rate::nanoseconds;
use paceline_common::ids::{AgentId, JobId, LeaseId, StageIdx};
use paceline_common::range::ItemRange;

/// Assumed where no item of a stage has been measured; used only to compare agents.
pub(crate) const ASSUMED_ITEMS_PER_CORE_SECOND: f64 = 1.0;

/// What is known against the items of a range, and so how it must be leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// A runner died on it: nothing else may be in the runner beside it.
    pub alone: bool,
    /// Where it failed last: anywhere else is better.
    pub avoid: Option<AgentId>,
    /// Storage failures in a row.
    pub n_storage_failures: u32,
    /// It rests until then.
    pub not_before: Time,
}

/// What the agent's reports say of a lease's existence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sighting {
    /// No report has named it yet; the grant may be on its way, since then.
    Absent { since: Time },
    /// The last report named it.
    Seen,
}

/// A shortening that was asked for and not yet answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortening {
    pub asked_at: Time,
}

#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub agent: AgentId,
    pub job: JobId,
    pub stage: StageIdx,
    pub range: ItemRange,
    pub cores: u32,
    /// Whether nothing else may be at work in the agent's runner.
    pub alone: bool,
    /// Which of the two covers of its stage it belongs to.
    pub slot: usize,
    /// Whether it was granted over items that another lease held.
    pub speculative: bool,
    pub claimed: u64,
    pub n_done: u64,
    pub granted_at: Time,
    /// When the runner began with it, as far as reports tell: at the latest when the lease before it ended.
    pub begun_at: Option<Time>,
    pub sighting: Sighting,
    pub shortening: Option<Shortening>,
    pub mark: Option<Mark>,
    /// How fast its agent should do its items, as far as was known at the last report of it.
    pub items_per_core_second: f64,
    /// Virtual time that its job was charged for it.
    pub charge: u64,
}

impl Lease {
    /// Items that are not known to be done.
    pub fn n_left(&self) -> u64 {
        self.range.len().saturating_sub(self.n_done)
    }

    /// Items that no thread is known to have claimed: what a shortening can free.
    pub fn unclaimed(&self) -> ItemRange {
        ItemRange::new(self.claimed.clamp(self.range.start, self.range.end), self.range.end)
    }

    /// Whether no thread is known to have claimed an item.
    pub fn is_unstarted(&self) -> bool {
        self.claimed <= self.range.start && self.n_done == 0
    }

    /// Threads that can still be at work on it: an upper bound, since reports come late and items only ever get fewer.
    pub fn booked_cores(&self) -> u32 {
        u32::try_from(self.n_left()).unwrap_or(u32::MAX).min(self.cores)
    }

    /// How long its agent should need for `n_items` of it.
    pub fn expected_ns(&self, n_items: u64) -> u64 {
        nanoseconds(n_items as f64 / (self.items_per_core_second * f64::from(self.cores)))
    }

    /// Whether a shortening may be asked for now.
    pub fn may_be_asked(&self, now: Time, timeout_ns: u64) -> bool {
        self.shortening.is_none_or(|asked| now.since(asked.asked_at) >= timeout_ns)
    }
}

/// The next lease's number and the last one's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseCounter(pub u64);

impl LeaseCounter {
    pub fn next(&mut self) -> LeaseId {
        self.0 += 1;
        LeaseId(self.0)
    }
}
