//! `forest train` as a workload: its settings checked, its stages laid out, each stage opened. What an item does stands in the
//! module of its stage; this room must not know it.

use super::columns::ColumnsTask;
use super::growing::{self, GrowingTask};
use super::layout::ColumnLayout;
use super::merge::{MergeResult, MergeTask};
use super::out_of_bag::{self, OobScore, OutOfBagTask};
use super::settings::TrainSettings;
use super::training_data::TrainingParts;
use crate::input_cache::InputCache;
use crate::publish;
use crate::registry::Settings;
use crate::table::TableSource;
use crate::workload::{JobContext, StageTask, Workload};
use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::StageIdx;
use paceline_common::job::{InputIdentity, JobPlan, OutputPlan, StagePlan};
use paceline_common::view::JobSummary;
use std::path::Path;
use std::sync::Arc;

impl Settings for TrainSettings {
    const WORKLOAD: &'static str = "forest-train";

    fn resolve_paths(&mut self, base: &Path) {
        self.resolve_paths_from(base);
    }

    fn check(self, seed: u64) -> Result<Box<dyn Workload>, Refusal> {
        self.check_ranges()?;
        Ok(Box::new(ForestTraining { settings: self, seed }))
    }
}

/// The checked workload.
#[derive(Clone, Debug)]
pub struct ForestTraining {
    settings: TrainSettings,
    seed: u64,
}

/// The stages in their order; `OutOfBag` only where it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TrainStage {
    Columns,
    Trees,
    OutOfBag,
    Merge,
    Publish,
}

impl TrainStage {
    fn plan(self) -> StagePlan {
        let (name, item_name) = match self {
            Self::Columns => ("columns", "column"),
            Self::Trees => ("trees", "tree"),
            Self::OutOfBag => ("out-of-bag", "block"),
            Self::Merge => ("merge", "model"),
            Self::Publish => return publish::stage_plan(),
        };
        // A forest without one of its trees or columns is another forest than the one that was asked for.
        StagePlan { name: name.to_owned(), item_name: item_name.to_owned(), tolerates_missing_items: false }
    }
}

impl ForestTraining {
    fn stages(&self) -> Vec<TrainStage> {
        let all = [TrainStage::Columns, TrainStage::Trees, TrainStage::OutOfBag, TrainStage::Merge, TrainStage::Publish];
        all.into_iter().filter(|&stage| self.settings.oob || stage != TrainStage::OutOfBag).collect()
    }

    fn stage(&self, idx: StageIdx) -> Result<TrainStage, Failure> {
        let stage = self.stages().get(idx.0 as usize).copied();
        stage.ok_or_else(|| Failure::bad_input(format!("forest-train has no stage {idx}")))
    }

    fn idx_of(&self, stage: TrainStage) -> StageIdx {
        StageIdx(self.stages().iter().take_while(|&&other| other != stage).count() as u32)
    }

    fn training_parts(&self, job: &JobContext<'_>) -> Result<TrainingParts, Failure> {
        TrainingParts::open(job.results_of(self.idx_of(TrainStage::Columns))?, &self.settings)
    }

    fn open_merge(&self, job: &JobContext<'_>) -> Result<MergeTask, Failure> {
        let oob = match self.settings.oob {
            true => Some(OobScore::of(&job.results_of(self.idx_of(TrainStage::OutOfBag))?)?),
            false => None,
        };
        Ok(MergeTask {
            facts: self.training_parts(job)?.facts()?,
            settings: self.settings.clone(),
            seed: self.seed,
            trees: job.results_of(self.idx_of(TrainStage::Trees))?,
            oob,
            staging_path: publish::staging_path(job)?,
        })
    }

    fn open_out_of_bag(&self, job: &JobContext<'_>) -> Result<OutOfBagTask, Failure> {
        let parts = self.training_parts(job)?;
        let sampling = growing::sampling(&self.settings, parts.facts()?.n_rows);
        OutOfBagTask::open(parts, job.results_of(self.idx_of(TrainStage::Trees))?, sampling, self.seed)
    }
}

impl Workload for ForestTraining {
    fn plan(&self) -> Result<JobPlan, Refusal> {
        let source = TableSource::open(&self.settings.data)?;
        ColumnLayout::of(&self.settings, &source)?;
        let output = OutputPlan { path: self.settings.out.clone(), force: self.settings.force };
        publish::check_output(&output)?;
        let inputs = source.files().iter().map(|path| InputIdentity::of(path)).collect::<Result<_, _>>()?;
        Ok(JobPlan { stages: self.stages().into_iter().map(TrainStage::plan).collect(), inputs, output: Some(output) })
    }

    fn n_items(&self, stage: StageIdx, _job: &JobContext<'_>) -> Result<u64, Failure> {
        match self.stage(stage)? {
            TrainStage::Columns => Ok(ColumnLayout::of(&self.settings, &TableSource::open(&self.settings.data)?)?.n_items()),
            TrainStage::Trees => Ok(self.settings.trees),
            TrainStage::OutOfBag => Ok(out_of_bag::N_BLOCKS),
            TrainStage::Merge | TrainStage::Publish => Ok(1),
        }
    }

    fn open(&self, stage: StageIdx, job: &JobContext<'_>, _inputs: &InputCache) -> Result<Arc<dyn StageTask>, Failure> {
        match self.stage(stage)? {
            TrainStage::Columns => {
                job.record.plan.inputs.iter().try_for_each(InputIdentity::verify)?;
                Ok(Arc::new(ColumnsTask::open(&self.settings)?))
            }
            TrainStage::Trees => Ok(Arc::new(GrowingTask::open(self.training_parts(job)?, &self.settings, self.seed)?)),
            TrainStage::OutOfBag => Ok(Arc::new(self.open_out_of_bag(job)?)),
            TrainStage::Merge => Ok(Arc::new(self.open_merge(job)?)),
            TrainStage::Publish => {
                let merged = MergeResult::of(&job.results_of(self.idx_of(TrainStage::Merge))?)?;
                publish::open(job, vec![merged.file], merged.facts)
            }
        }
    }

    fn summarize(&self, job: &JobContext<'_>) -> Result<JobSummary, Failure> {
        publish::summary(job, self.idx_of(TrainStage::Publish))
    }
}
