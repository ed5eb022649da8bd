//! The present stage of a job: where each of its items is, as intervals.
//!
//! ```text
//!             grant                  finished
//!  pending ───────────► leased ───────────────► committed
//!     ▲                   │ │
//!     │    tail, lost     │ │ failed
//!     └───────────────────┘ ▼
//!          grant, alone   suspect ──one item, too many attempts──► quarantined
//!  leased ◄─────────────────┘
//! ```

use crate::event::Time;
use crate::lease::Mark;
use crate::rate::Rate;
use paceline_common::ids::{AgentId, LeaseId};
use paceline_common::range::ItemRange;
use paceline_common::range_set::RangeSet;
use std::collections::BTreeMap;

/// How fast an agent is at this stage.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AgentRate {
    pub rate: Rate,
    /// Items of the largest lease that it has finished.
    pub largest_lease: u64,
}

/// A suspected range that waits to be leased.
#[derive(Clone, Debug)]
pub(crate) struct Suspect {
    pub end: u64,
    pub mark: Mark,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Cover {
    pub end: u64,
    pub lease: LeaseId,
}

#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub n_items: u64,
    pub pending: RangeSet,
    /// Ranges with something against them, by their first item; disjoint.
    pub suspects: BTreeMap<u64, Suspect>,
    pub committed: RangeSet,
    pub quarantined: RangeSet,
    /// Attempts that an item has failed while it was known to be the one. Only items that are not yet settled, and
    /// suspects go first, so they stay few.
    pub attempts: BTreeMap<u64, u32>,
    /// Leases by their first item. Those of one slot are disjoint; an item is in both where a speculative lease repeats it.
    pub slots: [BTreeMap<u64, Cover>; 2],
    pub rates: BTreeMap<AgentId, AgentRate>,
    /// The rate of all agents together.
    pub mean: Rate,
    pub started_at: Time,
}

impl Stage {
    pub fn new(n_items: u64, now: Time) -> Self {
        Self {
            n_items,
            pending: RangeSet::of(ItemRange::new(0, n_items)),
            suspects: BTreeMap::new(),
            committed: RangeSet::default(),
            quarantined: RangeSet::default(),
            attempts: BTreeMap::new(),
            slots: [BTreeMap::new(), BTreeMap::new()],
            rates: BTreeMap::new(),
            mean: Rate::default(),
            started_at: now,
        }
    }

    pub fn is_complete(&self) -> bool {
        self.committed.len() + self.quarantined.len() == self.n_items
    }

    /// Whether there is something to lease out.
    pub fn has_open_items(&self) -> bool {
        !self.pending.is_empty() || !self.suspects.is_empty()
    }

    /// Those of `range` that are neither committed nor set aside.
    pub fn unsettled(&self, range: ItemRange) -> Vec<ItemRange> {
        let gaps = self.committed.gaps(range);
        if self.quarantined.is_empty() {
            return gaps;
        }
        gaps.into_iter().flat_map(|gap| self.quarantined.gaps(gap)).collect()
    }

    /// Those of `range` that no lease of `slot` covers.
    pub fn uncovered_by(&self, slot: usize, range: ItemRange) -> Vec<ItemRange> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        for (covered, _) in self.overlapping(slot, range) {
            if at < covered.start {
                gaps.push(ItemRange::new(at, covered.start));
            }
            at = at.max(covered.end);
        }
        if at < range.end {
            gaps.push(ItemRange::new(at, range.end));
        }
        gaps
    }

    /// Those of `range` that are unsettled and in no lease.
    pub fn loose(&self, range: ItemRange) -> Vec<ItemRange> {
        let mut parts = self.unsettled(range);
        for slot in 0..2 {
            if !self.slots[slot].is_empty() {
                parts = parts.into_iter().flat_map(|part| self.uncovered_by(slot, part)).collect();
            }
        }
        parts
    }

    /// Leases of `slot` that overlap `range`, in order.
    pub fn overlapping(&self, slot: usize, range: ItemRange) -> impl Iterator<Item = (ItemRange, LeaseId)> + '_ {
        let from = self.slots[slot].range(..=range.start).next_back().map_or(range.start, |(&start, _)| start);
        self.slots[slot]
            .range(from..range.end.max(from))
            .map(|(&start, cover)| (ItemRange::new(start, cover.end), cover.lease))
            .filter(move |(covered, _)| !covered.intersect(range).is_empty())
    }

    /// A slot in which no lease overlaps `range`.
    pub fn free_slot(&self, range: ItemRange) -> Option<usize> {
        (0..2).find(|&slot| self.overlapping(slot, range).next().is_none())
    }

    /// Puts those items of `range` back that nobody holds and that are not settled. Call it when no lease covers them any more.
    pub fn give_back(&mut self, range: ItemRange, mark: Option<&Mark>) {
        for part in self.loose(range) {
            match mark {
                None => self.pending.insert(part),
                Some(mark) => self.add_suspect(part, mark.clone()),
            }
        }
    }

    pub fn add_suspect(&mut self, range: ItemRange, mark: Mark) {
        if !range.is_empty() {
            self.suspects.insert(range.start, Suspect { end: range.end, mark });
        }
    }

    /// Takes over from the journal that pending items are committed.
    pub fn restore(&mut self, items: ItemRange) {
        let known: Vec<ItemRange> = self.pending.intersection(items).collect();
        for part in known {
            self.pending.remove(part);
            self.committed.insert(part);
        }
    }

    /// Takes over from the journal that pending items are set aside.
    pub fn restore_quarantined(&mut self, items: ItemRange) {
        let known: Vec<ItemRange> = self.pending.intersection(items).collect();
        for part in known {
            self.pending.remove(part);
            self.quarantined.insert(part);
        }
    }

    /// The two halves of a range; the second is empty for a single item.
    pub fn halves(range: ItemRange) -> (ItemRange, ItemRange) {
        range.split_at(range.start + range.len().div_ceil(2))
    }

    /// Records `range` as committed: whatever was held against its items is over.
    pub fn commit(&mut self, range: ItemRange) {
        self.committed.insert(range);
        while let Some((&item, _)) = self.attempts.range(range.start..range.end).next() {
            self.attempts.remove(&item);
        }
    }

    /// Items per core-second of this agent; of all agents where it is not known.
    pub fn rate_of(&self, agent: AgentId) -> Option<f64> {
        self.rates.get(&agent).and_then(|r| r.rate.per_core_second()).or_else(|| self.mean.per_core_second())
    }
}
