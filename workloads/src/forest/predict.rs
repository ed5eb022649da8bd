//! `forest predict` as a workload: the data held against what the model needs, its stages laid out, each stage opened. What an
//! item does stands in the module of its stage; this room must not know it.

use super::model::{FeatureSpec, ForestHeader, ForestModel, TaskSpec};
use super::predict_blocks::{PredictTask, SurveyTask};
use super::predict_output::{self, OutputLayout, WriteTask};
use super::settings::PredictSettings;
use crate::input_cache::InputCache;
use crate::publish;
use crate::registry::Settings;
use crate::table::{BlockIndex, ROWS_PER_BLOCK, TableSource, TargetColumn, TargetSchema, TargetType};
use crate::workload::{JobContext, StageTask, Workload};
use paceline_common::artifact::Artifact;
use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::StageIdx;
use paceline_common::job::{InputIdentity, JobPlan, OutputPlan, StagePlan};
use paceline_common::view::JobSummary;
use std::path::Path;
use std::sync::Arc;

impl Settings for PredictSettings {
    const WORKLOAD: &'static str = "forest-predict";

    fn resolve_paths(&mut self, base: &Path) {
        self.resolve_paths_from(base);
    }

    fn check(self, _seed: u64) -> Result<Box<dyn Workload>, Refusal> {
        if self.data.is_empty() {
            return Err(Refusal::bad_input("--data: names no file; name at least one table"));
        }
        if self.proba && self.leaves {
            return Err(Refusal::bad_input("--leaves: are written instead of predictions, so without --proba; leave one of the two out"));
        }
        Ok(Box::new(ForestPrediction { settings: self }))
    }
}

/// The checked workload.
#[derive(Clone, Debug)]
pub struct ForestPrediction {
    settings: PredictSettings,
}

/// How many rows the data has and where its blocks begin.
const SURVEY: StageIdx = StageIdx(0);
/// The predictions of every block of rows.
const PREDICT: StageIdx = StageIdx(1);
/// The output's files, staged.
const WRITE: StageIdx = StageIdx(2);
/// The output in its place.
const PUBLISH: StageIdx = StageIdx(3);

impl ForestPrediction {
    fn block_index(&self, job: &JobContext<'_>) -> Result<BlockIndex, Failure> {
        let survey = job.results_of(SURVEY)?;
        BlockIndex::from_bytes(survey.item(0)?.ok_or_else(|| Failure::storage("the data was never surveyed; submit the job again"))?)
    }

    fn output_layout(&self, job: &JobContext<'_>) -> Result<OutputLayout, Failure> {
        OutputLayout::of(&self.settings.out, self.block_index(job)?.n_blocks())
    }

    /// The model's header alone: enough to check the data and to write, and cheap enough for the coordinator.
    fn header(&self) -> Result<ForestHeader, Failure> {
        ForestHeader::of(&Artifact::open(&self.settings.model)?)
    }

    fn model_identity<'a>(&self, job: &JobContext<'a>) -> Result<&'a InputIdentity, Failure> {
        let identity = job.record.plan.inputs.iter().find(|input| input.path == self.settings.model);
        identity.ok_or_else(|| {
            Failure::storage(format!("{}: is not among the job's inputs; submit the job again", self.settings.model.display()))
        })
    }

    /// The data, refused where it is no longer what was submitted.
    fn source(&self, job: &JobContext<'_>) -> Result<TableSource, Failure> {
        job.record.plan.inputs.iter().filter(|input| input.path != self.settings.model).try_for_each(InputIdentity::verify)?;
        TableSource::open(&self.settings.data)
    }

    fn open_predict(&self, job: &JobContext<'_>, inputs: &InputCache) -> Result<PredictTask, Failure> {
        let model = ForestModel::open(inputs.artifact(self.model_identity(job)?)?)?;
        let schema = target_schema(&model.header().features);
        Ok(PredictTask {
            source: self.source(job)?,
            index: self.block_index(job)?,
            schema,
            model,
            with_probabilities: self.settings.proba,
            with_leaves: self.settings.leaves,
        })
    }

    fn open_write(&self, job: &JobContext<'_>) -> Result<WriteTask, Failure> {
        let staging_path = publish::staging_path(job)?;
        let layout = self.output_layout(job)?;
        layout.prepare(&staging_path)?;
        let header = self.header()?;
        Ok(WriteTask {
            predictions: job.results_of(PREDICT)?,
            task: header.task,
            leaves_of_n_trees: self.settings.leaves.then_some(header.n_trees as usize),
            layout,
            staging_path,
            with_probabilities: self.settings.proba,
        })
    }
}

