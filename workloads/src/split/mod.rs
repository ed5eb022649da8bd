//! `split`: a table of interactions divided into rows to train on and rows to test on. Stages: divide, one item that says of each row
//! what it is used for; write, one item an output; publish.
//! This room finds columns and copies rows; it must not know how rows are drawn.

mod dividing;
mod settings;
#[cfg(test)]
mod tests;
mod writing;

pub use settings::{MethodChoice, SplitSettings};

use crate::input_cache::InputCache;
use crate::interactions::InteractionSource;
use crate::publish;
use crate::table::{NumericKind, TableFormat};
use crate::workload::{JobContext, StageTask, Workload};
use dividing::{DivideTask, Divided};
use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::StageIdx;
use paceline_common::job::{JobPlan, OutputPlan, StagePlan};
use paceline_common::view::JobSummary;
use paceline_kernels::split::{Holdout, RowShare};
use std::sync::Arc;
use writing::WriteTask;

/// The checked workload.
#[derive(Clone, Debug)]
pub struct Split {
    settings: SplitSettings,
    method: Method,
    seed: u64,
    /// Of the rows to train on and of those to test on.
    formats: [TableFormat; 2],
    output: OutputPlan,
}

/// Which rows are tested.
#[derive(Clone, Debug, PartialEq)]
enum Method {
    /// Some of each user.
    ByUser(Holdout),
    /// All from this time on, as it was written and what it means.
    FromTime { text: String, value: f64, kind: NumericKind },
    /// The latest share of all.
    LatestShare(RowShare),
}

impl Method {
    fn needs_times(&self) -> bool {
        match self {
            Self::ByUser(holdout) => holdout.needs_times(),
            Self::FromTime { .. } | Self::LatestShare(_) => true,
        }
    }
}

const DIVIDE: StageIdx = StageIdx(0);
const WRITE: StageIdx = StageIdx(1);
const PUBLISH: StageIdx = StageIdx(2);

impl Split {
    fn source(&self) -> Result<InteractionSource, Failure> {
        let source = InteractionSource::open(&self.settings.data, self.settings.column_names())?.without_values();
        if !self.method.needs_times() {
            return Ok(source.without_times());
        }
        if source.time_column().is_none() {
            let path = source.path().display();
            return Err(Failure::bad_input(format!(
                "{path}: has no column of times called time, timestamp or date; name it with --time-column"
            )));
        }
        Ok(source)
    }

    fn open_publish(&self, job: &JobContext<'_>) -> Result<Arc<dyn StageTask>, Failure> {
        let divided = job.results_of(DIVIDE)?;
        let mut files = publish::staged_files(&job.results_of(WRITE)?)?;
        let test = files.pop().ok_or_else(|| Failure::storage("the table to test on was never written; submit the job again"))?;
        let facts = Divided::of(&divided)?.facts.shown(self.settings.min_train);
        publish::open_with(job, files, vec![(self.settings.out_test.clone(), test)], facts)
    }
}

impl Workload for Split {
    fn plan(&self) -> Result<JobPlan, Refusal> {
        let inputs = self.source()?.identities()?;
        publish::check_output(&self.output, &inputs)?;
        let stage =
            |name: &str, item: &str| StagePlan { name: name.to_owned(), item_name: item.to_owned(), tolerates_missing_items: false };
        let stages = vec![stage("divide", "table"), stage("write", "table"), publish::stage_plan()];
        Ok(JobPlan { stages, inputs, output: Some(self.output.clone()), notes: vec![] })
    }

    fn n_items(&self, stage: StageIdx, _job: &JobContext<'_>) -> Result<u64, Failure> {
        Ok(if stage == WRITE { self.formats.len() as u64 } else { 1 })
    }

    fn open(&self, stage: StageIdx, job: &JobContext<'_>, _inputs: &InputCache) -> Result<Arc<dyn StageTask>, Failure> {
        let verified = || {
            let source = self.source()?;
            source.verify(job.record)?;
            Ok::<InteractionSource, Failure>(source)
        };
        match stage {
            DIVIDE => Ok(Arc::new(DivideTask {
                source: verified()?,
                method: self.method.clone(),
                seed: self.seed,
                min_train: self.settings.min_train as usize,
                needs_cell_types: self.formats.contains(&TableFormat::Parquet),
            })),
            WRITE => {
                let [train, test] = self.formats;
                let staged = [publish::staging_path(job)?, publish::staging_path_beside(job, &self.settings.out_test)?];
                let outputs = staged.into_iter().zip([train, test]).collect();
                Ok(Arc::new(WriteTask { source: verified()?, divided: job.results_of(DIVIDE)?, outputs }))
            }
            PUBLISH => self.open_publish(job),
            other => Err(Failure::storage(format!("split has no stage {other}"))),
        }
    }

    fn summarize(&self, job: &JobContext<'_>) -> Result<JobSummary, Failure> {
        publish::summary(job, PUBLISH)
    }
}
