//! Speculation: when an agent holds nothing and there is nothing to steal, it repeats what a silent or crawling agent holds.
//! The first result wins, item by item. (Zaharia et al.: Improving MapReduce Performance in Heterogeneous Environments, OSDI 2008.)

use crate::book::NewLease;
use crate::event::Time;
use crate::grants::cores_for;
use crate::lease::Lease;
use crate::scheduler::Scheduler;
use crate::sizing;
use paceline_common::ids::{AgentId, LeaseId};
use paceline_common::range::ItemRange;
use std::cmp::Reverse;

/// From this ratio of rates on, a copy is begun early.
const MUCH_FASTER: f64 = 1.5;

/// A lease that may never end; in the order in which copies are begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Suspicion {
    /// Whether its agent was heard of late.
    is_heard: bool,
    overdue_ns: Reverse<u64>,
    lease: LeaseId,
}

impl Scheduler {
    /// Once a tick: lets agents that hold nothing repeat leases that may never end, the worst first.
    pub(crate) fn let_idle_agents_speculate(&mut self) {
        let now = self.now;
        let idle = self.index.hungry.iter().take_while(|key| key.n_leases == 0).map(|key| key.agent);
        let timeout_ns = self.policy.shorten_timeout_ns;
        let waits = |agent: &AgentId| {
            self.agents.get(agent).is_some_and(|a| a.awaits_loot_since.is_some_and(|since| now.since(since) < timeout_ns))
        };
        let mut idle = idle.filter(|agent| !waits(agent)).collect::<Vec<_>>().into_iter();
        if idle.len() == 0 {
            return;
        }
        let mut candidates = self.suspicious_leases().into_iter();
        let (mut agent, mut candidate) = (idle.next(), candidates.next());
        while let (Some(agent_id), Some(suspicion)) = (agent, candidate) {
            if self.speculate(agent_id, &suspicion) {
                agent = idle.next();
            } else {
                candidate = candidates.next();
            }
        }
    }

    /// Leases of silent agents, then those that are beyond their expected time, the longest overdue first.
    fn suspicious_leases(&self) -> Vec<Suspicion> {
        let mut found = Vec::new();
        for agent in self.agents.values() {
            let mut idle_from = Time::default();
            for lease_id in &agent.leases {
                let Some(lease) = self.leases.get(lease_id) else { continue };
                // One that waits behind others should begin when they end.
                let begun_at = lease.begun_at.unwrap_or(idle_from.max(lease.granted_at));
                idle_from = begun_at.plus(lease.expected_ns(lease.range.len()));
                let overdue_ns = self.now.since(idle_from);
                if lease.mark.is_none() && (agent.is_silent || overdue_ns > 0) {
                    found.push(Suspicion { is_heard: !agent.is_silent, overdue_ns: Reverse(overdue_ns), lease: *lease_id });
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// Whether a copy on this agent is likely to end before the lease itself. What is overdue for some time will probably last as
    /// long again, since long items are what makes it late; so a much faster agent may begin as soon as it could have caught up,
    /// and any agent once the lease has taken twice its time and some.
    fn is_worth_repeating(&self, suspicion: &Suspicion, lease: &Lease, agent_id: AgentId) -> bool {
        let stage = self.jobs.get(&lease.job).and_then(|job| job.stage.as_ref());
        let Some((own, theirs)) = stage.and_then(|stage| stage.rate_of(agent_id).zip(stage.rate_of(lease.agent))) else {
            return !suspicion.is_heard;
        };
        let expected_ns = lease.expected_ns(lease.range.len());
        let is_much_faster = own >= MUCH_FASTER * theirs;
        let copy_ns = (expected_ns as f64 * theirs / own) as u64;
        let patience_ns = if is_much_faster { copy_ns } else { expected_ns.saturating_add(self.policy.crawl_slack_ns) };
        !suspicion.is_heard || suspicion.overdue_ns.0 > patience_ns
    }

    /// Grants a part of what a lease still holds to another agent as well; `false` where nothing of it can be repeated there.
    fn speculate(&mut self, agent_id: AgentId, suspicion: &Suspicion) -> bool {
        let Some(lease) = self.leases.get(&suspicion.lease).filter(|lease| lease.agent != agent_id) else { return false };
        if !self.is_worth_repeating(suspicion, lease, agent_id) {
            return false;
        }
        let (job_id, slot) = (lease.job, 1 - lease.slot);
        let Some(stage) = self.jobs.get(&job_id).filter(|job| self.may_be_handed_out(job)).and_then(|job| job.stage.as_ref()) else {
            return false;
        };
        let Some(cores) = self.cores_allowed(job_id, agent_id) else { return false };
        let wanted: Vec<ItemRange> = stage.unsettled(lease.range).into_iter().flat_map(|part| stage.uncovered_by(slot, part)).collect();
        let Some(first) = wanted.first().copied() else { return false };
        let Some(mut demand) = self.demand(job_id, agent_id, cores) else { return false };
        demand.n_open = wanted.iter().map(|part| part.len()).sum();
        let len = sizing::lease_len(&self.policy, demand);
        let (range, _) = first.split_at(first.start + len);
        let cores = cores_for(cores, range);
        self.grant(NewLease { agent: agent_id, job: job_id, range, cores, slot, mark: None, speculative: true });
        true
    }
}
