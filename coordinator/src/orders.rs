//! The orders on their way to one agent: numbered, and kept until the agent says that it has them. An answer that is lost with its
//! connection costs nothing: what it carried is sent again.

use paceline_common::ids::LeaseId;
use paceline_common::message::{LeaseProgress, MAX_ORDERS_PER_REPLY, Order};
use std::collections::VecDeque;

/// Orders not yet acknowledged, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    orders: VecDeque<(u64, Order)>,
    last_seq: u64,
}

impl Outbox {
    /// Queues an order.
    pub(crate) fn push(&mut self, order: Order) {
        self.last_seq += 1;
        self.orders.push_back((self.last_seq, order));
    }

    /// The agent has every order up to `seq`.
    pub(crate) fn acknowledge(&mut self, seq: u64) {
        while self.orders.front().is_some_and(|(first, _)| *first <= seq) {
            self.orders.pop_front();
        }
    }

    /// Whether there is something to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// What the next answer carries.
    pub(crate) fn next_batch(&self) -> Vec<(u64, Order)> {
        self.orders.iter().take(MAX_ORDERS_PER_REPLY).cloned().collect()
    }

    /// Leases granted by orders that the agent has not seen yet, as far as a lease on its way can be: untouched. With them, the
    /// agent's own list is the whole truth about what it holds.
    pub(crate) fn grants_under_way(&self) -> impl Iterator<Item = LeaseProgress> + '_ {
        self.orders.iter().filter_map(|(_, order)| match order {
            Order::Grant(grant) if !self.is_revoked(grant.lease) => {
                Some(LeaseProgress { lease: grant.lease, claimed: grant.range.start, n_done: 0 })
            }
            _ => None,
        })
    }

    fn is_revoked(&self, lease: LeaseId) -> bool {
        self.orders.iter().any(|(_, order)| matches!(order, Order::Revoke { lease: revoked } if *revoked == lease))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;
    use paceline_common::ids::JobId;

    #[test]
    fn orders_are_repeated_until_they_are_acknowledged() {
        let mut outbox = Outbox::default();
        (1..=3).for_each(|job| outbox.push(Order::ForgetJob { job: JobId(job) }));
        assert_eq!(outbox.next_batch(), outbox.next_batch());
        outbox.acknowledge(2);
        assert_eq!(outbox.next_batch(), [(3, Order::ForgetJob { job: JobId(3) })]);
        // An acknowledgement that comes late or twice changes nothing.
        outbox.acknowledge(1);
        assert!(!outbox.is_empty());
        outbox.acknowledge(3);
        assert!(outbox.is_empty());
        outbox.push(Order::Release);
        assert_eq!(outbox.next_batch(), [(4, Order::Release)]);
    }
}