impl Workload for ForestPrediction {
    fn plan(&self) -> Result<JobPlan, Refusal> {
        let header = self.header()?;
        if self.settings.proba && header.task == TaskSpec::Regression {
            return Err(Refusal::bad_input(format!(
                "--proba: {} predicts a number, not classes; leave it out",
                self.settings.model.display()
            )));
        }
        let source = TableSource::open(&self.settings.data)?;
        source.check_target(&target_schema(&header.features))?;
        predict_output::check_path(&self.settings.out)?;
        let output = OutputPlan { path: self.settings.out.clone(), force: self.settings.force, beside: vec![] };
        let paths = std::iter::once(self.settings.model.as_path()).chain(source.files().iter().map(AsRef::as_ref));
        let inputs = paths.map(InputIdentity::of).collect::<Result<Vec<_>, _>>()?;
        publish::check_output(&output, &inputs)?;
        let stage = |name: &str, item_name: &str| StagePlan {
            name: name.to_owned(),
            item_name: item_name.to_owned(),
            // Every row of the data must have its row of predictions.
            tolerates_missing_items: false,
        };
        let stages = vec![stage("survey", "table"), stage("predict", "block"), stage("write", "file"), publish::stage_plan()];
        Ok(JobPlan { stages, inputs, output: Some(output), notes: vec![] })
    }

    fn n_items(&self, stage: StageIdx, job: &JobContext<'_>) -> Result<u64, Failure> {
        match stage {
            PREDICT => Ok(self.block_index(job)?.n_blocks()),
            WRITE => Ok(self.output_layout(job)?.n_files()),
            _ => Ok(1),
        }
    }

    fn open(&self, stage: StageIdx, job: &JobContext<'_>, inputs: &InputCache) -> Result<Arc<dyn StageTask>, Failure> {
        match stage {
            SURVEY => {
                let rows_per_block = rows_per_block(&self.header()?, &self.settings);
                Ok(Arc::new(SurveyTask { source: self.source(job)?, rows_per_block }))
            }
            PREDICT => Ok(Arc::new(self.open_predict(job, inputs)?)),
            WRITE => Ok(Arc::new(self.open_write(job)?)),
            _ => {
                let written = job.results_of(WRITE)?;
                publish::open(job, publish::staged_files(&written)?, predict_output::summary_facts(&written)?)
            }
        }
    }

    fn summarize(&self, job: &JobContext<'_>) -> Result<JobSummary, Failure> {
        publish::summary(job, PUBLISH)
    }
}

/// The columns that a model needs, by name, of the types that it was trained on.
fn target_schema(features: &[FeatureSpec]) -> TargetSchema {
    let target = |feature: &FeatureSpec| match feature.feature_type.numeric_kind() {
        Some(kind) => TargetType::Numeric(kind),
        None => TargetType::Categorical(feature.levels.clone()),
    };
    TargetSchema::new(features.iter().map(|feature| TargetColumn { name: feature.name.clone(), target: target(feature) }).collect())
}

/// The most probabilities, or pairs of leaves, that one block yields: with all of them in memory at once a thread stays below 64 MiB.
const MAX_PROBABILITIES_PER_BLOCK: u64 = 1 << 22;
/// Blocks of fewer rows would spend their time on opening files.
const MIN_ROWS_PER_BLOCK: u64 = 1024;

/// A function of the model and the settings alone, because the parts of a directory are cut along blocks.
fn rows_per_block(header: &ForestHeader, settings: &PredictSettings) -> u64 {
    let n_kept = match (settings.proba, settings.leaves) {
        (true, _) => header.task.n_outputs() as u64,
        // A leaf's number is half as long as a probability.
        (_, true) => header.n_trees.div_ceil(2),
        _ => 1,
    };
    (MAX_PROBABILITIES_PER_BLOCK / n_kept.max(1)).clamp(MIN_ROWS_PER_BLOCK, ROWS_PER_BLOCK)
}
