//! `forest train` as a workload: its settings checked, its stages laid out, each stage opened. What an item does stands in the
//! module of its stage; this room must not know it.

use super::adding::Training;
use super::columns::ColumnsTask;
use super::growing::{self, Bags, GrowingTask};
use super::grown::GrownTrees;
use super::layout::ColumnLayout;
use super::merge::{MODEL_ITEM, MergeResult, MergeTask, OOB_TABLE_ITEM};
use super::model::TaskSpec;
use super::oob_table::OobTable;
use super::out_of_bag::{self, Keep, OobScore, OutOfBagTask};
use super::permutation::{PermutationLosses, PermutationTask};
use super::rows::{RowBlocks, RowsTask};
use super::settings::TrainSettings;
use super::training_data::TrainingParts;
use crate::input_cache::InputCache;
use crate::publish;
use crate::registry::Settings;
use crate::table::{TableFormat, TableSource};
use crate::workload::{JobContext, StageTask, Workload};
use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::StageIdx;
use paceline_common::job::{InputIdentity, JobPlan, OutputPlan, StagePlan};
use paceline_common::part::StageParts;
use paceline_common::view::JobSummary;
use paceline_kernels::forest::Sampling;
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

/// The checked workload. With --add-to its settings are those of a model, which is a file: whoever needs them looks there.
#[derive(Clone, Debug)]
pub struct ForestTraining {
    settings: TrainSettings,
    seed: u64,
}

/// The stages in their order; two of them only where they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TrainStage {
    Columns,
    Rows,
    Trees,
    OutOfBag,
    Permutation,
    Merge,
    Publish,
}

impl TrainStage {
    fn plan(self) -> StagePlan {
        let (name, item_name) = match self {
            Self::Columns => ("columns", "column"),
            Self::Rows => ("rows", "block"),
            Self::Trees => ("trees", "tree"),
            Self::OutOfBag => ("out-of-bag", "block"),
            Self::Permutation => ("permutation", "tree"),
            Self::Merge => ("merge", "file"),
            Self::Publish => return publish::stage_plan(),
        };
        // A forest without one of its trees, columns or rows is another forest than the one that was asked for.
        StagePlan { name: name.to_owned(), item_name: item_name.to_owned(), tolerates_missing_items: false }
    }
}

impl Training {
    fn stages(&self) -> Vec<TrainStage> {
        let mut stages = vec![TrainStage::Columns, TrainStage::Rows, TrainStage::Trees];
        stages.extend(self.settings.measures_oob().then_some(TrainStage::OutOfBag));
        stages.extend(self.settings.measures_permutation().then_some(TrainStage::Permutation));
        stages.extend([TrainStage::Merge, TrainStage::Publish]);
        stages
    }

    fn stage(&self, idx: StageIdx) -> Result<TrainStage, Failure> {
        let stage = self.stages().get(idx.0 as usize).copied();
        stage.ok_or_else(|| Failure::bad_input(format!("forest-train has no stage {idx}")))
    }

    fn idx_of(&self, stage: TrainStage) -> StageIdx {
        StageIdx(self.stages().iter().take_while(|&&other| other != stage).count() as u32)
    }

    fn results_of(&self, stage: TrainStage, job: &JobContext<'_>) -> Result<StageParts, Failure> {
        job.results_of(self.idx_of(stage))
    }

    fn parts(&self, job: &JobContext<'_>) -> Result<TrainingParts, Failure> {
        TrainingParts::open(self.results_of(TrainStage::Columns, job)?, &self.settings)
    }

    fn sampling(&self, parts: &TrainingParts) -> Result<Sampling, Failure> {
        Ok(growing::sampling(&self.settings, parts.facts()?.n_rows))
    }

    /// All trees of the forest, those that were there already first.
    fn trees(&self, job: &JobContext<'_>, inputs: &InputCache) -> Result<GrownTrees, Failure> {
        let earlier = match &self.earlier {
            Some(earlier) => Some(inputs.artifact(identity_of(&earlier.path, job)?)?),
            None => None,
        };
        GrownTrees::open(earlier, self.results_of(TrainStage::Trees, job)?)
    }

