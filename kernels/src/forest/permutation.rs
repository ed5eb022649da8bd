//! How much worse a tree predicts the rows out of its bag when the values of one feature are shuffled among them: the importance of
//! that feature by permutation (Breiman, "Random forests", Machine Learning 45, 2001). A row is sent down again only for features
//! that its way down tests; any other cannot change where it ends. This room must not know how bags are drawn.

use super::check::StoredSet;
use super::columns::{BinnedColumn, BinnedColumns, Codes};
use super::error::ForestError;
use super::model::{ForestView, TreeSlices};
use super::predict::class_of;
use super::training::Target;
use super::tree::{BIN_MASK, CATEGORICAL, DEFAULT_LEFT, LEAF, PLACE_MASK, feature_of};
use crate::draws::Draws;
use rayon::prelude::*;

/// The stage of the draws that shuffle; those of bags and nodes are 1 and 2.
const PERMUTATION_DRAWS: u64 = 3;

/// By how much the mean error of tree `tree` of `view` over `out_rows` grows when a feature is shuffled among them, for each
/// feature: the share of wrong classes, or the squared error. Rows count alike. `out_rows` are the rows out of the tree's bag in
/// ascending order, `tree_idx` is its number in the forest, which with the seed keys the draws; columns and target are those of
/// training. Features are worked on side by side in the calling rayon pool, with the same result. `None` without any row.
///
/// # Errors
/// Columns, target or rows that do not fit the forest and each other.
pub fn permutation_losses(
    view: &ForestView<'_>,
    tree: usize,
    columns: &BinnedColumns<'_>,
    target: Target<'_>,
    out_rows: &[u32],
    seed: u64,
    tree_idx: u64,
) -> Result<Option<Vec<f64>>, ForestError> {
    let tree = checked_tree(view, tree, columns, target, out_rows)?;
    if out_rows.is_empty() {
        return Ok(None);
    }
    let tree = TreeOnRows { says: said_by_node(tree, view.n_outputs()), tree: *tree, columns: columns.as_slice(), target };
    let Descents { leaves, testing } = tree.descents(out_rows);
    let draws = Draws::new(seed, PERMUTATION_DRAWS, tree_idx);
    let losses = testing.par_iter().enumerate().map(|(feature, tested_by)| {
        if tested_by.is_empty() {
            return 0.0;
        }
        let shuffled = shuffled(out_rows, draws.child(feature as u64));
        let growth = tested_by.iter().map(|&i| {
            let (row, before) = (out_rows[i as usize], leaves[i as usize]);
            let after = tree.leaf_of(row, feature, shuffled[i as usize]);
            if after == before { 0.0 } else { tree.error(after, row) - tree.error(before, row) }
        });
        growth.sum::<f64>() / out_rows.len() as f64
    });
    Ok(Some(losses.collect()))
}

/// The mean over trees of what [`permutation_losses`] gives, and its standard error, one of each per feature: importance by
/// permutation. The trees are added in the order in which they come. The error of fewer than two trees is not known: NaN.
pub fn permutation_importance<'a>(losses: impl Iterator<Item = &'a [f64]> + Clone, n_features: usize) -> (Vec<f64>, Vec<f64>) {
    let n_trees = losses.clone().count() as f64;
    let mut means = vec![0.0; n_features];
    losses.clone().for_each(|tree| means.iter_mut().zip(tree).for_each(|(mean, loss)| *mean += loss));
    means.iter_mut().for_each(|mean| *mean /= n_trees);
    let mut squares = vec![0.0; n_features];
    for tree in losses {
        squares.iter_mut().zip(tree.iter().zip(&means)).for_each(|(sum, (loss, mean))| *sum += (loss - mean) * (loss - mean));
    }
    let error = |sum: f64| if n_trees < 2.0 { f64::NAN } else { (sum / (n_trees - 1.0) / n_trees).sqrt() };
    (means, squares.into_iter().map(error).collect())
}

fn checked_tree<'a, 'v>(
    view: &'v ForestView<'a>,
    tree: usize,
    columns: &BinnedColumns<'_>,
    target: Target<'_>,
    out_rows: &[u32],
) -> Result<&'v TreeSlices<'a>, ForestError> {
    let n_rows = columns.n_rows();
    if columns.n_features() != view.n_features() {
        return Err(ForestError::Length { what: "the list of columns", got: columns.n_features(), expected: view.n_features() });
    }
    let n_targets = match target {
        Target::Classes { classes, .. } => classes.len(),
        Target::Values(values) => values.len(),
    };
    if n_targets != n_rows {
        return Err(ForestError::Length { what: "the target", got: n_targets, expected: n_rows });
    }
    if out_rows.iter().any(|&row| row as usize >= n_rows) {
        return Err(ForestError::Setting("the rows out of a tree's bag are not all in the table"));
    }
    view.trees.get(tree).ok_or(ForestError::Setting("there is no tree of that number in the forest"))
}

