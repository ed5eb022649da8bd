//! The trees of a forest in their order, wherever each lies: those of an earlier model where trees are added to one, then those
//! that this job grew. It must not know what a node means.

use super::growing::{PackedTree, TreeFacts};
use super::model::ForestModel;
use paceline_common::artifact::Artifact;
use paceline_common::failure::Failure;
use paceline_common::part::StageParts;
use paceline_kernels::forest::TreeSlices;
use std::ops::Range;
use std::sync::Arc;

/// All trees, used where they are mapped.
pub(super) struct GrownTrees {
    earlier: Option<EarlierTrees>,
    grown: StageParts,
}

impl GrownTrees {
    /// The trees that a stage grew, behind those of `earlier`.
    pub(super) fn open(earlier: Option<Arc<Artifact>>, grown: StageParts) -> Result<Self, Failure> {
        Ok(Self { earlier: earlier.map(EarlierTrees::open).transpose()?, grown })
    }

    pub(super) fn n_trees(&self) -> u64 {
        self.n_earlier() + self.grown.n_items()
    }

    pub(super) fn tree(&self, tree_idx: u64) -> Result<PackedTree<'_>, Failure> {
        match &self.earlier {
            Some(earlier) if tree_idx < self.n_earlier() => earlier.tree(tree_idx as usize),
            _ => PackedTree::of(&self.grown, tree_idx - self.n_earlier()),
        }
    }

    /// Trees of the earlier model; they come first.
    pub(super) fn n_earlier(&self) -> u64 {
        self.earlier.as_ref().map_or(0, |earlier| earlier.places.len() as u64)
    }
}

/// The trees of a model that was checked.
struct EarlierTrees {
    artifact: Arc<Artifact>,
    places: Vec<TreePlace>,
}

/// Where the arrays of one tree lie among those of the model.
struct TreePlace {
    nodes: Range<usize>,
    level_words: Range<usize>,
    /// In the class shares of a classification, or the means of a regression.
    leaves: Range<usize>,
}

impl EarlierTrees {
    fn open(artifact: Arc<Artifact>) -> Result<Self, Failure> {
        // Refuses whatever does not fit together, so that no tree of it can be outside.
        ForestModel::open(Arc::clone(&artifact))?;
        let starts = |name| artifact.vector::<u64>(name, None);
        let (nodes, levels, leaves) = (starts("node_starts")?, starts("level_starts")?, starts("leaf_starts")?);
        let pairs = nodes.windows(2).zip(levels.windows(2)).zip(leaves.windows(2));
        let places =
            pairs.map(|((nodes, levels), leaves)| TreePlace { nodes: range(nodes), level_words: range(levels), leaves: range(leaves) });
        let places = places.collect();
        Ok(Self { artifact, places })
    }

    fn tree(&self, tree_idx: usize) -> Result<PackedTree<'_>, Failure> {
        let damaged = || self.artifact.refuse(&format!("tree {tree_idx} is not whole; train the forest anew"));
        let place = self.places.get(tree_idx).ok_or_else(damaged)?;
        let (words, _, _) = self.artifact.matrix::<u32>("nodes")?;
        let nodes = bytemuck::try_cast_slice(words).map_err(|e| self.artifact.refuse(&format!("array nodes cannot be used: {e}")))?;
        let (shares, means) = (self.artifact.vector::<f32>("leaf_shares", None)?, self.artifact.vector::<f64>("leaf_means", None)?);
        let slices = TreeSlices {
            nodes: nodes.get(place.nodes.clone()).ok_or_else(damaged)?,
            level_words: self.artifact.vector("level_words", None)?.get(place.level_words.clone()).ok_or_else(damaged)?,
            leaf_shares: if means.is_empty() { shares.get(place.leaves.clone()).ok_or_else(damaged)? } else { &[] },
            leaf_means: if means.is_empty() { &[] } else { means.get(place.leaves.clone()).ok_or_else(damaged)? },
        };
        let (gains, n_trees, n_features) = self.artifact.matrix::<f64>("feature_gains")?;
        if n_trees != self.places.len() {
            return Err(self.artifact.refuse("array feature_gains does not have a row for each tree; train the forest anew"));
        }
        let feature_gains = gains.get(tree_idx * n_features..(tree_idx + 1) * n_features).ok_or_else(damaged)?;
        let depths = self.artifact.vector::<u32>("tree_depths", Some(n_trees))?;
        let depth = u64::from(*depths.get(tree_idx).ok_or_else(damaged)?);
        Ok(PackedTree { facts: TreeFacts { depth }, slices, feature_gains, in_bag: &[] })
    }
}

fn range(pair: &[u64]) -> Range<usize> {
    pair[0] as usize..pair[1] as usize
}
