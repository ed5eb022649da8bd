//! An order of the levels of a categorical feature for more than two classes. This room must not know bins or trees.
//!
//! No order makes the best division contiguous then, and trying all is exponential. Levels are put in the order of the first
//! principal component of their class shares, weighted by their size (Coppersmith, Hong and Hosking, "Partitioning nominal
//! attributes in decision trees", Data Mining and Knowledge Discovery 3, 1999), which is exact for two classes and close to the
//! best for more.

/// Rounds of the power iteration. The order settles long before the component does.
const N_ROUNDS: usize = 24;

/// Appends the component's score of each level. `sums` is [n_levels, n_classes]: class weights, none of them all zero.
pub(super) fn principal_component_keys(sums: &[f64], n_classes: usize, keys: &mut Vec<f64>) {
    let weights: Vec<f64> = sums.chunks_exact(n_classes).map(|level| level.iter().sum()).collect();
    let deviations = share_deviations(sums, &weights, n_classes);
    let levels = || deviations.chunks_exact(n_classes).zip(&weights);
    // Start from the level that contributes most to the variance: its deviation cannot be orthogonal to the whole component.
    let energy = |(deviation, weight): (&[f64], &f64)| weight * dot(deviation, deviation);
    let start = levels().map(energy).enumerate().fold((0, -1.0), |best, (level, e)| if e > best.1 { (level, e) } else { best }).0;
    let mut axis: Vec<f64> = deviations.iter().skip(start * n_classes).take(n_classes).copied().collect();
    for _ in 0..N_ROUNDS {
        let mut next = vec![0.0; n_classes];
        for (deviation, weight) in levels() {
            let projection = weight * dot(deviation, &axis);
            next.iter_mut().zip(deviation).for_each(|(n, d)| *n += projection * d);
        }
        let norm = dot(&next, &next).sqrt();
        if norm <= 0.0 {
            break;
        }
        next.iter_mut().for_each(|n| *n /= norm);
        axis = next;
    }
    keys.extend(levels().map(|(deviation, _)| dot(deviation, &axis)));
}

/// The class shares of each level less those of all levels together.
fn share_deviations(sums: &[f64], weights: &[f64], n_classes: usize) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    let mut mean = vec![0.0; n_classes];
    sums.chunks_exact(n_classes).for_each(|level| mean.iter_mut().zip(level).for_each(|(m, s)| *m += s / total));
    let levels = sums.chunks_exact(n_classes).zip(weights);
    levels.flat_map(|(level, weight)| level.iter().zip(&mean).map(move |(s, m)| s / weight - m)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(sums: &[f64], n_classes: usize) -> Vec<f64> {
        let mut keys = Vec::new();
        principal_component_keys(sums, n_classes, &mut keys);
        keys
    }

    #[test]
    fn two_classes_are_ordered_by_share() {
        let sums = [9.0, 1.0, 2.0, 2.0, 0.0, 7.0, 3.0, 1.0];
        let keys = keys(&sums, 2);
        let share = |level: usize| sums[2 * level + 1] / (sums[2 * level] + sums[2 * level + 1]);
        let mut by_key: Vec<usize> = (0..4).collect();
        by_key.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
        let shares: Vec<f64> = by_key.iter().map(|&level| share(level)).collect();
        assert!(shares.is_sorted() || shares.iter().rev().is_sorted(), "{shares:?}");
    }

    #[test]
    fn like_levels_lie_together() {
        // Levels 0 and 3 are mostly class 0, levels 1 and 2 mostly classes 1 and 2.
        let keys = keys(&[8.0, 1.0, 1.0, 1.0, 5.0, 4.0, 0.0, 6.0, 5.0, 9.0, 1.0, 0.0], 3);
        assert_eq!((keys[0] > 0.0, keys[3] > 0.0), (keys[3] > 0.0, keys[0] > 0.0));
        assert_ne!(keys[0] > 0.0, keys[1] > 0.0);
        assert_ne!(keys[0] > 0.0, keys[2] > 0.0);
    }

    #[test]
    fn equal_levels_get_equal_finite_keys() {
        assert_eq!(keys(&[1.0, 1.0, 1.0, 2.0, 2.0, 2.0], 3), [0.0, 0.0]);
    }
}
