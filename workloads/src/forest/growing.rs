//! The third stage of training: every item grows one tree from the columns and rows where they are mapped.
//! It hands data and settings to the kernel, and must not know how a tree grows.

use super::choices::{ClassWeight, CriterionChoice, MaxFeatures};
use super::model::TaskSpec;
use super::rows::RowBlocks;
use super::settings::TrainSettings;
use super::training_data::{TrainingParts, refusal};
use crate::packed::{self, Packed};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::artifact::NewArray;
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::forest::{Criterion, GrowSettings, Grower, InBag, Nesting, Sampling, Tree, TreeSlices};
use serde::{Deserialize, Serialize};

/// The mapped inputs of this stage.
struct GrowingParts {
    training: TrainingParts,
    /// The results of the second stage.
    rows: StageParts,
}

impl GrowingParts {
    fn grower(&self, settings: GrowSettings) -> Result<Grower<'_>, Failure> {
        let set = self.training.training_set()?;
        let rows = RowBlocks::of(&self.training)?.table(&self.rows, set.columns())?;
        Grower::new(set, rows, settings).map_err(refusal)
    }
}

self_cell::self_cell!(
    /// The grower together with the mapped columns and rows that it reads.
    struct MappedGrower {
        owner: GrowingParts,
        #[covariant]
        dependent: Grower,
    }
);

/// The stage, opened: columns and rows are checked once for all trees.
pub(super) struct GrowingTask {
    grower: MappedGrower,
    /// The number of this stage's first tree in the forest.
    first_tree_idx: u64,
    /// How many trees this stage grows.
    n_trees: u64,
    bags: Option<Bags>,
}

/// What the bag of a tree is drawn from once more, to be kept beside it for the out-of-bag stage.
pub(super) struct Bags {
    pub(super) sampling: Sampling,
    pub(super) n_rows: usize,
    pub(super) seed: u64,
}

impl Bags {
    /// A bit for each row of the training, set where the tree saw it.
    pub(super) fn bits(&self, tree_idx: u64) -> Vec<u64> {
        InBag::draw(self.sampling, self.n_rows, self.seed, tree_idx).to_bits()
    }
}

impl GrowingTask {
    pub(super) fn open(
        training: TrainingParts,
        rows: StageParts,
        settings: &TrainSettings,
        seed: u64,
        first_tree_idx: u64,
    ) -> Result<Self, Failure> {
        let facts = training.facts()?;
        let sampling = sampling(settings, facts.n_rows);
        let bags = settings.measures_oob().then_some(Bags { sampling, n_rows: facts.n_rows as usize, seed });
        let n_trees = settings.trees;
        let settings = grow_settings(settings, &facts.task, facts.n_rows, facts.features.len(), seed)?;
        let grower = MappedGrower::try_new(GrowingParts { training, rows }, |parts| parts.grower(settings))?;
        Ok(Self { grower, first_tree_idx, n_trees, bags })
    }
}

impl GrowingTask {
    /// Threads share a tree only where there may be fewer trees left than threads: sharing costs, and the bytes are the same.
    fn nesting(&self, item: u64) -> Nesting {
        let n_left = self.n_trees.saturating_sub(item);
        if n_left <= rayon::current_num_threads() as u64 { Nesting::Nested } else { Nesting::Sequential }
    }
}

impl StageTask for GrowingTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        for item in block.start..block.end {
            let tree_idx = self.first_tree_idx + item;
            let tree = self.grower.borrow_dependent().grow(tree_idx, self.nesting(item));
            let in_bag = self.bags.as_ref().map(|bags| bags.bits(tree_idx));
            outputs.push_owned(pack_tree(&tree, in_bag.as_deref()).map_err(|failure| ItemFailure { item, failure })?);
        }
        Ok(())
    }
}

/// How many rows each tree is grown from.
pub(super) fn sampling(settings: &TrainSettings, n_rows: u64) -> Sampling {
    let n_drawn = ((n_rows as f64 * settings.sample_fraction()).round() as u64).clamp(1, n_rows.max(1));
    match (settings.no_bootstrap, n_drawn == n_rows) {
        (false, _) => Sampling::Bootstrap { n_draws: n_drawn },
        (true, true) => Sampling::All,
        (true, false) => Sampling::Subsample { n_rows: n_drawn },
    }
}

/// A third of the features: what regression forests are usually grown with.
pub(super) const REGRESSION_MAX_FEATURES: MaxFeatures = MaxFeatures::Fraction(1.0 / 3.0);

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
        max_leaf_nodes: settings.max_leaf_nodes,
        min_samples_leaf: settings.min_samples_leaf(),
        min_samples_split: settings.min_samples_split(),
        min_impurity_decrease: settings.min_impurity_decrease(),
        balance_each_bag: settings.class_weight == Some(ClassWeight::BalancedSubsample),
        extra_trees: settings.extra_trees,
        sampling: sampling(settings, n_rows),
        seed,
    })
}

/// What an item of this stage holds, beside its arrays: those of the tree, `feature_gains`, and `in_bag` where it is needed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TreeFacts {
    pub(super) depth: u64,
}

fn pack_tree(tree: &Tree, in_bag: Option<&[u64]>) -> Result<Vec<u8>, Failure> {
    let facts = TreeFacts { depth: tree.depth() as u64 };
    let arrays = [
        NewArray::vector("nodes", bytemuck::cast_slice::<_, u32>(&tree.nodes)),
        NewArray::vector("level_words", &tree.level_words),
        NewArray::vector("leaf_shares", &tree.leaf_shares),
        NewArray::vector("leaf_means", &tree.leaf_means),
        NewArray::vector("feature_gains", &tree.feature_gains),
        NewArray::vector("in_bag", in_bag.unwrap_or_default()),
    ];
    packed::pack(&facts, &arrays)
}

/// One tree, used where it is mapped.
pub(super) struct PackedTree<'a> {
    pub(super) facts: TreeFacts,
    pub(super) slices: TreeSlices<'a>,
    pub(super) feature_gains: &'a [f64],
    /// A bit for each row of the training, set where the tree saw it; empty where nobody asked for it, or where the tree was grown
    /// by an earlier job.
    pub(super) in_bag: &'a [u64],
}

impl<'a> PackedTree<'a> {
    /// The tree that is item `item` of its stage.
    pub(super) fn of(trees: &'a StageParts, item: u64) -> Result<Self, Failure> {
        let bytes = trees.item(item)?.ok_or_else(|| Failure::storage(format!("tree {item} was set aside; submit the job again")))?;
        let packed = Packed::open(bytes)?;
        let words = packed.array::<u32>("nodes")?;
        let nodes =
            bytemuck::try_cast_slice(words).map_err(|e| Failure::storage(format!("tree {item} is damaged: {e}; submit the job again")))?;
        let slices = TreeSlices {
            nodes,
            level_words: packed.array("level_words")?,
            leaf_shares: packed.array("leaf_shares")?,
            leaf_means: packed.array("leaf_means")?,
        };
        Ok(Self { facts: packed.facts()?, slices, feature_gains: packed.array("feature_gains")?, in_bag: packed.array("in_bag")? })
    }
}
