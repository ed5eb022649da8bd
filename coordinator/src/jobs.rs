//! The jobs as the driver keeps them beside the scheduler, and what people see of them.

use crate::command::Reply;
use crate::journal::ActiveJob;
use paceline_common::failure::Refusal;
use paceline_common::ids::{JobId, StageIdx};
use paceline_common::job::JobRecord;
use paceline_common::job_dir::JobDir;
use paceline_common::range_set::RangeSet;
use paceline_common::view::{JobDetail, JobState, JobSummary, JobView, MAX_QUARANTINED_SHOWN, QuarantinedItem, StageView};
use paceline_scheduler::action::Outcome;
use paceline_scheduler::event::{JobTerms, Time};
use paceline_scheduler::view::{JobPhase, JobStatus, StageStatus};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A job that the scheduler knows.
pub(crate) struct Job {
    pub(crate) record: Arc<JobRecord>,
    pub(crate) dir: JobDir,
    /// What the journal knew of its progress at the restart and the scheduler has not been told yet.
    pub(crate) to_restore: Restore,
    /// The first items set aside, for people; the journal has all of them.
    pub(crate) quarantined: Vec<QuarantinedItem>,
    /// Clients that wait for its end.
    pub(crate) waiters: Vec<Reply<Result<JobView, Refusal>>>,
    /// The scheduler's word on it, while its result is summed up.
    pub(crate) ending: Option<Outcome>,
    /// How it stands, where it is over and can be retried.
    pub(crate) ended: Option<Box<JobDetail>>,
}

/// Progress from the journal.
#[derive(Debug, Default)]
pub(crate) struct Restore {
    pub(crate) stage_sizes: BTreeMap<StageIdx, u64>,
    pub(crate) committed: BTreeMap<StageIdx, RangeSet>,
    pub(crate) quarantined: Vec<QuarantinedItem>,
}

impl Job {
    /// A job that was submitted just now.
    pub(crate) fn new(record: JobRecord, dir: JobDir) -> Self {
        Self {
            record: Arc::new(record),
            dir,
            to_restore: Restore::default(),
            quarantined: Vec::new(),
            waiters: Vec::new(),
            ending: None,
            ended: None,
        }
    }

    /// A job from the journal.
    pub(crate) fn restored(job: ActiveJob, dir: JobDir, ended: Option<Box<JobDetail>>) -> Self {
        let quarantined = job.quarantined.iter().take(MAX_QUARANTINED_SHOWN).cloned().collect();
        let to_restore = Restore { stage_sizes: job.stage_sizes, committed: job.committed, quarantined: job.quarantined };
        Self { to_restore, quarantined, ended, ..Self::new(job.record, dir) }
    }

    /// Its number.
    pub(crate) fn id(&self) -> JobId {
        self.record.job
    }

    /// What it asks of the scheduler.
    pub(crate) fn terms(&self) -> JobTerms {
        let request = &self.record.request;
        JobTerms {
            priority: request.priority.max(1),
            max_cores: request.max_cores,
            max_failures: request.max_failures,
            tolerates_missing_items: self.record.plan.stages.iter().map(|stage| stage.tolerates_missing_items).collect(),
        }
    }

    /// The job as people see it, from what the scheduler knows of it.
    pub(crate) fn view(&self, status: &JobStatus) -> JobView {
        if let Some(detail) = &self.ended {
            return detail.job.clone();
        }
        let record = &self.record;
        let stage = record.stage(status.stage);
        let (state, reason) = match &status.phase {
            JobPhase::Paused { reason } => (JobState::Paused, Some(reason.clone())),
            _ => (JobState::Running, self.ending.is_some().then(|| "its result is being summed up".to_owned())),
        };
        let n_left = status.n_items.map(|n_items| n_items.saturating_sub(status.n_committed));
        JobView {
            job: record.job,
            name: record.request.name.clone().unwrap_or_else(|| record.request.workload.clone()),
            workload: record.request.workload.clone(),
            state,
            reason,
            stage: stage.map(|stage| stage.name.clone()).unwrap_or_default(),
            stage_idx: status.stage.0,
            n_stages: u32::try_from(record.plan.stages.len()).unwrap_or(u32::MAX),
            item_name: stage.map(|stage| stage.item_name.clone()).unwrap_or_default(),
            n_committed: status.n_committed,
            n_items: status.n_items,
            n_quarantined: status.n_quarantined,
            n_duplicates_dropped: status.n_duplicates_dropped,
            items_per_second: status.items_per_second,
            eta_seconds: n_left.filter(|_| status.items_per_second > 0.0).map(|n_left| n_left as f64 / status.items_per_second),
            n_agents: status.n_agents,
            n_cores: status.n_cores,
            priority: record.request.priority,
            submitted_at_ms: record.submitted_at_ms,
            ended_at_ms: None,
            job_dir: self.dir.path().to_owned(),
            output: record.plan.output.as_ref().map(|output| output.path.clone()),
            summary: None,
        }
    }

    /// The stages as people see them.
    pub(crate) fn stage_views(&self, stages: &[StageStatus], now: Time) -> Vec<StageView> {
        let name = |stage: StageIdx| self.record.stage(stage).map(|plan| plan.name.clone()).unwrap_or_default();
        let duration_ms = |stage: &StageStatus| Some(stage.ended_at.unwrap_or(now).0.saturating_sub(stage.started_at?.0) / 1_000_000);
        let view = |stage: &StageStatus| StageView {
            name: name(stage.stage),
            n_committed: stage.n_committed,
            n_items: stage.n_items,
            duration_ms: duration_ms(stage),
        };
        stages.iter().map(view).collect()
    }

    /// Where the job is once it is over, and the sentence on it.
    pub(crate) fn final_state(
        &self,
        outcome: &Outcome,
        n_quarantined: u64,
        summary: &Result<Option<JobSummary>, String>,
    ) -> (JobState, Option<String>) {
        match (outcome, summary) {
            (_, Err(why)) => (JobState::Failed, Some(why.clone())),
            (Outcome::Succeeded, Ok(_)) if n_quarantined == 0 => (JobState::Succeeded, None),
            (Outcome::Succeeded | Outcome::SucceededInPart { .. }, Ok(_)) => {
                let job = self.id();
                let items = if n_quarantined == 1 { "1 item was".to_owned() } else { format!("{n_quarantined} items were") };
                let reason = format!("{items} set aside: `paceline job show {job}` tells why, `paceline job retry {job}` tries again");
                (JobState::Failed, Some(reason))
            }
            (Outcome::Failed { reason }, Ok(_)) => (JobState::Failed, Some(reason.clone())),
            (Outcome::BadInput { failure }, Ok(_)) => (JobState::BadInput, Some(failure.message.clone())),
            (Outcome::Cancelled, Ok(_)) => (JobState::Cancelled, Some("cancelled by request".to_owned())),
        }
    }
}
