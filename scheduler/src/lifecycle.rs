//! A job's life: submission, stages and the barriers between them, pause, retry, end.

use crate::action::{Action, Outcome};
use crate::event::JobTerms;
use crate::job::{FinishedStage, Job, Phase};
use crate::scheduler::Scheduler;
use crate::stage::Stage;
use paceline_common::failure::{Failure, FailureKind};
use paceline_common::ids::{JobId, LeaseId, StageIdx};
use paceline_common::range::ItemRange;

impl Scheduler {
    pub(crate) fn submit_job(&mut self, id: JobId, terms: JobTerms) {
        if self.jobs.contains_key(&id) {
            self.n_stale_reports += 1;
            return;
        }
        let awaits_reattachment = self.is_restart && self.reattach_until.is_none();
        let has_stages = !terms.tolerates_missing_items.is_empty();
        self.jobs.insert(id, Job::new(terms, self.virtual_time, awaits_reattachment, self.now));
        if has_stages {
            self.actions.push(Action::StartStage { job: id, stage: StageIdx(0) });
        } else {
            self.end_job(id, Outcome::Succeeded);
        }
    }

    pub(crate) fn size_stage(&mut self, id: JobId, stage: StageIdx, n_items: u64) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.is_ended() && job.stage.is_none() && job.stage_idx() == stage) else {
            self.n_stale_reports += 1;
            return;
        };
        let mut sized = Stage::new(n_items, now);
        let restored = std::mem::take(&mut job.restored);
        restored.committed.iter().for_each(|items| sized.restore(items));
        restored.quarantined.iter().for_each(|items| sized.restore_quarantined(items));
        job.stage = Some(sized);
        self.refresh_job(id);
        self.check_failure_limit(id);
        self.pass_barrier(id);
    }

    pub(crate) fn restore_committed(&mut self, id: JobId, stage: StageIdx, items: ItemRange) {
        let Some(job) = self.job_at_stage(id, stage) else { return };
        match &mut job.stage {
            Some(present) => present.restore(items),
            None => job.restored.committed.insert(items),
        }
        self.refresh_job(id);
        self.pass_barrier(id);
    }

    pub(crate) fn restore_quarantined(&mut self, id: JobId, stage: StageIdx, item: u64) {
        let Some(job) = self.job_at_stage(id, stage) else { return };
        match &mut job.stage {
            Some(present) => present.restore_quarantined(ItemRange::one(item)),
            None => job.restored.quarantined.insert(ItemRange::one(item)),
        }
        self.refresh_job(id);
        self.check_failure_limit(id);
        self.pass_barrier(id);
    }

    fn job_at_stage(&mut self, id: JobId, stage: StageIdx) -> Option<&mut Job> {
        let job = self.jobs.get_mut(&id).filter(|job| job.stage_idx() == stage && !job.is_ended());
        if job.is_none() {
            self.n_stale_reports += 1;
        }
        job
    }

    /// Goes on to the next stage, or to the end, once every item of the present one is settled.
    pub(crate) fn pass_barrier(&mut self, id: JobId) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.is_ended()) else { return };
        let Some(stage) = job.stage.as_ref().filter(|stage| stage.is_complete()) else { return };
        let n_missing = stage.quarantined.len();
        if job.is_last_stage() {
            let nothing_done = n_missing > 0 && stage.committed.is_empty();
            let outcome = match job.n_quarantined() {
                0 => Outcome::Succeeded,
                _ if nothing_done => {
                    Outcome::Failed { reason: format!("none of the {n_missing} items of the last stage could be computed") }
                }
                n_quarantined => Outcome::SucceededInPart { n_quarantined },
            };
            return self.end_job(id, outcome);
        }
        let idx = job.stage_idx();
        let tolerates = job.terms.tolerates_missing_items.get(idx.0 as usize).copied().unwrap_or(false);
        if n_missing > 0 && !tolerates {
            let items = if n_missing == 1 { "1 item was" } else { "some items were" };
            let reason = format!(
                "{items} set aside in stage {idx} ({n_missing} in all), and the stages after it need every item; see their causes, then retry the job"
            );
            return self.end_job(id, Outcome::Failed { reason });
        }
        let Some(stage) = job.stage.take() else { return };
        job.finished.push(FinishedStage {
            n_items: stage.n_items,
            quarantined: stage.quarantined,
            started_at: stage.started_at,
            ended_at: now,
        });
        let next = job.stage_idx();
        self.refresh_job(id);
        self.actions.push(Action::StartStage { job: id, stage: next });
    }

    pub(crate) fn break_job(&mut self, id: JobId, failure: Failure) {
        match failure.kind {
            FailureKind::BadInput => self.end_job(id, Outcome::BadInput { failure }),
            FailureKind::NoSpace => self.pause_job(id, failure.message),
            FailureKind::Item | FailureKind::Storage => self.end_job(id, Outcome::Failed { reason: failure.message }),
        }
    }

    pub(crate) fn cancel_job(&mut self, id: JobId) {
        self.end_job(id, Outcome::Cancelled);
    }

    /// Stops handing out the job's items; leases at work go on, since some of them may still find room.
    pub(crate) fn pause_job(&mut self, id: JobId, reason: String) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.is_active()) else { return };
        job.phase = Phase::Paused { reason: reason.clone(), since: now };
        self.refresh_job(id);
        self.actions.push(Action::PauseJob { job: id, reason });
    }

    pub(crate) fn resume_paused_jobs(&mut self) {
        let is_due = |job: &Job| matches!(job.phase, Phase::Paused { since, .. } if self.now.since(since) >= self.policy.no_space_retry_ns);
        let due: Vec<JobId> = self.jobs.iter().filter(|(_, job)| is_due(job)).map(|(id, _)| *id).collect();
        due.into_iter().for_each(|id| self.resume_job(id));
    }

    fn resume_job(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.phase = Phase::Active;
        job.ended_at = None;
        let unsized_stage = job.stage.is_none().then(|| job.stage_idx());
        self.actions.push(Action::ResumeJob { job: id });
        // Whether its sizing failed or is still under way, asking twice does no harm: the second answer is dropped as stale.
        if let Some(stage) = unsized_stage {
            self.actions.push(Action::StartStage { job: id, stage });
        }
        self.refresh_job(id);
        self.pass_barrier(id);
    }

    /// Lets a paused job go on, or a failed one with its set-aside items tried afresh.
    pub(crate) fn retry_job(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let has_set_aside = job.stage.as_ref().is_some_and(|stage| !stage.quarantined.is_empty());
        match &job.phase {
            Phase::Active => return,
            Phase::Paused { .. } | Phase::Ended { outcome: Outcome::Failed { .. } } => {}
            Phase::Ended { outcome: Outcome::SucceededInPart { .. } } if has_set_aside => {}
            Phase::Ended { .. } => return,
        }
        if job.is_ended()
            && let Some(stage) = &mut job.stage
        {
            let set_aside = std::mem::take(&mut stage.quarantined);
            set_aside.iter().for_each(|items| stage.pending.insert(items));
            stage.attempts.clear();
            stage.suspects.values_mut().for_each(|suspect| suspect.mark.n_storage_failures = 0);
        }
        self.resume_job(id);
    }

    /// Ends a job: its leases are revoked, and its open items stay where they are for a retry.
    pub(crate) fn end_job(&mut self, id: JobId, outcome: Outcome) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.is_ended()) else { return };
        job.phase = Phase::Ended { outcome: outcome.clone() };
        job.ended_at = Some(now);
        let leases: Vec<LeaseId> = job.leases.iter().copied().collect();
        leases.into_iter().for_each(|lease| self.revoke(lease));
        self.refresh_job(id);
        self.actions.push(Action::EndJob { job: id, outcome });
    }

    /// Drops a job that is over from memory; `false` where it is unknown or not over.
    pub fn forget_job(&mut self, id: JobId) -> bool {
        let is_over = self.jobs.get(&id).is_some_and(Job::is_ended);
        if is_over {
            self.jobs.remove(&id);
            self.index.lonely.remove(&id);
        }
        is_over
    }

    /// Once agents from before a restart have had their time to come back, jobs from before it are handed out like all others.
    pub(crate) fn end_wait_for_old_agents(&mut self) {
        if self.reattach_until.is_some_and(|until| self.now >= until) && self.is_restart {
            self.is_restart = false;
            let waiting: Vec<JobId> = self.jobs.iter().filter(|(_, job)| job.awaits_reattachment).map(|(id, _)| *id).collect();
            waiting.into_iter().for_each(|id| self.refresh_job(id));
        }
    }

    /// Whether the job's items may be given to agents now, be it from the open ones or from another agent's.
    pub(crate) fn may_be_handed_out(&self, job: &Job) -> bool {
        job.is_active() && !(job.awaits_reattachment && self.is_reattaching())
    }

    /// Whether agents from before a restart are being waited for.
    pub(crate) fn is_reattaching(&self) -> bool {
        self.is_restart && self.reattach_until.is_none_or(|until| self.now < until)
    }
}
