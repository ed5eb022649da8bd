//! Which lease a free thread works on next. All rules of claiming, shortening and ending leases are here, as pure bookkeeping
//! under one lock; `pool.rs` does what they say. This file must not know threads, files or the clock.
//!
//! Leases are served in the order in which they came. A claim takes the next block from the front of the oldest lease that may
//! use another thread, so that a lease can always be shortened to what is claimed. A lease that must be alone waits until every
//! other one at work is over and lets none behind it begin.

use super::lease::{Lease, StageKey};
use super::protocol::{FromRunner, MAX_LEASES_PER_PROGRESS, MAX_TEXT_BYTES, cut};
use super::stage_cache::{OpenStage, StageCache, StageSlot};
use paceline_common::failure::Failure;
use paceline_common::ids::{JobId, LeaseId};
use paceline_common::message::{LeaseGrant, LeaseProgress, PartBody};
use paceline_common::part::ItemOutputs;
use paceline_common::range::ItemRange;
use paceline_workloads::workload::ItemFailure;
use std::path::PathBuf;

/// A lease whose results exceed this ends where it is claimed: its part is stored and the rest goes back to the coordinator. Large
/// enough that syncing a part costs little beside computing it; storing takes up to twice as much again for a moment.
pub const MAX_LEASE_RESULT_BYTES: usize = 128 << 20;
/// While all results, those being stored among them, exceed this, nothing new is claimed: a slow disk slows the work down and does
/// not fill the memory.
pub const MAX_RESULT_BYTES: usize = 512 << 20;

/// What a thread shall do.
#[derive(Debug)]
pub enum Claim {
    /// Open the stage of this lease.
    Open(LeaseGrant),
    /// Compute these items.
    Run {
        /// For which lease.
        lease: LeaseId,
        /// Which items.
        block: ItemRange,
        /// What computes them.
        stage: OpenStage,
    },
}

/// A computed lease whose results are to be made durable.
#[derive(Debug)]
pub struct ToStore {
    /// Which lease.
    pub lease: LeaseId,
    /// Its stage.
    pub key: StageKey,
    /// The job's directory.
    pub job_dir: PathBuf,
    /// Its items.
    pub range: ItemRange,
    /// Runs of results, in item order.
    pub outputs: Vec<ItemOutputs>,
}

/// What a change asks of the outside, in this order.
#[derive(Debug, Default)]
pub struct Effects {
    /// To be told to the agent.
    pub events: Vec<FromRunner>,
    /// To be stored.
    pub to_store: Vec<ToStore>,
}

/// All leases of the runner.
#[derive(Debug)]
pub struct LeaseQueue {
    /// Oldest first.
    leases: Vec<Lease>,
    stages: StageCache,
    cores: u32,
    /// Claimers in the pool or on their way into it; at most `cores`, so that other threads are free to help inside an item.
    n_claimers: u32,
}

impl LeaseQueue {
    /// An empty queue for a pool of `cores` threads.
    pub fn new(cores: u32) -> Self {
        Self { leases: Vec::new(), stages: StageCache::default(), cores, n_claimers: 0 }
    }

    /// A new lease. One that is here already came twice and is passed over.
    pub fn grant(&mut self, grant: LeaseGrant, effects: &mut Effects) {
        if self.position(grant.lease).is_none() {
            self.leases.push(Lease::new(grant));
            // A lease of no items is over as it comes.
            self.settle(self.leases.len() - 1, effects);
        }
    }

    /// Ends a lease earlier, and says where it ends now. A lease that is not here was ended by a message already on its way.
    pub fn shorten(&mut self, lease: LeaseId, end: u64, effects: &mut Effects) {
        if let Some(i) = self.position(lease).filter(|&i| !self.leases[i].is_dropped) {
            self.shorten_at(i, end, effects);
            self.settle(i, effects);
        }
    }

    fn shorten_at(&mut self, i: usize, end: u64, effects: &mut Effects) {
        let lease = &mut self.leases[i];
        let end = lease.shorten(end);
        lease.is_dropped |= lease.range().is_empty();
        effects.events.push(FromRunner::Shortened { lease: lease.grant.lease, end });
    }

