//! `score`: what a model says of given pairs of users and items, such as the ratings that it expects. Stages: find the pairs in the
//! model; score, one item a block of pairs; write the table; publish.
//! This room turns a table into rows of the model and scores into a table; it must not know how a score is computed.

mod resolving;
mod scoring;
mod settings;
#[cfg(test)]
mod tests;
mod writing;

pub use settings::ScoreSettings;

use crate::input_cache::InputCache;
use crate::interactions::InteractionSource;
use crate::publish;
use crate::recommend::ModelFile;
use crate::table::TableFormat;
use crate::workload::{JobContext, StageTask, Workload};
use paceline_common::artifact::Artifact;
use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::StageIdx;
use paceline_common::job::{InputIdentity, JobPlan, OutputPlan, StagePlan};
use paceline_common::view::JobSummary;
use resolving::{Pairs, ResolveTask};
use scoring::{ScoreTask, scores_of};
use std::sync::Arc;
use writing::WriteTask;

/// The checked workload.
#[derive(Clone, Debug)]
pub struct Scoring {
    settings: ScoreSettings,
    output: OutputPlan,
    format: TableFormat,
}

const PAIRS: StageIdx = StageIdx(0);
const SCORE: StageIdx = StageIdx(1);
const WRITE: StageIdx = StageIdx(2);
const PUBLISH: StageIdx = StageIdx(3);

impl Scoring {
    fn source(&self) -> Result<InteractionSource, Failure> {
        let source = InteractionSource::open(&self.settings.pairs, self.settings.column_names())?;
        Ok(source.without_values().without_times())
    }

    fn verified_source(&self, job: &JobContext<'_>) -> Result<InteractionSource, Failure> {
        let source = self.source()?;
        source.verify(job.record)?;
        Ok(source)
    }

    fn open_publish(&self, job: &JobContext<'_>) -> Result<Arc<dyn StageTask>, Failure> {
        let (pairs, scores) = (job.results_of(PAIRS)?, job.results_of(SCORE)?);
        let facts = Pairs::of(&pairs)?.facts;
        let mut n_scored = 0;
        for block in 0..scores.n_items() {
            n_scored += scores_of(block, facts.n_pairs, &scores)?.iter().filter(|score| !score.is_nan()).count() as u64;
        }
        let n_not_predicted = facts.n_pairs - facts.n_unknown_users - facts.n_unknown_items - n_scored;
        let mut shown = vec![("pairs".to_owned(), facts.n_pairs.to_string()), ("scores".to_owned(), n_scored.to_string())];
        let left_out = [
            ("rows without a user or an item, left out", facts.n_without_ids),
            ("pairs of a user that the model lacks, without a score", facts.n_unknown_users),
            ("pairs of an item that the model lacks, without a score", facts.n_unknown_items),
            ("pairs of which the model says nothing", n_not_predicted),
        ];
        shown.extend(left_out.iter().filter(|(_, n)| *n > 0).map(|(what, n)| ((*what).to_owned(), n.to_string())));
        publish::open(job, publish::staged_files(&job.results_of(WRITE)?)?, shown)
    }
}

impl Workload for Scoring {
    fn plan(&self) -> Result<JobPlan, Refusal> {
        let mut inputs = vec![InputIdentity::of(&self.settings.model)?];
        ModelFile::new(Arc::new(Artifact::open(&self.settings.model)?))?;
        inputs.extend(self.source()?.identities()?);
        publish::check_output(&self.output, &inputs)?;
        let stage =
            |name: &str, item: &str| StagePlan { name: name.to_owned(), item_name: item.to_owned(), tolerates_missing_items: false };
        let stages = vec![stage("pairs", "table"), stage("score", "block"), stage("write", "table"), publish::stage_plan()];
        Ok(JobPlan { stages, inputs, output: Some(self.output.clone()), notes: vec![] })
    }

    fn n_items(&self, stage: StageIdx, job: &JobContext<'_>) -> Result<u64, Failure> {
        match stage {
            SCORE => Ok(scoring::n_blocks(Pairs::of(&job.unread_results_of(PAIRS)?)?.facts.n_pairs)),
            _ => Ok(1),
        }
    }

    fn open(&self, stage: StageIdx, job: &JobContext<'_>, inputs: &InputCache) -> Result<Arc<dyn StageTask>, Failure> {
        match stage {
            PAIRS => Ok(Arc::new(ResolveTask {
                model: ModelFile::of_job(&self.settings.model, job, inputs)?,
                source: self.verified_source(job)?,
                unknown_users: self.settings.unknown_users,
            })),
            SCORE => {
                Ok(Arc::new(ScoreTask { model: ModelFile::of_job(&self.settings.model, job, inputs)?, pairs: job.results_of(PAIRS)? }))
            }
            WRITE => Ok(Arc::new(WriteTask {
                source: self.verified_source(job)?,
                pairs: job.results_of(PAIRS)?,
                scores: job.results_of(SCORE)?,
                output: (publish::staging_path(job)?, self.format),
            })),
            PUBLISH => self.open_publish(job),
            other => Err(Failure::storage(format!("score has no stage {other}"))),
        }
    }

    fn summarize(&self, job: &JobContext<'_>) -> Result<JobSummary, Failure> {
        publish::summary(job, PUBLISH)
    }
}
