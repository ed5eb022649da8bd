//! One session of an agent, as the scheduler knows it.
//!
//! ```text
//! joined ─► working ◄─► silent ──timeout──► dropped
//!             │  ▲
//!             │  └── excluded for a while after failures in a row
//!             └── drain asked ─► draining ──holds nothing──► released ─► lost
//! ```

use crate::event::Time;
use crate::index::HungryKey;
use paceline_common::ids::{JobId, LeaseId, StageIdx};

#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub cores: u32,
    /// In the order of their grants, which is the order in which the runner works on them.
    pub leases: Vec<LeaseId>,
    pub last_heard: Time,
    pub is_silent: bool,
    pub is_draining: bool,
    /// When it was last told to go.
    pub released_at: Option<Time>,
    /// Failures since its last finished range.
    pub n_failures: u32,
    /// How often it was left out since its last finished range.
    pub n_exclusions: u32,
    pub excluded_until: Option<Time>,
    /// The job that waits for this agent to hold nothing, to run a suspected range alone.
    pub reserved_for: Option<JobId>,
    /// A shortening was asked elsewhere for its sake at that time.
    pub awaits_loot_since: Option<Time>,
    pub n_committed: u64,
    pub meter: Meter,
    /// Its slowness against the mean of its stages in eighths of a power of two: the fastest is offered work first.
    pub slowness: i16,
    /// Cores that its leases book, by job. Derived.
    pub booked: Vec<(JobId, u32)>,
    /// Cores that its leases book in all; at most twice its cores. Derived.
    pub booked_in_all: u32,
    /// Where it stands in the index of agents with room. Derived.
    pub hungry_key: Option<HungryKey>,
    /// When it is expected to have nothing left. Derived; `None` where it holds nothing.
    pub finish_at: Option<Time>,
}

/// Counts items done since the last sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    pub of: Option<(JobId, StageIdx)>,
    pub since: Time,
    pub last_item_at: Time,
    pub n_items: u64,
}

impl Agent {
    pub fn new(cores: u32, now: Time) -> Self {
        Self {
            cores: cores.max(1),
            leases: Vec::new(),
            last_heard: now,
            is_silent: false,
            is_draining: false,
            released_at: None,
            n_failures: 0,
            n_exclusions: 0,
            excluded_until: None,
            reserved_for: None,
            awaits_loot_since: None,
            n_committed: 0,
            meter: Meter { of: None, since: now, last_item_at: now, n_items: 0 },
            slowness: 0,
            booked: Vec::new(),
            booked_in_all: 0,
            hungry_key: None,
            finish_at: None,
        }
    }

    /// Whether it may be given work at all.
    pub fn is_eligible(&self, now: Time) -> bool {
        !self.is_silent && !self.is_draining && !self.is_excluded(now)
    }

    pub fn is_excluded(&self, now: Time) -> bool {
        self.excluded_until.is_some_and(|until| now < until)
    }

    /// Cores that the leases of `job` book here; never more than there are.
    pub fn booked_by(&self, job: JobId) -> u32 {
        self.booked.iter().find(|(j, _)| *j == job).map_or(0, |(_, cores)| *cores)
    }

    /// Cores that one more lease may name. Leases book at most twice the cores, so that one waits behind the one at work; and
    /// it takes room for half the cores, so that leases do not come in splinters as single items of the last one end.
    pub fn room(&self, max_leases: usize) -> u32 {
        let free = (2 * self.cores).saturating_sub(self.booked_in_all).min(self.cores);
        if self.leases.len() < max_leases && 2 * free >= self.cores { free } else { 0 }
    }
}