    /// How the rows are cut into blocks, which the coordinator asks too.
    fn row_blocks(&self, job: &JobContext<'_>) -> Result<RowBlocks, Failure> {
        let columns = job.unread_results_of(self.idx_of(TrainStage::Columns))?;
        RowBlocks::of(&TrainingParts::unweighted(columns, &self.settings))
    }

    fn open_rows(&self, job: &JobContext<'_>) -> Result<RowsTask, Failure> {
        RowsTask::open(TrainingParts::unweighted(self.results_of(TrainStage::Columns, job)?, &self.settings))
    }

    fn open_growing(&self, job: &JobContext<'_>) -> Result<GrowingTask, Failure> {
        let parts = self.parts(job)?;
        let facts = parts.facts()?;
        self.check_data(&facts)?;
        if self.settings.oob_proba && facts.task == TaskSpec::Regression {
            let message = format!("--oob-proba: the target {} is a number and has no classes; leave it out", self.settings.target);
            return Err(Failure::bad_input(message));
        }
        let rows = self.results_of(TrainStage::Rows, job)?;
        GrowingTask::open(parts, rows, &self.settings, self.seed, self.n_earlier())
    }

    fn open_out_of_bag(&self, job: &JobContext<'_>, inputs: &InputCache) -> Result<OutOfBagTask, Failure> {
        let parts = self.parts(job)?;
        let bags = Bags { sampling: self.sampling(&parts)?, n_rows: parts.facts()?.n_rows as usize, seed: self.seed };
        let keep = match (&self.settings.oob_predictions, self.settings.oob_proba) {
            (None, _) => Keep::Score,
            (Some(_), false) => Keep::Predictions,
            (Some(_), true) => Keep::Probabilities,
        };
        OutOfBagTask::open(parts, self.trees(job, inputs)?, &bags, keep)
    }

    fn open_permutation(&self, job: &JobContext<'_>, inputs: &InputCache) -> Result<PermutationTask, Failure> {
        let parts = self.parts(job)?;
        let sampling = self.sampling(&parts)?;
        PermutationTask::open(parts, self.trees(job, inputs)?, sampling, self.seed)
    }

    fn open_merge(&self, job: &JobContext<'_>, inputs: &InputCache) -> Result<MergeTask, Failure> {
        let oob = match self.settings.measures_oob() {
            true => Some(OobScore::of(&self.results_of(TrainStage::OutOfBag, job)?)?),
            false => None,
        };
        let permutation = match self.settings.measures_permutation() {
            true => Some(PermutationLosses(self.results_of(TrainStage::Permutation, job)?)),
            false => None,
        };
        let parts = self.parts(job)?;
        Ok(MergeTask {
            facts: parts.facts()?,
            thresholds: parts.thresholds()?,
            settings: self.settings.clone(),
            seed: self.seed,
            trees: self.trees(job, inputs)?,
            oob,
            permutation,
            oob_table: self.oob_table(job)?,
            staging_path: publish::staging_path(job)?,
        })
    }

    fn oob_table(&self, job: &JobContext<'_>) -> Result<Option<OobTable>, Failure> {
        let Some(path) = &self.settings.oob_predictions else { return Ok(None) };
        Ok(Some(OobTable {
            blocks: self.results_of(TrainStage::OutOfBag, job)?,
            with_probabilities: self.settings.oob_proba,
            format: TableFormat::of_output(path)?,
            staging_path: publish::staging_path_beside(job, path)?,
        }))
    }

