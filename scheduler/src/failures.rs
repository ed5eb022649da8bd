//! What happens when work fails: poison items are found by halving, storage is tried again elsewhere, agents that only fail are
//! left out for a while. The loss of an agent is none of this: it speaks against nobody.

use crate::action::{Action, Outcome};
use crate::lease::{Lease, Mark};
use crate::policy::Policy;
use crate::scheduler::Scheduler;
use crate::stage::Stage;
use paceline_common::failure::{Failure, FailureKind, RunnerDeath};
use paceline_common::ids::{AgentId, JobId, LeaseId};
use paceline_common::range::ItemRange;

/// A range whose storage failed rests at most this long.
const MAX_STORAGE_BACKOFF_NS: u64 = 30_000_000_000;

impl Scheduler {
    pub(crate) fn fail_range(&mut self, agent: AgentId, id: LeaseId, item: Option<u64>, failure: &Failure) {
        if self.hear(agent).is_none() || self.reported_lease(agent, id).is_none() {
            return;
        }
        let Some(lease) = self.remove(id) else { return };
        match failure.kind {
            FailureKind::BadInput => {
                self.put_back(&lease, None);
                self.end_job(lease.job, Outcome::BadInput { failure: failure.clone() });
            }
            FailureKind::NoSpace => {
                self.put_back(&lease, lease.mark.as_ref());
                self.pause_job(lease.job, failure.message.clone());
            }
            FailureKind::Storage => self.retry_elsewhere(&lease, failure),
            FailureKind::Item => self.suspect_failed(&lease, item, &failure.message),
        }
        self.refresh_job(lease.job);
        self.pass_barrier(lease.job);
    }

    pub(crate) fn bury_runner(&mut self, agent: AgentId, started: &[LeaseId], unstarted: &[LeaseId], death: &RunnerDeath) {
        if self.hear(agent).is_none() {
            return;
        }
        let own = |machine: &mut Self, ids: &[LeaseId]| -> Vec<LeaseId> {
            ids.iter().copied().filter(|id| machine.reported_lease(agent, *id).is_some()).collect()
        };
        let (started, unstarted) = (own(self, started), own(self, unstarted));
        unstarted.into_iter().for_each(|id| self.void(id));
        for id in &started {
            let Some(lease) = self.remove(*id) else { continue };
            if let RunnerDeath::NotStarted(_) = death {
                // No item was touched: this speaks against the agent alone.
                self.put_back(&lease, lease.mark.as_ref());
            } else {
                // Only what was alone in the runner can be blamed for certain.
                let is_certain = started.len() == 1;
                self.suspect_halves(&lease, true, is_certain, &death.to_string());
            }
            self.refresh_job(lease.job);
            self.pass_barrier(lease.job);
        }
        self.blame_agent(agent);
    }

    fn put_back(&mut self, lease: &Lease, mark: Option<&Mark>) {
        if let Some(stage) = self.stage_mut(lease.job) {
            stage.give_back(lease.range, mark);
        }
    }

    /// The items come back after a rest, elsewhere if possible; after too many times the job ends, since the fault is then not one of a node.
    fn retry_elsewhere(&mut self, lease: &Lease, failure: &Failure) {
        let n_failures = lease.mark.as_ref().map_or(0, |mark| mark.n_storage_failures) + 1;
        let rest_ns = Policy::backoff_ns(self.policy.storage_backoff_ns, n_failures, MAX_STORAGE_BACKOFF_NS);
        let mark =
            Mark { alone: lease.alone, avoid: Some(lease.agent), n_storage_failures: n_failures, not_before: self.now.plus(rest_ns) };
        self.put_back(lease, Some(&mark));
        self.blame_agent(lease.agent);
        if n_failures >= self.policy.max_storage_attempts {
            let reason = format!("{} ({n_failures} attempts)", failure.message);
            self.end_job(lease.job, Outcome::Failed { reason });
        }
    }

    /// A failure of one item marks that item and clears the others; one of nobody knows which is sought by halving.
    fn suspect_failed(&mut self, lease: &Lease, item: Option<u64>, cause: &str) {
        match item.filter(|item| lease.range.contains(*item)) {
            Some(item) => {
                let (before, from) = lease.range.split_at(item);
                let (bad, after) = from.split_at(item + 1);
                if let Some(stage) = self.stage_mut(lease.job) {
                    stage.give_back(before, None);
                    stage.give_back(after, None);
                }
                self.suspect(lease, bad, false, true, cause);
            }
            None => self.suspect_halves(lease, lease.alone, true, cause),
        }
    }

