//! `evaluate`: how good lists of recommended items and predicted ratings are. Stages: gather all tables into numbered rows; measure, one
//! item a user; write the tables of metrics; publish.
//! This room turns tables into what the kernel takes and its numbers into tables; it must not know how a metric is computed.

mod gathering;
mod measuring;
mod overall;
mod settings;
mod tables;
#[cfg(test)]
mod tests;
mod writing;

pub use settings::{DiscountChoice, EvaluateSettings, MissingLists};

use crate::input_cache::InputCache;
use crate::publish;
use crate::table::TableFormat;
use crate::workload::{JobContext, StageTask, Workload};
use gathering::{GatherTask, Gathered};
use measuring::MeasureTask;
use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::StageIdx;
use paceline_common::job::{JobPlan, OutputPlan, StagePlan};
use paceline_common::view::JobSummary;
use paceline_kernels::evaluate::{Column, Cutoff, Evaluator};
use std::path::PathBuf;
use std::sync::Arc;
use tables::Sources;
use writing::{WriteTask, Written};

/// The checked workload.
#[derive(Clone, Debug)]
pub struct Evaluation {
    settings: EvaluateSettings,
    evaluator: Evaluator,
    cutoffs: Vec<Cutoff>,
    output: OutputPlan,
    format: TableFormat,
    summary: Option<(PathBuf, TableFormat)>,
}

const GATHER: StageIdx = StageIdx(0);
const MEASURE: StageIdx = StageIdx(1);
const WRITE: StageIdx = StageIdx(2);
const PUBLISH: StageIdx = StageIdx(3);

impl Evaluation {
    /// `None` where there are no lists.
    fn evaluator(&self) -> Option<&Evaluator> {
        Some(&self.evaluator).filter(|_| !self.settings.lists.is_empty())
    }

    fn columns(&self) -> Vec<Column> {
        self.evaluator().map_or(vec![], |evaluator| evaluator.columns().to_vec())
    }

    fn open_write(&self, job: &JobContext<'_>) -> Result<WriteTask, Failure> {
        let staged = |(path, format): &(PathBuf, TableFormat)| Ok((publish::staging_path_beside(job, path)?, *format));
        Ok(WriteTask {
            gathered: job.results_of(GATHER)?,
            measured: job.results_of(MEASURE)?,
            columns: self.columns(),
            cutoffs: self.cutoffs.clone(),
            has_predictions: !self.settings.predictions.is_empty(),
            users: (publish::staging_path(job)?, self.format),
            summary: self.summary.as_ref().map(staged).transpose()?,
        })
    }

    fn open_publish(&self, job: &JobContext<'_>) -> Result<Arc<dyn StageTask>, Failure> {
        let Written { users, summary, facts } = Written::of(&job.results_of(WRITE)?)?;
        let beside = self.settings.summary.clone().zip(summary).into_iter().collect();
        publish::open_with(job, vec![users], beside, facts)
    }
}

impl Workload for Evaluation {
    fn plan(&self) -> Result<JobPlan, Refusal> {
        let inputs = Sources::open(&self.settings)?.identities()?;
        publish::check_output(&self.output, &inputs)?;
        let stage =
            |name: &str, item: &str| StagePlan { name: name.to_owned(), item_name: item.to_owned(), tolerates_missing_items: false };
        let stages = vec![stage("gather", "table"), stage("measure", "user"), stage("write", "table"), publish::stage_plan()];
        Ok(JobPlan { stages, inputs, output: Some(self.output.clone()), notes: vec![] })
    }

    fn n_items(&self, stage: StageIdx, job: &JobContext<'_>) -> Result<u64, Failure> {
        match stage {
            MEASURE => Ok(Gathered::of(&job.unread_results_of(GATHER)?)?.facts.n_users as u64),
            _ => Ok(1),
        }
    }

    fn open(&self, stage: StageIdx, job: &JobContext<'_>, _inputs: &InputCache) -> Result<Arc<dyn StageTask>, Failure> {
        match stage {
            GATHER => {
                let sources = Sources::open(&self.settings)?;
                sources.verify(job.record)?;
                Ok(Arc::new(GatherTask { sources }))
            }
            MEASURE => Ok(Arc::new(MeasureTask::new(job.results_of(GATHER)?, self.evaluator().cloned(), self.settings.missing_lists))),
            WRITE => Ok(Arc::new(self.open_write(job)?)),
            PUBLISH => self.open_publish(job),
            other => Err(Failure::storage(format!("evaluate has no stage {other}"))),
        }
    }

    fn summarize(&self, job: &JobContext<'_>) -> Result<JobSummary, Failure> {
        publish::summary(job, PUBLISH)
    }
}
