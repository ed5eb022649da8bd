//! The nodes of a sound forest as what they mean, for those who write a forest down in another form. Prediction does not come
//! this way: it follows the nodes as they are stored. This room must not know any of those forms.

use super::check::StoredSet;
use super::columns::BinMeaning;
use super::model::{ForestView, Outcome, TreeSlices};
use super::tree::{BIN_MASK, CATEGORICAL, DEFAULT_LEFT, LEAF, LEAF_ROW, PLACE_MASK, PackedNode, feature_of};

/// One tree of a sound forest, node by node.
#[derive(Clone, Copy, Debug)]
pub struct TreeView<'a> {
    slices: TreeSlices<'a>,
    features: &'a [BinMeaning<'a>],
    outcome: Outcome,
}

/// A node as what it means. Children are numbers of nodes of the same tree.
#[derive(Clone, Debug)]
pub enum DecodedNode<'a> {
    /// A node without children.
    Leaf(LeafContent<'a>),
    /// A split on a number: values not above the threshold go left, others right.
    Numeric {
        /// Which feature.
        feature: usize,
        /// The largest value that goes left; infinite where only missing values can go right.
        threshold: f64,
        /// Whether missing values go left.
        default_left: bool,
        /// The left child.
        left: usize,
        /// The right child.
        right: usize,
    },
    /// A split on levels: those of the set go to the other side than missing values and all other levels.
    Categorical {
        /// Which feature.
        feature: usize,
        /// The set.
        levels: LevelSet<'a>,
        /// Whether missing values, and levels outside the set, go left.
        default_left: bool,
        /// The left child.
        left: usize,
        /// The right child.
        right: usize,
    },
}

/// What a leaf says of the rows that come to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LeafContent<'a> {
    /// They are all of this class.
    Class(u32),
    /// The share of each class, `[n_classes]`.
    Shares(&'a [f32]),
    /// The mean of their numbers.
    Mean(f64),
}

/// The levels of a set, ascending.
#[derive(Clone, Debug)]
pub struct LevelSet<'a> {
    words: std::slice::Iter<'a, u32>,
    /// What is left of the present word.
    word: u32,
    /// The level of the present word's lowest bit.
    base: u32,
    /// The level of the next word's lowest bit.
    next_base: u32,
}

impl<'a> LevelSet<'a> {
    fn new(set: StoredSet<'a>) -> Self {
        let base = set.first_word * u32::BITS;
        Self { words: set.words.iter(), word: 0, base, next_base: base }
    }
}

impl Iterator for LevelSet<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.word == 0 {
            self.word = *self.words.next()?;
            self.base = self.next_base;
            self.next_base += u32::BITS;
        }
        let level = self.base + self.word.trailing_zeros();
        self.word &= self.word - 1;
        Some(level)
    }
}

impl ForestView<'_> {
    /// One tree, below [`Self::n_trees`].
    pub fn tree(&self, tree: usize) -> TreeView<'_> {
        TreeView { slices: self.trees[tree], features: &self.features, outcome: self.outcome }
    }
}

impl<'a> TreeView<'a> {
    /// Inner nodes and leaves. The root is node 0.
    pub fn n_nodes(&self) -> usize {
        self.slices.nodes.len()
    }

    /// One node, below [`Self::n_nodes`].
    pub fn node(&self, node_idx: usize) -> DecodedNode<'a> {
        let node = self.slices.nodes[node_idx];
        if node[1] & LEAF != 0 {
            return DecodedNode::Leaf(self.leaf_content(node));
        }
        let (feature, default_left, left) = (feature_of(node), node[1] & DEFAULT_LEFT != 0, node_idx + 1);
        if node[1] & CATEGORICAL != 0 {
            let set = StoredSet::of(self.slices.level_words, node);
            return DecodedNode::Categorical { feature, levels: LevelSet::new(set), default_left, left, right: set.right as usize };
        }
        let threshold = match self.features[feature] {
            BinMeaning::Ordered { thresholds } => thresholds.get((node[0] & BIN_MASK) as usize).copied(),
            BinMeaning::Levels { .. } => None,
        };
        let right = (node[1] & PLACE_MASK) as usize;
        DecodedNode::Numeric { feature, threshold: threshold.unwrap_or(f64::INFINITY), default_left, left, right }
    }

    fn leaf_content(&self, node: PackedNode) -> LeafContent<'a> {
        let content = (node[1] & PLACE_MASK) as usize;
        match self.outcome {
            Outcome::Value => LeafContent::Mean(self.slices.leaf_means[content]),
            Outcome::Classes(_) if node[1] & LEAF_ROW == 0 => LeafContent::Class(content as u32),
            Outcome::Classes(n_classes) => {
                let n_classes = n_classes as usize;
                LeafContent::Shares(&self.slices.leaf_shares[content * n_classes..][..n_classes])
            }
        }
    }
}
