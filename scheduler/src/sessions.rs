//! Agents that come, report, fall silent, drain and go.

use crate::action::Action;
use crate::agent::Agent;
use crate::event::{HeldLease, Time};
use crate::lease::{ASSUMED_ITEMS_PER_CORE_SECOND, Lease, Sighting};
use crate::scheduler::Scheduler;
use paceline_common::ids::{AgentId, LeaseId};
use paceline_common::message::LeaseProgress;
use paceline_common::range::ItemRange;

impl Scheduler {
    pub(crate) fn join_agent(&mut self, id: AgentId, cores: u32, held: &[HeldLease]) {
        if self.agents.contains_key(&id) {
            self.n_stale_reports += 1;
            return;
        }
        let agent = Agent::new(cores, self.now);
        self.index.n_cores += u64::from(agent.cores);
        self.agents.insert(id, agent);
        self.refresh_agent(id);
        if self.is_restart && self.reattach_until.is_none() {
            self.reattach_until = Some(self.now.plus(self.policy.reattach_grace_ns));
        }
        for lease in held {
            if !self.adopt(id, lease) {
                self.actions.push(Action::Revoke { agent: id, lease: lease.lease });
            }
        }
    }

    /// Takes over a lease that an agent brings along, if its items are still wanted and nobody else has them.
    fn adopt(&mut self, agent_id: AgentId, held: &HeldLease) -> bool {
        // The same process under its old number: what it held there it holds here.
        if self.leases.contains_key(&held.lease) {
            self.void(held.lease);
        }
        let Some(agent) = self.agents.get(&agent_id) else { return false };
        let cores = held.cores.clamp(1, agent.cores);
        let has_room = agent.leases.len() < self.policy.max_leases_per_agent;
        let Some(job) = self.jobs.get(&held.job).filter(|job| !job.is_ended() && job.stage_idx() == held.stage) else { return false };
        let Some(stage) = job.stage.as_ref().filter(|stage| held.range.end <= stage.n_items) else { return false };
        let is_wanted = stage.pending.intersection(held.range).next().is_some();
        let Some(slot) = stage.free_slot(held.range) else { return false };
        if !is_wanted || !has_room || !stage.suspects_clear_of(held.range) {
            return false;
        }
        let lease = Lease {
            agent: agent_id,
            job: held.job,
            stage: held.stage,
            range: held.range,
            cores,
            alone: false,
            slot,
            speculative: false,
            claimed: held.range.start,
            n_done: 0,
            granted_at: self.now,
            begun_at: Some(self.now),
            sighting: Sighting::Seen,
            shortening: None,
            mark: None,
            items_per_core_second: ASSUMED_ITEMS_PER_CORE_SECOND,
            charge: 0,
        };
        if !self.may_book(agent_id, &lease) {
            return false;
        }
        if let Some(stage) = self.stage_mut(held.job) {
            stage.pending.remove(held.range);
        }
        self.enter(held.lease, lease);
        true
    }

    /// Whether the agent's cores and the job's cap allow a lease that is already being worked on.
    fn may_book(&self, agent_id: AgentId, lease: &Lease) -> bool {
        let (Some(agent), Some(job)) = (self.agents.get(&agent_id), self.jobs.get(&lease.job)) else { return false };
        let here = agent.booked_by(lease.job);
        let more = (here + lease.booked_cores()).min(agent.cores) - here;
        let fits_cap = job.cores_left().is_none_or(|left| u64::from(more) <= left);
        fits_cap && agent.booked_in_all + lease.booked_cores() <= 2 * agent.cores
    }

    /// Any word of an agent is a sign of life. `None` for an agent that is unknown or was dropped.
    pub(crate) fn hear(&mut self, id: AgentId) -> Option<()> {
        let now = self.now;
        let Some(agent) = self.agents.get_mut(&id) else {
            self.n_stale_reports += 1;
            return None;
        };
        agent.last_heard = now;
        if agent.is_silent {
            agent.is_silent = false;
            self.refresh_agent(id);
        }
        Some(())
    }

    pub(crate) fn hear_report(&mut self, id: AgentId, reported: &[LeaseProgress]) {
        if self.hear(id).is_none() {
            return;
        }
        for progress in reported {
            match self.reported_lease(id, progress.lease) {
                Some(lease) => {
                    lease.sighting = Sighting::Seen;
                    self.note_progress(progress.lease, progress.claimed, progress.n_done);
                }
                None => self.actions.push(Action::Revoke { agent: id, lease: progress.lease }),
            }
        }
        self.find_lost_leases(id, reported);
        self.refresh_agent(id);
        self.repeat_release(id);
    }

