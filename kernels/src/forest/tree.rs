//! A grown tree as flat arrays: what a node looks like, and how nodes are added in depth-first order. This room must not know
//! how splits are found, nor how rows go down.
//!
//! A node is two 32-bit words, so that the trees of a forest stay in a second-level cache:
//!
//! | bits | numeric split | categorical split | leaf |
//! |---|---|---|---|
//! | word 0, 16–31 | feature | feature | 0 |
//! | word 0, 0–15 | last bin that goes left | high bits of the place of the level set | 0 |
//! | word 1, 31 | 0 | 0 | [`LEAF`] |
//! | word 1, 30 | 0 | [`CATEGORICAL`] | [`LEAF_ROW`], or 0 for a class |
//! | word 1, 29 | [`DEFAULT_LEFT`] | [`DEFAULT_LEFT`] | 0 |
//! | word 1, 0–28 | right child | low bits of the place of the level set | the class, or the row of leaf values |
//!
//! The left child is the next node. A numeric value goes left when its bin is not behind the last one; a missing one when
//! [`DEFAULT_LEFT`] is set. A level goes to the default side unless it is in the node's level set. A level set in `level_words` is
//! the right child, then the number of its first word (low half) and of its words (high half), then the words: level l is bit
//! l % 32 of word l / 32. So levels that the node never saw go the same way as missing ones.

use super::criterion::LeafValue;
use super::error::ForestError;

/// A node as it is stored.
pub type PackedNode = [u32; 2];

/// Flag of word 1: the node has no children.
pub const LEAF: u32 = 1 << 31;
/// Flag of word 1 of a split: the feature's values are levels.
pub const CATEGORICAL: u32 = 1 << 30;
/// Flag of word 1 of a leaf: what it says is a row of the leaf values, not a class.
pub const LEAF_ROW: u32 = 1 << 30;
/// Flag of word 1 of a split: missing values, and levels outside the set, go left.
pub const DEFAULT_LEFT: u32 = 1 << 29;
/// The bits of word 1 that hold a place.
pub const PLACE_MASK: u32 = DEFAULT_LEFT - 1;
/// Where the feature begins in word 0.
pub const FEATURE_SHIFT: u32 = 16;
/// The bits of word 0 that hold the last bin that goes left.
pub const BIN_MASK: u32 = (1 << FEATURE_SHIFT) - 1;

/// The most features that nodes can tell apart.
pub const MAX_FEATURES: usize = 1 << FEATURE_SHIFT;
/// The most nodes of a tree.
pub const MAX_NODES: usize = PLACE_MASK as usize + 1;

/// Refuses training that could outgrow what a node can hold.
///
/// # Errors
/// More than 65,536 features, or the chance of more than 268,435,456 leaves.
pub(super) fn check_size(n_features: usize, most_leaves: u64) -> Result<(), ForestError> {
    if n_features > MAX_FEATURES {
        return Err(ForestError::Setting("there are more than 65,536 features; leave some out"));
    }
    if most_leaves > MAX_NODES as u64 / 2 {
        return Err(ForestError::Setting(
            "a tree could have more than 268,435,456 leaves; raise the smallest leaf or draw fewer rows for each tree",
        ));
    }
    Ok(())
}

/// One tree of a forest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    /// The nodes in depth-first order, the root first.
    pub nodes: Vec<PackedNode>,
    /// The level sets of categorical splits.
    pub level_words: Vec<u32>,
    /// Class shares of leaves with more than one class, [n, n_classes]. Empty in regression.
    pub leaf_shares: Vec<f32>,
    /// Means of the leaves. Empty in classification.
    pub leaf_means: Vec<f64>,
    /// Decrease in impurity times weight by the splits on each feature, over the weight in the bag.
    pub feature_gains: Vec<f64>,
}

impl Tree {
    /// Inner nodes and leaves.
    pub fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Leaves.
    pub fn n_leaves(&self) -> usize {
        self.nodes.iter().filter(|node| node[1] & LEAF != 0).count()
    }

    /// Splits on the longest way down; 0 for a tree that is one leaf.
    pub fn depth(&self) -> usize {
        // In depth-first order a leaf ends the left part of the last split whose right part is still to come.
        let (mut depth, mut deepest, mut right_depths) = (0, 0, Vec::new());
        for node in &self.nodes {
            if node[1] & LEAF == 0 {
                depth += 1;
                right_depths.push(depth);
                deepest = deepest.max(depth);
            } else {
                depth = right_depths.pop().unwrap_or(0);
            }
        }
        deepest
    }
}

/// The feature of a split.
#[inline]
pub(super) fn feature_of(node: PackedNode) -> usize {
    (node[0] >> FEATURE_SHIFT) as usize
}

/// Where the level set of a categorical split begins.
#[inline]
pub(super) fn level_set_start(node: PackedNode) -> usize {
    ((node[0] & BIN_MASK) as usize) << DEFAULT_LEFT.trailing_zeros() | (node[1] & PLACE_MASK) as usize
}

