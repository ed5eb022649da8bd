//! All that the agent knows: the leases that it holds, what it has to report, what its runner is still to be told. Pure: messages
//! of the coordinator and the runner go in, and what follows from them waits here to be sent.
//! This file must not know connections or processes.

use crate::drain::LeaseDurations;
use crate::log_ring::LogRing;
use crate::outbox::Outbox;
use crate::runner::protocol::{FromRunner, ToRunner};
use paceline_common::failure::{Failure, RunnerDeath};
use paceline_common::ids::{AgentId, JobId, LeaseId};
use paceline_common::message::{
    AgentEvent, AgentOrders, AgentReport, AgentUsage, LeaseGrant, LeaseProgress, LogLine, Order, PartBody, Registered,
};
use paceline_common::range::ItemRange;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Most leases held, those included whose end is not acknowledged: as many as a registration may name. Further ones are given back.
pub const MAX_HELD_LEASES: usize = 4096;

/// A lease that is not over.
#[derive(Clone, Debug)]
struct Held {
    /// Its range's end moves when the lease is shortened.
    grant: LeaseGrant,
    claimed: u64,
    n_done: u64,
    /// When its first item was claimed; `None` before.
    started: Option<Instant>,
}

/// The agent's state.
#[derive(Debug)]
pub struct Book {
    agent: Option<AgentId>,
    last_order_seq: u64,
    leases: BTreeMap<LeaseId, Held>,
    outbox: Outbox,
    logs: LogRing,
    to_runner: VecDeque<ToRunner>,
    durations: LeaseDurations,
    /// Since when it has held nothing and owed nothing.
    idle_since: Option<Instant>,
    draining: Option<String>,
    is_released: bool,
    has_left: bool,
    mapped_bytes: u64,
    usage: AgentUsage,
    /// Whether progress was made that no report has carried.
    has_news: bool,
}

impl Book {
    /// Nothing is held.
    pub fn new(now: Instant) -> Self {
        Self {
            agent: None,
            last_order_seq: 0,
            leases: BTreeMap::new(),
            outbox: Outbox::default(),
            logs: LogRing::default(),
            to_runner: VecDeque::new(),
            durations: LeaseDurations::default(),
            idle_since: Some(now),
            draining: None,
            is_released: false,
            has_left: false,
            mapped_bytes: 0,
            usage: AgentUsage::default(),
            has_news: false,
        }
    }

    // ---- the coordinator's side

    /// Leases to name at a registration: those at work, and those whose end the coordinator may not know.
    pub fn held(&self) -> Vec<LeaseGrant> {
        self.leases.values().map(|held| &held.grant).chain(self.outbox.ended()).cloned().collect()
    }

    /// The coordinator knows this agent (again): everything not acknowledged is due once more.
    pub fn registered(&mut self, registered: &Registered) {
        self.outbox.send_again();
        if self.agent.replace(registered.agent) != Some(registered.agent) {
            self.last_order_seq = 0;
            if let Some(reason) = self.draining.clone() {
                self.outbox.push(AgentEvent::DrainAsked { reason }, vec![]);
            }
        }
        registered.abandon.iter().for_each(|&lease| self.revoke(lease));
    }

    /// The next report; `None` before the first registration.
    pub fn report(&mut self) -> Option<AgentReport> {
        let agent = self.agent?;
        let events = self.outbox.batch();
        let at_work =
            self.leases.values().map(|held| LeaseProgress { lease: held.grant.lease, claimed: held.claimed, n_done: held.n_done });
        // A lease whose end does not fit this report still counts as held, or the coordinator would take it for lost.
        let ended = self.outbox.ended_behind_batch().map(|grant| LeaseProgress {
            lease: grant.lease,
            claimed: grant.range.end,
            n_done: grant.range.len(),
        });
        let leases = at_work.chain(ended).collect();
        self.has_news = false;
        Some(AgentReport { agent, last_order_seq: self.last_order_seq, events, leases, logs: self.logs.batch(), usage: self.usage })
    }

