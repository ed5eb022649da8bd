//! `als train`: a factor model by alternating least squares. Stages: read the interactions; for ratings, the biases of items and then
//! of users; initial factors of the items; for each iteration the users and then the items, an item of work for each block of rows;
//! write the model; publish. Every stage maps what the stages before it left. It must not know how a row is solved.

mod earlier;
mod factors;
mod settings;
mod solving;
#[cfg(test)]
mod tests;
mod writing;

pub use settings::AlsSettings;

use crate::input_cache::InputCache;
use crate::interactions::{InteractionSource, Interactions, InteractionsTask, Repeated};
use crate::publish;
use crate::working_memory::WorkingMemory;
use crate::workload::{JobContext, StageTask, Workload};
use earlier::EarlierModel;
use factors::{Blocks, SideParts};
use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::StageIdx;
use paceline_common::job::{InputIdentity, JobPlan, OutputPlan, StagePlan};
use paceline_common::part::StageParts;
use paceline_common::view::JobSummary;
use paceline_kernels::als::{BiasModel, sum_of_values};
use solving::{BiasTask, Biases, HalfTask, Side, SideFactors, StartTask};
use std::sync::Arc;
use writing::{IterationLoss, WriteTask};

/// The checked workload.
#[derive(Clone, Debug)]
pub struct AlsTraining {
    settings: AlsSettings,
    seed: u64,
}

/// The stages; which of them a job has, its settings say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Interactions,
    ItemBias,
    UserBias,
    Start,
    /// Half of an iteration, counted from 1.
    Half(Side, u32),
    Write,
    Publish,
}

impl Stage {
    fn plan(self) -> StagePlan {
        let (name, item_name) = match self {
            Self::Interactions => ("interactions".to_owned(), "table"),
            Self::ItemBias => ("item biases".to_owned(), "block"),
            Self::UserBias => ("user biases".to_owned(), "block"),
            Self::Start => ("initial factors".to_owned(), "block"),
            Self::Half(Side::Users, iteration) => (format!("users {iteration}"), "block"),
            Self::Half(Side::Items, iteration) => (format!("items {iteration}"), "block"),
            Self::Write => ("write".to_owned(), "model"),
            Self::Publish => return publish::stage_plan(),
        };
        // A model without one of its blocks is none.
        StagePlan { name, item_name: item_name.to_owned(), tolerates_missing_items: false }
    }
}

impl AlsTraining {
    fn source(&self) -> Result<InteractionSource, Failure> {
        let source = InteractionSource::open(&self.settings.data, self.settings.column_names())?.without_times();
        if self.settings.explicit { source.with_ratings() } else { Ok(source) }
    }

    fn earlier(&self) -> Result<Option<EarlierModel>, Failure> {
        self.settings.resume.as_deref().map(|path| EarlierModel::open(path, &self.settings, self.seed)).transpose()
    }

    /// Iterations that were done before.
    fn n_done(&self) -> Result<u32, Failure> {
        Ok(self.earlier()?.map_or(0, |earlier| earlier.n_iterations))
    }

    fn stages(&self) -> Result<Vec<Stage>, Failure> {
        let mut stages = vec![Stage::Interactions];
        if self.settings.explicit {
            stages.extend([Stage::ItemBias, Stage::UserBias]);
        }
        stages.push(Stage::Start);
        let iterations = self.n_done()? + 1..=self.settings.iterations;
        stages.extend(iterations.flat_map(|iteration| [Stage::Half(Side::Users, iteration), Stage::Half(Side::Items, iteration)]));
        stages.extend([Stage::Write, Stage::Publish]);
        Ok(stages)
    }

    fn stage(&self, idx: StageIdx) -> Result<Stage, Failure> {
        self.stages()?.get(idx.0 as usize).copied().ok_or_else(|| Failure::storage(format!("als-train has no stage {idx}")))
    }

    fn results_of(&self, stage: Stage, job: &JobContext<'_>) -> Result<StageParts, Failure> {
        let idx = self.stages()?.iter().position(|&other| other == stage);
        job.results_of(StageIdx(idx.ok_or_else(|| Failure::storage(format!("this job has no stage {stage:?}")))? as u32))
    }

