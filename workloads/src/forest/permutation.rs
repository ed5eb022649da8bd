//! The stage of training that measures importance by permutation, where it is asked for: every item takes one tree, shuffles each
//! feature among the rows that the tree did not see, and yields what the tree loses by it. It must not know how rows go down.

use super::grown::GrownTrees;
use super::model::PermutationImportance;
use super::training_data::{TrainingFacts, TrainingParts, refusal};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::forest::{BinnedColumns, ForestView, InBag, Sampling, Target, permutation_importance, permutation_losses};

/// The mapped inputs of this stage.
struct PermutationParts {
    training: TrainingParts,
    trees: GrownTrees,
    facts: TrainingFacts,
}

/// What is checked once and read by every tree.
struct PermutationData<'a> {
    columns: BinnedColumns<'a>,
    target: Target<'a>,
}

self_cell::self_cell!(
    /// The data together with the maps that it lies in.
    struct MappedPermutation {
        owner: PermutationParts,
        #[covariant]
        dependent: PermutationData,
    }
);

/// The stage, opened.
pub(super) struct PermutationTask {
    mapped: MappedPermutation,
    sampling: Sampling,
    seed: u64,
}

impl PermutationTask {
    pub(super) fn open(training: TrainingParts, trees: GrownTrees, sampling: Sampling, seed: u64) -> Result<Self, Failure> {
        let facts = training.facts()?;
        let mapped = MappedPermutation::try_new(PermutationParts { training, trees, facts }, |parts| {
            Ok::<_, Failure>(PermutationData { columns: parts.training.columns()?, target: parts.training.target()? })
        })?;
        Ok(Self { mapped, sampling, seed })
    }

    /// One number for each feature, or none where the tree saw every row.
    fn losses(&self, tree_idx: u64) -> Result<Vec<f64>, Failure> {
        let (parts, data) = (self.mapped.borrow_owner(), self.mapped.borrow_dependent());
        let tree = parts.trees.tree(tree_idx)?.slices;
        let view = ForestView::of_trees(vec![tree], &data.columns, parts.facts.task.outcome()).map_err(refusal)?;
        let bag = InBag::draw(self.sampling, data.columns.n_rows(), self.seed, tree_idx);
        let out_rows: Vec<u32> = (0..).zip(bag.counts()).filter(|(_, count)| **count == 0).map(|(row, _)| row).collect();
        let losses = permutation_losses(&view, 0, &data.columns, data.target, &out_rows, self.seed, tree_idx).map_err(refusal)?;
        Ok(losses.unwrap_or_default())
    }
}

impl StageTask for PermutationTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        for item in block.start..block.end {
            let losses = self.losses(item).map_err(|failure| ItemFailure { item, failure })?;
            outputs.push(bytemuck::cast_slice(&losses));
        }
        Ok(())
    }
}

/// The results of the stage.
pub(super) struct PermutationLosses(pub(super) StageParts);

impl PermutationLosses {
    /// What they come to; `None` where every tree saw every row.
    pub(super) fn importance(&self, n_features: usize) -> Result<Option<PermutationImportance>, Failure> {
        let mut trees = Vec::new();
        for item in 0..self.0.n_items() {
            let losses: &[f64] = bytemuck::try_cast_slice(self.0.item(item)?.unwrap_or_default()).unwrap_or_default();
            if losses.len() == n_features {
                trees.push(losses);
            } else if !losses.is_empty() {
                return Err(Failure::storage(format!("the permutation result of tree {item} is damaged; submit the job again")));
            }
        }
        Ok((!trees.is_empty()).then(|| {
            let (means, standard_errors) = permutation_importance(trees.iter().copied(), n_features);
            PermutationImportance { means, standard_errors }
        }))
    }
}
