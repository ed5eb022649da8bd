//! What clients ask about jobs.

use super::Driver;
use crate::command::{NewJob, Reply};
use crate::config::{MAX_ACTIVE_JOBS, MAX_WAITERS_PER_JOB};
use crate::effects::Effect;
use crate::jobs::Job;
use crate::journal::Record;
use paceline_common::failure::Refusal;
use paceline_common::ids::JobId;
use paceline_common::job::OutputPlan;
use paceline_common::view::{JobState, JobView};
use paceline_scheduler::event::Event;

impl Driver {
    pub(super) fn submit(&mut self, new: NewJob, reply: Reply<Result<JobId, Refusal>>) {
        let NewJob { record, dir } = new;
        if let Err(refusal) = self.may_submit(&record) {
            self.effects.push(Effect::RemoveJobDir { dir });
            self.effects.push(Effect::answer(reply, Err(refusal)));
            return;
        }
        let id = record.job;
        tracing::info!(job = %id, workload = %record.request.workload, "submitted");
        self.records.push(Record::Submitted(Box::new(record.clone())));
        let job = Job::new(record, dir);
        let terms = job.terms();
        self.jobs.insert(id, job);
        self.tell_scheduler(Event::JobSubmitted { job: id, terms }, None);
        self.effects.push(Effect::answer(reply, Ok(id)));
    }

    fn may_submit(&self, record: &paceline_common::job::JobRecord) -> Result<(), Refusal> {
        if self.jobs.len() >= MAX_ACTIVE_JOBS {
            return Err(Refusal::conflict(format!("{MAX_ACTIVE_JOBS} jobs are unfinished already; wait until some are over")));
        }
        let Some(output) = &record.plan.output else { return Ok(()) };
        for ours in output.each() {
            let writes_it = |other: &OutputPlan| other.each().any(|theirs| theirs.path == ours.path);
            let is_taken = |known: &&Job| known.ended.is_none() && known.record.plan.output.as_ref().is_some_and(writes_it);
            if let Some(other) = self.jobs.values().find(is_taken) {
                let message = format!("{}: job {} writes this output already; name another", ours.path.display(), other.id());
                return Err(Refusal::conflict(message));
            }
        }
        Ok(())
    }

    pub(super) fn wait(&mut self, job: JobId, reply: Reply<Result<JobView, Refusal>>) {
        match self.jobs.get_mut(&job).filter(|known| known.ended.is_none()) {
            None => self.answer(reply, |driver| driver.job_view(job)),
            Some(known) => {
                known.waiters.retain(|waiter| !waiter.is_closed());
                if known.waiters.len() < MAX_WAITERS_PER_JOB {
                    known.waiters.push(reply);
                } else {
                    let refusal = Refusal::conflict(format!("{MAX_WAITERS_PER_JOB} clients wait for job {job} already; try again later"));
                    self.effects.push(Effect::answer(reply, Err(refusal)));
                }
            }
        }
    }

    /// Ends a job. For one that has failed it means that nobody will retry it: what was kept for that goes.
    pub(super) fn cancel(&mut self, job: JobId) -> Result<JobView, Refusal> {
        if let Some(known) = self.jobs.get(&job) {
            if known.ended.is_none() {
                self.tell_scheduler(Event::CancelAsked { job }, None);
            } else if let Some(output) = known.record.plan.output.clone() {
                let dir = known.dir.clone();
                self.effects.push(Effect::RemoveStaging { output, dir });
            }
        }
        self.job_view(job)
    }

    /// Lets a paused job go on, or tries a failed one again.
    pub(super) fn retry(&mut self, job: JobId) -> Result<JobView, Refusal> {
        let view = self.job_view(job)?;
        let refuse = |why: &str| Err(Refusal::conflict(format!("job {job} {why}")));
        match view.state {
            JobState::Running => return refuse("is running: there is nothing to retry"),
            JobState::Succeeded => return refuse("has succeeded: there is nothing to retry"),
            JobState::Cancelled | JobState::BadInput => return refuse("cannot go on; submit it again"),
            JobState::Paused | JobState::Failed => {}
        }
        if self.sum_up_again(job) {
            return self.job_view(job);
        }
        let actions = self.scheduler.handle(self.clock.now(), Event::RetryAsked { job });
        if actions.is_empty() {
            return refuse(
                "cannot be retried: its set-aside items belong to a stage whose results were used already, or it is too old; submit it again",
            );
        }
        self.act_all(actions, None);
        self.job_view(job)
    }

    /// A paused or failed job goes on.
    pub(super) fn resumed(&mut self, job: JobId) {
        tracing::info!(%job, "the job goes on");
        let stage = self.scheduler.job(job, self.clock.now()).map(|status| status.stage);
        let (Some(known), Some(stage)) = (self.jobs.get_mut(&job), stage) else { return };
        if known.ended.take().is_some() {
            known.quarantined.retain(|item| item.stage != stage.0);
            self.records.push(Record::Reopened { job, stage });
        }
    }
}
