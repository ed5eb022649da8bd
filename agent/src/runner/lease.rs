//! One lease at work: what is claimed, what is computed, and when it is over. Pure bookkeeping.
//! This file must not know threads, files, or the other leases.

use paceline_common::ids::{JobId, StageIdx};
use paceline_common::message::{LeaseGrant, LeaseProgress};
use paceline_common::part::ItemOutputs;
use paceline_common::range::ItemRange;
use std::collections::BTreeMap;

/// A stage of a job, as the key under which it is opened once.
pub type StageKey = (JobId, StageIdx);

/// Results of fewer bytes are joined with their neighbours: a million tiny items shall not be a million pieces, and large ones shall not
/// be copied.
const JOINED_BYTES: usize = 64 << 10;

/// A lease between its grant and its end.
#[derive(Debug)]
pub struct Lease {
    /// As granted; its range's end is where the lease ended then.
    pub grant: LeaseGrant,
    /// The first item that no thread has claimed.
    pub front: u64,
    /// One past its last item now.
    pub end: u64,
    /// Threads at work on it: each has one block, or opens its stage.
    pub n_threads: u32,
    /// Whether anything was done for it.
    pub is_started: bool,
    /// Failed or revoked: nothing of it is kept, and it goes when the last thread has let go.
    pub is_dropped: bool,
    /// Its results are being stored.
    pub is_storing: bool,
    n_done: u64,
    /// Results by their first item; small neighbours are joined.
    outputs: BTreeMap<u64, ItemOutputs>,
    n_bytes: usize,
    reported: Option<LeaseProgress>,
}

impl Lease {
    /// A lease of which nothing is done.
    pub fn new(grant: LeaseGrant) -> Self {
        let ItemRange { start, end } = grant.range;
        Self {
            grant,
            front: start,
            end,
            n_threads: 0,
            is_started: false,
            is_dropped: false,
            is_storing: false,
            n_done: 0,
            outputs: BTreeMap::new(),
            n_bytes: 0,
            reported: None,
        }
    }

    /// Its stage.
    pub fn stage_key(&self) -> StageKey {
        (self.grant.job, self.grant.stage)
    }

    /// The items that it answers for.
    pub fn range(&self) -> ItemRange {
        ItemRange::new(self.grant.range.start, self.end)
    }

    /// How many more threads could work on it, in blocks of `block_len`.
    pub fn n_claimable(&self, block_len: u64) -> u32 {
        if self.is_dropped || self.is_storing || self.front >= self.end {
            return 0;
        }
        let n_blocks = self.end.div_ceil(block_len) - self.front / block_len;
        self.grant.cores.max(1).saturating_sub(self.n_threads).min(u32::try_from(n_blocks).unwrap_or(u32::MAX))
    }

    /// Claims the next block from the front: up to the next multiple of `block_len`. Only where [`Self::n_claimable`] is not 0.
    pub fn claim(&mut self, block_len: u64) -> ItemRange {
        let next = (self.front / block_len).saturating_add(1).saturating_mul(block_len);
        let block = ItemRange::new(self.front, next.min(self.end));
        self.front = block.end;
        self.n_threads += 1;
        block
    }

    /// Takes a block's results.
    pub fn deposit(&mut self, block: ItemRange, outputs: ItemOutputs) {
        self.n_done += block.len();
        if outputs.is_empty() {
            return;
        }
        self.n_bytes += outputs.n_bytes();
        let before = self.outputs.range_mut(..block.start).next_back();
        match before {
            Some((start, joined)) if start + joined.len() as u64 == block.start && joined.n_bytes() + outputs.n_bytes() <= JOINED_BYTES => {
                joined.append(&outputs);
            }
            _ => drop(self.outputs.insert(block.start, outputs)),
        }
    }

    /// Moves its end to `asked` or to what is claimed, whichever is later, and never backwards; gives the end that holds.
    pub fn shorten(&mut self, asked: u64) -> u64 {
        self.end = asked.max(self.front).min(self.end);
        self.end
    }

    /// Whether every item up to its end is computed and nobody works on it.
    pub fn is_computed(&self) -> bool {
        self.n_threads == 0 && self.front >= self.end
    }

    /// Memory that its results take, in bytes.
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// All results in item order, as one run; leaves none behind.
    pub fn take_outputs(&mut self) -> Vec<ItemOutputs> {
        std::mem::take(&mut self.outputs).into_values().collect()
    }

    /// How far it is, where that was not said before.
    pub fn new_progress(&mut self) -> Option<LeaseProgress> {
        let now = LeaseProgress { lease: self.grant.lease, claimed: self.front, n_done: self.n_done };
        let is_new = self.is_started && !self.is_dropped && self.reported != Some(now);
        self.reported = is_new.then_some(now).or(self.reported);
        is_new.then_some(now)
    }
}
