//! An agent with its runner: threads claim items from the front of the oldest lease that may still use more threads.
//! It knows nothing of the coordinator but what messages tell it.

use super::random::Random;
use paceline_common::ids::{AgentId, JobId, LeaseId, StageIdx};
use paceline_common::message::LeaseProgress;
use paceline_common::range::ItemRange;
use paceline_scheduler::action::Action;
use paceline_scheduler::event::HeldLease;
use std::collections::BTreeSet;

/// A lease as the agent knows it.
#[derive(Clone, Debug)]
pub struct NodeLease {
    /// Its number.
    pub lease: LeaseId,
    /// Its job.
    pub job: JobId,
    /// Its stage.
    pub stage: StageIdx,
    /// Its items, as far as they were not taken back.
    pub range: ItemRange,
    /// Most threads.
    pub cores: u32,
    /// Whether nothing else may run beside it.
    pub alone: bool,
    /// The next item to be claimed.
    pub next: u64,
    /// Items being computed.
    pub running: BTreeSet<u64>,
    /// Items computed.
    pub n_done: u64,
    /// Whether it will meet a failure of storage when it ends, and whether the disk is full then.
    pub trouble: Option<Trouble>,
}

/// What spoils a lease at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The part cannot be written now.
    Storage,
    /// No room is left.
    NoSpace,
}

impl NodeLease {
    /// The lease that a grant hands out, with nothing begun; `None` for any other action.
    pub fn granted(action: &Action, trouble: Option<Trouble>) -> Option<Self> {
        let &Action::Grant { lease, job, stage, range, cores, alone, .. } = action else { return None };
        Some(Self { lease, job, stage, range, cores, alone, next: range.start, running: BTreeSet::new(), n_done: 0, trouble })
    }

    fn is_complete(&self) -> bool {
        self.next >= self.range.end && self.running.is_empty()
    }
}

/// Whether the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Up,
    /// It is stopped and will go on.
    Frozen,
    /// It is gone for good.
    Dead,
}

/// An agent process.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its session with the coordinator; `None` while it registers.
    pub session: Option<AgentId>,
    /// Its cores.
    pub cores: u32,
    /// Items per unit of cost and core.
    pub speed: f64,
    /// Whether it runs.
    pub life: Life,
    /// Whether messages pass.
    pub is_cut_off: bool,
    /// Whether it was asked to drain.
    pub is_draining: bool,
    /// Whether every lease fails here.
    pub is_bad: bool,
    /// Oldest first.
    pub leases: Vec<NodeLease>,
    /// Finished parts that the coordinator may not have; told again after a new registration.
    pub finished: Vec<(NodeLease, u64)>,
    /// Threads at work, those on dropped leases included: an item cannot be interrupted.
    pub n_busy: u32,
    /// Counts runners: what an earlier one was computing is gone.
    pub runner: u32,
}

/// Most finished parts kept for a new registration.
const MAX_FINISHED_KEPT: usize = 4;

impl Node {
    /// An agent that has not registered yet.
    #[must_use]
    pub fn draw(random: &mut Random) -> Self {
        let speed = random.lognormal(0.5);
        Self {
            session: None,
            cores: random.between(1, 8) as u32,
            // Now and then one that crawls.
            speed: if random.chance(0.1) { speed * 0.05 } else { speed },
            life: Life::Up,
            is_cut_off: false,
            is_draining: false,
            is_bad: false,
            leases: Vec::new(),
            finished: Vec::new(),
            n_busy: 0,
            runner: 0,
        }
    }

    /// Claims the next item for a free thread.
    pub fn claim(&mut self) -> Option<(LeaseId, JobId, StageIdx, u64)> {
        if self.n_busy >= self.cores {
            return None;
        }
        let lonely = self.leases.iter().position(|lease| lease.alone);
        let usable = match lonely {
            Some(0) => 1,
            Some(place) => place,
            None => self.leases.len(),
        };
        let may_claim = |lease: &&mut NodeLease| lease.next < lease.range.end && (lease.running.len() as u32) < lease.cores;
        let lease = self.leases[..usable].iter_mut().find(may_claim)?;
        let item = lease.next;
        lease.next += 1;
        lease.running.insert(item);
        self.n_busy += 1;
        Some((lease.lease, lease.job, lease.stage, item))
    }

    /// Notes that an item is computed; gives the lease if that was its last.
    pub fn complete(&mut self, id: LeaseId, item: u64) -> Option<NodeLease> {
        self.n_busy -= 1;
        let lease = self.leases.iter_mut().find(|lease| lease.lease == id)?;
        if lease.running.remove(&item) {
            lease.n_done += 1;
        }
        self.take_if_complete(id)
    }

    /// Takes a lease out if nothing of it is left to do.
    pub fn take_if_complete(&mut self, id: LeaseId) -> Option<NodeLease> {
        let place = self.leases.iter().position(|lease| lease.lease == id && lease.is_complete())?;
        Some(self.leases.remove(place))
    }

    /// Drops a lease; threads on it go on until their item ends.
    pub fn drop_lease(&mut self, id: LeaseId) -> Option<NodeLease> {
        let place = self.leases.iter().position(|lease| lease.lease == id)?;
        Some(self.leases.remove(place))
    }

    /// Ends a lease at `end` or as soon after it as what is claimed allows; gives its end.
    pub fn shorten(&mut self, id: LeaseId, end: u64) -> Option<u64> {
        let lease = self.leases.iter_mut().find(|lease| lease.lease == id)?;
        lease.range.end = lease.range.end.min(end.max(lease.next));
        let (range, end) = (lease.range, lease.range.end);
        if range.is_empty() {
            self.drop_lease(id);
        }
        Some(end)
    }

    /// Loses the runner and all that it held: what had been begun, and what had not.
    pub fn lose_runner(&mut self) -> (Vec<LeaseId>, Vec<LeaseId>) {
        self.runner += 1;
        self.n_busy = 0;
        let (started, unstarted): (Vec<_>, Vec<_>) = self.leases.drain(..).partition(|lease| lease.next > lease.range.start);
        let ids = |leases: Vec<NodeLease>| leases.into_iter().map(|lease| lease.lease).collect();
        (ids(started), ids(unstarted))
    }

    /// Keeps a finished part until it is surely known.
    pub fn keep_finished(&mut self, lease: NodeLease) {
        let end = lease.range.end;
        self.finished.push((lease, end));
        if self.finished.len() > MAX_FINISHED_KEPT {
            self.finished.remove(0);
        }
    }

    /// What it says of its leases.
    #[must_use]
    pub fn progress(&self) -> Vec<LeaseProgress> {
        self.leases.iter().map(|lease| LeaseProgress { lease: lease.lease, claimed: lease.next, n_done: lease.n_done }).collect()
    }

    /// What it names when it registers.
    #[must_use]
    pub fn held(&self) -> Vec<HeldLease> {
        let finished = self.finished.iter().map(|(lease, _)| lease);
        let of = |lease: &NodeLease| HeldLease {
            lease: lease.lease,
            job: lease.job,
            stage: lease.stage,
            range: lease.range,
            cores: lease.cores,
        };
        finished.chain(&self.leases).map(of).collect()
    }
}
