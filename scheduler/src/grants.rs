//! Handing out open items: which job is served next, which agent it gets, and what that agent gets of it.

use crate::action::Action;
use crate::book::NewLease;
use crate::lease::{Mark, Shortening};
use crate::scheduler::Scheduler;
use crate::sizing::{self, Demand};
use crate::stage::Suspect;
use paceline_common::ids::{AgentId, JobId, LeaseId};
use paceline_common::range::ItemRange;
use std::ops::Bound;

/// How many agents are looked at for one lease before the job is passed over until the next event. Beyond a few the reason is the
/// job's own: its cap, or a suspected range that rests.
const MAX_AGENTS_TRIED: usize = 8;
/// How many suspected ranges are looked at for one lease, for the same reason.
const MAX_SUSPECTS_TRIED: usize = 8;
/// Of so many agents, one may be kept free for the suspected ranges of a job...
const MIN_AGENTS_PER_RESERVED: usize = 4;
/// ...and no more than so many in all: halving needs few agents.
const MAX_RESERVED_PER_JOB: usize = 16;

impl Scheduler {
    /// Leases out open items as long as there is an agent with room for a job that may use it.
    pub(crate) fn lease_out_open_items(&mut self) {
        self.serve_reserved_agents();
        let mut after = Bound::Unbounded;
        while !self.index.hungry.is_empty() {
            let Some(&(virtual_time, job)) = self.index.ready.range((after, Bound::Unbounded)).next() else { break };
            // A grant moves the job's virtual time, so the order is looked at anew; a job that can use no agent is passed over.
            after = if self.serve(job) { Bound::Unbounded } else { Bound::Excluded((virtual_time, job)) };
        }
        self.reserve_agents_for_suspects();
        self.make_room_for_new_job();
    }

    /// A job that has nothing yet, while every agent has a lease waiting behind the one at work, takes the place of one that waits:
    /// it then begins as soon as any lease ends.
    fn make_room_for_new_job(&mut self) {
        let (now, timeout_ns) = (self.now, self.policy.shorten_timeout_ns);
        let Some(&(_, job_id)) = self.index.ready.first().filter(|_| self.index.hungry.is_empty()) else { return };
        let Some(job) = self.jobs.get_mut(&job_id).filter(|job| job.leases.is_empty()) else { return };
        if job.asked_for_room_at.is_some_and(|at| now.since(at) < timeout_ns) {
            return;
        }
        job.asked_for_room_at = Some(now);
        let soonest = self.index.by_finish.iter().take(MAX_AGENTS_TRIED).map(|(_, agent)| *agent);
        let waiting = soonest.filter_map(|agent| self.waiting_lease(agent)).next();
        if let Some((lease, start)) = waiting {
            self.ask_to_shorten(lease, start);
        }
    }

    /// The last lease of an agent that may get new work, if it waits behind another and was not begun.
    fn waiting_lease(&self, agent_id: AgentId) -> Option<(LeaseId, u64)> {
        let agent = self.agents.get(&agent_id).filter(|agent| agent.is_eligible(self.now) && agent.reserved_for.is_none())?;
        let id = *agent.leases.get(1..)?.last()?;
        let lease = self.leases.get(&id).filter(|lease| lease.is_unstarted() && lease.mark.is_none())?;
        lease.may_be_asked(self.now, self.policy.shorten_timeout_ns).then_some((id, lease.range.start))
    }

    /// Grants one lease of this job; `false` where no agent can take one.
    fn serve(&mut self, job_id: JobId) -> bool {
        if self.serve_suspect(job_id) {
            return true;
        }
        // Under a cap, other leases of the job would take the cores that a suspected range waits for.
        let waits = self.index.lonely.contains(&job_id) && self.jobs.get(&job_id).is_some_and(|job| job.terms.max_cores.is_some());
        !waits && self.serve_pending(job_id)
    }

    fn serve_pending(&mut self, job_id: JobId) -> bool {
        let Some(job) = self.jobs.get(&job_id) else { return false };
        if job.stage.as_ref().is_none_or(|stage| stage.pending.is_empty()) {
            return false;
        }
        let Some((agent, cores)) = self.agent_for(job_id) else { return false };
        let Some(demand) = self.demand(job_id, agent, cores) else { return false };
        let len = sizing::lease_len(&self.policy, demand);
        let Some(range) = self.stage_mut(job_id).and_then(|stage| stage.pending.take_first(len)) else { return false };
        let cores = cores_for(cores, range);
        self.grant(NewLease { agent, job: job_id, range, cores, slot: 0, mark: None, speculative: false });
        true
    }

