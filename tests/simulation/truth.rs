//! What really happened, kept apart from the scheduler's own books: every action is checked against it.

use super::load::{JobLoad, Nature};
use super::node::{Life, Node};
use paceline_common::ids::{AgentId, JobId, LeaseId, StageIdx};
use paceline_common::range::ItemRange;
use paceline_common::range_set::RangeSet;
use paceline_scheduler::Scheduler;
use paceline_scheduler::action::{Action, Outcome};
use paceline_scheduler::event::Time;
use std::collections::BTreeMap;

/// The durable record of a job, and so what a restarted coordinator knows of it.
#[derive(Clone, Debug, Default)]
pub struct JobTruth {
    /// Committed items by stage.
    pub committed: Vec<RangeSet>,
    /// Set-aside items by stage.
    pub quarantined: Vec<RangeSet>,
    /// Stages that have been sized.
    pub n_sized: u32,
    /// Its end.
    pub outcome: Option<Outcome>,
    /// Whether it is paused.
    pub is_paused: bool,
}

impl JobTruth {
    /// Items of the present stage that were set aside are to be tried again.
    pub fn forget_quarantine(&mut self) {
        if let Some(present) = self.n_sized.checked_sub(1) {
            self.quarantined[present as usize] = RangeSet::default();
        }
    }
}

/// Everything that is known for certain.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// By job.
    pub jobs: BTreeMap<JobId, JobTruth>,
    /// What a lease really computed.
    pub computed: BTreeMap<LeaseId, (JobId, StageIdx, ItemRange)>,
    /// Highest lease number ever granted.
    pub last_lease: Option<LeaseId>,
}

impl Truth {
    /// A job is durable.
    pub fn submit(&mut self, load: &JobLoad) {
        let empty = vec![RangeSet::default(); load.stages.len()];
        let truth = JobTruth { committed: empty.clone(), quarantined: empty, ..JobTruth::default() };
        self.jobs.insert(load.job, truth);
    }

    /// Checks an action and records what it makes durable. `has_agent`: sessions that the driver knows.
    pub fn apply(&mut self, action: &Action, loads: &[JobLoad], has_agent: impl Fn(AgentId) -> bool) -> Result<(), String> {
        match action {
            Action::Grant { agent, lease, job, stage, range, cores, .. } => {
                if !has_agent(*agent) {
                    return Err(format!("{action:?}: the agent is unknown"));
                }
                if self.last_lease.is_some_and(|last| *lease <= last) {
                    return Err(format!("{action:?}: the lease's number is not new"));
                }
                self.last_lease = Some(*lease);
                self.check_grant(*job, *stage, *range, *cores).map_err(|why| format!("{action:?}: {why}"))
            }
            Action::Commit { lease, job, stage, part_items, accepted } => {
                self.check_commit(*lease, *job, *stage, *part_items, accepted).map_err(|why| format!("{action:?}: {why}"))
            }
            Action::Quarantine { job, stage, item, .. } => {
                let load = loads.iter().find(|load| load.job == *job).ok_or("no such job")?;
                if load.nature(*stage, *item) == Nature::Good {
                    return Err(format!("{action:?}: the item is innocent"));
                }
                let truth = self.job(*job)?;
                if truth.committed[stage.0 as usize].contains(*item) {
                    return Err(format!("{action:?}: the item is committed"));
                }
                truth.quarantined[stage.0 as usize].insert(ItemRange::one(*item));
                Ok(())
            }
            Action::PauseJob { job, .. } => {
                self.job(*job)?.is_paused = true;
                Ok(())
            }
            Action::ResumeJob { job } => {
                let truth = self.job(*job)?;
                truth.is_paused = false;
                // A retry of a job that was over tries the set-aside items of its present stage afresh.
                if truth.outcome.take().is_some() {
                    truth.forget_quarantine();
                }
                Ok(())
            }
            Action::EndJob { job, outcome } => {
                let truth = self.job(*job)?;
                if truth.outcome.is_some() {
                    return Err(format!("{action:?}: the job is over already"));
                }
                truth.outcome = Some(outcome.clone());
                self.check_end(*job, outcome, loads)
            }
            Action::StartStage { job, stage } => self.check_barrier(*job, *stage, loads),
            Action::Shorten { .. } | Action::Revoke { .. } | Action::Release { .. } | Action::DropAgent { .. } => Ok(()),
        }
    }

    /// The record of a job.
    pub fn job(&mut self, job: JobId) -> Result<&mut JobTruth, String> {
        self.jobs.get_mut(&job).ok_or_else(|| format!("job {job} is unknown"))
    }

