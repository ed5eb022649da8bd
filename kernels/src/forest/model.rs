//! A forest as flat arrays that a file can hold, and the view through which it is used, checked as a whole before any of it is
//! followed: a damaged or hostile file is refused, and nothing after that can panic or loop. This room must not know files.

use super::error::ForestError;
use super::tree::{CATEGORICAL, FEATURE_MASK, LEAF, LEAF_CLASS, LEAF_MEAN, LEAF_SHARES, PackedNode, Tree};

/// All trees behind one another. References inside a tree count from that tree's start.
#[derive(Clone, Debug, PartialEq)]
pub struct ForestArrays {
    /// The nodes, [n_nodes, 4].
    pub nodes: Vec<PackedNode>,
    /// Where each tree's nodes begin, and their end: n_trees + 1 entries.
    pub node_starts: Vec<u64>,
    /// The level sets.
    pub level_words: Vec<u32>,
    /// Where each tree's level sets begin, and their end.
    pub level_starts: Vec<u64>,
    /// Class shares of mixed leaves, [n, n_classes].
    pub leaf_shares: Vec<f32>,
    /// Where each tree's shares begin in `leaf_shares`, counted in single shares, and their end.
    pub leaf_starts: Vec<u64>,
    /// Impurity decreases, [n_trees, n_features].
    pub feature_gains: Vec<f64>,
}

impl Default for ForestArrays {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            node_starts: vec![0],
            level_words: Vec::new(),
            level_starts: vec![0],
            leaf_shares: Vec::new(),
            leaf_starts: vec![0],
            feature_gains: Vec::new(),
        }
    }
}

impl ForestArrays {
    /// Adds the next tree.
    pub fn push(&mut self, tree: &Tree) {
        self.nodes.extend_from_slice(&tree.nodes);
        self.node_starts.push(self.nodes.len() as u64);
        self.level_words.extend_from_slice(&tree.level_words);
        self.level_starts.push(self.level_words.len() as u64);
        self.leaf_shares.extend_from_slice(&tree.leaf_shares);
        self.leaf_starts.push(self.leaf_shares.len() as u64);
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
            leaf_starts: &self.leaf_starts,
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
    pub leaf_starts: &'a [u64],
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

/// A forest that is known to be sound.
#[derive(Clone, Debug)]
pub struct ForestView<'a> {
    pub(super) trees: Vec<TreeView<'a>>,
    pub(super) features: Vec<FeatureKind>,
    pub(super) outcome: Outcome,
}

/// One tree of a sound forest.
#[derive(Clone, Copy, Debug)]
pub(super) struct TreeView<'a> {
    pub nodes: &'a [PackedNode],
    pub level_words: &'a [u32],
    pub leaf_shares: &'a [f32],
}

