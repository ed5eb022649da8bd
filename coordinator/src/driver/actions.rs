//! Telling the scheduler what has happened, and doing what it asks for.

use super::Driver;
use crate::config::MAX_SENTENCE_BYTES;
use crate::effects::{Effect, JobFiles};
use crate::job_work::FinishedStage;
use crate::jobs::Job;
use crate::journal::Record;
use paceline_common::failure::Failure;
use paceline_common::ids::{JobId, StageIdx};
use paceline_common::message::{LeaseGrant, Order, PartBody};
use paceline_common::range::ItemRange;
use paceline_common::view::{MAX_QUARANTINED_SHOWN, QuarantinedItem};
use paceline_scheduler::action::Action;
use paceline_scheduler::event::Event;

impl Driver {
    /// Tells the scheduler a fact and does what follows. `part` is what came with a `RangeFinished`.
    pub(super) fn tell_scheduler(&mut self, event: Event, part: Option<PartBody>) {
        let actions = self.scheduler.handle(self.clock.now(), event);
        self.act_all(actions, part);
    }

    /// Does everything that the scheduler asks for, in its order.
    pub(super) fn act_all(&mut self, actions: Vec<Action>, mut part: Option<PartBody>) {
        for action in actions {
            self.act(action, &mut part);
        }
    }

    fn act(&mut self, action: Action, part: &mut Option<PartBody>) {
        match action {
            Action::Grant { agent, lease, job, stage, range, cores, alone } => {
                let Some(known) = self.jobs.get(&job) else { return };
                let job_dir = known.dir.path().to_owned();
                self.agents.order(agent, Order::Grant(LeaseGrant { lease, job, stage, range, cores, alone, job_dir }));
            }
            Action::Shorten { agent, lease, end } => self.agents.order(agent, Order::Shorten { lease, end }),
            Action::Revoke { agent, lease } => self.agents.order(agent, Order::Revoke { lease }),
            Action::Commit { job, stage, part_items, accepted, .. } => self.commit(job, stage, part_items, accepted, part.take()),
            Action::Quarantine { job, stage, item, cause } => self.quarantine(job, stage, item, cause),
            Action::StartStage { job, stage } => self.start_stage(job, stage),
            Action::PauseJob { job, reason } => tracing::warn!(%job, "paused: {reason}"),
            Action::ResumeJob { job } => self.resumed(job),
            Action::EndJob { job, outcome } => self.end_job(job, outcome),
            Action::Release { agent } => self.agents.order(agent, Order::Release),
            Action::DropAgent { agent, leases } => {
                tracing::warn!(%agent, "the agent was silent for too long");
                self.log_loss(agent, "silent for too long", &leases);
                self.forget_agent(agent, "lost");
            }
        }
    }

    fn commit(&mut self, job: JobId, stage: StageIdx, part_items: ItemRange, accepted: Vec<ItemRange>, part: Option<PartBody>) {
        let body = part.unwrap_or(PartBody::Empty);
        for items in accepted {
            // Without bytes there is nothing that later readers must find at its place within the part.
            let part_items = if body == PartBody::Empty { items } else { part_items };
            self.records.push(Record::Committed { job, stage, items, part_items, body: body.clone() });
        }
    }

    fn quarantine(&mut self, job: JobId, stage: StageIdx, item: u64, cause: String) {
        let cause = truncated(cause);
        tracing::warn!(%job, %stage, item, "set aside: {cause}");
        if let Some(known) = self.jobs.get_mut(&job)
            && known.quarantined.len() < MAX_QUARANTINED_SHOWN
        {
            known.quarantined.push(QuarantinedItem { stage: stage.0, item, cause: cause.clone() });
        }
        self.records.push(Record::Quarantined { job, stage, item, cause });
    }

    /// Begins a stage: from the journal where it had begun in an earlier life, else by counting its items.
    fn start_stage(&mut self, job: JobId, stage: StageIdx) {
        let Some(known) = self.jobs.get_mut(&job) else { return };
        match known.to_restore.stage_sizes.remove(&stage) {
            Some(n_items) => self.restore_stage(job, stage, n_items),
            None => {
                let job = files(known);
                self.effects.push(Effect::SizeStage { job, stage });
            }
        }
    }

    /// The effect of `start_stage`: reads what the journal has of the stage before, and leaves the rest to another thread.
    pub(super) fn size_stage(&mut self, job: JobFiles, stage: StageIdx) {
        let before = stage.0.checked_sub(1).map(StageIdx);
        match before.map(|before| self.finished_stage(job.record.job, before)).transpose() {
            Ok(finished) => self.parts.workers.size_stage(job, stage, finished),
            Err(failure) => self.stage_sized(job.record.job, stage, Err(failure)),
        }
    }

    /// Everything that was committed and set aside of a stage.
    pub(super) fn finished_stage(&self, job: JobId, stage: StageIdx) -> Result<FinishedStage, Failure> {
        let commits = self.parts.journal.stage_commits(job, stage).map_err(|e| Failure::storage(e.to_string()))?;
        let status = self.scheduler.job(job, self.clock.now());
        let n_items = status.and_then(|status| status.stages.iter().find(|s| s.stage == stage)?.n_items);
        let n_items = n_items.ok_or_else(|| {
            Failure::storage(format!("stage {stage} of job {job} was never counted; report this as an error of paceline"))
        })?;
        Ok(FinishedStage { stage, n_items, commits, quarantined: self.scheduler.quarantined(job, stage) })
    }

    /// A stage's items were counted, or could not be.
    pub(super) fn stage_sized(&mut self, job: JobId, stage: StageIdx, outcome: Result<u64, Failure>) {
        if !self.jobs.contains_key(&job) {
            return;
        }
        match outcome {
            Ok(n_items) => {
                self.records.push(Record::StageSized { job, stage, n_items });
                self.tell_scheduler(Event::StageSized { job, stage, n_items }, None);
            }
            Err(failure) => self.tell_scheduler(Event::JobBroken { job, failure }, None),
        }
    }
}

/// What another thread needs of a job.
pub(super) fn files(job: &Job) -> JobFiles {
    JobFiles { record: job.record.clone(), dir: job.dir.clone() }
}

/// A sentence from elsewhere, no longer than is kept of one.
pub(super) fn truncated(mut text: String) -> String {
    if text.len() > MAX_SENTENCE_BYTES {
        text.truncate(text.floor_char_boundary(MAX_SENTENCE_BYTES));
        text.push('…');
    }
    text
}
