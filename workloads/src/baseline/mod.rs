//! `popular train` and `bias train`: the baselines that any other model must beat. The first recommends to everyone what most users
//! took; the second expects of every rating the mean, and what the item and the user are above it. Both are factor models whose factors
//! are zero, so that `recommend` needs to know nothing of them. Stages: read the interactions; write the model; publish.

mod settings;
#[cfg(test)]
mod tests;

pub use settings::{BiasSettings, PopularSettings};

use crate::input_cache::InputCache;
use crate::interactions::{InteractionSource, Interactions, InteractionsTask, Repeated};
use crate::publish;
use crate::recommend::{LEARNER, ModelContent, write_model};
use crate::workload::{ItemFailure, JobContext, StageTask, Workload};
use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::StageIdx;
use paceline_common::job::{JobPlan, OutputPlan, StagePlan};
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_common::view::JobSummary;
use paceline_kernels::als::{BiasModel, FactorRows, sum_of_values};
use settings::SourceSettings;
use std::path::PathBuf;
use std::sync::Arc;

/// The checked workload.
#[derive(Clone, Debug)]
pub struct BaselineTraining {
    baseline: Baseline,
    source: SourceSettings,
    output: OutputPlan,
}

/// What is learnt.
#[derive(Clone, Copy, Debug)]
enum Baseline {
    /// How many users took each item.
    Popularity,
    /// What items and users are above the mean of the ratings, drawn to 0 by `damping` ratings of nothing special.
    Bias { damping: f64 },
}

const INTERACTIONS: StageIdx = StageIdx(0);
const WRITE: StageIdx = StageIdx(1);
const PUBLISH: StageIdx = StageIdx(2);

impl BaselineTraining {
    fn source(&self) -> Result<InteractionSource, Failure> {
        let source = InteractionSource::open(&self.source.data, self.source.column_names())?.without_times();
        match self.baseline {
            Baseline::Popularity => Ok(source.without_values()),
            Baseline::Bias { .. } => source.with_ratings(),
        }
    }

    fn open_publish(&self, job: &JobContext<'_>) -> Result<Arc<dyn StageTask>, Failure> {
        let parts = job.results_of(INTERACTIONS)?;
        let facts = Interactions::of(&parts)?.facts;
        let mut shown = facts.counts();
        shown.extend(facts.notices());
        publish::open(job, publish::staged_files(&job.results_of(WRITE)?)?, shown)
    }
}

impl Workload for BaselineTraining {
    fn plan(&self) -> Result<JobPlan, Refusal> {
        let inputs = self.source()?.identities()?;
        publish::check_output(&self.output, &inputs)?;
        let stage =
            |name: &str, item: &str| StagePlan { name: name.to_owned(), item_name: item.to_owned(), tolerates_missing_items: false };
        let stages = vec![stage("interactions", "table"), stage("write", "model"), publish::stage_plan()];
        Ok(JobPlan { stages, inputs, output: Some(self.output.clone()), notes: vec![] })
    }

    fn n_items(&self, _stage: StageIdx, _job: &JobContext<'_>) -> Result<u64, Failure> {
        Ok(1)
    }

    fn open(&self, stage: StageIdx, job: &JobContext<'_>, _inputs: &InputCache) -> Result<Arc<dyn StageTask>, Failure> {
        match stage {
            INTERACTIONS => {
                let source = self.source()?;
                source.verify(job.record)?;
                Ok(Arc::new(InteractionsTask { source, repeated: Repeated::Last }))
            }
            WRITE => Ok(Arc::new(WriteTask {
                baseline: self.baseline,
                interactions: job.results_of(INTERACTIONS)?,
                staging: publish::staging_path(job)?,
            })),
            PUBLISH => self.open_publish(job),
            other => Err(Failure::storage(format!("a baseline has no stage {other}"))),
        }
    }

    fn summarize(&self, job: &JobContext<'_>) -> Result<JobSummary, Failure> {
        publish::summary(job, PUBLISH)
    }
}

/// The one item that writes the model.
struct WriteTask {
    baseline: Baseline,
    interactions: StageParts,
    staging: PathBuf,
}

impl WriteTask {
    fn write(&self) -> Result<Vec<u8>, Failure> {
        let interactions = Interactions::of(&self.interactions)?;
        let facts = &interactions.facts;
        let (user_factors, item_factors) = (vec![0.0; facts.n_users], vec![0.0; facts.n_items]);
        let (learner, item_bias, user_bias) = match self.baseline {
            Baseline::Popularity => ("popularity", n_users_of_items(&interactions), None),
            Baseline::Bias { damping } => {
                let (items, users) = biases(&interactions, damping)?;
                ("bias", items, Some(users))
            }
        };
        let content = ModelContent {
            n_factors: 1,
            user_factors: vec![&user_factors],
            item_factors: vec![&item_factors],
            user_bias: user_bias.as_deref().map(|bias| vec![bias]),
            item_bias: Some(vec![&item_bias]),
            facts: vec![(LEARNER.to_owned(), learner.to_owned())],
        };
        write_model(&self.staging, &interactions, &content)?;
        publish::stage_file("", &self.staging, 0)?.encode()
    }
}

/// How many users took each item: exact up to 2^24, beyond which items of almost equal popularity may tie.
fn n_users_of_items(interactions: &Interactions<'_>) -> Vec<f32> {
    interactions.by_item.indptr.windows(2).map(|ends| (ends[1] - ends[0]) as f32).collect()
}

/// The biases of all items and then of all users. One pass over the ratings for each, which reading them has cost many times over.
fn biases(interactions: &Interactions<'_>, damping: f64) -> Result<(Vec<f32>, Vec<f32>), Failure> {
    let ratings = interactions.by_user.values;
    let model = BiasModel { mean: sum_of_values(ratings) / ratings.len() as f64, damping };
    let (n_users, n_items) = (interactions.facts.n_users, interactions.facts.n_items);
    let (mut items, mut users) = (vec![0.0; n_items], vec![0.0; n_users]);
    model.item_bias(0..n_items, interactions.by_item.feedback(), &mut items);
    let of_items = FactorRows::whole(&items, 1).map_err(|e| Failure::storage(format!("the biases do not fit together: {e}")))?;
    model.user_bias(0..n_users, interactions.by_user.feedback(), &of_items, &mut users);
    Ok((items, users))
}

impl StageTask for WriteTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        outputs.push(&self.write().map_err(|failure| ItemFailure { item: block.start, failure })?);
        Ok(())
    }
}
