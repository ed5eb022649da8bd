//! From rows to predictions. Values are turned into bin codes block by block, and each tree passes over a whole block while its
//! nodes stay in the cache; the result of a row is the mean over the trees, added in their order. This room must not know how
//! trees are grown.

use super::columns::{BinMeaning, code_width_bytes};
use super::error::ForestError;
use super::model::{ForestView, TreeSlices};
use super::row_block::{Code, RowBlock};
use super::tree::{LEAF_ROW, PLACE_MASK};
use super::walk::Walk;
use std::ops::Range;

/// The values of one feature, one per row.
#[derive(Clone, Copy, Debug)]
pub enum RawColumn<'a> {
    /// Numbers; NaN is a missing one.
    Numeric(&'a [f64]),
    /// Levels as in training; [`super::MISSING_LEVEL`], or any number that was no level then, is a missing one.
    Categorical(&'a [u32]),
}

impl RawColumn<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Numeric(values) => values.len(),
            Self::Categorical(levels) => levels.len(),
        }
    }
}

/// Rows that a caller should predict at once: each call lays out its rows anew, and each block of them reads all trees.
pub const ROWS_PER_CALL: usize = 8192;

impl ForestView<'_> {
    /// Predicts rows given column by column. `out` is [n_rows, n_outputs]: the mean over the trees of the class shares in a row's
    /// leaf, or of the leaf's mean.
    ///
    /// # Errors
    /// Columns of a wrong number, kind or length.
    pub fn predict(&self, columns: &[RawColumn<'_>], out: &mut [f64]) -> Result<(), ForestError> {
        let n_rows = self.check_columns(columns, out.len(), self.n_outputs())?;
        if self.is_wide() {
            self.predict_as::<u16>(columns, n_rows, out)
        } else {
            self.predict_as::<u8>(columns, n_rows, out)
        }
        Ok(())
    }

    fn predict_as<C: Code>(&self, columns: &[RawColumn<'_>], n_rows: usize, out: &mut [f64]) {
        let (n_outputs, n_trees) = (self.n_outputs(), self.n_trees() as f64);
        out.fill(0.0);
        self.walk_blocks::<C>(columns, n_rows, |tree_idx, rows, leaves| {
            self.trees[tree_idx].add_leaves(leaves, n_outputs, &mut out[rows.start * n_outputs..rows.end * n_outputs]);
        });
        out.iter_mut().for_each(|sum| *sum /= n_trees);
    }

    /// The leaf of each row in each tree, [n_rows, n_trees], as the number of the node within its tree.
    ///
    /// # Errors
    /// Columns of a wrong number, kind or length.
    pub fn leaves(&self, columns: &[RawColumn<'_>], out: &mut [u32]) -> Result<(), ForestError> {
        let n_trees = self.n_trees();
        let n_rows = self.check_columns(columns, out.len(), n_trees)?;
        let put = |tree_idx: usize, rows: Range<usize>, leaves: &[u32]| {
            let places = out[rows.start * n_trees + tree_idx..].iter_mut().step_by(n_trees);
            places.zip(leaves).for_each(|(place, &leaf)| *place = leaf);
        };
        if self.is_wide() {
            self.walk_blocks::<u16>(columns, n_rows, put)
        } else {
            self.walk_blocks::<u8>(columns, n_rows, put)
        }
        Ok(())
    }

    /// Calls `arrived` for each tree and block, block by block, with the tree, the rows and their leaves.
    fn walk_blocks<C: Code>(&self, columns: &[RawColumn<'_>], n_rows: usize, mut arrived: impl FnMut(usize, Range<usize>, &[u32])) {
        let mut block = RowBlock::<C>::new(self.n_features());
        let rows_per_block = block.max_rows(self.n_outputs());
        let all_rows: Vec<u32> = (0..rows_per_block.min(n_rows) as u32).collect();
        let mut leaves = vec![0; all_rows.len()];
        for start in (0..n_rows).step_by(rows_per_block) {
            let rows = start..n_rows.min(start + rows_per_block);
            block.load_raw(&self.features, columns, rows.clone());
            let leaves = &mut leaves[..rows.len()];
            for (tree_idx, tree) in self.trees.iter().enumerate() {
                self.walk(tree, &block).descend(self.walk_path, &all_rows[..rows.len()], leaves);
                arrived(tree_idx, rows.clone(), leaves);
            }
        }
    }

    pub(super) fn walk<'w, C: Code>(&self, tree: &TreeSlices<'w>, block: &'w RowBlock<C>) -> Walk<'w, C> {
        Walk { nodes: tree.nodes, level_words: tree.level_words, block, n_features: self.n_features() }
    }

    /// Whether codes need two bytes: one feature that does makes all of them wide.
    pub(super) fn is_wide(&self) -> bool {
        self.features.iter().any(|meaning| code_width_bytes(meaning.n_value_bins()) > 1)
    }

    fn check_columns(&self, columns: &[RawColumn<'_>], out_len: usize, per_row: usize) -> Result<usize, ForestError> {
        if columns.len() != self.n_features() {
            return Err(ForestError::Length { what: "the list of columns", got: columns.len(), expected: self.n_features() });
        }
        let n_rows = columns.first().map_or(0, RawColumn::len);
        for (feature, (column, meaning)) in columns.iter().zip(&self.features).enumerate() {
            if column.len() != n_rows {
                return Err(ForestError::Length { what: "a column", got: column.len(), expected: n_rows });
            }
            if matches!(column, RawColumn::Numeric(_)) != matches!(meaning, BinMeaning::Ordered { .. }) {
                return Err(ForestError::Column { feature, why: "is numeric in one of model and table, and categorical in the other" });
            }
        }
        if out_len != n_rows * per_row {
            return Err(ForestError::Length { what: "the room for predictions", got: out_len, expected: n_rows * per_row });
        }
        Ok(n_rows)
    }
}

/// The class with the largest share; of equal ones the lowest.
pub fn class_of(shares: &[f64]) -> u32 {
    let best =
        shares.iter().enumerate().fold((0, f64::NEG_INFINITY), |best, (class, &share)| if share > best.1 { (class, share) } else { best });
    best.0 as u32
}

impl TreeSlices<'_> {
    /// Adds what their leaves say to the sums of some rows, [n_rows, n_outputs].
    fn add_leaves(&self, leaves: &[u32], n_outputs: usize, sums: &mut [f64]) {
        if self.leaf_means.is_empty() {
            leaves.iter().zip(sums.chunks_exact_mut(n_outputs)).for_each(|(&leaf, sums)| self.add_shares(leaf, sums));
        } else {
            leaves.iter().zip(sums).for_each(|(&leaf, sum)| *sum += self.mean(leaf));
        }
    }

    /// Adds what one leaf says to a row's sums.
    #[inline]
    pub(super) fn add_leaf(&self, leaf: u32, sums: &mut [f64]) {
        if self.leaf_means.is_empty() { self.add_shares(leaf, sums) } else { sums[0] += self.mean(leaf) }
    }

    /// Most leaves hold one class.
    #[inline]
    fn add_shares(&self, leaf: u32, sums: &mut [f64]) {
        let tail = self.nodes[leaf as usize][1];
        let content = (tail & PLACE_MASK) as usize;
        if tail & LEAF_ROW == 0 {
            sums[content] += 1.0;
        } else {
            let shares = &self.leaf_shares[content * sums.len()..][..sums.len()];
            sums.iter_mut().zip(shares).for_each(|(sum, &share)| *sum += f64::from(share));
        }
    }

    #[inline]
    fn mean(&self, leaf: u32) -> f64 {
        self.leaf_means[(self.nodes[leaf as usize][1] & PLACE_MASK) as usize]
    }
}
