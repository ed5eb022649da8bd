//! How a job ends: its result is summed up, its end is journaled, those who wait hear of it, and what is of no more use goes.

use super::Driver;
use super::actions::{files, truncated};
use crate::config::MAX_RETRYABLE_JOBS;
use crate::effects::{Effect, JobFiles};
use crate::journal::Record;
use paceline_common::failure::{Failure, FailureKind};
use paceline_common::ids::{JobId, StageIdx};
use paceline_common::view::{JobDetail, JobState, JobSummary};
use paceline_scheduler::action::Outcome;
use paceline_scheduler::view::JobPhase;
use paceline_wire::service::MAX_JOBS_LISTED;
use std::time::{SystemTime, UNIX_EPOCH};

impl Driver {
    /// The scheduler says that a job is over.
    pub(super) fn end_job(&mut self, job: JobId, outcome: Outcome) {
        let now = self.clock.now();
        let Some(stage) = self.scheduler.job(job, now).map(|status| status.stage) else { return };
        let Some(known) = self.jobs.get_mut(&job) else { return };
        if known.ended.is_some() {
            // It had ended before the restart, and now the scheduler knows that too.
            return;
        }
        let has_result = matches!(outcome, Outcome::Succeeded | Outcome::SucceededInPart { .. });
        known.ending = Some(outcome);
        if has_result {
            let job = files(known);
            self.effects.push(Effect::Summarize { job, stage });
        } else {
            self.conclude(job, Ok(None));
        }
    }

    /// The effect of a good end: reads what the journal has of the last stage, and leaves the rest to another thread.
    pub(super) fn sum_up(&mut self, job: JobFiles, stage: StageIdx) {
        match self.finished_stage(job.record.job, stage) {
            Ok(finished) => self.parts.workers.summarize(job, finished),
            Err(failure) => self.summarized(job.record.job, Err(failure)),
        }
    }

    /// A job's result was summed up, or could not be.
    pub(super) fn summarized(&mut self, job: JobId, outcome: Result<JobSummary, Failure>) {
        if self.jobs.get(&job).is_none_or(|known| known.ending.is_none()) {
            return;
        }
        match outcome {
            Err(failure) if failure.kind == FailureKind::NoSpace => {
                tracing::warn!(%job, %failure, "the result will be summed up when there is room");
                self.sum_up_later(job);
            }
            outcome => self.conclude(job, outcome.map(Some).map_err(|failure| failure.message)),
        }
    }

    /// A job whose items are all done, but whose result could not be summed up, needs nothing else to be retried.
    pub(super) fn sum_up_again(&mut self, job: JobId) -> bool {
        let Some(status) = self.scheduler.job(job, self.clock.now()) else { return false };
        let JobPhase::Ended { outcome: outcome @ Outcome::Succeeded } = status.phase else { return false };
        let Some(known) = self.jobs.get_mut(&job) else { return false };
        if known.ended.take_if(|detail| detail.job.summary.is_none()).is_none() {
            return false;
        }
        known.ending = Some(outcome);
        let files = files(known);
        self.records.push(Record::Reopened { job, stage: status.stage });
        self.effects.push(Effect::Summarize { job: files, stage: status.stage });
        true
    }

    fn sum_up_later(&mut self, job: JobId) {
        let workers = self.parts.workers.clone();
        let Some(known) = self.jobs.get(&job) else { return };
        let (job, stage) = (files(known), StageIdx(u32::try_from(known.record.plan.stages.len().saturating_sub(1)).unwrap_or(u32::MAX)));
        match self.finished_stage(job.record.job, stage) {
            Ok(finished) => workers.summarize_later(job, finished),
            Err(failure) => self.conclude(job.record.job, Err(failure.message)),
        }
    }

    /// Writes a job's end and tells everybody.
    fn conclude(&mut self, job: JobId, summary: Result<Option<JobSummary>, String>) {
        let Some(mut detail) = self.detail_of(job) else { return };
        let Some(known) = self.jobs.get_mut(&job) else { return };
        let Some(outcome) = known.ending.take() else { return };
        let (state, reason) = known.final_state(&outcome, detail.job.n_quarantined, &summary);
        detail.job.state = state;
        detail.job.reason = reason.map(truncated);
        detail.job.summary = summary.ok().flatten();
        detail.job.eta_seconds = None;
        detail.job.ended_at_ms = Some(unix_ms());
        detail.leases.clear();
        tracing::info!(%job, ?state, reason = detail.job.reason.as_deref(), "the job is over");
        for waiter in known.waiters.drain(..) {
            self.effects.push(Effect::answer(waiter, Ok(detail.job.clone())));
        }
        // What may be retried keeps its commits; for the rest they would only fill the journal.
        let is_retryable = state == JobState::Failed;
        self.records.push(Record::Ended { detail: Box::new(detail.clone()), forget_commits: !is_retryable });
        self.agents.forget_job(job);
        self.clear_away(job, state);
        if is_retryable { self.keep_for_retry(job, detail) } else { self.archive(detail) }
    }

    fn clear_away(&mut self, job: JobId, state: JobState) {
        let Some(known) = self.jobs.get(&job) else { return };
        let dir = known.dir.clone();
        if state == JobState::Succeeded {
            if !self.parts.keep_parts {
                self.effects.push(Effect::RemoveParts { dir });
            }
            return;
        }
        // A failed job's stages may have written to the unfinished output already; a retry builds on that.
        let is_of_use = state == JobState::Failed && self.parts.keeps_failed_outputs;
        if let Some(output) = known.record.plan.output.clone()
            && !is_of_use
        {
            self.effects.push(Effect::RemoveStaging { output, dir });
        }
    }

    /// Keeps a failed job within reach of a retry; the oldest of too many gives up its place.
    fn keep_for_retry(&mut self, job: JobId, detail: JobDetail) {
        if let Some(known) = self.jobs.get_mut(&job) {
            known.ended = Some(Box::new(detail));
        }
        let retryable: Vec<JobId> = self.jobs.values().filter(|known| known.ended.is_some()).map(|known| known.id()).collect();
        if retryable.len() > MAX_RETRYABLE_JOBS
            && let Some(detail) = retryable.first().and_then(|oldest| self.jobs.get(oldest)?.ended.clone())
        {
            self.archive(*detail);
        }
    }

    /// Lets the scheduler forget a job; from now on it is only listed.
    fn archive(&mut self, detail: JobDetail) {
        let job = detail.job.job;
        self.scheduler.forget_job(job);
        self.jobs.remove(&job);
        self.ended.insert(job, detail.job);
        self.n_ended += 1;
        if self.ended.len() > MAX_JOBS_LISTED {
            self.ended.pop_first();
        }
    }
}

/// Wall-clock time, for people only.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
