//! `recommend`: the best unseen items of each user under a model. Stages: check the users and, a block an item, the model; gather the
//! table of seen items, where there is one; score, one item a user; write, one item a file; publish.
//! This room turns files into what the kernel takes and lists into files; it must not know how a score is computed.

mod checking;
mod describe;
mod ids;
mod model;
mod model_writing;
pub(crate) mod neighbours;
mod scoring;
mod seeing;
mod settings;
mod single;
mod tables;
mod writing;

#[cfg(test)]
mod tests;

pub use describe::describe;
pub(crate) use model::{ITEM_IDS, ModelFile, USER_IDS};
pub use model_writing::FACTORS_KIND;
pub(crate) use model_writing::{LEARNER, ModelContent, write_model};
pub use settings::{RecommendSettings, UnknownUsers, UserChoice};
pub(crate) use single::{SingleModel, beyond_f32};

use crate::input_cache::InputCache;
use crate::publish;
use crate::table::TableFormat;
use crate::workload::{JobContext, StageTask, Workload};
use checking::{CheckTask, CheckedInput};
use paceline_common::artifact::Artifact;
use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::StageIdx;
use paceline_common::job::{InputIdentity, JobPlan, OutputPlan, StagePlan};
use paceline_common::part::StageParts;
use paceline_common::view::JobSummary;
use scoring::ScoreTask;
use seeing::{PairsTask, rows_of};
use std::sync::Arc;
use tables::IdTable;
use writing::{USERS_PER_FILE, WriteTask, WrittenLists};

/// The checked workload.
#[derive(Clone, Debug)]
pub struct Recommend {
    settings: RecommendSettings,
    output: OutputPlan,
    destination: Destination,
}

/// What the output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Destination {
    File(TableFormat),
    Directory,
}

/// The ending of the files of a directory.
const PARQUET: &str = "parquet";

/// The stages; which of them a job has, its settings say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Check,
    See,
    Candidates,
    Score,
    Write,
    Publish,
}

impl Recommend {
    fn stages(&self) -> Vec<Stage> {
        let all = [Stage::Check, Stage::See, Stage::Candidates, Stage::Score, Stage::Write, Stage::Publish];
        let is_wanted = |stage: &Stage| match stage {
            Stage::See => self.settings.seen.is_some(),
            Stage::Candidates => self.settings.candidates.is_some(),
            _ => true,
        };
        all.into_iter().filter(is_wanted).collect()
    }

    fn stage(&self, idx: StageIdx) -> Result<Stage, Failure> {
        self.stages().get(idx.0 as usize).copied().ok_or_else(|| Failure::storage(format!("recommend has no stage {idx}")))
    }

    fn idx(&self, stage: Stage) -> Option<StageIdx> {
        self.stages().iter().position(|other| *other == stage).map(|idx| StageIdx(idx as u32))
    }

    /// The results of an earlier stage that every job has.
    fn results(&self, stage: Stage, job: &JobContext<'_>) -> Result<StageParts, Failure> {
        let idx = self.idx(stage).ok_or_else(|| Failure::storage(format!("this job has no stage {stage:?}")))?;
        job.results_of(idx)
    }

    /// What the stage of a table of pairs left, where the job has it.
    fn pairs(&self, stage: Stage, job: &JobContext<'_>) -> Result<Option<StageParts>, Failure> {
        self.idx(stage).map(|idx| job.results_of(idx)).transpose()
    }

    fn model(&self, job: &JobContext<'_>, inputs: &InputCache) -> Result<ModelFile, Failure> {
        ModelFile::of_job(&self.settings.model, job, inputs)
    }