    /// Drops a lease and its results.
    pub fn revoke(&mut self, lease: LeaseId, effects: &mut Effects) {
        if let Some(i) = self.position(lease) {
            self.leases[i].is_dropped = true;
            self.settle(i, effects);
        }
    }

    /// Drops all leases of a job and closes its stages.
    pub fn forget_job(&mut self, job: JobId, effects: &mut Effects) {
        let leases: Vec<LeaseId> = self.leases.iter().filter(|lease| lease.grant.job == job).map(|lease| lease.grant.lease).collect();
        leases.into_iter().for_each(|lease| self.revoke(lease, effects));
        self.stages.forget(job);
    }

    /// How many claimers the pool should be given now; they count from here on.
    pub fn add_claimers(&mut self) -> u32 {
        let n_working: u32 = self.leases.iter().map(|lease| lease.n_threads).sum();
        let n_on_their_way = self.n_claimers.saturating_sub(n_working);
        let n_claimable = self.eligible().iter().fold(0_u32, |sum, &i| sum.saturating_add(self.n_claimable(i)));
        let n_new = n_claimable.saturating_sub(n_on_their_way).min(self.cores - self.n_claimers);
        self.n_claimers += n_new;
        n_new
    }

    /// The next thing for a claimer to do; without one, the claimer ends and no longer counts.
    pub fn claim(&mut self, effects: &mut Effects) -> Option<Claim> {
        let Some(i) = self.eligible().into_iter().find(|&i| self.n_claimable(i) > 0) else {
            self.n_claimers -= 1;
            return None;
        };
        let lease = &mut self.leases[i];
        if !lease.is_started {
            lease.is_started = true;
            effects.events.push(FromRunner::Started { lease: lease.grant.lease });
        }
        let key = lease.stage_key();
        if let Some(StageSlot::Open(stage)) = self.stages.get(key) {
            let block = lease.claim(stage.block_len);
            // One runner of many claims the first item, so this is told once (again only where that runner is lost).
            if let Some(news) = stage.news.as_ref().filter(|_| block.start == 0) {
                let text = cut(news, MAX_TEXT_BYTES);
                let (job, lease) = (Some(lease.grant.job), Some(lease.grant.lease));
                effects.events.push(FromRunner::Log { level: "info".to_owned(), text, job, lease });
            }
            return Some(Claim::Run { lease: lease.grant.lease, block, stage: stage.clone() });
        }
        lease.n_threads += 1;
        self.stages.begin_opening(key);
        Some(Claim::Open(lease.grant.clone()))
    }

    /// The leases that may be claimed from, in order.
    fn eligible(&self) -> Vec<usize> {
        let is_full = self.leases.iter().map(Lease::n_bytes).sum::<usize>() > MAX_RESULT_BYTES;
        if is_full && self.leases.iter().any(|lease| lease.is_storing) {
            return Vec::new();
        }
        if let Some(i) = self.leases.iter().position(|lease| lease.grant.alone && lease.is_started) {
            return vec![i];
        }
        let Some(alone) = self.leases.iter().position(|lease| lease.grant.alone) else {
            return (0..self.leases.len()).collect();
        };
        if self.leases.iter().any(|lease| lease.is_started) {
            // Those before it finish; none behind it begins.
            (0..self.leases.len()).filter(|&i| i < alone || self.leases[i].is_started).collect()
        } else {
            (0..=alone).collect()
        }
    }

    fn n_claimable(&self, i: usize) -> u32 {
        let lease = &self.leases[i];
        match self.stages.get(lease.stage_key()) {
            Some(StageSlot::Open(stage)) => lease.n_claimable(stage.block_len),
            Some(StageSlot::Opening) => 0,
            None => lease.n_claimable(u64::MAX).min(1),
        }
    }

    /// A stage that this lease's thread opened is open, or could not be opened: then every lease that waited for it fails alike.
    pub fn opened(&mut self, lease: LeaseId, key: StageKey, opened: Result<OpenStage, Failure>, effects: &mut Effects) {
        if let Some(i) = self.position(lease) {
            self.leases[i].n_threads -= 1;
        }
        match opened {
            Ok(stage) => self.stages.opened(key, stage),
            Err(failure) => {
                self.stages.not_opened(key);
                for lease in self.leases.iter_mut().filter(|lease| lease.stage_key() == key) {
                    fail(lease, None, &failure, effects);
                }
            }
        }
        for i in (0..self.leases.len()).rev() {
            self.settle(i, effects);
        }
    }

