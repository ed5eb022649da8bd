//! A job: a chain of stages with a barrier between, of which one is present.
//!
//! ```text
//!            StageSized              complete
//!  sizing ──────────────► running ─────────────► sizing (next stage) … ─► ended
//!    ▲                     │  ▲                                            │
//!    │   no room           ▼  │ retry, or a while later                    │ retry
//!    └───────────────── paused┘                                            ▼
//!                                                                running or sizing
//! ```

use crate::action::Outcome;
use crate::event::{JobTerms, Time};
use crate::rate::Rate;
use crate::stage::Stage;
use paceline_common::ids::{LeaseId, StageIdx};
use paceline_common::range_set::RangeSet;
use std::collections::BTreeSet;

/// Whether work goes on. Which stage, and whether its size is known, stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Active,
    Paused { reason: String, since: Time },
    Ended { outcome: Outcome },
}

/// What remains of a stage that is done.
#[derive(Clone, Debug)]
pub(crate) struct FinishedStage {
    pub n_items: u64,
    pub quarantined: RangeSet,
    pub started_at: Time,
    pub ended_at: Time,
}

/// Items of an unsized stage that were settled in an earlier life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restored {
    pub committed: RangeSet,
    pub quarantined: RangeSet,
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub terms: JobTerms,
    pub phase: Phase,
    /// Stages that are done; the present one's place is their number.
    pub finished: Vec<FinishedStage>,
    /// The present stage; `None` until it is sized.
    pub stage: Option<Stage>,
    /// What the journal says of the present stage while it is not sized.
    pub restored: Restored,
    pub leases: BTreeSet<LeaseId>,
    pub n_duplicates_dropped: u64,
    /// Whether it may wait for agents from before a restart.
    pub awaits_reattachment: bool,
    /// When an agent was last asked to make room for it.
    pub asked_for_room_at: Option<Time>,
    /// Core-time received, divided by the priority; the job with the least is served next.
    pub virtual_time: u64,
    /// Cores that its leases book on all agents. Derived.
    pub n_cores_booked: u64,
    /// Its key in the index of ready jobs. Derived.
    pub ready_key: Option<u64>,
    /// Committed items, measured on the clock.
    pub commit_rate: Rate,
    pub last_commit_at: Time,
    pub ended_at: Option<Time>,
}

impl Job {
    pub fn new(terms: JobTerms, virtual_time: u64, awaits_reattachment: bool, now: Time) -> Self {
        Self {
            terms,
            phase: Phase::Active,
            finished: Vec::new(),
            stage: None,
            restored: Restored::default(),
            leases: BTreeSet::new(),
            n_duplicates_dropped: 0,
            awaits_reattachment,
            asked_for_room_at: None,
            virtual_time,
            n_cores_booked: 0,
            ready_key: None,
            commit_rate: Rate::default(),
            last_commit_at: now,
            ended_at: None,
        }
    }

    pub fn stage_idx(&self) -> StageIdx {
        StageIdx(self.finished.len() as u32)
    }

    pub fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }

    /// Whether the present stage is the last one.
    pub fn is_last_stage(&self) -> bool {
        self.finished.len() + 1 >= self.terms.tolerates_missing_items.len()
    }

    /// Items set aside in all stages so far.
    pub fn n_quarantined(&self) -> u64 {
        let before: u64 = self.finished.iter().map(|stage| stage.quarantined.len()).sum();
        before + self.stage.as_ref().map_or(0, |stage| stage.quarantined.len())
    }

    /// Cores that may still be booked; `None` for no limit.
    pub fn cores_left(&self) -> Option<u64> {
        self.terms.max_cores.map(|cap| u64::from(cap).saturating_sub(self.n_cores_booked))
    }
}