    fn open_publish(&self, job: &JobContext<'_>, inputs: &InputCache) -> Result<Arc<dyn StageTask>, Failure> {
        let written = WrittenLists::all(&self.results(Stage::Write, job)?)?;
        let checked = self.results(Stage::Check, job)?;
        let CheckedInput { n_selected, n_repeated, n_unknown, .. } = CheckedInput::of(&checked)?;
        // The manifest alone tells who was set aside; the lists themselves are not opened.
        let n_set_aside = self.idx(Stage::Score).map_or(Ok(0), |idx| job.dir.read_manifest(idx).map(|m| m.quarantined.len() as u64))?;
        let model = self.model(job, inputs)?;
        let sum = |count: fn(&WrittenLists) -> u64| written.iter().map(count).sum::<u64>();
        let mut facts = vec![
            ("users".to_owned(), (n_selected - n_set_aside).to_string()),
            ("items".to_owned(), model.shape()?.1.to_string()),
            ("recommendations".to_owned(), sum(|lists| lists.file.n_rows).to_string()),
        ];
        if !model.has_neighbours() {
            facts.insert(2, ("factors".to_owned(), model.factors()?.n_factors().to_string()));
        }
        let n_pairs_left_out = |stage| self.pairs(stage, job)?.map_or(Ok(0), |parts| Ok::<_, Failure>(rows_of(&parts)?.1));
        let left_out = [
            ("users set aside", n_set_aside),
            ("users named again and left out", n_repeated),
            ("users that the model lacks, left out", n_unknown),
            ("users without a list", sum(|lists| lists.n_without_list)),
            ("users with fewer than --top items", sum(|lists| lists.n_shorter)),
            ("rows of seen items that the model lacks", n_pairs_left_out(Stage::See)?),
            ("rows of candidates that the model lacks", n_pairs_left_out(Stage::Candidates)?),
        ];
        facts.extend(left_out.iter().filter(|(_, n)| *n > 0).map(|(name, n)| ((*name).to_owned(), n.to_string())));
        publish::open(job, written.into_iter().map(|lists| lists.file).collect(), facts)
    }
}

impl Workload for Recommend {
    fn plan(&self) -> Result<JobPlan, Refusal> {
        let mut inputs = vec![InputIdentity::of(&self.settings.model)?];
        ModelFile::new(Arc::new(Artifact::open(&self.settings.model)?))?;
        for table in
            [IdTable::users(&self.settings)?, IdTable::seen(&self.settings)?, IdTable::candidates(&self.settings)?].into_iter().flatten()
        {
            inputs.extend(table.identities()?);
        }
        publish::check_output(&self.output, &inputs)?;
        let plan_of = |stage: &Stage| match stage {
            Stage::Check => stage_plan("check", "block", false),
            Stage::See => stage_plan("seen items", "table", false),
            Stage::Candidates => stage_plan("candidates", "table", false),
            Stage::Score => stage_plan("score", "user", true),
            Stage::Write => stage_plan("write", "file", false),
            Stage::Publish => publish::stage_plan(),
        };
        Ok(JobPlan { stages: self.stages().iter().map(plan_of).collect(), inputs, output: Some(self.output.clone()), notes: vec![] })
    }

    fn n_items(&self, stage: StageIdx, job: &JobContext<'_>) -> Result<u64, Failure> {
        let n_users = || Ok(CheckedInput::of(&self.results(Stage::Check, job)?)?.n_selected);
        match (self.stage(stage)?, self.destination) {
            (Stage::Check, _) => CheckTask::n_items(&ModelFile::new(Arc::new(Artifact::open(&self.settings.model)?))?),
            (Stage::Score, _) => n_users(),
            (Stage::Write, Destination::Directory) => Ok(n_users()?.div_ceil(USERS_PER_FILE)),
            _ => Ok(1),
        }
    }

    fn open(&self, stage: StageIdx, job: &JobContext<'_>, inputs: &InputCache) -> Result<Arc<dyn StageTask>, Failure> {
        Ok(match self.stage(stage)? {
            Stage::Check => Arc::new(CheckTask::open(self.model(job, inputs)?, &self.settings, job)?),
            Stage::See => Arc::new(PairsTask::open_seen(self.model(job, inputs)?, &self.settings, job)?),
            Stage::Candidates => Arc::new(PairsTask::open_candidates(self.model(job, inputs)?, &self.settings, job)?),
            Stage::Score => Arc::new(ScoreTask::new(
                self.model(job, inputs)?,
                self.results(Stage::Check, job)?,
                self.pairs(Stage::See, job)?,
                self.pairs(Stage::Candidates, job)?,
                self.settings.top as usize,
            )?),
            Stage::Write => Arc::new(WriteTask {
                model: self.model(job, inputs)?,
                checked: self.results(Stage::Check, job)?,
                lists: self.results(Stage::Score, job)?,
                destination: self.destination,
                top_n: self.settings.top as usize,
                staging: publish::staging_path(job)?,
            }),
            Stage::Publish => self.open_publish(job, inputs)?,
        })
    }

    fn summarize(&self, job: &JobContext<'_>) -> Result<JobSummary, Failure> {
        let stage = self.idx(Stage::Publish).ok_or_else(|| Failure::storage("this job publishes nothing"))?;
        publish::summary(job, stage)
    }
}

fn stage_plan(name: &str, item_name: &str, tolerates_missing_items: bool) -> StagePlan {
    StagePlan { name: name.to_owned(), item_name: item_name.to_owned(), tolerates_missing_items }
}
