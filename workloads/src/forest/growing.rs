//! The second stage of training: every item grows one tree from the columns where they are mapped.
//! It hands data and settings to the kernel, and must not know how a tree grows.

use super::model::TaskSpec;
use super::packed::{self, Packed};
use super::settings::{CriterionChoice, MaxFeatures, TrainSettings};
use super::training_data::{TrainingParts, refusal};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::artifact::NewArray;
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::forest::{Criterion, ForestSlices, GrowSettings, Grower, Nesting, Sampling, Tree};
use serde::{Deserialize, Serialize};

self_cell::self_cell!(
    /// The grower together with the mapped columns that it reads.
    struct MappedGrower {
        owner: TrainingParts,
        #[covariant]
        dependent: Grower,
    }
);

/// The stage, opened: the columns are checked and arranged once for all trees.
pub(super) struct GrowingTask {
    grower: MappedGrower,
}

impl GrowingTask {
    pub(super) fn open(parts: TrainingParts, settings: &TrainSettings, seed: u64) -> Result<Self, Failure> {
        let facts = parts.facts()?;
        let settings = grow_settings(settings, &facts.task, facts.n_rows, facts.features.len(), seed)?;
        let grower = MappedGrower::try_new(parts, |parts| Grower::new(parts.training_set()?, settings).map_err(refusal))?;
        Ok(Self { grower })
    }
}

impl StageTask for GrowingTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        for item in block.start..block.end {
            // The bytes are the same either way; nested parallelism keeps the cores busy when few trees are left.
            let tree = self.grower.borrow_dependent().grow(item, Nesting::Nested);
            outputs.push(&pack_tree(&tree).map_err(|failure| ItemFailure { item, failure })?);
        }
        Ok(())
    }
}

/// How many rows each tree is grown from.
pub(super) fn sampling(settings: &TrainSettings, n_rows: u64) -> Sampling {
    let n_drawn = ((n_rows as f64 * settings.sample_fraction).round() as u64).clamp(1, n_rows.max(1));
    match (settings.no_bootstrap, n_drawn == n_rows) {
        (false, _) => Sampling::Bootstrap { n_draws: n_drawn },
        (true, true) => Sampling::All,
        (true, false) => Sampling::Subsample { n_rows: n_drawn },
    }
}

/// A third of the features: what regression forests are usually grown with.
const REGRESSION_MAX_FEATURES: MaxFeatures = MaxFeatures::Fraction(1.0 / 3.0);

fn grow_settings(settings: &TrainSettings, task: &TaskSpec, n_rows: u64, n_features: usize, seed: u64) -> Result<GrowSettings, Failure> {
    let (criterion, usual_max_features) = match (task, settings.criterion) {
        (TaskSpec::Classification { .. }, None | Some(CriterionChoice::Gini)) => (Criterion::Gini, MaxFeatures::Sqrt),
        (TaskSpec::Classification { .. }, Some(CriterionChoice::Entropy)) => (Criterion::Entropy, MaxFeatures::Sqrt),
        (TaskSpec::Regression, None) => (Criterion::Variance, REGRESSION_MAX_FEATURES),
        (TaskSpec::Regression, Some(_)) => {
            return Err(Failure::bad_input(format!(
                "--criterion: the target {} is a number, and a regression always reduces the variance; leave it out or say --task classification",
                settings.target
            )));
        }
    };
    Ok(GrowSettings {
        criterion,
        max_features: settings.max_features.unwrap_or(usual_max_features).resolve(n_features),
        max_depth: settings.max_depth,
        min_samples_leaf: settings.min_samples_leaf,
        min_samples_split: 2,
        min_impurity_decrease: 0.0,
        extra_trees: settings.extra_trees,
        sampling: sampling(settings, n_rows),
        seed,
    })
}

/// What an item of this stage holds, beside its arrays: those of a forest of one tree, and `feature_gains`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TreeFacts {
    pub(super) depth: u64,
}

fn pack_tree(tree: &Tree) -> Result<Vec<u8>, Failure> {
    let facts = TreeFacts { depth: tree.depth() as u64 };
    let starts = |len: usize| [0, len as u64];
    let (node_starts, level_starts, leaf_starts) =
        (starts(tree.nodes.len()), starts(tree.level_words.len()), starts(tree.leaf_shares.len()));
    let arrays = [
        NewArray::vector("nodes", bytemuck::cast_slice::<_, u32>(&tree.nodes)),
        NewArray::vector("node_starts", &node_starts),
        NewArray::vector("level_words", &tree.level_words),
        NewArray::vector("level_starts", &level_starts),
        NewArray::vector("leaf_shares", &tree.leaf_shares),
        NewArray::vector("leaf_starts", &leaf_starts),
        NewArray::vector("feature_gains", &tree.feature_gains),
    ];
    packed::pack(&facts, &arrays)
}

/// One tree, used where it is mapped.
pub(super) struct PackedTree<'a> {
    pub(super) facts: TreeFacts,
    /// A forest of this one tree.
    pub(super) slices: ForestSlices<'a>,
    pub(super) feature_gains: &'a [f64],
}

impl<'a> PackedTree<'a> {
    /// The tree that is item `item` of its stage.
    pub(super) fn of(trees: &'a StageParts, item: u64) -> Result<Self, Failure> {
        let bytes = trees.item(item)?.ok_or_else(|| Failure::storage(format!("tree {item} was set aside; submit the job again")))?;
        let packed = Packed::open(bytes)?;
        let words = packed.array::<u32>("nodes")?;
        let nodes =
            bytemuck::try_cast_slice(words).map_err(|e| Failure::storage(format!("tree {item} is damaged: {e}; submit the job again")))?;
        let slices = ForestSlices {
            nodes,
            node_starts: packed.array("node_starts")?,
            level_words: packed.array("level_words")?,
            level_starts: packed.array("level_starts")?,
            leaf_shares: packed.array("leaf_shares")?,
            leaf_starts: packed.array("leaf_starts")?,
        };
        Ok(Self { facts: packed.facts()?, slices, feature_gains: packed.array("feature_gains")? })
    }
}