    fn blocks(&self, side: Side, job: &JobContext<'_>) -> Result<Blocks, Failure> {
        let parts = job.unread_results_of(StageIdx(0))?;
        Ok(side.blocks(&Interactions::of(&parts)?, self.settings.factors))
    }

    fn side_parts(&self, stage: Stage, blocks: Blocks, job: &JobContext<'_>) -> Result<SideParts, Failure> {
        Ok(SideParts::new(self.results_of(stage, job)?, blocks))
    }

    /// The factors of a side after an iteration, where a stage of this job left them.
    fn factors_after(&self, side: Side, iteration: u32, job: &JobContext<'_>) -> Result<Option<SideParts>, Failure> {
        let stage = match side {
            _ if iteration > self.n_done()? => Stage::Half(side, iteration),
            Side::Items => Stage::Start,
            Side::Users => return Ok(None),
        };
        self.side_parts(stage, self.blocks(side, job)?, job).map(Some)
    }

    fn biases(&self, job: &JobContext<'_>) -> Result<Option<Biases>, Failure> {
        if !self.settings.explicit {
            return Ok(None);
        }
        let numbers = |side| Ok::<_, Failure>(self.blocks(side, job)?.of_numbers());
        Ok(Some(Biases {
            users: self.side_parts(Stage::UserBias, numbers(Side::Users)?, job)?,
            items: self.side_parts(Stage::ItemBias, numbers(Side::Items)?, job)?,
        }))
    }

    fn open_bias(&self, side: Side, job: &JobContext<'_>) -> Result<BiasTask, Failure> {
        let parts = self.results_of(Stage::Interactions, job)?;
        let values = Interactions::of(&parts)?.by_user.values;
        let model = BiasModel { mean: sum_of_values(values) / values.len() as f64, damping: self.settings.damping };
        let item_bias = match side {
            Side::Items => None,
            Side::Users => Some(self.side_parts(Stage::ItemBias, self.blocks(Side::Items, job)?.of_numbers(), job)?),
        };
        Ok(BiasTask { interactions: parts, side, item_bias, model, blocks: self.blocks(side, job)?.of_numbers() })
    }

    fn open_start(&self, job: &JobContext<'_>, inputs: &InputCache) -> Result<StartTask, Failure> {
        let blocks = self.blocks(Side::Items, job)?;
        let earlier = self.earlier()?.map(|earlier| earlier.factors(Side::Items, blocks, job, inputs)).transpose()?;
        Ok(StartTask { blocks, seed: self.seed, earlier, needs_gram: !self.settings.explicit })
    }

    fn open_half(&self, side: Side, iteration: u32, job: &JobContext<'_>, inputs: &InputCache) -> Result<HalfTask, Failure> {
        let blocks = self.blocks(side, job)?;
        // Users are solved by the items of the iteration before, items by the users of their own.
        let other = match side {
            Side::Users => self.factors_after(Side::Items, iteration - 1, job)?,
            Side::Items => self.factors_after(Side::Users, iteration, job)?,
        };
        let other = other.ok_or_else(|| Failure::storage("there are no factors to solve by"))?;
        let previous = match self.factors_after(side, iteration - 1, job)? {
            Some(parts) => Some(SideFactors::Parts(parts)),
            None => self.earlier()?.map(|earlier| earlier.factors(side, blocks, job, inputs)).transpose()?,
        };
        Ok(HalfTask {
            settings: self.settings.clone(),
            interactions: self.results_of(Stage::Interactions, job)?,
            side,
            blocks,
            gram: if self.settings.explicit { None } else { Some(other.gram()?) },
            other,
            biases: self.biases(job)?,
            previous,
            news: self.news(side, iteration, job)?,
            scratches: WorkingMemory::default(),
        })
    }

    /// What is told where half an iteration begins: the loss after the iteration before, if that was one of this job.
    fn news(&self, side: Side, iteration: u32, job: &JobContext<'_>) -> Result<Option<String>, Failure> {
        let has_loss = side == Side::Users && iteration > self.n_done()? + 1;
        has_loss.then(|| Ok(self.loss_after(iteration - 1, job)?.news())).transpose()
    }

    /// The loss after an iteration of this job.
    fn loss_after(&self, iteration: u32, job: &JobContext<'_>) -> Result<IterationLoss, Failure> {
        let of = |side| self.side_parts(Stage::Half(side, iteration), self.blocks(side, job)?, job);
        IterationLoss::of(iteration, &of(Side::Users)?, &of(Side::Items)?, !self.settings.explicit)
    }

