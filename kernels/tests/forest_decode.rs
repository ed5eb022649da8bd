//! Decoded nodes, walked one step at a time, lead to the leaves and predictions of the kernels.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod forest_support;

use forest_support::{Feature, Table, random_table};
use paceline_kernels::forest::{DecodedNode, ForestArrays, ForestView, LeafContent, TreeView};

fn grown(table: &Table, n_trees: u64) -> ForestArrays {
    let mut arrays = ForestArrays::new(&table.columns());
    (0..n_trees).for_each(|tree_idx| arrays.push(&table.grow(table.settings(5), tree_idx)));
    arrays
}

/// The leaf of a row by the words of [`DecodedNode`].
fn walk(table: &Table, tree: &TreeView<'_>, row: usize) -> usize {
    let mut at = 0;
    loop {
        let (goes_left, left, right) = match tree.node(at) {
            DecodedNode::Leaf(_) => return at,
            DecodedNode::Numeric { feature, threshold, default_left, left, right } => {
                let Feature::Numeric(values) = &table.features[feature] else { panic!("feature {feature} is categorical") };
                (if values[row].is_nan() { default_left } else { values[row] <= threshold }, left, right)
            }
            DecodedNode::Categorical { feature, mut levels, default_left, left, right } => {
                let Feature::Categorical(codes, _) = &table.features[feature] else { panic!("feature {feature} is numeric") };
                assert!(levels.clone().is_sorted_by(|a, b| a < b));
                (levels.any(|level| level == codes[row]) != default_left, left, right)
            }
        };
        at = if goes_left { left } else { right };
    }
}

#[test]
fn decoded_nodes_lead_to_the_leaves_and_predictions_of_the_kernels() {
    for n_classes in [0, 2, 5] {
        let table = random_table(800, 3, 3, n_classes, 4);
        let arrays = grown(&table, 6);
        let view = ForestView::new(arrays.slices(), table.kinds(), table.outcome()).unwrap();
        let (n_rows, n_trees, n_outputs) = (table.n_rows(), view.n_trees(), view.n_outputs());
        let (mut predicted, mut leaves) = (vec![f64::NAN; n_rows * n_outputs], vec![0; n_rows * n_trees]);
        view.predict(&table.raw(), &mut predicted).unwrap();
        view.leaves(&table.raw(), &mut leaves).unwrap();
        let mut n_kinds = [0; 3];
        for row in 0..n_rows {
            let mut sums = vec![0.0; n_outputs];
            for tree_idx in 0..n_trees {
                let tree = view.tree(tree_idx);
                let leaf = walk(&table, &tree, row);
                assert_eq!(leaf, leaves[row * n_trees + tree_idx] as usize);
                match tree.node(leaf) {
                    DecodedNode::Leaf(LeafContent::Class(class)) => {
                        sums[class as usize] += 1.0;
                        n_kinds[0] += 1;
                    }
                    DecodedNode::Leaf(LeafContent::Shares(shares)) => {
                        sums.iter_mut().zip(shares).for_each(|(sum, &share)| *sum += f64::from(share));
                        n_kinds[1] += 1;
                    }
                    DecodedNode::Leaf(LeafContent::Mean(mean)) => {
                        sums[0] += mean;
                        n_kinds[2] += 1;
                    }
                    other => panic!("{other:?} is no leaf"),
                }
            }
            let mean: Vec<f64> = sums.iter().map(|sum| sum / n_trees as f64).collect();
            assert_eq!(&predicted[row * n_outputs..][..n_outputs], mean);
        }
        assert_eq!(n_kinds[2] > 0, n_classes == 0);
        assert_eq!(n_kinds[0] > 0, n_classes > 0);
    }
}
