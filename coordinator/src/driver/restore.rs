//! From the journal back to a running driver: jobs that are not over go on where they were, those that ended badly can be retried.

use super::{Clock, Driver, DriverParts};
use crate::agents::Agents;
use crate::config::MAX_RETRYABLE_JOBS;
use crate::job_work;
use crate::jobs::{Job, Restore};
use crate::journal::{ActiveJob, JournalError};
use paceline_common::failure::Failure;
use paceline_common::ids::{JobId, StageIdx};
use paceline_common::view::{JobDetail, JobState};
use paceline_scheduler::Scheduler;
use paceline_scheduler::event::Event;
use paceline_scheduler::policy::Policy;
use paceline_wire::service::MAX_JOBS_LISTED;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

impl Driver {
    /// A driver in the state that the journal tells of. Nothing leaves it before its first round.
    pub(crate) fn restore(parts: DriverParts) -> Result<Self, JournalError> {
        let epoch = parts.journal.epoch();
        let active = parts.journal.active_jobs()?;
        let ended = parts.journal.ended_jobs(MAX_JOBS_LISTED)?;
        let n_ended = parts.journal.n_ended()?;
        let policy = Policy::default();
        let mut driver = Self {
            agents: Agents::new(epoch, parts.timings),
            scheduler: Scheduler::new(policy, epoch),
            clock: Clock { start: Instant::now(), stood_still: Duration::ZERO },
            jobs: BTreeMap::new(),
            ended: ended.into_iter().map(|view| (view.job, view)).collect(),
            n_ended,
            records: Vec::new(),
            effects: Vec::new(),
            stopping: None,
            parts,
        };
        driver.restore_retryable()?;
        for job in active {
            driver.restore_job(job, None);
        }
        Ok(driver)
    }

    /// The newest jobs that failed: the scheduler has to know them so that they can be retried.
    fn restore_retryable(&mut self) -> Result<(), JournalError> {
        let failed: Vec<JobId> =
            self.ended.values().rev().filter(|view| view.state == JobState::Failed).take(MAX_RETRYABLE_JOBS).map(|view| view.job).collect();
        for job in failed.into_iter().rev() {
            if let (Some(rows), Some(detail)) = (self.parts.journal.job(job)?, self.parts.journal.ended_job(job)?) {
                self.ended.remove(&job);
                self.n_ended = self.n_ended.saturating_sub(1);
                self.restore_job(rows, Some(Box::new(detail)));
            }
        }
        Ok(())
    }

    fn restore_job(&mut self, rows: ActiveJob, ended: Option<Box<JobDetail>>) {
        let id = rows.record.job;
        let reason = ended.as_ref().map(|detail| detail.job.reason.clone().unwrap_or_default());
        let job = Job::restored(rows, self.parts.dir.job_dir(id), ended);
        let terms = job.terms();
        self.jobs.insert(id, job);
        self.tell_scheduler(Event::JobSubmitted { job: id, terms }, None);
        self.rewrite_files(id);
        if let Some(reason) = reason {
            // A job that ended for another reason than its items would go on now; it has to be asked for.
            self.effects.clear();
            self.tell_scheduler(Event::JobBroken { job: id, failure: Failure::storage(reason) }, None);
        }
    }

    /// Writes again what agents read of a job. Where that fails, so will their work, and its failures tell.
    fn rewrite_files(&self, job: JobId) {
        let (Some(known), Some(status)) = (self.jobs.get(&job), self.scheduler.job(job, self.clock.now())) else { return };
        let finished = (0..status.stage.0).map(|stage| self.finished_stage(job, StageIdx(stage))).collect::<Result<Vec<_>, _>>();
        if let Err(failure) = finished.and_then(|finished| job_work::rewrite(&known.record, &known.dir, finished)) {
            tracing::warn!(%job, %failure, "the files of a job could not be written again");
        }
    }

    /// Tells the scheduler what the journal has of a stage.
    pub(super) fn restore_stage(&mut self, job: JobId, stage: StageIdx, n_items: u64) {
        let Some(Restore { committed, quarantined, .. }) = self.jobs.get_mut(&job).map(|known| &mut known.to_restore) else { return };
        let committed = committed.remove(&stage).unwrap_or_default();
        let quarantined: Vec<u64> = quarantined.extract_if(.., |item| item.stage == stage.0).map(|item| item.item).collect();
        self.tell_scheduler(Event::StageSized { job, stage, n_items }, None);
        for items in committed.iter() {
            self.tell_scheduler(Event::Restored { job, stage, items }, None);
        }
        for item in quarantined {
            self.tell_scheduler(Event::RestoredQuarantine { job, stage, item }, None);
        }
    }
}