    /// A block is computed, or one of its items failed and with it the lease.
    pub fn computed(
        &mut self,
        lease: LeaseId,
        block: ItemRange,
        result: Result<ItemOutputs, (Option<u64>, Failure)>,
        effects: &mut Effects,
    ) {
        let Some(i) = self.position(lease) else { return };
        let lease = &mut self.leases[i];
        lease.n_threads -= 1;
        match result {
            Ok(outputs) if !lease.is_dropped => {
                lease.deposit(block, outputs);
                if lease.n_bytes() > MAX_LEASE_RESULT_BYTES && lease.front < lease.end {
                    let front = lease.front;
                    self.shorten_at(i, front, effects);
                }
            }
            Ok(_) => {}
            Err((item, failure)) => fail(lease, item, &failure, effects),
        }
        self.settle(i, effects);
    }

    /// A lease's results are stored, or could not be.
    pub fn stored(&mut self, lease: LeaseId, result: Result<PartBody, Failure>, effects: &mut Effects) {
        let Some(i) = self.position(lease) else { return };
        let mut lease = self.leases.remove(i);
        match result {
            _ if lease.is_dropped => {}
            Ok(part) => effects.events.push(FromRunner::Finished { lease: lease.grant.lease, end: lease.end, part: part.into() }),
            Err(failure) => fail(&mut lease, None, &failure, effects),
        }
    }

    /// Ends the lease at `i` where nothing is left to do for it; hands its results on to be stored.
    fn settle(&mut self, i: usize, effects: &mut Effects) {
        let lease = &mut self.leases[i];
        if lease.is_storing || !(lease.is_computed() || lease.is_dropped && lease.n_threads == 0) {
            return;
        }
        if lease.is_dropped {
            self.leases.remove(i);
            return;
        }
        let outputs = lease.take_outputs();
        if outputs.is_empty() {
            effects.events.push(FromRunner::Finished { lease: lease.grant.lease, end: lease.end, part: PartBody::Empty.into() });
            self.leases.remove(i);
            return;
        }
        lease.is_storing = true;
        let (key, range) = (lease.stage_key(), lease.range());
        effects.to_store.push(ToStore { lease: lease.grant.lease, key, job_dir: lease.grant.job_dir.clone(), range, outputs });
    }

    /// What has moved since the last time, in messages of bounded length.
    pub fn new_progress(&mut self) -> Vec<Vec<LeaseProgress>> {
        let moved: Vec<LeaseProgress> = self.leases.iter_mut().filter_map(Lease::new_progress).collect();
        moved.chunks(MAX_LEASES_PER_PROGRESS).map(<[LeaseProgress]>::to_vec).collect()
    }

    fn position(&self, lease: LeaseId) -> Option<usize> {
        self.leases.iter().position(|other| other.grant.lease == lease)
    }
}

/// Drops the lease and says why, once.
fn fail(lease: &mut Lease, item: Option<u64>, failure: &Failure, effects: &mut Effects) {
    if !std::mem::replace(&mut lease.is_dropped, true) {
        let failure = Failure { kind: failure.kind, message: cut(&failure.message, MAX_TEXT_BYTES) };
        effects.events.push(FromRunner::Failed { lease: lease.grant.lease, item, failure });
    }
}

/// A workload must give one result an item, or none at all where it has no output; anything else would shift every item behind.
pub fn check_outputs(block: ItemRange, stage: &OpenStage, outputs: &ItemOutputs) -> Result<(), ItemFailure> {
    let n_expected = if stage.has_output { block.len() } else { 0 };
    if outputs.len() as u64 == n_expected {
        return Ok(());
    }
    let failure =
        Failure::item(format!("{block}: the workload gave {} results instead of {n_expected}; report this as a bug", outputs.len()));
    Err(ItemFailure { item: block.start, failure })
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
