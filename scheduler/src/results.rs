//! What agents say of their leases while all goes well: progress, shortened ends, finished ranges.

use crate::action::Action;
use crate::agent::Meter;
use crate::lease::Lease;
use crate::rate::seconds;
use crate::scheduler::Scheduler;
use paceline_common::ids::{AgentId, JobId, LeaseId};
use paceline_common::range::ItemRange;

/// A sample of fewer items than this many per core waits for more, at most `MAX_SAMPLE_NS`, unless its lease ends.
const MIN_SAMPLE_ITEMS_PER_CORE: u64 = 2;
const MAX_SAMPLE_NS: u64 = 1_000_000_000;
/// Shorter times than this are taken for it: a clock's grain must not become a rate.
const MIN_SAMPLE_NS: u64 = 10_000;
/// Memory of a job's rate of commits, for people.
const COMMIT_MEMORY_SECONDS: f64 = 5.0;

impl Scheduler {
    /// Takes over what a report says of a lease. Reports may come out of order, so nothing ever goes back.
    pub(crate) fn note_progress(&mut self, id: LeaseId, claimed: u64, n_done: u64) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        let n_done = n_done.min(lease.range.len());
        let more = n_done.saturating_sub(lease.n_done);
        lease.n_done = lease.n_done.max(n_done);
        lease.claimed = lease.claimed.max(claimed).max(lease.range.start + lease.n_done).min(lease.range.end);
        if !lease.is_unstarted() {
            lease.begun_at.get_or_insert(self.now);
        }
        let lease = lease.clone();
        self.measure(&lease, more, false);
        self.refresh_rate(id);
    }

    /// Counts `n_items` more of a lease towards its agent's rate; `is_end` where the lease is over with them.
    fn measure(&mut self, lease: &Lease, n_items: u64, is_end: bool) {
        let (now, of) = (self.now, Some((lease.job, lease.stage)));
        let Some(agent) = self.agents.get_mut(&lease.agent) else { return };
        if agent.meter.of != of {
            agent.meter = Meter { of, since: agent.meter.last_item_at, n_items: 0, ..agent.meter };
        }
        if n_items > 0 {
            agent.meter.n_items += n_items;
            agent.meter.last_item_at = now;
        }
        let elapsed_ns = now.since(agent.meter.since).max(MIN_SAMPLE_NS);
        let enough = is_end || agent.meter.n_items >= MIN_SAMPLE_ITEMS_PER_CORE * u64::from(agent.cores) || elapsed_ns >= MAX_SAMPLE_NS;
        if agent.meter.n_items == 0 || !enough {
            return;
        }
        let (n_sampled, cores) = (agent.meter.n_items, lease.cores);
        agent.meter.n_items = 0;
        agent.meter.since = now;
        self.add_sample(lease.agent, lease.job, n_sampled, elapsed_ns, cores);
    }

    fn add_sample(&mut self, agent_id: AgentId, job: JobId, n_items: u64, elapsed_ns: u64, cores: u32) {
        let n_cores = self.index.n_cores as f64;
        let Some(stage) = self.stage_mut(job) else { return };
        let own = stage.rates.entry(agent_id).or_default();
        own.rate.add(n_items, seconds(elapsed_ns), cores);
        let own_rate = own.rate.per_core_second();
        let memory = stage.mean.memory_seconds() * n_cores;
        stage.mean.add_remembering(n_items, seconds(elapsed_ns) * f64::from(cores), memory);
        let Some((own, mean)) = own_rate.zip(stage.mean.per_core_second()) else { return };
        if let Some(agent) = self.agents.get_mut(&agent_id) {
            // A float beyond the range of i16 becomes the nearest value that there is.
            agent.slowness = (-(own / mean).log2() * 8.0).round() as i16;
        }
    }

    pub(crate) fn shorten_lease(&mut self, agent: AgentId, id: LeaseId, end: u64) {
        if self.hear(agent).is_none() {
            return;
        }
        let Some(lease) = self.reported_lease(agent, id) else { return };
        lease.shortening = None;
        self.cut(id, end);
    }

    pub(crate) fn finish_range(&mut self, agent_id: AgentId, id: LeaseId, end: u64) {
        if self.hear(agent_id).is_none() {
            return;
        }
        let Some(lease) = self.reported_lease(agent_id, id) else { return };
        let part_items = ItemRange::new(lease.range.start, end);
        let done = part_items.intersect(lease.range);
        let more = done.len().saturating_sub(lease.n_done);
        let lease = lease.clone();
        self.measure(&lease, more, true);
        self.remove(id);
        if !done.is_empty() {
            self.note_success(&lease, done.len());
            self.commit(&lease, id, part_items, done);
        }
        let tail = ItemRange::new(done.end, lease.range.end);
        if let Some(stage) = self.stage_mut(lease.job) {
            stage.give_back(tail, lease.mark.as_ref());
        }
        self.refresh_job(lease.job);
        self.pass_barrier(lease.job);
    }

    /// An agent that finishes a range is sound, and can be trusted with larger ones.
    fn note_success(&mut self, lease: &Lease, n_items: u64) {
        if let Some(agent) = self.agents.get_mut(&lease.agent) {
            agent.n_failures = 0;
            agent.n_exclusions = 0;
        }
        let agent = lease.agent;
        if let Some(stage) = self.stage_mut(lease.job) {
            let own = stage.rates.entry(agent).or_default();
            own.largest_lease = own.largest_lease.max(n_items);
        }
    }

    /// Accepts those items of a part that nobody else has had accepted before.
    fn commit(&mut self, lease: &Lease, id: LeaseId, part_items: ItemRange, done: ItemRange) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&lease.job) else { return };
        let Some(stage) = &mut job.stage else { return };
        let accepted = stage.unsettled(done);
        accepted.iter().for_each(|items| stage.commit(*items));
        let n_accepted: u64 = accepted.iter().map(|items| items.len()).sum();
        job.n_duplicates_dropped += done.len() - n_accepted;
        job.commit_rate.add_remembering(n_accepted, seconds(now.since(job.last_commit_at)), COMMIT_MEMORY_SECONDS);
        job.last_commit_at = now;
        if let Some(agent) = self.agents.get_mut(&lease.agent) {
            agent.n_committed += n_accepted;
        }
        if accepted.is_empty() {
            return;
        }
        self.actions.push(Action::Commit { lease: id, job: lease.job, stage: lease.stage, part_items, accepted });
        self.trim_duplicates(lease.job, done);
    }

    /// Other leases on items that are committed now: revoked where nothing of them is left to do, else asked to leave out the tail.
    fn trim_duplicates(&mut self, job: JobId, committed: ItemRange) {
        let Some(stage) = self.stage_mut(job) else { return };
        let others: Vec<LeaseId> = (0..2).flat_map(|slot| stage.overlapping(slot, committed).map(|(_, lease)| lease)).collect();
        for id in others {
            let Some(range) = self.leases.get(&id).map(|lease| lease.range) else { continue };
            let Some(stage) = self.stage_mut(job) else { return };
            match stage.unsettled(range).last().map(|last| last.end) {
                None => self.revoke(id),
                Some(end) if end < range.end => {
                    self.ask_to_shorten(id, end);
                }
                Some(_) => {}
            }
        }
    }
}
