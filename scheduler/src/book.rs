//! The book of leases: the only place where a lease begins and ends, where reports are matched with leases, and where what is
//! derived from leases is brought up to date.

use crate::action::Action;
use crate::event::Time;
use crate::index::HungryKey;
use crate::lease::{ASSUMED_ITEMS_PER_CORE_SECOND, Lease, Mark, Sighting};
use crate::scheduler::Scheduler;
use crate::stage::{Cover, Stage};
use paceline_common::ids::{AgentId, JobId, LeaseId, StageIdx};
use paceline_common::range::ItemRange;

/// What a new lease is to be.
#[derive(Clone, Debug)]
pub(crate) struct NewLease {
    pub agent: AgentId,
    pub job: JobId,
    pub range: ItemRange,
    pub cores: u32,
    pub slot: usize,
    pub mark: Option<Mark>,
    pub speculative: bool,
}

impl Scheduler {
    /// The lease that a report of `agent` names, if the agent holds it. Here and nowhere else stale reports are dropped.
    pub(crate) fn reported_lease(&mut self, agent: AgentId, lease: LeaseId) -> Option<&mut Lease> {
        let found = self.leases.get_mut(&lease).filter(|held| held.agent == agent);
        if found.is_none() {
            self.n_stale_reports += 1;
        }
        found
    }

    /// The stage of a lease, which is always its job's present one.
    pub(crate) fn stage_mut(&mut self, job: JobId) -> Option<&mut Stage> {
        self.jobs.get_mut(&job)?.stage.as_mut()
    }

    /// Begins a lease whose items are taken from where they were, and tells the agent.
    pub(crate) fn grant(&mut self, new: NewLease) {
        let lease = self.counter.next();
        let alone = new.mark.as_ref().is_some_and(|mark| mark.alone);
        let stage = self.jobs.get(&new.job).map_or(StageIdx(0), |job| job.stage_idx());
        self.actions.push(Action::Grant { agent: new.agent, lease, job: new.job, stage, range: new.range, cores: new.cores, alone });
        let charge = self.charge(&new);
        self.enter(
            lease,
            Lease {
                agent: new.agent,
                job: new.job,
                stage,
                range: new.range,
                cores: new.cores,
                alone,
                slot: new.slot,
                speculative: new.speculative,
                claimed: new.range.start,
                n_done: 0,
                granted_at: self.now,
                begun_at: None,
                sighting: Sighting::Absent { since: self.now },
                shortening: None,
                mark: new.mark,
                items_per_core_second: ASSUMED_ITEMS_PER_CORE_SECOND,
                charge,
            },
        );
    }

    /// Enters a lease in the book.
    pub(crate) fn enter(&mut self, id: LeaseId, mut lease: Lease) {
        let (agent_id, job_id, now) = (lease.agent, lease.job, self.now);
        if let Some(job) = self.jobs.get_mut(&job_id) {
            job.leases.insert(id);
            if let Some(stage) = &mut job.stage {
                stage.slots[lease.slot].insert(lease.range.start, Cover { end: lease.range.end, lease: id });
            }
        }
        if let Some(agent) = self.agents.get_mut(&agent_id) {
            if agent.leases.is_empty() {
                lease.begun_at = Some(now);
                agent.meter.since = now;
                agent.meter.last_item_at = now;
                agent.meter.n_items = 0;
            }
            agent.leases.push(id);
            agent.awaits_loot_since = None;
        }
        self.leases.insert(id, lease);
        self.refresh_rate(id);
        self.refresh_agent(agent_id);
        self.refresh_job(job_id);
    }

    /// Ends a lease. Its items are the caller's to place.
    pub(crate) fn remove(&mut self, id: LeaseId) -> Option<Lease> {
        let lease = self.leases.remove(&id)?;
        self.settle_charge(&lease);
        if let Some(job) = self.jobs.get_mut(&lease.job) {
            job.leases.remove(&id);
            if let Some(stage) = &mut job.stage {
                stage.slots[lease.slot].remove(&lease.range.start);
            }
        }
        if let Some(agent) = self.agents.get_mut(&lease.agent) {
            agent.leases.retain(|held| *held != id);
            if let Some(first) = agent.leases.first().and_then(|first| self.leases.get_mut(first)) {
                first.begun_at.get_or_insert(self.now);
            }
        }
        self.refresh_agent(lease.agent);
        Some(lease)
    }

    /// Ends a lease whose items go back to be leased again, under the mark that they carried.
    pub(crate) fn void(&mut self, id: LeaseId) {
        let Some(lease) = self.remove(id) else { return };
        if let Some(stage) = self.stage_mut(lease.job) {
            stage.give_back(lease.range, lease.mark.as_ref());
        }
        self.refresh_job(lease.job);
    }

    /// Ends a lease and tells its agent to drop it; its items go back where nobody else holds them.
    pub(crate) fn revoke(&mut self, id: LeaseId) {
        if let Some(lease) = self.leases.get(&id) {
            self.actions.push(Action::Revoke { agent: lease.agent, lease: id });
        }
        self.void(id);
    }