    fn check_grant(&mut self, job: JobId, stage: StageIdx, range: ItemRange, cores: u32) -> Result<(), String> {
        let truth = self.job(job)?;
        if truth.outcome.is_some() || truth.is_paused || truth.n_sized != stage.0 + 1 {
            return Err("the job has no such work now".to_owned());
        }
        if range.is_empty() || cores == 0 {
            return Err("nothing is granted".to_owned());
        }
        let settled = [&truth.committed[stage.0 as usize], &truth.quarantined[stage.0 as usize]];
        if settled.iter().any(|set| set.intersection(range).next().is_some()) {
            return Err("some of it is committed or set aside".to_owned());
        }
        Ok(())
    }

    fn check_commit(&mut self, lease: LeaseId, job: JobId, stage: StageIdx, part: ItemRange, accepted: &[ItemRange]) -> Result<(), String> {
        let computed = self.computed.get(&lease).copied();
        if computed != Some((job, stage, part)) {
            return Err(format!("the lease computed {computed:?}"));
        }
        let truth = self.job(job)?;
        let mut from = part.start;
        for range in accepted {
            if range.is_empty() || range.start < from || range.end > part.end {
                return Err("what is accepted is empty, out of order or not in the part".to_owned());
            }
            from = range.end;
            let settled = [&truth.committed[stage.0 as usize], &truth.quarantined[stage.0 as usize]];
            if settled.iter().any(|set| set.intersection(*range).next().is_some()) {
                return Err(format!("{range} was committed or set aside before"));
            }
            truth.committed[stage.0 as usize].insert(*range);
        }
        if accepted.is_empty() { Err("nothing is accepted".to_owned()) } else { Ok(()) }
    }

    /// No stage begins before every item of the one before it is settled.
    fn check_barrier(&mut self, job: JobId, stage: StageIdx, loads: &[JobLoad]) -> Result<(), String> {
        let load = loads.iter().find(|load| load.job == job).ok_or("no such job")?;
        let truth = self.job(job)?;
        let Some(before) = stage.0.checked_sub(1).map(|before| before as usize) else { return Ok(()) };
        let n_settled = truth.committed[before].len() + truth.quarantined[before].len();
        let may_miss = load.terms.tolerates_missing_items[before] || truth.quarantined[before].is_empty();
        if n_settled == load.stages[before].n_items && may_miss {
            Ok(())
        } else {
            Err(format!("job {job}: stage {stage} begins with {n_settled} items settled before it"))
        }
    }

    /// A job succeeds only with every item settled; what it says of set-aside items is true.
    fn check_end(&mut self, job: JobId, outcome: &Outcome, loads: &[JobLoad]) -> Result<(), String> {
        let load = loads.iter().find(|load| load.job == job).ok_or("no such job")?;
        let truth = self.job(job)?;
        let n_quarantined: u64 = truth.quarantined.iter().map(RangeSet::len).sum();
        let n_committed: u64 = truth.committed.iter().map(RangeSet::len).sum();
        let n_items: u64 = load.stages.iter().map(|stage| stage.n_items).sum();
        let said = match outcome {
            Outcome::Succeeded => 0,
            Outcome::SucceededInPart { n_quarantined } => *n_quarantined,
            Outcome::Failed { .. } | Outcome::BadInput { .. } | Outcome::Cancelled => return Ok(()),
        };
        if n_committed + n_quarantined == n_items && said == n_quarantined {
            Ok(())
        } else {
            Err(format!("job {job} ends as {outcome:?} with {n_committed} of {n_items} items committed, {n_quarantined} set aside"))
        }
    }

    /// Threads that really work for a capped job are within its cap, as far as its leases are known; and the machine's own
    /// figures say so too.
    pub fn check_caps(&self, scheduler: &Scheduler, nodes: &[Node], loads: &[JobLoad], now: Time) -> Result<(), String> {
        for load in loads {
            let Some(cap) = load.terms.max_cores else { continue };
            let leases = scheduler.leases_of_job(load.job, now);
            if leases.is_empty() {
                continue;
            }
            let is_live = |id: LeaseId| leases.iter().any(|lease| lease.lease == id);
            let up = nodes.iter().filter(|node| node.life != Life::Dead);
            let running = up.flat_map(|node| &node.leases).filter(|lease| lease.job == load.job && is_live(lease.lease));
            let n_threads: usize = running.map(|lease| lease.running.len()).sum();
            if n_threads > cap as usize {
                return Err(format!("job {} has {n_threads} threads at work and may have {cap}", load.job));
            }
        }
        Ok(())
    }
}