    /// The first agent with room that the job's cap allows, and how many cores of it.
    fn agent_for(&self, job_id: JobId) -> Option<(AgentId, u32)> {
        let job = self.jobs.get(&job_id)?;
        let fits = |agent: AgentId| self.cores_allowed(job_id, agent).map(|cores| (agent, cores));
        if job.cores_left() == Some(0) {
            // Only where the job has all cores of an agent can one more lease wait without more cores being used.
            let own = job.leases.iter().filter_map(|lease| self.leases.get(lease)).map(|lease| lease.agent);
            return own.take(MAX_AGENTS_TRIED).find_map(fits);
        }
        self.index.hungry.iter().map(|key| key.agent).take(MAX_AGENTS_TRIED).find_map(fits)
    }

    /// Cores that one more lease of this job may name on this agent; `None` for none.
    pub(crate) fn cores_allowed(&self, job_id: JobId, agent_id: AgentId) -> Option<u32> {
        let agent = self.agents.get(&agent_id)?;
        agent.hungry_key?;
        let room = agent.room(self.policy.max_leases_per_agent);
        let booked_here = agent.booked_by(job_id);
        let allowed = match self.jobs.get(&job_id)?.cores_left() {
            Some(left) if u64::from(booked_here) + left < u64::from(agent.cores) => room.min(u32::try_from(left).unwrap_or(u32::MAX)),
            _ => room,
        };
        (allowed > 0).then_some(allowed)
    }

    pub(crate) fn demand(&self, job_id: JobId, agent_id: AgentId, cores: u32) -> Option<Demand> {
        let stage = self.jobs.get(&job_id)?.stage.as_ref()?;
        let agent = self.agents.get(&agent_id)?;
        let measured = stage.rates.get(&agent_id);
        Some(Demand {
            n_open: stage.pending.len(),
            cores,
            n_cores: self.index.n_cores,
            n_idle_cores: self.index.n_idle_cores,
            is_idle: agent.leases.is_empty(),
            own_rate: measured.and_then(|measured| measured.rate.per_core_second()),
            mean_rate: stage.mean.per_core_second(),
            largest_lease: measured.map_or(0, |measured| measured.largest_lease),
        })
    }

    /// Grants the first suspected range that may go to an agent now. Suspects go before all else: they are few only if they
    /// are settled before more come.
    fn serve_suspect(&mut self, job_id: JobId) -> bool {
        for (start, mark) in self.rested_suspects(job_id) {
            if let Some((agent, cores)) = self.agent_for_suspect(job_id, &mark) {
                return self.grant_suspect(job_id, start, agent, cores);
            }
        }
        false
    }

    /// The first suspected ranges of a job that need not rest any longer.
    fn rested_suspects(&self, job_id: JobId) -> Vec<(u64, Mark)> {
        let Some(stage) = self.jobs.get(&job_id).and_then(|job| job.stage.as_ref()) else { return Vec::new() };
        let rested = stage.suspects.iter().filter(|(_, suspect)| suspect.mark.not_before <= self.now);
        rested.take(MAX_SUSPECTS_TRIED).map(|(&start, suspect)| (start, suspect.mark.clone())).collect()
    }

    /// Grants an agent that was kept free for the job one of its suspected ranges: rather one that did not fail there, but where
    /// there is no other, any. Two agents must not wait for each other.
    fn serve_suspect_on(&mut self, job_id: JobId, agent: AgentId) -> bool {
        let Some(stage) = self.jobs.get(&job_id).and_then(|job| job.stage.as_ref()) else { return false };
        let lonely = || stage.suspects.iter().filter(|(_, suspect)| suspect.mark.alone && suspect.mark.not_before <= self.now);
        let Some((&start, _)) = lonely().find(|(_, suspect)| suspect.mark.avoid != Some(agent)).or_else(|| lonely().next()) else {
            return false;
        };
        let Some(cores) = self.cores_allowed(job_id, agent) else { return false };
        self.grant_suspect(job_id, start, agent, cores)
    }

    fn agent_for_suspect(&self, job_id: JobId, mark: &Mark) -> Option<(AgentId, u32)> {
        let must_be_idle = mark.alone;
        let fits = |avoid: Option<AgentId>| {
            let candidates = self.index.hungry.iter().take_while(|key| !must_be_idle || key.n_leases == 0);
            let elsewhere = candidates.map(|key| key.agent).filter(|agent| Some(*agent) != avoid);
            elsewhere.take(MAX_AGENTS_TRIED).find_map(|agent| self.cores_allowed(job_id, agent).map(|cores| (agent, cores)))
        };
        let is_alternative = |id: &AgentId, agent: &crate::agent::Agent| Some(*id) != mark.avoid && agent.is_eligible(self.now);
        fits(mark.avoid).or_else(|| {
            let could_wait = self.agents.iter().any(|(id, agent)| is_alternative(id, agent));
            if could_wait { None } else { fits(None) }
        })
    }

    fn grant_suspect(&mut self, job_id: JobId, start: u64, agent: AgentId, cores: u32) -> bool {
        let Some(suspect) = self.stage_mut(job_id).and_then(|stage| stage.suspects.remove(&start)) else { return false };
        let range = ItemRange::new(start, suspect.end);
        let cores = cores_for(cores, range);
        self.grant(NewLease { agent, job: job_id, range, cores, slot: 0, mark: Some(suspect.mark), speculative: false });
        true
    }

