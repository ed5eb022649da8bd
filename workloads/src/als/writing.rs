//! The stage that writes the model, with the loss of every iteration. It must not know how factors came about.

use super::factors::SideParts;
use super::settings::AlsSettings;
use super::solving::Biases;
use crate::interactions::Interactions;
use crate::publish;
use crate::recommend::{LEARNER, ModelContent, write_model};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// The loss after an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct IterationLoss {
    pub(super) iteration: u32,
    /// The weighted squared error and the penalty of large factors.
    loss: f64,
}

impl IterationLoss {
    /// From the blocks that the iteration left. With implicit feedback the cells without an interaction count too, with a score of 0
    /// for their aim: the Gram matrices know the sum of all squared scores.
    pub(super) fn of(iteration: u32, users: &SideParts, items: &SideParts, is_implicit: bool) -> Result<Self, Failure> {
        let (of_users, of_items) = (users.loss()?, items.loss()?);
        let unobserved = if is_implicit { users.gram()?.sum_of_squared_scores(&items.gram()?) } else { 0.0 };
        Ok(Self { iteration, loss: of_items.squared_error + unobserved + of_users.penalty + of_items.penalty })
    }

    /// As a person is told it while the job runs.
    pub(super) fn news(&self) -> String {
        format!("iteration {}: loss {self}", self.iteration)
    }
}

impl fmt::Display for IterationLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6e}", self.loss)
    }
}

/// Keys of the metadata entries.
pub(super) const SETTINGS: &str = "settings";
pub(super) const SEED: &str = "seed";
pub(super) const LOSSES: &str = "losses";

/// What the learner is called.
pub(super) fn learner(is_explicit: bool) -> &'static str {
    if is_explicit { "als-explicit" } else { "als-implicit" }
}

/// The settings without those that say where things stand.
pub(super) fn portable_settings(settings: &AlsSettings) -> Result<String, Failure> {
    let fail = |e: serde_json::Error| Failure::storage(format!("the model's settings cannot be written: {e}"));
    let mut value = serde_json::to_value(settings).map_err(fail)?;
    if let Some(entries) = value.as_object_mut() {
        for key in ["data", "out", "force", "resume", "user_column", "item_column", "value_column"] {
            entries.remove(key);
        }
    }
    serde_json::to_string(&value).map_err(fail)
}

/// The stage, opened.
pub(super) struct WriteTask {
    pub(super) settings: AlsSettings,
    pub(super) seed: u64,
    pub(super) interactions: StageParts,
    pub(super) users: SideParts,
    pub(super) items: SideParts,
    pub(super) biases: Option<Biases>,
    pub(super) losses: Vec<IterationLoss>,
    pub(super) staging: PathBuf,
}

impl WriteTask {
    fn write(&self) -> Result<Vec<u8>, Failure> {
        let losses = serde_json::to_string(&self.losses).map_err(|e| Failure::storage(format!("the losses cannot be written: {e}")))?;
        let (user_bias, item_bias) = match &self.biases {
            Some(biases) => (biases.users.each_block()?, biases.items.each_block()?),
            None => (vec![], vec![]),
        };
        let content = ModelContent {
            n_factors: self.settings.factors as usize,
            user_factors: self.users.each_block()?,
            item_factors: self.items.each_block()?,
            user_bias: self.biases.is_some().then_some(user_bias),
            item_bias: self.biases.is_some().then_some(item_bias),
            facts: vec![
                (LEARNER.to_owned(), learner(self.settings.explicit).to_owned()),
                (SETTINGS.to_owned(), portable_settings(&self.settings)?),
                (SEED.to_owned(), self.seed.to_string()),
                (LOSSES.to_owned(), losses),
            ],
        };
        write_model(&self.staging, &Interactions::of(&self.interactions)?, &content)?;
        publish::stage_file("", &self.staging, 0)?.encode()
    }
}

impl StageTask for WriteTask {
    fn news(&self) -> Option<String> {
        self.losses.last().map(IterationLoss::news)
    }

    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        outputs.push(&self.write().map_err(|failure| ItemFailure { item: block.start, failure })?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_loss_that_is_read_again_is_the_same_to_the_last_bit() {
        for loss in [471_314.053_429_649_97, 468_492.675_474_437_07, 0.1 + 0.2, 1e300 / 7.0] {
            let before = IterationLoss { iteration: 3, loss };
            let after: IterationLoss = serde_json::from_str(&serde_json::to_string(&before).unwrap()).unwrap();
            assert_eq!(after, before);
        }
    }
}