/// A tree, or the part of one below a node, in the making. Children are given by their place in this part.
#[derive(Default)]
pub(super) struct TreeBuilder {
    nodes: Vec<PackedNode>,
    level_words: Vec<u32>,
    leaf_shares: Vec<f32>,
    leaf_means: Vec<f64>,
    /// One per node, 0 for leaves.
    gains: Vec<f64>,
}

impl TreeBuilder {
    pub fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    pub fn push_leaf(&mut self, value: LeafValue<'_>) {
        let content = match value {
            LeafValue::Class(class) => class,
            LeafValue::Mean(mean) => {
                self.leaf_means.push(mean);
                LEAF_ROW | (self.leaf_means.len() - 1) as u32
            }
            LeafValue::Shares(weights, total) => {
                let row = self.leaf_shares.len() / weights.len();
                self.leaf_shares.extend(weights.iter().map(|weight| (weight / total) as f32));
                LEAF_ROW | row as u32
            }
        };
        self.push([0, LEAF | content], 0.0);
    }

    /// Adds an inner node: bins up to `last_left` go left. Its right child is told later.
    pub fn push_threshold(&mut self, feature: u32, last_left: u16, default_left: bool, gain: f64) {
        self.push([feature << FEATURE_SHIFT | u32::from(last_left), default_flag(default_left)], gain);
    }

    /// Adds an inner node on levels: `set` ascends and holds those that do not go to the default side.
    pub fn push_levels(&mut self, feature: u32, set: impl Iterator<Item = u16> + Clone, default_left: bool, gain: f64) {
        let start = self.level_words.len();
        let first_word = set.clone().next().map_or(0, |level| u32::from(level) / 32);
        let n_words = set.clone().last().map_or(0, |level| u32::from(level) / 32) - first_word + 1;
        self.level_words.extend([0, first_word | n_words << 16]);
        let words = self.level_words.len();
        self.level_words.resize(words + n_words as usize, 0);
        for level in set {
            self.level_words[words + (u32::from(level) / 32 - first_word) as usize] |= 1 << (level % 32);
        }
        self.push(categorical_node(feature, start, default_left), gain);
    }

    fn push(&mut self, node: PackedNode, gain: f64) {
        self.nodes.push(node);
        self.gains.push(gain);
    }

    /// The next node to be added is the right child of `parent`.
    pub fn begin_right_child(&mut self, parent: usize) {
        let right = self.nodes.len() as u32;
        let node = self.nodes[parent];
        if node[1] & CATEGORICAL != 0 {
            self.level_words[level_set_start(node)] = right;
        } else {
            self.nodes[parent][1] = node[1] & !PLACE_MASK | right;
        }
    }

    /// Adds a part that was grown apart behind what is there.
    pub fn append(&mut self, part: TreeBuilder, n_shares: usize) {
        let first_node = self.nodes.len() as u32;
        let first_word = self.level_words.len();
        // One of them is empty.
        let first_row = (self.leaf_means.len() + self.leaf_shares.len() / n_shares) as u32;
        self.level_words.extend(part.level_words);
        for node in part.nodes {
            let node = match (node[1] & LEAF != 0, node[1] & CATEGORICAL != 0) {
                (true, false) => node,
                // The flag of a row of leaf values is the same bit.
                (true, true) => [node[0], node[1] + first_row],
                (false, false) => [node[0], node[1] + first_node],
                (false, true) => {
                    let start = level_set_start(node) + first_word;
                    self.level_words[start] += first_node;
                    categorical_node(node[0] >> FEATURE_SHIFT, start, node[1] & DEFAULT_LEFT != 0)
                }
            };
            self.nodes.push(node);
        }
        self.leaf_shares.extend(part.leaf_shares);
        self.leaf_means.extend(part.leaf_means);
        self.gains.extend(part.gains);
    }

    /// The finished tree. Gains are added in the order of the nodes.
    pub fn finish(self, n_features: usize, root_weight: f64) -> Tree {
        let mut feature_gains = vec![0.0; n_features];
        for (node, gain) in self.nodes.iter().zip(&self.gains) {
            if node[1] & LEAF == 0 {
                feature_gains[feature_of(*node)] += gain / root_weight;
            }
        }
        let Self { nodes, level_words, leaf_shares, leaf_means, .. } = self;
        Tree { nodes, level_words, leaf_shares, leaf_means, feature_gains }
    }
}

fn default_flag(default_left: bool) -> u32 {
    if default_left { DEFAULT_LEFT } else { 0 }
}

fn categorical_node(feature: u32, set_start: usize, default_left: bool) -> PackedNode {
    let (low, high) = (set_start as u32 & PLACE_MASK, (set_start >> DEFAULT_LEFT.trailing_zeros()) as u32);
    [feature << FEATURE_SHIFT | high, CATEGORICAL | default_flag(default_left) | low]
}
