//! `knn train`: a model of which items are taken by the same users. Stages: read the interactions; find the neighbours of items, an item
//! of work for each block of them; write the model; publish. It must not know how similarity is defined.

mod finding;
mod settings;
#[cfg(test)]
mod tests;
mod writing;

pub use settings::KnnSettings;

use crate::input_cache::InputCache;
use crate::interactions::{InteractionSource, Interactions, InteractionsTask, Repeated};
use crate::publish;
use crate::workload::{JobContext, StageTask, Workload};
use finding::{FindTask, n_blocks};
use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::StageIdx;
use paceline_common::job::{JobPlan, OutputPlan, StagePlan};
use paceline_common::view::JobSummary;
use std::sync::Arc;
use writing::WriteTask;

/// The checked workload.
#[derive(Clone, Debug)]
pub struct KnnTraining {
    settings: KnnSettings,
}

const INTERACTIONS: StageIdx = StageIdx(0);
const FIND: StageIdx = StageIdx(1);
const WRITE: StageIdx = StageIdx(2);
const PUBLISH: StageIdx = StageIdx(3);

impl KnnTraining {
    fn source(&self) -> Result<InteractionSource, Failure> {
        let source = InteractionSource::open(&self.settings.data, self.settings.column_names())?.without_times();
        if self.settings.explicit { source.with_ratings() } else { Ok(source.without_values()) }
    }

    fn open_write(&self, job: &JobContext<'_>) -> Result<WriteTask, Failure> {
        Ok(WriteTask {
            settings: self.settings.clone(),
            interactions: job.results_of(INTERACTIONS)?,
            neighbours: job.results_of(FIND)?,
            staging: publish::staging_path(job)?,
        })
    }

    fn open_publish(&self, job: &JobContext<'_>) -> Result<Arc<dyn StageTask>, Failure> {
        let parts = job.results_of(INTERACTIONS)?;
        let facts = Interactions::of(&parts)?.facts;
        let mut shown = facts.counts();
        shown.extend(facts.notices());
        publish::open(job, publish::staged_files(&job.results_of(WRITE)?)?, shown)
    }
}

impl Workload for KnnTraining {
    fn plan(&self) -> Result<JobPlan, Refusal> {
        let inputs = self.source()?.identities()?;
        let output = OutputPlan { path: self.settings.out.clone(), force: self.settings.force, beside: vec![] };
        publish::check_output(&output, &inputs)?;
        let stage =
            |name: &str, item: &str| StagePlan { name: name.to_owned(), item_name: item.to_owned(), tolerates_missing_items: false };
        let stages = vec![stage("interactions", "table"), stage("neighbours", "block"), stage("write", "model"), publish::stage_plan()];
        Ok(JobPlan { stages, inputs, output: Some(output), notes: vec![] })
    }

    fn n_items(&self, stage: StageIdx, job: &JobContext<'_>) -> Result<u64, Failure> {
        if stage != FIND {
            return Ok(1);
        }
        let parts = job.unread_results_of(INTERACTIONS)?;
        Ok(n_blocks(Interactions::of(&parts)?.facts.n_items))
    }

    fn open(&self, stage: StageIdx, job: &JobContext<'_>, _inputs: &InputCache) -> Result<Arc<dyn StageTask>, Failure> {
        match stage {
            INTERACTIONS => {
                let source = self.source()?;
                source.verify(job.record)?;
                Ok(Arc::new(InteractionsTask { source, repeated: Repeated::Last }))
            }
            FIND => Ok(Arc::new(FindTask::open(job.results_of(INTERACTIONS)?, &self.settings)?)),
            WRITE => Ok(Arc::new(self.open_write(job)?)),
            PUBLISH => self.open_publish(job),
            other => Err(Failure::storage(format!("knn-train has no stage {other}"))),
        }
    }

    fn summarize(&self, job: &JobContext<'_>) -> Result<JobSummary, Failure> {
        publish::summary(job, PUBLISH)
    }
}
