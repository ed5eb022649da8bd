//! A model from which training goes on: whether it is one of this table and these settings, and how far it got. It must not know how
//! training goes on.

use super::factors::Blocks;
use super::settings::AlsSettings;
use super::solving::{Side, SideFactors};
use super::writing::{IterationLoss, LOSSES, SEED, SETTINGS, learner, portable_settings};
use crate::input_cache::InputCache;
use crate::interactions::Interactions;
use crate::recommend::LEARNER;
use crate::workload::JobContext;
use paceline_common::artifact::Artifact;
use paceline_common::failure::Failure;
use paceline_common::ids::StageIdx;
use std::path::{Path, PathBuf};

/// What a model says of itself.
pub(super) struct EarlierModel {
    path: PathBuf,
    pub(super) n_iterations: u32,
    pub(super) losses: Vec<IterationLoss>,
}

impl EarlierModel {
    /// Refuses a model that was learnt otherwise, or has all the iterations that are wanted.
    pub(super) fn open(path: &Path, settings: &AlsSettings, seed: u64) -> Result<Self, Failure> {
        let model = Artifact::open(path)?;
        let entry = |key: &str| model.metadata().get(key).map_or("", String::as_str);
        if entry(LEARNER) != learner(settings.explicit) {
            let (wanted, flag) = (learner(settings.explicit), if settings.explicit { "with" } else { "without" });
            let found = match entry(LEARNER) {
                "" => "does not say that `als train` wrote it".to_owned(),
                other => format!("was written by the learner {other}"),
            };
            return Err(
                model.refuse(&format!("{found}; resume a model of {wanted}, that is of `als train` {flag} --explicit, or train anew"))
            );
        }
        if entry(SEED) != seed.to_string() {
            return Err(model.refuse(&format!("was trained with --seed {}; give the same", entry(SEED))));
        }
        let losses: Vec<IterationLoss> = serde_json::from_str(entry(LOSSES))
            .map_err(|e| model.refuse(&format!("its list of losses cannot be read: {e}; train anew")))?;
        let n_iterations = losses.last().map_or(0, |last| last.iteration);
        if let Some(name) = differing_setting(entry(SETTINGS), &portable_settings(settings)?) {
            let flag = name.replace('_', "-");
            return Err(model.refuse(&format!("was trained with another --{flag}; give the same, or train anew without --resume")));
        }
        if n_iterations >= settings.iterations {
            let wanted = settings.iterations;
            return Err(model.refuse(&format!("has {n_iterations} iterations already, and {wanted} are wanted; raise --iterations")));
        }
        Ok(Self { path: path.to_owned(), n_iterations, losses })
    }

    /// Its factors of one side, of the same users and items as those of the job's table.
    pub(super) fn factors(&self, side: Side, blocks: Blocks, job: &JobContext<'_>, inputs: &InputCache) -> Result<SideFactors, Failure> {
        let identity = job.record.plan.inputs.iter().find(|input| input.path == self.path);
        let identity = identity.ok_or_else(|| Failure::storage("the job's record does not name the model that it resumes"))?;
        let artifact = inputs.artifact(identity)?;
        let parts = job.unread_results_of(StageIdx(0))?;
        if !Interactions::of(&parts)?.has_ids_of(&artifact)? {
            return Err(artifact.refuse("has other users or items than the table; resume with the table that it was trained on"));
        }
        Ok(SideFactors::Model { artifact, side, blocks })
    }
}

/// The first setting whose values differ, but for the number of iterations.
fn differing_setting(before: &str, now: &str) -> Option<String> {
    let parse = |text: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).unwrap_or_default();
    let (before, now) = (parse(before), parse(now));
    now.iter().find(|(name, value)| *name != "iterations" && before.get(*name) != Some(value)).map(|(name, _)| name.clone())
}
