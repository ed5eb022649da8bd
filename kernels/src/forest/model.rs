//! A forest as flat arrays that a file can hold, and the view through which it is used, checked as a whole before any of it is
//! followed: a damaged or hostile file is refused, and nothing after that can panic or loop. This room must not know files.

use super::check::check_tree;
use super::columns::{BinMeaning, BinnedColumns};
use super::error::ForestError;
use super::tree::{MAX_FEATURES, PackedNode, Tree};
use super::walk::WalkPath;
use rayon::prelude::*;

/// All trees behind one another. References inside a tree count from that tree's start.
#[derive(Clone, Debug, PartialEq)]
pub struct ForestArrays {
    /// The nodes, [n_nodes, 2].
    pub nodes: Vec<PackedNode>,
    /// Where each tree's nodes begin, and their end: n_trees + 1 entries.
    pub node_starts: Vec<u64>,
    /// The level sets.
    pub level_words: Vec<u32>,
    /// Where each tree's level sets begin, and their end.
    pub level_starts: Vec<u64>,
    /// Class shares of mixed leaves, [n, n_classes]; empty in regression.
    pub leaf_shares: Vec<f32>,
    /// Means of leaves, `[n]`; empty in classification.
    pub leaf_means: Vec<f64>,
    /// Where each tree's shares or means begin, counted in single numbers, and their end.
    pub leaf_starts: Vec<u64>,
    /// The upper ends of the bins of all numeric features, feature by feature.
    pub thresholds: Vec<f64>,
    /// Where each feature's thresholds begin, and their end: n_features + 1 entries.
    pub threshold_starts: Vec<u64>,
    /// Impurity decreases, [n_trees, n_features].
    pub feature_gains: Vec<f64>,
}

impl ForestArrays {
    /// A forest without trees over the bins of the columns that it is grown from.
    pub fn new(columns: &BinnedColumns<'_>) -> Self {
        let (mut thresholds, mut threshold_starts) = (Vec::new(), vec![0]);
        for column in columns.as_slice() {
            if let BinMeaning::Ordered { thresholds: of_column } = column.meaning {
                thresholds.extend_from_slice(of_column);
            }
            threshold_starts.push(thresholds.len() as u64);
        }
        Self {
            nodes: Vec::new(),
            node_starts: vec![0],
            level_words: Vec::new(),
            level_starts: vec![0],
            leaf_shares: Vec::new(),
            leaf_means: Vec::new(),
            leaf_starts: vec![0],
            thresholds,
            threshold_starts,
            feature_gains: Vec::new(),
        }
    }

    /// Adds the next tree.
    pub fn push(&mut self, tree: &Tree) {
        self.nodes.extend_from_slice(&tree.nodes);
        self.node_starts.push(self.nodes.len() as u64);
        self.level_words.extend_from_slice(&tree.level_words);
        self.level_starts.push(self.level_words.len() as u64);
        self.leaf_shares.extend_from_slice(&tree.leaf_shares);
        self.leaf_means.extend_from_slice(&tree.leaf_means);
        self.leaf_starts.push((self.leaf_shares.len() + self.leaf_means.len()) as u64);
        self.feature_gains.extend_from_slice(&tree.feature_gains);
    }

    /// The arrays that prediction needs.
    pub fn slices(&self) -> ForestSlices<'_> {
        ForestSlices {
            nodes: &self.nodes,
            node_starts: &self.node_starts,
            level_words: &self.level_words,
            level_starts: &self.level_starts,
            leaf_shares: &self.leaf_shares,
            leaf_means: &self.leaf_means,
            leaf_starts: &self.leaf_starts,
            thresholds: &self.thresholds,
            threshold_starts: &self.threshold_starts,
        }
    }
}