    /// Leases that the agent does not name were lost on the way to it, or their end was lost on the way from it.
    fn find_lost_leases(&mut self, id: AgentId, reported: &[LeaseProgress]) {
        let (now, grace_ns) = (self.now, self.policy.grant_grace_ns);
        let Some(agent) = self.agents.get(&id) else { return };
        let mut lost: Vec<LeaseId> = Vec::new();
        for held in &agent.leases {
            if reported.iter().any(|progress| progress.lease == *held) {
                continue;
            }
            let Some(lease) = self.leases.get_mut(held) else { continue };
            match lease.sighting {
                Sighting::Seen => lease.sighting = Sighting::Absent { since: now },
                Sighting::Absent { since } if now.since(since) > grace_ns => lost.push(*held),
                Sighting::Absent { .. } => {}
            }
        }
        // Revoked too, in case the grant is still on its way.
        lost.into_iter().for_each(|lease| self.revoke(lease));
    }

    pub(crate) fn lose_agent(&mut self, id: AgentId) {
        let Some(agent) = self.agents.get(&id) else { return };
        let leases = agent.leases.clone();
        // From here on nothing is granted to it.
        self.close_agent(id);
        leases.into_iter().for_each(|lease| self.void(lease));
        self.agents.remove(&id);
        for job in self.jobs.values_mut() {
            if let Some(stage) = &mut job.stage {
                stage.rates.remove(&id);
            }
        }
    }

    /// Takes an agent out of every index before its leases end.
    fn close_agent(&mut self, id: AgentId) {
        self.index.reserved.remove(&id);
        let Some(agent) = self.agents.get_mut(&id) else { return };
        agent.reserved_for = None;
        agent.is_silent = true;
        // It needs no release any more.
        agent.released_at = Some(self.now);
        self.index.n_cores -= u64::from(agent.cores);
        self.refresh_hunger(id);
    }

    pub(crate) fn find_silent_agents(&mut self) {
        let (now, silent_after, timeout) = (self.now, self.policy.silent_after_ns, self.policy.heartbeat_timeout_ns);
        let silence = |agent: &Agent| now.since(agent.last_heard);
        let is_odd = |agent: &Agent| agent.excluded_until.is_some() || agent.is_draining || silence(agent) >= silent_after;
        let odd: Vec<(AgentId, u64)> =
            self.agents.iter().filter(|(_, agent)| is_odd(agent)).map(|(id, agent)| (*id, silence(agent))).collect();
        for (id, silent_ns) in odd {
            if silent_ns >= timeout {
                let leases = self.leases_of_agent(id, now);
                self.actions.push(Action::DropAgent { agent: id, leases });
                self.lose_agent(id);
                continue;
            }
            if let Some(agent) = self.agents.get_mut(&id) {
                agent.is_silent = silent_ns >= silent_after;
                agent.excluded_until = agent.excluded_until.filter(|until| now < *until);
            }
            self.refresh_agent(id);
            self.shorten_leases_of_draining(id);
        }
    }

    pub(crate) fn drain_agent(&mut self, id: AgentId) {
        if self.hear(id).is_none() {
            return;
        }
        if let Some(agent) = self.agents.get_mut(&id) {
            agent.is_draining = true;
        }
        self.refresh_agent(id);
        self.shorten_leases_of_draining(id);
    }

    /// A draining agent finishes what its threads have claimed; the rest goes elsewhere. Asked again until answered.
    fn shorten_leases_of_draining(&mut self, id: AgentId) {
        let Some(agent) = self.agents.get(&id).filter(|agent| agent.is_draining) else { return };
        for lease_id in agent.leases.clone() {
            if let Some(end) = self.leases.get(&lease_id).map(|lease| lease.unclaimed().start) {
                self.ask_to_shorten(lease_id, end);
            }
        }
    }

    /// Last of all, since what an agent has handed in must be durable before it goes.
    pub(crate) fn release_drained_agents(&mut self) {
        while let Some(id) = self.index.drained.pop_first() {
            let Some(agent) = self.agents.get_mut(&id) else { continue };
            agent.released_at = Some(self.now);
            self.actions.push(Action::Release { agent: id });
        }
    }

    /// An agent that reports although it was released has not heard of it.
    fn repeat_release(&mut self, id: AgentId) {
        let (now, repeat_ns) = (self.now, self.policy.release_repeat_ns);
        let Some(agent) = self.agents.get_mut(&id) else { return };
        if agent.released_at.is_some_and(|at: Time| now.since(at) >= repeat_ns) {
            agent.released_at = Some(now);
            self.actions.push(Action::Release { agent: id });
        }
    }
}

impl crate::stage::Stage {
    /// Whether no suspected range overlaps `range`.
    pub(crate) fn suspects_clear_of(&self, range: ItemRange) -> bool {
        self.suspects.range(..range.end).next_back().is_none_or(|(_, suspect)| suspect.end <= range.start)
    }
}