    /// Whether there is something that the coordinator should know at once.
    pub fn has_unsent_events(&self) -> bool {
        self.outbox.has_unsent()
    }

    /// Whether there is something that can wait for the next report.
    pub fn has_news(&self) -> bool {
        self.has_news || self.logs.has_unsent()
    }

    /// Does what the coordinator asks; each order once, in order. Whether there was anything new in it.
    pub fn orders(&mut self, orders: AgentOrders, now: Instant) -> bool {
        let mut is_new = self.outbox.acknowledge(orders.acked_event_seq);
        is_new |= self.logs.acknowledge(orders.acked_log_seq);
        for (seq, order) in orders.orders {
            if seq == self.last_order_seq + 1 {
                self.last_order_seq = seq;
                self.order(order);
                is_new = true;
            }
        }
        self.note_idleness(now);
        is_new
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Grant(grant) => self.granted(grant),
            Order::Shorten { lease, end } if self.leases.contains_key(&lease) => self.to_runner.push_back(ToRunner::Shorten { lease, end }),
            // It is over, and the event that says so is on its way.
            Order::Shorten { .. } => {}
            Order::Revoke { lease } => self.revoke(lease),
            Order::ForgetJob { job } => self.to_runner.push_back(ToRunner::ForgetJob { job }),
            Order::Release => self.is_released = true,
        }
    }

    fn granted(&mut self, grant: LeaseGrant) {
        let ItemRange { start, .. } = grant.range;
        let n_held = self.leases.len() + self.outbox.ended().count();
        if self.draining.is_some() || n_held >= MAX_HELD_LEASES {
            // Nothing was done for it, so it need not be named at a registration either.
            self.outbox.push(AgentEvent::LeaseShortened { lease: grant.lease, end: start }, vec![]);
            return;
        }
        self.to_runner.push_back(ToRunner::Grant(grant.clone()));
        self.leases.insert(grant.lease, Held { grant, claimed: start, n_done: 0, started: None });
    }

    fn revoke(&mut self, lease: LeaseId) {
        if self.leases.remove(&lease).is_some() {
            self.to_runner.push_back(ToRunner::Revoke { lease });
        }
    }

    // ---- the runner's side

    /// The next thing to tell the runner.
    pub fn next_for_runner(&mut self) -> Option<ToRunner> {
        self.to_runner.pop_front()
    }

    /// What the runner says. Messages about leases that were revoked meanwhile are passed over.
    pub fn runner_reported(&mut self, message: FromRunner, now: Instant) {
        match message {
            FromRunner::Ready { .. } => {}
            FromRunner::Started { lease } => {
                if let Some(held) = self.leases.get_mut(&lease) {
                    held.started = Some(now);
                }
            }
            FromRunner::Progress { leases, mapped_bytes } => self.progressed(&leases, mapped_bytes),
            FromRunner::Shortened { lease, end } => self.shortened(lease, end),
            FromRunner::Finished { lease, end, part } => match part.into_body() {
                Some(part) => self.finished(lease, end, part, now),
                None => self.failed(lease, None, Failure::storage("the runner reported a part that cannot be read; report this as a bug")),
            },
            FromRunner::Failed { lease, item, failure } => self.failed(lease, item, failure),
            FromRunner::Log { level, text, job, lease } => self.log(&level, &text, job, lease),
        }
        self.note_idleness(now);
    }

    fn progressed(&mut self, leases: &[LeaseProgress], mapped_bytes: u64) {
        self.mapped_bytes = mapped_bytes;
        self.has_news = true;
        for progress in leases {
            if let Some(held) = self.leases.get_mut(&progress.lease) {
                (held.claimed, held.n_done) = (progress.claimed, progress.n_done);
            }
        }
    }

    fn shortened(&mut self, lease: LeaseId, end: u64) {
        let Some(held) = self.leases.get_mut(&lease) else { return };
        held.grant.range = ItemRange::new(held.grant.range.start, end);
        let is_over = held.grant.range.is_empty();
        let ended = if is_over { self.leases.remove(&lease).map(|held| held.grant) } else { None };
        self.outbox.push(AgentEvent::LeaseShortened { lease, end }, ended.into_iter().collect());
    }

    fn finished(&mut self, lease: LeaseId, end: u64, part: PartBody, now: Instant) {
        let Some(held) = self.leases.remove(&lease) else { return };
        self.durations.add(held.started.map_or(Duration::ZERO, |started| now.saturating_duration_since(started)));
        self.outbox.push(AgentEvent::RangeFinished { lease, end, part }, vec![held.grant]);
    }

    fn failed(&mut self, lease: LeaseId, item: Option<u64>, failure: Failure) {
        let Some(held) = self.leases.remove(&lease) else { return };
        self.outbox.push(AgentEvent::RangeFailed { lease, item, failure }, vec![held.grant]);
    }

    /// The runner is dead, and all leases with it; what it was not told yet is void.
    pub fn runner_died(&mut self, death: RunnerDeath, now: Instant) {
        self.to_runner.clear();
        self.mapped_bytes = 0;
        let leases = std::mem::take(&mut self.leases);
        for grant in leases.values().filter(|held| held.started.is_some()).map(|held| &held.grant) {
            let text = format!("{death}, at work on {} of stage {}", grant.range, grant.stage);
            self.log("error", &text, Some(grant.job), Some(grant.lease));
        }
        if !leases.is_empty() {
            let (at_work, unstarted): (Vec<&Held>, Vec<&Held>) = leases.values().partition(|held| held.started.is_some());
            let ids = |held: Vec<&Held>| held.iter().map(|held| held.grant.lease).collect();
            let event = AgentEvent::RunnerDied { leases: ids(at_work), unstarted: ids(unstarted), death };
            self.outbox.push(event, leases.into_values().map(|held| held.grant).collect());
        }
        self.note_idleness(now);
    }

    /// A line that the runner wrote outside of the protocol: it belongs to what is at work, where that is one thing.
    pub fn runner_said(&mut self, text: &str) {
        let mut at_work = self.leases.values().filter(|held| held.started.is_some()).map(|held| &held.grant);
        let first = at_work.next();
        let (mut job, mut lease) = (first.map(|grant| grant.job), first.map(|grant| grant.lease));
        for grant in at_work {
            lease = None;
            job = job.filter(|&job| job == grant.job);
        }
        self.log("info", text, job, lease);
    }

    /// Adds a line to the log.
    pub fn log(&mut self, level: &str, text: &str, job: Option<JobId>, lease: Option<LeaseId>) {
        // By the node's own clock, for people only.
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        self.logs.push(LogLine { at_ms, job, lease, level: level.to_owned(), text: text.to_owned() });
    }

    // ---- leaving

    /// Takes nothing new, shortens every lease to what is claimed, and says so. Once is enough.
    pub fn drain(&mut self, reason: &str) {
        if self.draining.is_some() {
            return;
        }
        self.draining = Some(reason.to_owned());
        self.outbox.push(AgentEvent::DrainAsked { reason: reason.to_owned() }, vec![]);
        self.to_runner.extend(self.leases.keys().map(|&lease| ToRunner::Shorten { lease, end: 0 }));
    }

    /// Says goodbye; the last event.
    pub fn leave(&mut self) {
        self.has_left = true;
        self.outbox.push(AgentEvent::Leaving, vec![]);
    }

    /// Whether it has said goodbye: that the coordinator does not know it from then on is no news.
    pub fn has_left(&self) -> bool {
        self.has_left
    }

    /// Why it drains, if it does.
    pub fn draining(&self) -> Option<&str> {
        self.draining.as_deref()
    }

    /// Whether the coordinator has let it go.
    pub fn is_released(&self) -> bool {
        self.is_released
    }

    /// Whether no lease is at work.
    pub fn holds_nothing(&self) -> bool {
        self.leases.is_empty()
    }

    /// Whether no lease is at work and no result waits to be acknowledged.
    pub fn has_nothing_to_hand_in(&self) -> bool {
        self.leases.is_empty() && self.outbox.ended().next().is_none()
    }

    /// Whether everything said is acknowledged.
    pub fn owes_nothing(&self) -> bool {
        self.outbox.is_empty()
    }

    // ---- measures

    fn note_idleness(&mut self, now: Instant) {
        let is_idle = self.leases.is_empty();
        self.idle_since = if is_idle { self.idle_since.or(Some(now)) } else { None };
    }

    /// How long it has held nothing.
    pub fn idle_for(&self, now: Instant) -> Option<Duration> {
        self.idle_since.map(|since| now.saturating_duration_since(since))
    }

    /// What 95 of 100 leases of late did not exceed.
    pub fn p95_lease(&self) -> Option<Duration> {
        self.durations.p95()
    }

    /// Bytes that the runner has mapped.
    pub fn mapped_bytes(&self) -> u64 {
        self.mapped_bytes
    }

    /// Takes a measurement.
    pub fn set_usage(&mut self, usage: AgentUsage) {
        self.usage = usage;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;
    use crate::runner::protocol::PartText;
    use paceline_common::ids::{Epoch, StageIdx};

    fn grant(lease: u64, job: u32) -> LeaseGrant {
        let range = ItemRange::new(lease * 10, lease * 10 + 10);
        LeaseGrant { lease: LeaseId(lease), job: JobId(job), stage: StageIdx(0), range, cores: 1, alone: false, job_dir: "/".into() }
    }

    fn registered(agent: u64, abandon: &[u64]) -> Registered {
        let abandon = abandon.iter().map(|&lease| LeaseId(lease)).collect();
        Registered { agent: AgentId(agent), epoch: Epoch(1), heartbeat_interval_ms: 1000, abandon }
    }

    fn orders(acked_event_seq: u64, orders: Vec<(u64, Order)>) -> AgentOrders {
        AgentOrders { acked_event_seq, acked_log_seq: 0, orders }
    }

    fn book_with(leases: &[u64]) -> Book {
        let mut book = Book::new(Instant::now());
        book.registered(&registered(1, &[]));
        let grants = leases.iter().zip(1..).map(|(&lease, seq)| (seq, Order::Grant(grant(lease, 1)))).collect();
        book.orders(orders(0, grants), Instant::now());
        book
    }

    fn finish(book: &mut Book, lease: u64) {
        book.runner_reported(FromRunner::Finished { lease: LeaseId(lease), end: lease * 10 + 10, part: PartText::Empty }, Instant::now());
    }

    fn told(book: &mut Book) -> Vec<ToRunner> {
        std::iter::from_fn(|| book.next_for_runner()).collect()
    }

    #[test]
    fn every_order_is_done_once_and_none_is_skipped() {
        let mut book = book_with(&[1, 2]);
        assert_eq!(told(&mut book).len(), 2);
        let now = Instant::now();
        // The answer comes a second time, then one with a gap.
        assert!(!book.orders(orders(0, vec![(1, Order::Grant(grant(1, 1))), (2, Order::Grant(grant(2, 1)))]), now));
        assert!(!book.orders(orders(0, vec![(4, Order::Release)]), now));
        assert!(told(&mut book).is_empty() && !book.is_released());
        assert_eq!(book.report().unwrap().last_order_seq, 2);
        assert!(book.orders(orders(0, vec![(3, Order::Revoke { lease: LeaseId(1) }), (4, Order::Release)]), now));
        assert_eq!(told(&mut book), vec![ToRunner::Revoke { lease: LeaseId(1) }]);
        assert!(book.is_released());
    }

    #[test]
    fn a_lease_counts_as_held_until_its_end_is_acknowledged() {
        let mut book = book_with(&[1, 2, 3]);
        finish(&mut book, 2);
        finish(&mut book, 2);
        let report = book.report().unwrap();
        assert_eq!((report.events.len(), report.leases.len()), (1, 2));
        let held = |book: &Book| book.held().iter().map(|grant| grant.lease.0).collect::<Vec<_>>();
        assert_eq!(held(&book), [1, 3, 2]);
        book.orders(orders(1, vec![]), Instant::now());
        assert_eq!(held(&book), [1, 3]);
        // A restarted coordinator wants one of them no more.
        book.registered(&registered(2, &[1]));
        assert_eq!((held(&book), book.report().unwrap().last_order_seq), (vec![3], 0));
    }

    #[test]
    fn a_death_tells_suspects_from_bystanders() {
        let mut book = book_with(&[1, 2, 3]);
        let now = Instant::now();
        book.runner_reported(FromRunner::Started { lease: LeaseId(1) }, now);
        book.runner_reported(FromRunner::Started { lease: LeaseId(2) }, now);
        finish(&mut book, 2);
        book.runner_died(RunnerDeath::Signal(11), now);
        let (_, last) = book.report().unwrap().events.pop().unwrap();
        let death = AgentEvent::RunnerDied { leases: vec![LeaseId(1)], unstarted: vec![LeaseId(3)], death: RunnerDeath::Signal(11) };
        assert_eq!(last, death);
        assert!(told(&mut book).is_empty() && book.holds_nothing() && book.idle_for(now).is_some());
        // Without a lease there is nobody to tell.
        let n_events = book.report().unwrap().events.len();
        book.runner_died(RunnerDeath::Exit(1), now);
        assert_eq!(book.report().unwrap().events.len(), n_events);
    }

    #[test]
    fn leases_beyond_the_bound_are_given_back() {
        let leases: Vec<u64> = (0..MAX_HELD_LEASES as u64 + 3).collect();
        let mut book = book_with(&leases);
        assert_eq!((book.held().len(), told(&mut book).len()), (MAX_HELD_LEASES, MAX_HELD_LEASES));
        let report = book.report().unwrap();
        assert_eq!(report.events.len(), 3);
        assert!(report.events.iter().all(|(_, event)| matches!(event, AgentEvent::LeaseShortened { lease, end } if *end == lease.0 * 10)));
    }

    #[test]
    fn a_new_coordinator_hears_again_that_the_agent_drains() {
        let mut book = book_with(&[1]);
        book.drain("SIGTERM");
        book.drain("SIGUSR1");
        assert_eq!(told(&mut book).last(), Some(&ToRunner::Shorten { lease: LeaseId(1), end: 0 }));
        let n_asked = |book: &mut Book| {
            book.report().unwrap().events.iter().filter(|(_, event)| matches!(event, AgentEvent::DrainAsked { .. })).count()
        };
        book.registered(&registered(1, &[]));
        assert_eq!(n_asked(&mut book), 1);
        book.registered(&registered(2, &[]));
        assert_eq!(n_asked(&mut book), 2);
    }

    #[test]
    fn what_the_runner_writes_belongs_to_what_is_at_work() {
        let mut book = Book::new(Instant::now());
        book.registered(&registered(1, &[]));
        let grants = vec![(1, Order::Grant(grant(1, 1))), (2, Order::Grant(grant(2, 1))), (3, Order::Grant(grant(3, 2)))];
        book.orders(orders(0, grants), Instant::now());
        for lease in 0..=3 {
            book.runner_reported(FromRunner::Started { lease: LeaseId(lease) }, Instant::now());
            book.runner_said("a word");
        }
        let lines = book.report().unwrap().logs.lines;
        let places: Vec<_> = lines.iter().map(|line| (line.job.map(|job| job.0), line.lease.map(|lease| lease.0))).collect();
        assert_eq!(places, [(None, None), (Some(1), Some(1)), (Some(1), None), (None, None)]);
    }
}