/// The arrays of [`ForestArrays`] wherever they stand.
#[derive(Clone, Copy, Debug)]
pub struct ForestSlices<'a> {
    /// As in [`ForestArrays`].
    pub nodes: &'a [PackedNode],
    /// As in [`ForestArrays`].
    pub node_starts: &'a [u64],
    /// As in [`ForestArrays`].
    pub level_words: &'a [u32],
    /// As in [`ForestArrays`].
    pub level_starts: &'a [u64],
    /// As in [`ForestArrays`].
    pub leaf_shares: &'a [f32],
    /// As in [`ForestArrays`].
    pub leaf_means: &'a [f64],
    /// As in [`ForestArrays`].
    pub leaf_starts: &'a [u64],
    /// As in [`ForestArrays`].
    pub thresholds: &'a [f64],
    /// As in [`ForestArrays`].
    pub threshold_starts: &'a [u64],
}

/// What the values of a feature are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureKind {
    /// Numbers.
    Numeric,
    /// Levels below `n_levels`.
    Categorical {
        /// How many levels training knew.
        n_levels: u32,
    },
}

/// What a forest predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The shares of this many classes.
    Classes(u32),
    /// One number.
    Value,
}

impl Outcome {
    /// Numbers per prediction.
    pub fn n_outputs(self) -> usize {
        match self {
            Self::Classes(n_classes) => n_classes as usize,
            Self::Value => 1,
        }
    }
}

/// The arrays of one tree wherever they stand; as in [`Tree`].
#[derive(Clone, Copy, Debug)]
pub struct TreeSlices<'a> {
    /// As in [`Tree`].
    pub nodes: &'a [PackedNode],
    /// As in [`Tree`].
    pub level_words: &'a [u32],
    /// As in [`Tree`].
    pub leaf_shares: &'a [f32],
    /// As in [`Tree`].
    pub leaf_means: &'a [f64],
}

/// A forest that is known to be sound.
#[derive(Clone, Debug)]
pub struct ForestView<'a> {
    pub(super) trees: Vec<TreeSlices<'a>>,
    pub(super) features: Vec<BinMeaning<'a>>,
    pub(super) outcome: Outcome,
    pub(super) walk_path: WalkPath,
    depths: Vec<u32>,
}

impl<'a> ForestView<'a> {
    /// Checks every node of every tree, in the calling rayon pool.
    ///
    /// # Errors
    /// No trees, no features, arrays that do not fit together, or a node that is not in its place.
    pub fn new(slices: ForestSlices<'a>, features: Vec<FeatureKind>, outcome: Outcome) -> Result<Self, ForestError> {
        let thresholds = parts(slices.thresholds, slices.threshold_starts, "the starts of the features' thresholds")?;
        if thresholds.len() != features.len() {
            return Err(damaged("it has thresholds for another number of features"));
        }
        let meanings = features.into_iter().zip(thresholds).map(|(kind, thresholds)| match kind {
            FeatureKind::Numeric => BinMeaning::Ordered { thresholds },
            FeatureKind::Categorical { n_levels } => BinMeaning::Levels { n_levels: n_levels as usize },
        });
        let meanings = meanings.collect();
        let nodes = parts(slices.nodes, slices.node_starts, "the starts of the trees' nodes")?;
        let level_words = parts(slices.level_words, slices.level_starts, "the starts of the trees' level sets")?;
        let (shares_starts, means_starts) = match outcome {
            Outcome::Classes(_) => (Some(slices.leaf_starts), None),
            Outcome::Value => (None, Some(slices.leaf_starts)),
        };
        let leaf_shares = parts_or_none(slices.leaf_shares, shares_starts, nodes.len(), "the starts of the trees' leaf shares")?;
        let leaf_means = parts_or_none(slices.leaf_means, means_starts, nodes.len(), "the starts of the trees' leaf means")?;
        if [level_words.len(), leaf_shares.len(), leaf_means.len()].iter().any(|&n| n != nodes.len()) {
            return Err(damaged("its arrays disagree on the number of trees"));
        }
        let arrays = nodes.into_iter().zip(level_words).zip(leaf_shares.into_iter().zip(leaf_means));
        let trees =
            arrays.map(|((nodes, level_words), (leaf_shares, leaf_means))| TreeSlices { nodes, level_words, leaf_shares, leaf_means });
        Self::of_meanings(trees.collect(), meanings, outcome)
    }