impl<'a> ForestView<'a> {
    /// Checks every node of every tree.
    ///
    /// # Errors
    /// No trees, no features, arrays that do not fit together, or a node that points outside them or backwards.
    pub fn new(slices: ForestSlices<'a>, features: Vec<FeatureKind>, outcome: Outcome) -> Result<Self, ForestError> {
        if features.is_empty() || features.len() > FEATURE_MASK as usize || outcome.n_outputs() == 0 {
            return Err(ForestError::Setting("the forest is damaged: it has no features, or no classes"));
        }
        let nodes = parts(slices.nodes, slices.node_starts, "the starts of the trees' nodes")?;
        let level_words = parts(slices.level_words, slices.level_starts, "the starts of the trees' level sets")?;
        let leaf_shares = parts(slices.leaf_shares, slices.leaf_starts, "the starts of the trees' leaf shares")?;
        if nodes.is_empty() || nodes.len() != level_words.len() || nodes.len() != leaf_shares.len() {
            return Err(ForestError::Setting("the forest is damaged: it has no trees, or its arrays disagree on their number"));
        }
        let arrays = nodes.into_iter().zip(level_words).zip(leaf_shares);
        let trees: Vec<_> = arrays.map(|((nodes, level_words), leaf_shares)| TreeView { nodes, level_words, leaf_shares }).collect();
        for (tree, view) in trees.iter().enumerate() {
            view.check(&features, outcome).map_err(|(node, why)| ForestError::Node { tree, node, why })?;
        }
        Ok(Self { trees, features, outcome })
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
}

/// Cuts an array where the starts say, if they ascend and cover it exactly.
fn parts<'a, T>(all: &'a [T], starts: &[u64], what: &'static str) -> Result<Vec<&'a [T]>, ForestError> {
    let (first, last) = (starts.first().copied(), starts.last().copied());
    if first != Some(0) || last != Some(all.len() as u64) {
        return Err(ForestError::Length { what, got: last.unwrap_or(0) as usize, expected: all.len() });
    }
    let pairs = starts.iter().zip(starts.iter().skip(1));
    let cut = pairs.map(|(&start, &end)| all.get(start as usize..end as usize));
    cut.collect::<Option<Vec<_>>>().ok_or(ForestError::Setting("the forest is damaged: the starts of its trees do not ascend"))
}

impl<'a> TreeView<'a> {
    fn check(&self, features: &[FeatureKind], outcome: Outcome) -> Result<(), (usize, &'static str)> {
        if self.nodes.is_empty() || self.nodes.len() > u32::MAX as usize {
            return Err((0, "is missing, or the tree is too large"));
        }
        if !self.leaf_shares.len().is_multiple_of(outcome.n_outputs()) || self.leaf_shares.iter().any(|share| !(0.0..=1.0).contains(share))
        {
            return Err((0, "or another has class shares that are not between 0 and 1"));
        }
        for (idx, &node) in self.nodes.iter().enumerate() {
            let sound = if node[0] & LEAF != 0 { self.check_leaf(node, outcome) } else { self.check_inner(idx, node, features) };
            sound.map_err(|why| (idx, why))?;
        }
        Ok(())
    }

    fn check_leaf(&self, node: PackedNode, outcome: Outcome) -> Result<(), &'static str> {
        if node[0] != LEAF {
            return Err("is a leaf that tests a feature");
        }
        let bits = value_bits(node);
        let sound = match (node[1], outcome) {
            (LEAF_CLASS, Outcome::Classes(n_classes)) => bits < u64::from(n_classes),
            (LEAF_SHARES, Outcome::Classes(n_classes)) => bits < self.leaf_shares.len() as u64 / u64::from(n_classes),
            (LEAF_MEAN, Outcome::Value) => f64::from_bits(bits).is_finite(),
            _ => false,
        };
        if sound { Ok(()) } else { Err("is a leaf without a sound value") }
    }

    fn check_inner(&self, idx: usize, node: PackedNode, features: &[FeatureKind]) -> Result<(), &'static str> {
        let right = node[1] as usize;
        if right <= idx + 1 || right >= self.nodes.len() {
            return Err("points to a child that is not behind it in the tree");
        }
        let kind = features.get((node[0] & FEATURE_MASK) as usize).ok_or("tests a feature that does not exist")?;
        match (kind, node[0] & CATEGORICAL != 0) {
            (FeatureKind::Numeric, false) if !threshold_of(node).is_nan() => Ok(()),
            (FeatureKind::Categorical { .. }, true) if self.level_set(node).is_some() => Ok(()),
            _ => Err("tests a feature in a way that does not fit it"),
        }
    }

    /// The number of the first word of a node's level set, and its words.
    #[inline]
    fn level_set(&self, node: PackedNode) -> Option<(u32, &'a [u32])> {
        let [first_word, n_words, words @ ..] = self.level_words.get(value_bits(node) as usize..)? else { return None };
        Some((*first_word, words.get(..*n_words as usize)?))
    }

    /// Whether a node's level set has this level; false for a missing one, which is NaN.
    #[inline]
    pub fn set_has(&self, node: PackedNode, level: f64) -> bool {
        // As a whole number NaN would become level 0.
        if level.is_nan() {
            return false;
        }
        let level = level as u32;
        let word = self.level_set(node).and_then(|(first, words)| words.get((level / 32).checked_sub(first)? as usize));
        word.is_some_and(|word| word >> (level % 32) & 1 == 1)
    }
}

/// The threshold of an inner node on a numeric feature.
#[inline]
pub(super) fn threshold_of(node: PackedNode) -> f64 {
    f64::from_bits(value_bits(node))
}

/// Words 2 and 3 together.
#[inline]
pub(super) fn value_bits(node: PackedNode) -> u64 {
    u64::from(node[2]) | u64::from(node[3]) << 32
}