    fn open_publish(&self, job: &JobContext<'_>) -> Result<Arc<dyn StageTask>, Failure> {
        let merged = self.results_of(TrainStage::Merge, job)?;
        let MergeResult { file, mut facts } = MergeResult::of(&merged, MODEL_ITEM)?;
        let mut beside = vec![];
        if let Some(path) = &self.settings.oob_predictions {
            beside.push((path.clone(), MergeResult::of(&merged, OOB_TABLE_ITEM)?.file));
            facts.push(("out-of-bag predictions".to_owned(), path.display().to_string()));
        }
        publish::open_with(job, vec![file], beside, facts)
    }

    fn plan(&self) -> Result<JobPlan, Refusal> {
        let settings = &self.settings;
        let source = TableSource::open(&settings.data)?;
        let layout = ColumnLayout::of(settings, &source)?;
        settings.oob_predictions.as_deref().map(TableFormat::of_output).transpose()?;
        let beside = settings.oob_predictions.iter().cloned().collect();
        let output = OutputPlan { path: settings.out.clone(), force: settings.force, beside };
        let model = self.earlier.iter().map(|earlier| earlier.path.as_path());
        let paths = source.files().iter().map(AsRef::as_ref).chain(model);
        let inputs = paths.map(InputIdentity::of).collect::<Result<Vec<_>, _>>()?;
        publish::check_output(&output, &inputs)?;
        let stages = self.stages().into_iter().map(TrainStage::plan).collect();
        Ok(JobPlan { stages, inputs, output: Some(output), notes: layout.notes() })
    }
}

/// The input at `path` as it was when the job was submitted.
fn identity_of<'a>(path: &Path, job: &JobContext<'a>) -> Result<&'a InputIdentity, Failure> {
    let identity = job.record.plan.inputs.iter().find(|input| input.path == path);
    identity.ok_or_else(|| Failure::storage(format!("{}: is not among the job's inputs; submit the job again", path.display())))
}

impl ForestTraining {
    fn training(&self) -> Result<Training, Failure> {
        Training::of(&self.settings, self.seed)
    }
}

impl Workload for ForestTraining {
    fn plan(&self) -> Result<JobPlan, Refusal> {
        self.training()?.plan()
    }

    fn n_items(&self, stage: StageIdx, job: &JobContext<'_>) -> Result<u64, Failure> {
        let training = self.training()?;
        let settings = &training.settings;
        match training.stage(stage)? {
            TrainStage::Columns => Ok(ColumnLayout::of(settings, &TableSource::open(&settings.data)?)?.n_items()),
            TrainStage::Rows => Ok(training.row_blocks(job)?.n_blocks()),
            TrainStage::Trees => Ok(settings.trees - training.n_earlier()),
            TrainStage::OutOfBag => Ok(out_of_bag::N_BLOCKS),
            TrainStage::Permutation => Ok(settings.trees),
            TrainStage::Merge => Ok(1 + u64::from(settings.oob_predictions.is_some())),
            TrainStage::Publish => Ok(1),
        }
    }

    fn open(&self, stage: StageIdx, job: &JobContext<'_>, inputs: &InputCache) -> Result<Arc<dyn StageTask>, Failure> {
        let training = self.training()?;
        match training.stage(stage)? {
            TrainStage::Columns => {
                job.record.plan.inputs.iter().try_for_each(InputIdentity::verify)?;
                Ok(Arc::new(ColumnsTask::open(&training.settings)?))
            }
            TrainStage::Rows => Ok(Arc::new(training.open_rows(job)?)),
            TrainStage::Trees => Ok(Arc::new(training.open_growing(job)?)),
            TrainStage::OutOfBag => Ok(Arc::new(training.open_out_of_bag(job, inputs)?)),
            TrainStage::Permutation => Ok(Arc::new(training.open_permutation(job, inputs)?)),
            TrainStage::Merge => Ok(Arc::new(training.open_merge(job, inputs)?)),
            TrainStage::Publish => training.open_publish(job),
        }
    }

    fn summarize(&self, job: &JobContext<'_>) -> Result<JobSummary, Failure> {
        publish::summary(job, self.training()?.idx_of(TrainStage::Publish))
    }
}