    /// The same for trees that stand apart, over the columns that they were grown from.
    ///
    /// # Errors
    /// As for [`ForestView::new`].
    pub fn of_trees(trees: Vec<TreeSlices<'a>>, columns: &BinnedColumns<'a>, outcome: Outcome) -> Result<Self, ForestError> {
        Self::of_meanings(trees, columns.as_slice().iter().map(|column| column.meaning).collect(), outcome)
    }

    fn of_meanings(trees: Vec<TreeSlices<'a>>, features: Vec<BinMeaning<'a>>, outcome: Outcome) -> Result<Self, ForestError> {
        if features.is_empty() || features.len() > MAX_FEATURES || outcome.n_outputs() == 0 || trees.is_empty() {
            return Err(damaged("it has no trees, no classes, no features, or more than 65,536 of them"));
        }
        features
            .iter()
            .enumerate()
            .try_for_each(|(feature, meaning)| meaning.check().map_err(|why| ForestError::Column { feature, why }))?;
        let depths = trees
            .par_iter()
            .enumerate()
            .map(|(tree, slices)| check_tree(slices, &features, outcome).map_err(|(node, why)| ForestError::Node { tree, node, why }));
        // All are looked at, and the first fault in the order of the trees is told, whatever thread finds one first.
        let depths: Vec<Result<u32, ForestError>> = depths.collect();
        let depths = depths.into_iter().collect::<Result<_, _>>()?;
        Ok(Self { trees, features, outcome, walk_path: WalkPath::fastest(), depths })
    }

    /// The same forest with rows sent down it by `walk_path`, or by portable code where the processor lacks it. Predictions are the same.
    #[must_use]
    pub fn with_walk_path(self, walk_path: WalkPath) -> Self {
        Self { walk_path: walk_path.or_portable(), ..self }
    }

    /// Trees.
    pub fn n_trees(&self) -> usize {
        self.trees.len()
    }

    /// Features that a row must have.
    pub fn n_features(&self) -> usize {
        self.features.len()
    }

    /// Numbers per prediction.
    pub fn n_outputs(&self) -> usize {
        self.outcome.n_outputs()
    }

    /// The arrays of one tree, below [`Self::n_trees`].
    pub fn slices_of(&self, tree: usize) -> TreeSlices<'a> {
        self.trees[tree]
    }

    /// For each tree the splits on its longest way down.
    pub fn depths(&self) -> &[u32] {
        &self.depths
    }
}

fn damaged(why: &'static str) -> ForestError {
    ForestError::Damaged(why)
}

/// Cuts an array where the starts say, if they ascend and cover it exactly.
fn parts<'a, T>(all: &'a [T], starts: &[u64], what: &'static str) -> Result<Vec<&'a [T]>, ForestError> {
    let (first, last) = (starts.first().copied(), starts.last().copied());
    if first != Some(0) || last != Some(all.len() as u64) {
        return Err(ForestError::Length { what, got: last.unwrap_or(0) as usize, expected: all.len() });
    }
    let pairs = starts.iter().zip(starts.iter().skip(1));
    let cut = pairs.map(|(&start, &end)| all.get(start as usize..end as usize));
    cut.collect::<Option<Vec<_>>>().ok_or(damaged("the starts of its trees do not ascend"))
}

/// The same, or nothing for each tree where the outcome has no such values.
fn parts_or_none<'a, T>(all: &'a [T], starts: Option<&[u64]>, n_trees: usize, what: &'static str) -> Result<Vec<&'a [T]>, ForestError> {
    match starts {
        Some(starts) => parts(all, starts, what),
        None if all.is_empty() => Ok(vec![&[]; n_trees]),
        None => Err(damaged("it has leaf values that do not fit what it predicts")),
    }
}
