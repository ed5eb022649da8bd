//! The last working stage of training: one item that writes the model from the trees where they are mapped, and reads it back
//! as a user of it would. It must not know where the model is published.

use super::grown::GrownTrees;
use super::model::{self, ForestHeader, ForestModel, TaskSpec, TreeArrays};
use super::oob_table::OobTable;
use super::out_of_bag::OobScore;
use super::permutation::PermutationLosses;
use super::settings::TrainSettings;
use super::training_data::{Thresholds, TrainingFacts};
use crate::publish::{self, StagedFile};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::artifact::Artifact;
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::forest::importance;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// The stage, opened.
pub(super) struct MergeTask {
    pub(super) facts: TrainingFacts,
    pub(super) thresholds: Thresholds,
    pub(super) settings: TrainSettings,
    pub(super) seed: u64,
    pub(super) trees: GrownTrees,
    pub(super) oob: Option<OobScore>,
    pub(super) permutation: Option<PermutationLosses>,
    /// What the second item writes, where it is asked for.
    pub(super) oob_table: Option<OobTable>,
    /// Where the model grows until it is published.
    pub(super) staging_path: PathBuf,
}

impl MergeTask {
    fn merge(&self) -> Result<Vec<u8>, Failure> {
        let n_features = self.facts.features.len();
        let (mut arrays, size) = gather(&self.trees, n_features)?;
        if let Some(losses) = &self.permutation {
            arrays.permutation = losses.importance(n_features)?;
        }
        let header = self.header()?;
        model::write(&self.staging_path, &header, &self.thresholds, &arrays)?;
        // Whatever a later user of the model would refuse is found now, before it is published.
        let written = ForestModel::open(Arc::new(Artifact::open(&self.staging_path)?))?;
        debug_assert_eq!(*written.header(), header);
        let file = publish::stage_file("", &self.staging_path, 0)?;
        MergeResult { file, facts: self.summary_facts(&size, arrays.permutation.is_some()) }.encode()
    }

    fn write_oob_table(&self) -> Result<Vec<u8>, Failure> {
        let table = self.oob_table.as_ref().ok_or_else(|| Failure::bad_input("there is no second output to write"))?;
        MergeResult { file: table.write(&self.facts.task)?, facts: vec![] }.encode()
    }

    fn header(&self) -> Result<ForestHeader, Failure> {
        Ok(ForestHeader {
            task: self.facts.task.clone(),
            target: self.settings.target.clone(),
            features: self.facts.features.clone(),
            n_rows: self.facts.n_rows,
            n_trees: self.trees.n_trees(),
            seed: self.seed,
            oob_score: self.oob.as_ref().and_then(OobScore::score),
            data_hashes: Some(self.facts.hashes.clone()),
            settings_json: portable_settings(&self.settings)?,
        })
    }

    fn summary_facts(&self, size: &ForestSize, has_permutation: bool) -> Vec<(String, String)> {
        let task = match &self.facts.task {
            TaskSpec::Classification { classes } => format!("classification of {} into {} classes", self.settings.target, classes.len()),
            TaskSpec::Regression => format!("regression of {}", self.settings.target),
        };
        let mut facts = vec![
            ("task".to_owned(), task),
            ("rows".to_owned(), self.facts.n_rows.to_string()),
            ("features".to_owned(), self.facts.features.len().to_string()),
            ("trees".to_owned(), self.trees.n_trees().to_string()),
            ("nodes".to_owned(), size.n_nodes.to_string()),
            ("depth".to_owned(), size.max_depth.to_string()),
        ];
        if let Some(oob) = &self.oob {
            let score = oob.score().map_or("not measurable".to_owned(), |score| format!("{score:.4}"));
            facts.push((format!("out-of-bag {}", self.facts.task.score_name()), score));
            if oob.n_scored < self.facts.n_rows {
                let unseen = self.facts.n_rows - oob.n_scored;
                facts.push(("rows in every bag".to_owned(), format!("{unseen}, not in the out-of-bag score; grow more trees")));
            }
        }
        if self.permutation.is_some() && !has_permutation {
            facts.push(("importance by permutation".to_owned(), "not measurable, no row was out of bag".to_owned()));
        }
        facts
    }
}

impl StageTask for MergeTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        for item in block.start..block.end {
            let written = if item == MODEL_ITEM { self.merge() } else { self.write_oob_table() };
            outputs.push(&written.map_err(|failure| ItemFailure { item, failure })?);
        }
        Ok(())
    }
}

/// The item that writes the model.
pub(super) const MODEL_ITEM: u64 = 0;
/// The item that writes the out-of-bag predictions.
pub(super) const OOB_TABLE_ITEM: u64 = 1;

/// What an item of the merge yields: its file, and what a person reads of it.
#[derive(Serialize, Deserialize)]
pub(super) struct MergeResult {
    pub(super) file: StagedFile,
    pub(super) facts: Vec<(String, String)>,
}

impl MergeResult {
    pub(super) fn of(merged: &StageParts, item: u64) -> Result<Self, Failure> {
        let bytes = merged.item(item)?.ok_or_else(|| Failure::storage("the trees were never merged; submit the job again"))?;
        serde_json::from_slice(bytes)
            .map_err(|e| Failure::storage(format!("the result of the merge is damaged: {e}; submit the job again")))
    }

    fn encode(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec(self).map_err(|e| Failure::storage(format!("the result of the merge cannot be written: {e}")))
    }
}

/// Settings that say where things stand and what is written beside the model, not how the trees grow.
pub(super) const NOT_OF_THE_MODEL: [&str; 6] = ["data", "out", "force", "oob_predictions", "oob_proba", "add_to"];

/// The settings without the paths, which say where things stood and not how the trees grew.
fn portable_settings(settings: &TrainSettings) -> Result<String, Failure> {
    let fail = |e: serde_json::Error| Failure::storage(format!("the model's settings cannot be written: {e}"));
    // Out-of-bag predictions are an output beside the model, and their score is in it.
    let settings = TrainSettings { oob: settings.measures_oob(), ..settings.clone() };
    let mut value = serde_json::to_value(settings.with_defaults()).map_err(fail)?;
    if let Some(entries) = value.as_object_mut() {
        for key in NOT_OF_THE_MODEL {
            entries.remove(key);
        }
    }
    serde_json::to_string(&value).map_err(fail)
}

/// How large a forest came out, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ForestSize {
    n_nodes: u64,
    max_depth: u64,
}

/// The arrays of all trees, in order and in place.
fn gather(trees: &GrownTrees, n_features: usize) -> Result<(TreeArrays<'_>, ForestSize), Failure> {
    let mut arrays = TreeArrays::default();
    let mut size = ForestSize::default();
    for tree_idx in 0..trees.n_trees() {
        let tree = trees.tree(tree_idx)?;
        arrays.nodes.push(bytemuck::cast_slice(tree.slices.nodes));
        arrays.level_words.push(tree.slices.level_words);
        arrays.leaf_shares.push(tree.slices.leaf_shares);
        arrays.leaf_means.push(tree.slices.leaf_means);
        arrays.feature_gains.extend_from_slice(tree.feature_gains);
        arrays.tree_depths.push(tree.facts.depth as u32);
        size.n_nodes += tree.slices.nodes.len() as u64;
        size.max_depth = size.max_depth.max(tree.facts.depth);
    }
    arrays.feature_importance = importance(&arrays.feature_gains, n_features);
    Ok((arrays, size))
}
