//! Events on their way to the coordinator: numbered, sent again until they are acknowledged. Pure bookkeeping.
//!
//! Its length is bounded by what it is about: each lease ends once, and the book refuses leases beyond a bound of its own.
//! This file must not know connections.

use paceline_common::message::{AgentEvent, LeaseGrant, MAX_EVENTS_PER_REPORT, PartBody};
use std::collections::VecDeque;

/// Most bytes of inline parts in one report, so that a report stays far below the frame limit.
const MAX_INLINE_BYTES_PER_REPORT: usize = 1 << 20;

/// An event that is not acknowledged.
#[derive(Clone, Debug)]
struct Entry {
    seq: u64,
    event: AgentEvent,
    /// Leases that end with it: they count as held until the coordinator knows.
    ended: Vec<LeaseGrant>,
}

/// Events that are not acknowledged, oldest first.
#[derive(Debug, Default)]
pub struct Outbox {
    entries: VecDeque<Entry>,
    last_seq: u64,
    /// The highest number sent over the present connection.
    sent_seq: u64,
}

impl Outbox {
    /// Adds an event, and the leases that end with it.
    pub fn push(&mut self, event: AgentEvent, ended: Vec<LeaseGrant>) {
        self.last_seq += 1;
        self.entries.push_back(Entry { seq: self.last_seq, event, ended });
    }

    /// Forgets what is settled; whether anything was.
    pub fn acknowledge(&mut self, up_to_seq: u64) -> bool {
        let n_settled = self.entries.iter().take_while(|entry| entry.seq <= up_to_seq).count();
        self.entries.drain(..n_settled);
        n_settled > 0
    }

    /// The connection is a new one: everything left is to be sent again.
    pub fn send_again(&mut self) {
        self.sent_seq = 0;
    }

    /// The oldest events that fit a report.
    pub fn batch(&mut self) -> Vec<(u64, AgentEvent)> {
        let n = self.n_in_batch();
        let batch: Vec<_> = self.entries.iter().take(n).map(|entry| (entry.seq, entry.event.clone())).collect();
        self.sent_seq = self.sent_seq.max(batch.last().map_or(0, |(seq, _)| *seq));
        batch
    }

    fn n_in_batch(&self) -> usize {
        let mut n_bytes = 0;
        let fits = |entry: &&Entry| {
            n_bytes += match &entry.event {
                AgentEvent::RangeFinished { part: PartBody::Inline(bytes), .. } => bytes.len(),
                _ => 0,
            };
            n_bytes <= MAX_INLINE_BYTES_PER_REPORT
        };
        self.entries.iter().take(MAX_EVENTS_PER_REPORT).take_while(fits).count()
    }

    /// Whether the next batch would say something that the present connection has not carried.
    pub fn has_unsent(&self) -> bool {
        let n = self.n_in_batch();
        n > 0 && self.entries.get(n - 1).is_some_and(|entry| entry.seq > self.sent_seq)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Leases whose end is not acknowledged.
    pub fn ended(&self) -> impl Iterator<Item = &LeaseGrant> {
        self.entries.iter().flat_map(|entry| &entry.ended)
    }

    /// Leases whose end stands behind the events that fit a report.
    pub fn ended_behind_batch(&self) -> impl Iterator<Item = &LeaseGrant> {
        self.entries.iter().skip(self.n_in_batch()).flat_map(|entry| &entry.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paceline_common::ids::LeaseId;

    fn finished(lease: u64, n_bytes: usize) -> AgentEvent {
        AgentEvent::RangeFinished { lease: LeaseId(lease), end: 1, part: PartBody::Inline(vec![0; n_bytes]) }
    }

    #[test]
    fn events_are_sent_again_until_acknowledged_and_keep_their_numbers() {
        let mut outbox = Outbox::default();
        (0..600).for_each(|i| outbox.push(finished(i, 8), vec![]));
        assert!(outbox.has_unsent());
        let first = outbox.batch();
        assert_eq!((first.len(), first[0].0, outbox.has_unsent()), (MAX_EVENTS_PER_REPORT, 1, false));
        assert_eq!(outbox.batch(), first);
        outbox.acknowledge(100);
        assert!(outbox.has_unsent());
        let second = outbox.batch();
        assert_eq!((second[0].0, second.len()), (101, MAX_EVENTS_PER_REPORT));
        outbox.send_again();
        assert!(outbox.has_unsent());
        outbox.acknowledge(600);
        assert!(outbox.is_empty() && !outbox.has_unsent() && outbox.batch().is_empty());
        outbox.push(AgentEvent::Leaving, vec![]);
        assert_eq!(outbox.batch(), vec![(601, AgentEvent::Leaving)]);
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_too() {
        let mut outbox = Outbox::default();
        (0..200).for_each(|i| outbox.push(finished(i, 16 << 10), vec![]));
        assert_eq!(outbox.batch().len(), 64);
    }
}