/// The rows in an order that any other has the same chance of.
fn shuffled(rows: &[u32], mut draws: Draws) -> Vec<u32> {
    let mut shuffled = rows.to_vec();
    (0..rows.len()).for_each(|place| draws.draw_to(&mut shuffled, place));
    shuffled
}

/// What each node says when it is a leaf: its class, or its mean.
fn said_by_node(tree: &TreeSlices<'_>, n_outputs: usize) -> Vec<f64> {
    let mut sums = vec![0.0; n_outputs];
    let says = tree.nodes.iter().enumerate().map(|(at, node)| {
        if node[1] & LEAF == 0 {
            return 0.0;
        }
        sums.fill(0.0);
        tree.add_leaf(at as u32, &mut sums);
        if n_outputs == 1 { sums[0] } else { f64::from(class_of(&sums)) }
    });
    says.collect()
}

/// A tree with the rows that it is measured on.
struct TreeOnRows<'a> {
    tree: TreeSlices<'a>,
    says: Vec<f64>,
    columns: &'a [BinnedColumn<'a>],
    target: Target<'a>,
}

/// Where rows end as they are, and for each feature which of them, by their place in the list, test it on their way.
struct Descents {
    leaves: Vec<u32>,
    testing: Vec<Vec<u32>>,
}

impl TreeOnRows<'_> {
    fn descents(&self, rows: &[u32]) -> Descents {
        let mut testing = vec![Vec::new(); self.columns.len()];
        let mut leaves = Vec::with_capacity(rows.len());
        for (i, &row) in (0..).zip(rows) {
            let mut at = 0;
            while let Some(feature) = self.feature(at) {
                // A feature that is tested twice is noted once: the row's last note there would be its own.
                if testing[feature].last() != Some(&i) {
                    testing[feature].push(i);
                }
                at = self.child(at, feature, row);
            }
            leaves.push(at);
        }
        Descents { leaves, testing }
    }

    /// The leaf of `row` if it had the value of `other` in `replaced`.
    fn leaf_of(&self, row: u32, replaced: usize, other: u32) -> u32 {
        let mut at = 0;
        while let Some(feature) = self.feature(at) {
            at = self.child(at, feature, if feature == replaced { other } else { row });
        }
        at
    }

    /// What a split tests; `None` for a leaf.
    fn feature(&self, at: u32) -> Option<usize> {
        let node = self.tree.nodes[at as usize];
        (node[1] & LEAF == 0).then(|| feature_of(node))
    }

    /// The child of a split that a row of this value goes to: always behind the split, so that every way down ends.
    fn child(&self, at: u32, feature: usize, row: u32) -> u32 {
        let node = self.tree.nodes[at as usize];
        let column = &self.columns[feature];
        let code = match column.codes {
            Codes::U8(codes) => u32::from(codes[row as usize]),
            Codes::U16(codes) => u32::from(codes[row as usize]),
        };
        let default_left = node[1] & DEFAULT_LEFT != 0;
        if node[1] & CATEGORICAL != 0 {
            // The code of missing ones is behind all levels, and so in no set.
            let set = StoredSet::of(self.tree.level_words, node);
            return if set.has(code) != default_left { at + 1 } else { set.right };
        }
        let is_missing = code as usize == column.n_value_bins();
        let goes_left = if is_missing { default_left } else { code <= node[0] & BIN_MASK };
        if goes_left { at + 1 } else { node[1] & PLACE_MASK }
    }

    /// How wrong a leaf is about a row.
    fn error(&self, leaf: u32, row: u32) -> f64 {
        let said = self.says[leaf as usize];
        match self.target {
            Target::Classes { classes, .. } => f64::from(u8::from(said != f64::from(classes[row as usize]))),
            Target::Values(values) => (said - values[row as usize]).powi(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_over_trees_has_its_standard_error() {
        let trees = [[1.0, 0.0], [2.0, 0.0], [6.0, 0.0]];
        let (means, errors) = permutation_importance(trees.iter().map(<[f64; 2]>::as_slice), 2);
        assert_eq!(means, [3.0, 0.0]);
        assert_eq!(errors, [(7.0_f64 / 3.0).sqrt(), 0.0]);
        let (means, errors) = permutation_importance(trees[..1].iter().map(<[f64; 2]>::as_slice), 2);
        assert_eq!(means, [1.0, 0.0]);
        assert!(errors[0].is_nan());
    }
}
