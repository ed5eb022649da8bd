//! What the trees that never saw a row say of it: an estimate of the error on unseen rows that costs no held-out data (Breiman,
//! "Random forests", Machine Learning 45, 2001). Works on binned columns, which a node that trains has mapped already. This room
//! must not know what is made of the sums.

use super::columns::{BinMeaning, BinnedColumns};
use super::error::ForestError;
use super::model::ForestView;
use super::row_block::{Code, RowBlock};
use std::ops::Range;

/// Sums over the trees that did not see a row, for a range of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct OutOfBag {
    /// Class shares or means, [n_rows, n_outputs].
    pub sums: Vec<f64>,
    /// How many trees were added, one entry per row; 0 when all trees saw the row.
    pub n_trees: Vec<u32>,
}

/// Adds up, for each row of `rows`, the trees of `view` that did not have it in their bag. `bags` has for each tree a bit per row
/// of the columns, set where the row was in the bag, as [`super::InBag::to_bits`] gives it.
///
/// # Errors
/// Columns or bags that do not fit the forest, or rows that are not there.
pub fn out_of_bag(
    view: &ForestView<'_>,
    columns: &BinnedColumns<'_>,
    bags: &[&[u64]],
    rows: Range<usize>,
) -> Result<OutOfBag, ForestError> {
    check(view, columns, bags, &rows)?;
    let mut oob = OutOfBag { sums: vec![0.0; rows.len() * view.n_outputs()], n_trees: vec![0; rows.len()] };
    if view.is_wide() {
        add_up::<u16>(view, columns, bags, rows, &mut oob)
    } else {
        add_up::<u8>(view, columns, bags, rows, &mut oob)
    }
    Ok(oob)
}

fn add_up<C: Code>(view: &ForestView<'_>, columns: &BinnedColumns<'_>, bags: &[&[u64]], rows: Range<usize>, oob: &mut OutOfBag) {
    let n_outputs = view.n_outputs();
    let mut block = RowBlock::<C>::new(view.n_features());
    let rows_per_block = block.max_rows(n_outputs);
    let (mut out_rows, mut leaves) = (Vec::new(), Vec::new());
    for start in rows.clone().step_by(rows_per_block) {
        let block_rows = start..rows.end.min(start + rows_per_block);
        block.load_binned(columns.as_slice(), block_rows.clone());
        let sums = &mut oob.sums[(start - rows.start) * n_outputs..];
        let n_trees = &mut oob.n_trees[start - rows.start..];
        for (tree, bag) in view.trees.iter().zip(bags) {
            out_rows.clear();
            let is_out = |row: &usize| bag[row / 64] >> (row % 64) & 1 == 0;
            out_rows.extend(block_rows.clone().filter(is_out).map(|row| (row - start) as u32));
            leaves.resize(out_rows.len(), 0);
            view.walk(tree, &block).descend(view.walk_path, &out_rows, &mut leaves);
            for (&row, &leaf) in out_rows.iter().zip(&leaves) {
                tree.add_leaf(leaf, &mut sums[row as usize * n_outputs..][..n_outputs]);
                n_trees[row as usize] += 1;
            }
        }
    }
}

fn check(view: &ForestView<'_>, columns: &BinnedColumns<'_>, bags: &[&[u64]], rows: &Range<usize>) -> Result<(), ForestError> {
    if columns.n_features() != view.n_features() {
        return Err(ForestError::Length { what: "the list of columns", got: columns.n_features(), expected: view.n_features() });
    }
    for (feature, (column, meaning)) in columns.as_slice().iter().zip(&view.features).enumerate() {
        let fits = match (column.meaning, meaning) {
            (BinMeaning::Ordered { thresholds }, BinMeaning::Ordered { thresholds: of_view }) => thresholds == *of_view,
            (BinMeaning::Levels { n_levels }, BinMeaning::Levels { n_levels: of_view }) => n_levels == *of_view,
            _ => false,
        };
        if !fits {
            return Err(ForestError::Column { feature, why: "has other bins in the model than in the table" });
        }
    }
    if bags.len() != view.n_trees() {
        return Err(ForestError::Length { what: "the list of bags", got: bags.len(), expected: view.n_trees() });
    }
    let n_words = columns.n_rows().div_ceil(64);
    if let Some(bag) = bags.iter().find(|bag| bag.len() != n_words) {
        return Err(ForestError::Length { what: "a bag", got: bag.len(), expected: n_words });
    }
    if rows.start > rows.end || rows.end > columns.n_rows() {
        return Err(ForestError::Setting("the rows to score are not all in the table"));
    }
    Ok(())
}
