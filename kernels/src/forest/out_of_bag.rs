//! What the trees that never saw a row say of it: an estimate of the error on unseen rows that costs no held-out data (Breiman,
//! "Random forests", Machine Learning 45, 2001). Works on binned columns, which a node that trains has mapped already and which
//! are an eighth of the size of raw ones. This room must not know what is made of the sums.

use super::columns::BinnedColumns;
use super::error::ForestError;
use super::model::{FeatureKind, ForestView};
use super::predict::RowBlock;
use super::sampling::{InBag, Sampling};
use std::ops::Range;

/// Trees whose bags are held at once: a bit each in a word per row.
const TREES_PER_MASK: usize = 64;

/// Sums over the trees that did not see a row, for a range of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct OutOfBag {
    /// Class shares or means, [n_rows, n_outputs].
    pub sums: Vec<f64>,
    /// How many trees were added, one entry per row; 0 when all trees saw the row.
    pub n_trees: Vec<u32>,
}

/// Adds up, for each row of `rows`, the trees of `view` that did not have it in their bag. The first tree of `view` has the index
/// `first_tree_idx`; columns, sampling and seed must be those of training. Every call draws the bags of all trees again, some two
/// nanoseconds per training row and tree, so ranges should be large: 65,536 rows or more.
///
/// # Errors
/// Columns that do not fit the forest, or rows that are not there.
pub fn out_of_bag(
    view: &ForestView<'_>,
    columns: &BinnedColumns<'_>,
    sampling: Sampling,
    seed: u64,
    first_tree_idx: u64,
    rows: Range<usize>,
) -> Result<OutOfBag, ForestError> {
    check(view, columns, &rows)?;
    sampling.check(columns.n_rows())?;
    let n_outputs = view.n_outputs();
    let mut result = OutOfBag { sums: vec![0.0; rows.len() * n_outputs], n_trees: vec![0; rows.len()] };
    let mut block = RowBlock::new(view.n_features());
    for (trees, first_tree_idx) in view.trees.chunks(TREES_PER_MASK).zip((first_tree_idx..).step_by(TREES_PER_MASK)) {
        let masks = in_bag_masks(sampling, seed, first_tree_idx, trees.len(), columns.n_rows(), rows.clone());
        for chunk in block.chunks(rows.len()) {
            block.load_binned(columns, rows.start + chunk.start..rows.start + chunk.end);
            for (bit, tree) in trees.iter().enumerate() {
                let is_out = |row: &u32| masks[chunk.start + *row as usize] >> bit & 1 == 0;
                let out_rows: Vec<u32> = (0..chunk.len() as u32).filter(is_out).collect();
                block.descend(tree, &out_rows, |row, leaf| {
                    let row = chunk.start + row;
                    tree.add_leaf(leaf, n_outputs, &mut result.sums[row * n_outputs..]);
                    result.n_trees[row] += 1;
                });
            }
        }
    }
    Ok(result)
}

/// For each row of a range, a bit for each tree that has it in its bag.
fn in_bag_masks(sampling: Sampling, seed: u64, first_tree_idx: u64, n_trees: usize, n_rows: usize, rows: Range<usize>) -> Vec<u64> {
    let mut masks = vec![0u64; rows.len()];
    for (bit, tree_idx) in (0..n_trees).zip(first_tree_idx..) {
        let bag = InBag::draw(sampling, n_rows, seed, tree_idx);
        masks.iter_mut().zip(&bag.counts()[rows.clone()]).for_each(|(mask, &count)| *mask |= u64::from(count > 0) << bit);
    }
    masks
}

fn check(view: &ForestView<'_>, columns: &BinnedColumns<'_>, rows: &Range<usize>) -> Result<(), ForestError> {
    if columns.n_features() != view.n_features() {
        return Err(ForestError::Length { what: "the list of columns", got: columns.n_features(), expected: view.n_features() });
    }
    for (feature, (column, kind)) in columns.as_slice().iter().zip(&view.features).enumerate() {
        if column.is_categorical() != matches!(kind, FeatureKind::Categorical { .. }) {
            return Err(ForestError::Column { feature, why: "is numeric in one of model and table, and categorical in the other" });
        }
    }
    if rows.start > rows.end || rows.end > columns.n_rows() {
        return Err(ForestError::Setting("the rows to score are not all in the table"));
    }
    Ok(())
}