    /// Finds an agent for each job with a range that must be alone in a runner and that no agent was free for.
    fn reserve_agents_for_suspects(&mut self) {
        if self.index.lonely.is_empty() {
            return;
        }
        for job_id in self.index.lonely.clone() {
            let Some(job) = self.jobs.get(&job_id).filter(|job| job.ready_key.is_some()) else { continue };
            let is_waiting = |suspect: &&Suspect| suspect.mark.alone && suspect.mark.not_before <= self.now;
            let waiting = job.stage.iter().flat_map(|stage| stage.suspects.values()).filter(is_waiting);
            let avoided: Vec<Option<AgentId>> = waiting.take(self.max_reserved()).map(|suspect| suspect.mark.avoid).collect();
            let n_reserved = self.index.reserved.values().filter(|job| **job == job_id).count();
            for avoid in avoided.into_iter().skip(n_reserved) {
                self.reserve_agent(job_id, avoid);
            }
        }
    }

    /// How many agents a job may have kept free at once: suspects are to be settled soon, and the other work is to go on.
    fn max_reserved(&self) -> usize {
        (self.agents.len() / MIN_AGENTS_PER_RESERVED).clamp(1, MAX_RESERVED_PER_JOB)
    }

    /// Keeps the agent that will be done first from new work, so that it will hold nothing; its leases not yet begun are asked back.
    fn reserve_agent(&mut self, job_id: JobId, avoid: Option<AgentId>) {
        let is_usable = |id: &AgentId| self.agents.get(id).is_some_and(|agent| agent.is_eligible(self.now) && agent.reserved_for.is_none());
        let mut usable = self.index.by_finish.iter().map(|(_, agent)| *agent).filter(is_usable);
        let Some(agent_id) = usable.clone().find(|id| Some(*id) != avoid).or_else(|| usable.next()) else { return };
        self.set_reservation(agent_id, Some(job_id));
        self.ask_back_unstarted(agent_id);
    }

    fn set_reservation(&mut self, agent_id: AgentId, job: Option<JobId>) {
        let Some(agent) = self.agents.get_mut(&agent_id) else { return };
        agent.reserved_for = job;
        match job {
            Some(job) => self.index.reserved.insert(agent_id, job),
            None => self.index.reserved.remove(&agent_id),
        };
        self.refresh_hunger(agent_id);
    }

    /// Asks for every lease that the agent has not begun.
    fn ask_back_unstarted(&mut self, agent_id: AgentId) {
        let Some(agent) = self.agents.get(&agent_id) else { return };
        for lease in agent.leases.clone().into_iter().skip(1) {
            if let Some(start) = self.leases.get(&lease).filter(|lease| lease.is_unstarted()).map(|lease| lease.range.start) {
                self.ask_to_shorten(lease, start);
            }
        }
    }

    /// Asks the agent of `lease` to end it at `end`, unless it was asked just now.
    pub(crate) fn ask_to_shorten(&mut self, id: LeaseId, end: u64) -> bool {
        let (now, timeout_ns) = (self.now, self.policy.shorten_timeout_ns);
        let Some(lease) = self.leases.get_mut(&id) else { return false };
        if end >= lease.range.end || !lease.may_be_asked(now, timeout_ns) {
            return false;
        }
        lease.shortening = Some(Shortening { asked_at: now });
        self.actions.push(Action::Shorten { agent: lease.agent, lease: id, end });
        true
    }

    /// Gives reserved agents that hold nothing the range that they were kept for, or lets them go.
    fn serve_reserved_agents(&mut self) {
        if self.index.reserved.is_empty() {
            return;
        }
        let reserved: Vec<(AgentId, JobId)> = self.index.reserved.iter().map(|(agent, job)| (*agent, *job)).collect();
        for (agent_id, job_id) in reserved {
            let is_wanted = self.index.lonely.contains(&job_id) && self.jobs.get(&job_id).is_some_and(|job| job.ready_key.is_some());
            let Some(agent) = self.agents.get(&agent_id) else { continue };
            let (is_eligible, is_free) = (agent.is_eligible(self.now), agent.leases.is_empty());
            if is_wanted && is_eligible && !is_free {
                continue;
            }
            self.set_reservation(agent_id, None);
            // Where the job's cap stands in the way, the agent goes on waiting.
            if is_wanted && is_eligible && !self.serve_suspect_on(job_id, agent_id) {
                self.set_reservation(agent_id, Some(job_id));
            }
        }
    }
}

/// A lease needs no more threads than it has items.
pub(crate) fn cores_for(cores: u32, range: ItemRange) -> u32 {
    cores.min(u32::try_from(range.len()).unwrap_or(u32::MAX)).max(1)
}