    /// Moves the end of a lease forward and puts its tail back; a lease without items is over.
    pub(crate) fn cut(&mut self, id: LeaseId, end: u64) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        let (kept, tail) = lease.range.split_at(end);
        if kept.is_empty() {
            return self.void(id);
        }
        lease.range = kept;
        lease.claimed = lease.claimed.min(kept.end);
        let (agent_id, job_id, slot, mark) = (lease.agent, lease.job, lease.slot, lease.mark.clone());
        if let Some(stage) = self.stage_mut(job_id) {
            if let Some(cover) = stage.slots[slot].get_mut(&kept.start) {
                cover.end = kept.end;
            }
            stage.give_back(tail, mark.as_ref());
        }
        self.refresh_agent(agent_id);
        self.refresh_job(job_id);
        self.revoke_if_settled(id);
    }

    /// A lease of which every item was committed from elsewhere has no purpose.
    pub(crate) fn revoke_if_settled(&mut self, id: LeaseId) {
        let Some((job, range)) = self.leases.get(&id).map(|lease| (lease.job, lease.range)) else { return };
        if self.stage_mut(job).is_some_and(|stage| stage.unsettled(range).is_empty()) {
            self.revoke(id);
        }
    }

    /// Brings up to date what is derived from an agent's leases and state.
    pub(crate) fn refresh_agent(&mut self, id: AgentId) {
        let finish_at = self.expected_finish(id);
        let Some(agent) = self.agents.get_mut(&id) else { return };
        let booked = booked_by_job(agent.cores, agent.leases.iter().filter_map(|lease| self.leases.get(lease)));
        if booked.0 != agent.booked {
            for (job, cores) in &agent.booked {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.n_cores_booked -= u64::from(*cores);
                }
            }
            for (job, cores) in &booked.0 {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.n_cores_booked += u64::from(*cores);
                }
            }
        }
        (agent.booked, agent.booked_in_all) = booked;
        if agent.finish_at != finish_at {
            if let Some(old) = agent.finish_at {
                self.index.by_finish.remove(&(old, id));
            }
            if let Some(new) = finish_at {
                self.index.by_finish.insert((new, id));
            }
            agent.finish_at = finish_at;
        }
        self.refresh_hunger(id);
        if self.agents.get(&id).is_some_and(|agent| agent.is_draining && agent.leases.is_empty() && agent.released_at.is_none()) {
            self.index.drained.insert(id);
        }
    }

    /// Puts the agent where it belongs among those with room.
    pub(crate) fn refresh_hunger(&mut self, id: AgentId) {
        let Some(agent) = self.agents.get_mut(&id) else { return };
        let holds_alone = agent.leases.first().and_then(|lease| self.leases.get(lease)).is_some_and(|lease| lease.alone);
        let has_room =
            agent.is_eligible(self.now) && agent.reserved_for.is_none() && !holds_alone && agent.room(self.policy.max_leases_per_agent) > 0;
        let key = has_room.then_some(HungryKey { n_leases: agent.leases.len(), slowness: agent.slowness, agent: id });
        let old = agent.hungry_key;
        if key == old {
            return;
        }
        let cores = u64::from(agent.cores);
        agent.hungry_key = key;
        if let Some(old) = old {
            self.index.hungry.remove(&old);
            if old.n_leases == 0 {
                self.index.n_idle_cores -= cores;
                self.index.thieves.remove(&id);
            }
        }
        if let Some(key) = key {
            self.index.hungry.insert(key);
            if key.n_leases == 0 {
                self.index.n_idle_cores += cores;
                self.index.thieves.insert(id);
            }
        }
    }

    /// When the agent will have nothing left, by its measured rates; `None` where it holds nothing.
    fn expected_finish(&self, id: AgentId) -> Option<Time> {
        let agent = self.agents.get(&id).filter(|agent| !agent.leases.is_empty())?;
        let held = agent.leases.iter().filter_map(|lease| self.leases.get(lease));
        Some(held.fold(self.now, |at, lease| at.plus(lease.expected_ns(lease.n_left()))))
    }

    /// Takes over what is known by now of the agent's speed at the lease's stage.
    pub(crate) fn refresh_rate(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        let stage = self.jobs.get(&lease.job).and_then(|job| job.stage.as_ref());
        lease.items_per_core_second = stage.and_then(|stage| stage.rate_of(lease.agent)).unwrap_or(ASSUMED_ITEMS_PER_CORE_SECOND);
    }

    /// Whether the job has something to lease out, and its place in the order of jobs.
    pub(crate) fn refresh_job(&mut self, id: JobId) {
        let reattaching = self.is_reattaching();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let is_lonely = job.stage.as_ref().is_some_and(|stage| stage.suspects.values().any(|suspect| suspect.mark.alone));
        if is_lonely {
            self.index.lonely.insert(id);
        } else if !self.index.lonely.is_empty() {
            self.index.lonely.remove(&id);
        }
        let is_ready =
            job.is_active() && job.stage.as_ref().is_some_and(Stage::has_open_items) && !(reattaching && job.awaits_reattachment);
        if is_ready && job.ready_key.is_none() {
            // While it had nothing to lease out, nothing was owed to it.
            job.virtual_time = job.virtual_time.max(self.virtual_time);
        }
        let key = is_ready.then_some(job.virtual_time);
        if key != job.ready_key {
            if let Some(old) = job.ready_key {
                self.index.ready.remove(&(old, id));
            }
            if let Some(key) = key {
                self.index.ready.insert((key, id));
            }
            job.ready_key = key;
        }
    }
}

/// Cores that the leases of one agent book, by job and in all. A job's leases together never keep more threads than the agent has.
pub(crate) fn booked_by_job<'a>(cores: u32, leases: impl Iterator<Item = &'a Lease>) -> (Vec<(JobId, u32)>, u32) {
    let mut by_job: Vec<(JobId, u32)> = Vec::new();
    let mut in_all = 0;
    for lease in leases {
        in_all += lease.booked_cores();
        match by_job.iter_mut().find(|(job, _)| *job == lease.job) {
            Some((_, booked)) => *booked = (*booked + lease.booked_cores()).min(cores),
            None => by_job.push((lease.job, lease.booked_cores().min(cores))),
        }
    }
    (by_job, in_all)
}
