//! Whether the arrays of a tree that comes from outside are sound: every node in its place in depth-first order, every reference
//! inside its array. What has passed here ends for every row, at a leaf that says something. This room must not know how rows go
//! down.

use super::binning::MAX_BINS;
use super::columns::BinMeaning;
use super::model::{Outcome, TreeSlices};
use super::tree::{BIN_MASK, CATEGORICAL, DEFAULT_LEFT, LEAF, LEAF_ROW, MAX_NODES, PLACE_MASK, PackedNode, feature_of, level_set_start};

/// A node's number and what is wrong with it.
type Fault = (usize, &'static str);

/// Checks one tree and returns the splits on its longest way down.
pub(super) fn check_tree(tree: &TreeSlices<'_>, features: &[BinMeaning<'_>], outcome: Outcome) -> Result<u32, Fault> {
    if tree.nodes.is_empty() || tree.nodes.len() > MAX_NODES {
        return Err((0, "is missing, or the tree is too large"));
    }
    check_leaf_values(tree, outcome).map_err(|why| (0, why))?;
    let (mut depth, mut deepest) = (0, 0);
    // The right children that are still to come, and their depths: the last one must follow the next leaf.
    let mut pending: Vec<(usize, u32)> = Vec::new();
    for (idx, &node) in tree.nodes.iter().enumerate() {
        if node[1] & LEAF == 0 {
            let right = check_split(tree, node, features).map_err(|why| (idx, why))?;
            depth += 1;
            deepest = deepest.max(depth);
            pending.push((right, depth));
        } else {
            check_leaf(tree, node, outcome).map_err(|why| (idx, why))?;
            let (right, right_depth) = pending.pop().unwrap_or((tree.nodes.len(), 0));
            if right != idx + 1 {
                return Err((idx, "is a leaf that is not followed by the right child of the split whose left part it ends"));
            }
            depth = right_depth;
        }
    }
    if pending.is_empty() { Ok(deepest) } else { Err((tree.nodes.len() - 1, "is the last one, and right children are missing")) }
}

fn check_leaf_values(tree: &TreeSlices<'_>, outcome: Outcome) -> Result<(), &'static str> {
    if !tree.leaf_shares.len().is_multiple_of(outcome.n_outputs()) || !tree.leaf_shares.iter().all(|share| (0.0..=1.0).contains(share)) {
        return Err("or another has class shares that are not between 0 and 1");
    }
    if !tree.leaf_means.iter().all(|mean| mean.is_finite()) {
        return Err("or another has a mean that is not a finite number");
    }
    Ok(())
}

fn check_leaf(tree: &TreeSlices<'_>, node: PackedNode, outcome: Outcome) -> Result<(), &'static str> {
    let (content, is_row) = ((node[1] & PLACE_MASK) as usize, node[1] & LEAF_ROW != 0);
    let has_content = match outcome {
        Outcome::Classes(_) if is_row => content < tree.leaf_shares.len() / outcome.n_outputs(),
        Outcome::Classes(n_classes) => content < n_classes as usize,
        Outcome::Value => is_row && content < tree.leaf_means.len(),
    };
    if has_content && node[0] == 0 && node[1] & DEFAULT_LEFT == 0 { Ok(()) } else { Err("is a leaf without a sound value") }
}

/// Returns the right child.
fn check_split(tree: &TreeSlices<'_>, node: PackedNode, features: &[BinMeaning<'_>]) -> Result<usize, &'static str> {
    let meaning = features.get(feature_of(node)).ok_or("tests a feature that does not exist")?;
    match (meaning, node[1] & CATEGORICAL != 0) {
        (BinMeaning::Ordered { thresholds }, false) if (node[0] & BIN_MASK) as usize <= thresholds.len() => {
            Ok((node[1] & PLACE_MASK) as usize)
        }
        (BinMeaning::Levels { n_levels }, true) => {
            let set = StoredSet::find(tree.level_words, node).ok_or("has a level set that is not there")?;
            if set.is_below(*n_levels) { Ok(set.right as usize) } else { Err("has a level set with levels that do not exist") }
        }
        _ => Err("tests a feature in a way that does not fit it"),
    }
}

/// A level set as it is stored.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StoredSet<'a> {
    /// The right child.
    pub right: u32,
    /// The number of the first word.
    pub first_word: u32,
    /// The words: level l is bit l % 32 of word l / 32.
    pub words: &'a [u32],
}

impl<'a> StoredSet<'a> {
    /// The set of a categorical split of a sound tree.
    #[inline]
    pub fn of(level_words: &'a [u32], node: PackedNode) -> Self {
        Self::find(level_words, node).unwrap_or_default()
    }

    /// The set of a categorical split, if it is all there.
    #[inline]
    fn find(level_words: &'a [u32], node: PackedNode) -> Option<Self> {
        let [right, extent, words @ ..] = level_words.get(level_set_start(node)..)? else { return None };
        Some(Self { right: *right, first_word: extent & 0xffff, words: words.get(..(extent >> 16) as usize)? })
    }

    /// Whether a level is in it.
    #[inline]
    pub fn has(&self, level: u32) -> bool {
        let word = self.words.get((level / 32).wrapping_sub(self.first_word) as usize);
        word.is_some_and(|word| word >> (level % 32) & 1 == 1)
    }

    fn is_below(&self, n_levels: usize) -> bool {
        let highest = (self.first_word as usize..).zip(self.words).filter(|&(_, &word)| word != 0).last();
        highest.is_none_or(|(word_idx, word)| word_idx * 32 + (word.ilog2() as usize) < n_levels)
    }
}

impl BinMeaning<'_> {
    /// What is wrong with the bins of a feature, if anything.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.n_value_bins() > MAX_BINS {
            return Err("has more than 65,535 bins or levels");
        }
        match self {
            BinMeaning::Ordered { thresholds }
                if !thresholds.is_sorted_by(|a, b| a < b) || !thresholds.last().is_none_or(|&last| last < f64::INFINITY) =>
            {
                Err("has thresholds that do not ascend or are not below infinity")
            }
            _ => Ok(()),
        }
    }
}