    /// The loss after each iteration, of this job and the one that it resumes.
    fn losses(&self, job: &JobContext<'_>) -> Result<Vec<IterationLoss>, Failure> {
        let mut losses = self.earlier()?.map_or(vec![], |earlier| earlier.losses);
        for iteration in self.n_done()? + 1..=self.settings.iterations {
            losses.push(self.loss_after(iteration, job)?);
        }
        Ok(losses)
    }

    fn open_write(&self, job: &JobContext<'_>) -> Result<WriteTask, Failure> {
        let last = |side| {
            let parts = self.factors_after(side, self.settings.iterations, job)?;
            parts.ok_or_else(|| Failure::storage("the last iteration left no factors"))
        };
        Ok(WriteTask {
            settings: self.settings.clone(),
            seed: self.seed,
            interactions: self.results_of(Stage::Interactions, job)?,
            users: last(Side::Users)?,
            items: last(Side::Items)?,
            biases: self.biases(job)?,
            losses: self.losses(job)?,
            staging: publish::staging_path(job)?,
        })
    }

    fn open_publish(&self, job: &JobContext<'_>) -> Result<Arc<dyn StageTask>, Failure> {
        let parts = self.results_of(Stage::Interactions, job)?;
        let facts = Interactions::of(&parts)?.facts;
        let mut shown = facts.counts();
        shown.extend(
            [("factors", self.settings.factors), ("iterations", self.settings.iterations)]
                .map(|(what, n)| (what.to_owned(), n.to_string())),
        );
        shown.extend(self.losses(job)?.iter().map(|loss| (format!("loss after iteration {}", loss.iteration), loss.to_string())));
        shown.extend(facts.notices());
        if !self.settings.explicit {
            shown.extend(facts.notices_of_counts());
        }
        publish::open(job, publish::staged_files(&self.results_of(Stage::Write, job)?)?, shown)
    }
}

impl Workload for AlsTraining {
    fn plan(&self) -> Result<JobPlan, Refusal> {
        let mut inputs = self.source()?.identities()?;
        if let Some(path) = &self.settings.resume {
            inputs.push(InputIdentity::of(path)?);
        }
        let output = OutputPlan { path: self.settings.out.clone(), force: self.settings.force, beside: vec![] };
        publish::check_output(&output, &inputs)?;
        let stages = self.stages()?.into_iter().map(Stage::plan).collect();
        Ok(JobPlan { stages, inputs, output: Some(output), notes: vec![] })
    }

    fn n_items(&self, stage: StageIdx, job: &JobContext<'_>) -> Result<u64, Failure> {
        let n_blocks = |side| Ok(self.blocks(side, job)?.n_blocks());
        match self.stage(stage)? {
            Stage::Interactions | Stage::Write | Stage::Publish => Ok(1),
            Stage::UserBias | Stage::Half(Side::Users, _) => n_blocks(Side::Users),
            Stage::ItemBias | Stage::Start | Stage::Half(Side::Items, _) => n_blocks(Side::Items),
        }
    }

    fn open(&self, stage: StageIdx, job: &JobContext<'_>, inputs: &InputCache) -> Result<Arc<dyn StageTask>, Failure> {
        Ok(match self.stage(stage)? {
            Stage::Interactions => {
                let source = self.source()?;
                source.verify(job.record)?;
                // Counts of the same pair add up; of ratings the last one is what the user thinks.
                let repeated = if self.settings.explicit { Repeated::Last } else { Repeated::Sum };
                Arc::new(InteractionsTask { source, repeated })
            }
            Stage::ItemBias => Arc::new(self.open_bias(Side::Items, job)?),
            Stage::UserBias => Arc::new(self.open_bias(Side::Users, job)?),
            Stage::Start => Arc::new(self.open_start(job, inputs)?),
            Stage::Half(side, iteration) => Arc::new(self.open_half(side, iteration, job, inputs)?),
            Stage::Write => Arc::new(self.open_write(job)?),
            Stage::Publish => self.open_publish(job)?,
        })
    }

    fn summarize(&self, job: &JobContext<'_>) -> Result<JobSummary, Failure> {
        publish::summary(job, StageIdx(self.stages()?.len() as u32 - 1))
    }
}
