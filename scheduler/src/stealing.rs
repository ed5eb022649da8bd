//! Stealing is shortening: an agent that holds nothing, while nothing is open, gets the tail of what another has not begun.

use crate::lease::Lease;
use crate::rate::seconds;
use crate::scheduler::Scheduler;
use paceline_common::ids::{AgentId, LeaseId};

/// How many agents one thief looks at, those that end last first. More would cost time for ever smaller gains.
const MAX_VICTIMS_TRIED: usize = 16;

impl Scheduler {
    /// Every agent that came to hold nothing looks once; the next tick lets it look again.
    pub(crate) fn let_idle_agents_steal(&mut self) {
        while let Some(thief) = self.index.thieves.pop_first() {
            if !self.steal_for(thief) {
                // What is not there for one is hardly there for the others; they look again when time has passed.
                self.index.thieves.clear();
            }
        }
    }

    /// Asks the agent that ends last to give up so much that both end together. `false` where there is nobody to ask.
    fn steal_for(&mut self, thief: AgentId) -> bool {
        let (now, timeout_ns) = (self.now, self.policy.shorten_timeout_ns);
        let Some(agent) = self.agents.get(&thief) else { return true };
        if agent.awaits_loot_since.is_some_and(|since| now.since(since) < timeout_ns) {
            return true;
        }
        let last_ones = self.index.by_finish.iter().rev().take(MAX_VICTIMS_TRIED);
        let victims = last_ones.take_while(|(finish_at, _)| finish_at.since(now) >= self.policy.min_steal_ns).map(|(_, victim)| *victim);
        let Some((lease, end)) = victims.filter(|victim| *victim != thief).find_map(|victim| self.loot(thief, victim)) else {
            return false;
        };
        self.ask_to_shorten(lease, end);
        if let Some(agent) = self.agents.get_mut(&thief) {
            agent.awaits_loot_since = Some(now);
        }
        true
    }

    /// Which lease of `victim` should end where, for the sake of `thief`.
    fn loot(&self, thief: AgentId, victim: AgentId) -> Option<(LeaseId, u64)> {
        let agent = self.agents.get(&victim).filter(|agent| !agent.is_silent && !agent.is_draining)?;
        // From the back: what would be begun last.
        let (id, lease) =
            agent.leases.iter().rev().filter_map(|id| Some((*id, self.leases.get(id)?))).find(|(_, l)| self.may_steal(thief, l))?;
        let remaining_s = seconds(agent.finish_at?.since(self.now));
        let stage = self.jobs.get(&lease.job)?.stage.as_ref()?;
        let thief_cores = f64::from(self.agents.get(&thief)?.cores);
        let per_core = |agent: AgentId| stage.rate_of(agent).unwrap_or(1.0);
        let (victim_rate, thief_rate) = (per_core(victim) * f64::from(lease.cores), per_core(thief) * thief_cores);
        // A thief that needs longer for a single item than the victim for all of its work would only be the new last one.
        if 1.0 / per_core(thief) > remaining_s + 1.0 / per_core(victim) {
            return None;
        }
        // Both end together where (remaining - n / victim_rate) = n / thief_rate.
        let n_items = (remaining_s / (1.0 / victim_rate + 1.0 / thief_rate)).ceil() as u64;
        Some((id, lease.range.end.saturating_sub(n_items.max(1)).max(lease.unclaimed().start)))
    }

    fn may_steal(&self, thief: AgentId, lease: &Lease) -> bool {
        let Some(job) = self.jobs.get(&lease.job) else { return false };
        lease.mark.is_none()
            && !lease.unclaimed().is_empty()
            && lease.may_be_asked(self.now, self.policy.shorten_timeout_ns)
            && self.may_be_handed_out(job)
            && self.cores_allowed(lease.job, thief).is_some()
    }
}
