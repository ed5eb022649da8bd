//! Which features a forest's splits owe most to. This room must not know trees.

/// The mean over trees of each feature's share of the tree's decrease in impurity (Breiman et al. 1984; the mean decrease in
/// impurity). `feature_gains` is [n_trees, n_features]. The result sums to 1, or to 0 when no tree has a split.
pub fn importance(feature_gains: &[f64], n_features: usize) -> Vec<f64> {
    let mut shares = vec![0.0; n_features];
    if n_features == 0 {
        return shares;
    }
    for tree in feature_gains.chunks_exact(n_features) {
        let total: f64 = tree.iter().sum();
        if total > 0.0 {
            shares.iter_mut().zip(tree).for_each(|(share, gain)| *share += gain / total);
        }
    }
    let total: f64 = shares.iter().sum();
    if total > 0.0 {
        shares.iter_mut().for_each(|share| *share /= total);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_count_alike_and_stumps_not_at_all() {
        assert_eq!(importance(&[1.0, 3.0, 200.0, 200.0, 0.0, 0.0], 2), [0.375, 0.625]);
        assert_eq!(importance(&[0.0, 0.0], 2), [0.0, 0.0]);
        assert!(importance(&[], 0).is_empty());
    }
}