    /// Splits what is not settled of a lease in halves and suspects each. A lease of a single item has thereby failed an attempt
    /// at it, if it is certain that no other lease did the harm.
    fn suspect_halves(&mut self, lease: &Lease, alone: bool, is_certain: bool, cause: &str) {
        let unsettled = self.stage_mut(lease.job).map_or_else(Vec::new, |stage| stage.unsettled(lease.range));
        let is_attempt = is_certain && lease.range.len() == 1;
        for part in unsettled {
            let (first, second) = Stage::halves(part);
            self.suspect(lease, first, alone, is_attempt, cause);
            self.suspect(lease, second, alone, is_attempt, cause);
        }
    }

    /// Puts a range back marked. Where it is an item that has used up its attempts, it is set aside instead.
    fn suspect(&mut self, lease: &Lease, range: ItemRange, alone: bool, is_attempt: bool, cause: &str) {
        let mark = Mark { alone, avoid: Some(lease.agent), n_storage_failures: 0, not_before: self.now };
        self.mark_other_leases(lease.job, range, &mark);
        let Some(stage) = self.stage_mut(lease.job) else { return };
        if is_attempt && !stage.unsettled(range).is_empty() {
            self.count_attempt(lease, range.start, cause);
        }
        if let Some(stage) = self.stage_mut(lease.job) {
            stage.give_back(range, Some(&mark));
        }
    }

    /// Where a copy failed, the others are not repeated again and not split: else a poison item that is always held twice would
    /// always be put down to the loss of one copy.
    fn mark_other_leases(&mut self, job: JobId, range: ItemRange, mark: &Mark) {
        let Some(stage) = self.stage_mut(job) else { return };
        let others: Vec<LeaseId> = (0..2).flat_map(|slot| stage.overlapping(slot, range).map(|(_, lease)| lease)).collect();
        for id in others {
            if let Some(lease) = self.leases.get_mut(&id) {
                lease.mark.get_or_insert_with(|| mark.clone());
            }
        }
    }

    /// A single item has failed once more; after too many times it is set aside, and whoever holds it is called back.
    fn count_attempt(&mut self, lease: &Lease, item: u64, cause: &str) {
        let max_attempts = self.policy.max_item_attempts;
        let Some(stage) = self.stage_mut(lease.job) else { return };
        let n_attempts = stage.attempts.entry(item).or_insert(0);
        *n_attempts += 1;
        if *n_attempts < max_attempts {
            return;
        }
        let cause = format!("{cause} ({n_attempts} attempts)");
        stage.attempts.remove(&item);
        stage.quarantined.insert(ItemRange::one(item));
        let holders: Vec<LeaseId> = (0..2).flat_map(|slot| stage.overlapping(slot, ItemRange::one(item)).map(|(_, lease)| lease)).collect();
        self.actions.push(Action::Quarantine { job: lease.job, stage: lease.stage, item, cause });
        holders.into_iter().for_each(|holder| self.revoke_if_settled(holder));
        self.check_failure_limit(lease.job);
    }

    pub(crate) fn check_failure_limit(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let n_quarantined = job.n_quarantined();
        if let Some(limit) = job.terms.max_failures.filter(|limit| n_quarantined > *limit) {
            let reason =
                format!("{n_quarantined} items were set aside, and no more than {limit} may be; see their causes, then retry the job");
            self.end_job(id, Outcome::Failed { reason });
        }
    }

    /// Counts a failure against an agent, and leaves it out for a while after several without a success between: a node whose
    /// disk or libraries are broken fails fast and would eat the whole job.
    fn blame_agent(&mut self, id: AgentId) {
        let now = self.now;
        let Some(agent) = self.agents.get_mut(&id) else { return };
        agent.n_failures += 1;
        if agent.n_failures >= self.policy.max_agent_failures {
            agent.n_failures = 0;
            agent.n_exclusions += 1;
            let rest_ns = Policy::backoff_ns(self.policy.exclusion_ns, agent.n_exclusions, self.policy.max_exclusion_ns);
            agent.excluded_until = Some(now.plus(rest_ns));
        }
        self.refresh_agent(id);
    }
}
