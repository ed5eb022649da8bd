//! A grown tree as flat arrays: what a node looks like, and how nodes are added in depth-first order. This room must not know
//! how splits are found, nor how rows go down.
//!
//! A node is four 32-bit words:
//!
//! | word | inner node | leaf |
//! |---|---|---|
//! | 0 | feature, [`DEFAULT_LEFT`], [`CATEGORICAL`] | [`LEAF`] |
//! | 1 | right child; the left one is the next node | [`LEAF_CLASS`], [`LEAF_SHARES`] or [`LEAF_MEAN`] |
//! | 2, 3 | low and high half of the threshold's bits, or where the level set begins | the class, the row of shares, or the mean's bits |
//!
//! A numeric value goes left when it is not above the threshold; a missing one goes left when [`DEFAULT_LEFT`] is set. A level
//! goes to the default side unless it is in the node's level set. A level set in `level_words` is the number of its first word,
//! the number of words, and the words: level l is bit l % 32 of word l / 32. So levels that the node never saw go the same way as
//! missing ones.

use super::criterion::LeafValue;

/// A node as it is stored.
pub type PackedNode = [u32; 4];

/// Flag of word 0: the node has no children.
pub const LEAF: u32 = 1 << 31;
/// Flag of word 0: the feature's values are levels.
pub const CATEGORICAL: u32 = 1 << 30;
/// Flag of word 0: missing values, and levels outside the set, go left.
pub const DEFAULT_LEFT: u32 = 1 << 29;
/// The bits of word 0 that hold the feature.
pub const FEATURE_MASK: u32 = DEFAULT_LEFT - 1;
/// Word 1 of a leaf whose rows all have one class.
pub const LEAF_CLASS: u32 = 0;
/// Word 1 of a leaf with a row of class shares.
pub const LEAF_SHARES: u32 = 1;
/// Word 1 of a leaf with a mean.
pub const LEAF_MEAN: u32 = 2;

/// One tree of a forest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    /// The nodes in depth-first order, the root first.
    pub nodes: Vec<PackedNode>,
    /// The level sets of categorical splits.
    pub level_words: Vec<u32>,
    /// Class shares of leaves with more than one class, [n, n_classes].
    pub leaf_shares: Vec<f32>,
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
        self.nodes.iter().filter(|node| node[0] & LEAF != 0).count()
    }

    /// Splits on the longest way down; 0 for a tree that is one leaf.
    pub fn depth(&self) -> usize {
        let mut depths = vec![0usize; self.nodes.len()];
        for (idx, node) in self.nodes.iter().enumerate() {
            if node[0] & LEAF == 0 {
                let child_depth = depths[idx] + 1;
                for child in [idx + 1, node[1] as usize] {
                    if let Some(depth) = depths.get_mut(child) {
                        *depth = child_depth;
                    }
                }
            }
        }
        depths.into_iter().max().unwrap_or(0)
    }
}

/// A tree, or the part of one below a node, in the making. Children are given by their place in this part.
#[derive(Default)]
pub(super) struct TreeBuilder {
    nodes: Vec<PackedNode>,
    level_words: Vec<u32>,
    leaf_shares: Vec<f32>,
    /// One per node, 0 for leaves.
    gains: Vec<f64>,
}

impl TreeBuilder {
    pub fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    pub fn push_leaf(&mut self, value: LeafValue<'_>) {
        let (kind, bits) = match value {
            LeafValue::Class(class) => (LEAF_CLASS, u64::from(class)),
            LeafValue::Mean(mean) => (LEAF_MEAN, mean.to_bits()),
            LeafValue::Shares(weights, total) => {
                let row = self.leaf_shares.len() / weights.len();
                self.leaf_shares.extend(weights.iter().map(|weight| (weight / total) as f32));
                (LEAF_SHARES, row as u64)
            }
        };
        self.push(LEAF, kind, bits, 0.0);
    }

    /// Adds an inner node; its right child is told later.
    pub fn push_threshold(&mut self, feature: u32, threshold: f64, default_left: bool, gain: f64) {
        self.push(feature | if default_left { DEFAULT_LEFT } else { 0 }, 0, threshold.to_bits(), gain);
    }

    /// Adds an inner node on levels: `set` ascends and holds those that do not go to the default side.
    pub fn push_levels(&mut self, feature: u32, set: impl Iterator<Item = u16> + Clone, default_left: bool, gain: f64) {
        let start = self.level_words.len();
        let first_word = set.clone().next().map_or(0, |level| u32::from(level) / 32);
        let last_word = set.clone().last().map_or(0, |level| u32::from(level) / 32);
        self.level_words.extend([first_word, last_word - first_word + 1]);
        self.level_words.resize(start + 2 + (last_word - first_word) as usize + 1, 0);
        for level in set {
            self.level_words[start + 2 + (u32::from(level) / 32 - first_word) as usize] |= 1 << (level % 32);
        }
        self.push(feature | CATEGORICAL | if default_left { DEFAULT_LEFT } else { 0 }, 0, start as u64, gain);
    }

    fn push(&mut self, head: u32, right: u32, bits: u64, gain: f64) {
        self.nodes.push([head, right, bits as u32, (bits >> 32) as u32]);
        self.gains.push(gain);
    }

    /// The next node to be added is the right child of `parent`.
    pub fn begin_right_child(&mut self, parent: usize) {
        self.nodes[parent][1] = self.nodes.len() as u32;
    }

    /// Adds a part that was grown apart behind what is there.
    pub fn append(&mut self, part: TreeBuilder, n_shares: usize) {
        let first_node = self.nodes.len() as u32;
        let first_word = self.level_words.len() as u64;
        let first_share = (self.leaf_shares.len() / n_shares) as u64;
        self.nodes.extend(part.nodes.into_iter().map(|node| moved(node, first_node, first_word, first_share)));
        self.level_words.extend(part.level_words);
        self.leaf_shares.extend(part.leaf_shares);
        self.gains.extend(part.gains);
    }

    /// The finished tree. Gains are added in the order of the nodes.
    pub fn finish(self, n_features: usize, root_weight: f64) -> Tree {
        let mut feature_gains = vec![0.0; n_features];
        for (node, gain) in self.nodes.iter().zip(&self.gains) {
            if node[0] & LEAF == 0 {
                feature_gains[(node[0] & FEATURE_MASK) as usize] += gain / root_weight;
            }
        }
        Tree { nodes: self.nodes, level_words: self.level_words, leaf_shares: self.leaf_shares, feature_gains }
    }
}

/// A node of a part, with its references counted from the start of the whole.
fn moved([head, right, low, high]: PackedNode, first_node: u32, first_word: u64, first_share: u64) -> PackedNode {
    let shifted = |by: u64| {
        let bits = (u64::from(low) | u64::from(high) << 32) + by;
        (bits as u32, (bits >> 32) as u32)
    };
    let is_leaf = head & LEAF != 0;
    let (low, high) = match (is_leaf, right) {
        (true, LEAF_SHARES) => shifted(first_share),
        (false, _) if head & CATEGORICAL != 0 => shifted(first_word),
        _ => (low, high),
    };
    [head, if is_leaf { right } else { right + first_node }, low, high]
}
