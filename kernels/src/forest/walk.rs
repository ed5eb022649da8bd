//! Rows of a block down one tree, many side by side, so that the waits for memory of one are filled by the others. All ways give
//! the same leaves. This room must not know what a leaf says.

use super::check::StoredSet;
use super::row_block::{Code, RowBlock};
use super::tree::{BIN_MASK, CATEGORICAL, DEFAULT_LEFT, LEAF, PLACE_MASK, PackedNode, feature_of};
#[cfg(target_arch = "x86_64")]
use super::walk_avx512;

/// How rows go down a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkPath {
    /// 16 rows in each vector of 512 bits.
    Avx512,
    /// Plain code for any processor.
    Portable,
}

impl WalkPath {
    /// All that this processor can go, the fastest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        [Self::Avx512, Self::Portable].into_iter().filter(|path| path.is_available()).collect()
    }

    /// The fastest that this processor can go.
    #[must_use]
    pub fn fastest() -> Self {
        Self::Avx512.or_portable()
    }

    pub(super) fn or_portable(self) -> Self {
        if self.is_available() { self } else { Self::Portable }
    }

    fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => walk_avx512::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 => false,
            Self::Portable => true,
        }
    }
}

/// One tree and the rows that go down it.
pub(super) struct Walk<'a, C> {
    pub nodes: &'a [PackedNode],
    pub level_words: &'a [u32],
    pub block: &'a RowBlock<C>,
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only vectors that gather must not look beyond a row"))]
    pub n_features: usize,
}

/// Nodes in a cache line.
const NODES_PER_LINE: usize = 8;
/// About as many lines as a row sees on its way down a tree of some ten thousand nodes.
const LINES_PER_ROW: usize = 8;
/// Rows that go down side by side in portable code.
const N_LANES: usize = 16;

impl<C: Code> Walk<'_, C> {
    /// Sends these rows of the block down and notes each one's leaf, the number of a node.
    pub fn descend(&self, path: WalkPath, rows: &[u32], leaves: &mut [u32]) {
        self.fetch_nodes(rows.len());
        match path {
            #[cfg(target_arch = "x86_64")]
            WalkPath::Avx512 => walk_avx512::descend(self, rows, leaves),
            _ => self.descend_portable(rows, leaves),
        }
    }

    /// Reads the nodes once from end to end where the rows would fetch most of them anyway, one by one: a stream comes into the
    /// cache several times as fast, and with it the whole walk.
    fn fetch_nodes(&self, n_rows: usize) {
        if n_rows * LINES_PER_ROW >= self.nodes.len() / NODES_PER_LINE {
            let words = self.nodes.iter().step_by(NODES_PER_LINE).map(|node| node[0]);
            std::hint::black_box(words.fold(0, |sum, word| sum ^ word));
        }
    }

    fn descend_portable(&self, rows: &[u32], leaves: &mut [u32]) {
        for (rows, leaves) in rows.chunks(N_LANES).zip(leaves.chunks_mut(N_LANES)) {
            // Lanes beyond the last row repeat the first.
            let row_of = |lane: usize| rows.get(lane).or(rows.first()).map_or(0, |&row| row as usize);
            let firsts: [usize; N_LANES] = std::array::from_fn(|lane| row_of(lane) * self.block.stride());
            let mut at = [0u32; N_LANES];
            let mut all_arrived = false;
            // Every step of every lane goes forward in the tree or stands on a leaf, so it ends.
            while !all_arrived {
                all_arrived = true;
                for (at, &first) in at.iter_mut().zip(&firsts) {
                    let node = self.nodes[*at as usize];
                    *at = self.next(*at, node, first);
                    all_arrived &= node[1] & LEAF != 0;
                }
            }
            leaves.copy_from_slice(&at[..leaves.len()]);
        }
    }

    /// The child that a row goes to, or the node itself when it is a leaf. Written so that it needs no branch but for categorical
    /// splits: where a row goes is as good as random, and a wrong guess would throw away the steps of the other lanes.
    #[inline]
    fn next(&self, at: u32, node: PackedNode, first: usize) -> u32 {
        // The feature of a leaf is 0, which every row has.
        let code = self.block.codes()[first + feature_of(node)];
        let is_default = (code == C::MISSING) & (node[1] & DEFAULT_LEFT != 0);
        let goes_left = (code.into() <= node[0] & BIN_MASK) | is_default;
        let child = if goes_left { at + 1 } else { node[1] & PLACE_MASK };
        if node[1] & (LEAF | CATEGORICAL) == CATEGORICAL {
            return self.next_by_level(at, node, code.into());
        }
        if node[1] & LEAF != 0 { at } else { child }
    }

    /// The child that a level goes to.
    #[inline]
    pub fn next_by_level(&self, at: u32, node: PackedNode, level: u32) -> u32 {
        let default_left = node[1] & DEFAULT_LEFT != 0;
        let set = StoredSet::of(self.level_words, node);
        if set.has(level) != default_left { at + 1 } else { set.right }
    }
}
