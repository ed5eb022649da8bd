//! What a forest is grown from and how: the target, the weights, the settings, each checked once. This room must not know how a
//! tree is grown.

use super::columns::BinnedColumns;
use super::error::ForestError;
use super::sampling::Sampling;

/// What is to be learned, one entry per row.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A class of each row.
    Classes {
        /// Below `n_classes` each.
        classes: &'a [u32],
        /// How many classes there are.
        n_classes: u32,
    },
    /// A finite number of each row.
    Values(&'a [f64]),
}

/// A checked table with a target and, optionally, a weight for each row.
#[derive(Clone, Debug)]
pub struct TrainingSet<'a> {
    pub(super) columns: BinnedColumns<'a>,
    pub(super) target: Target<'a>,
    pub(super) weights: Option<&'a [f64]>,
}

impl<'a> TrainingSet<'a> {
    /// Puts the parts together. Rows of weight 0 may be drawn but teach nothing, as if they were not there.
    ///
    /// # Errors
    /// Differing lengths, a class out of range, a target or weight that is not finite, a negative weight, no positive weight.
    pub fn new(columns: BinnedColumns<'a>, target: Target<'a>, weights: Option<&'a [f64]>) -> Result<Self, ForestError> {
        let n_rows = columns.n_rows();
        let length = |what, got| if got == n_rows { Ok(()) } else { Err(ForestError::Length { what, got, expected: n_rows }) };
        match target {
            Target::Classes { classes, n_classes } => {
                length("the target", classes.len())?;
                if !(1..=1 << 20).contains(&n_classes) {
                    return Err(ForestError::Setting("the number of classes must lie between 1 and 1,048,576"));
                }
                first_bad(classes, |&class| class >= n_classes, "its class is not among the classes")?;
            }
            Target::Values(values) => {
                length("the target", values.len())?;
                // Beyond this a sum over 2^32 weighted rows, or the square of one, could overflow.
                first_bad(values, |value| !(-1e100..=1e100).contains(value), "its target is not a finite number below 1e100")?;
            }
        }
        if let Some(weights) = weights {
            length("the weights", weights.len())?;
            first_bad(weights, |weight| !(0.0..=1e30).contains(weight), "its weight is not a number between 0 and 1e30")?;
            if weights.iter().all(|&weight| weight == 0.0) {
                return Err(ForestError::Setting("all sample weights are 0; at least one row must have a positive weight"));
            }
        }
        Ok(Self { columns, target, weights })
    }

    /// The columns.
    pub fn columns(&self) -> &BinnedColumns<'a> {
        &self.columns
    }
}

fn first_bad<T>(entries: &[T], is_bad: impl Fn(&T) -> bool, why: &'static str) -> Result<(), ForestError> {
    entries.iter().position(is_bad).map_or(Ok(()), |row| Err(ForestError::Row { row, why }))
}

/// What a split is to reduce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Criterion {
    /// Classification: the chance that two draws from a node differ in class.
    Gini,
    /// Classification: the entropy of the classes, in nats.
    Entropy,
    /// Regression: the variance.
    Variance,
}

/// How trees are grown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GrowSettings {
    /// What a split is to reduce.
    pub criterion: Criterion,
    /// Features tried at a node, those that are constant in it not counted.
    pub max_features: usize,
    /// The root has depth 0; without a limit a tree grows until its leaves are pure.
    pub max_depth: Option<u32>,
    /// Most leaves of a tree. With a limit the node whose split gains most is split next, wherever it stands.
    pub max_leaf_nodes: Option<u32>,
    /// Fewest draws in a leaf. A row drawn twice counts twice.
    pub min_samples_leaf: u32,
    /// Fewest draws in a node that is split.
    pub min_samples_split: u32,
    /// A split must reduce impurity times the node's share of the weight by at least this.
    pub min_impurity_decrease: f64,
    /// Classification: weigh the rows of each tree by [`bag_class_weights`] too.
    pub balance_each_bag: bool,
    /// One random split per feature instead of the best one (Geurts, Ernst and Wehenkel, "Extremely randomized trees", 2006).
    pub extra_trees: bool,
    /// Which rows a tree sees.
    pub sampling: Sampling,
    /// With the tree's index it fixes all draws.
    pub seed: u64,
}

impl GrowSettings {
    /// The usual settings of classification: a bootstrap, full depth, the square root of the features.
    pub fn classification(n_rows: usize, n_features: usize, seed: u64) -> Self {
        let max_features = (n_features as f64).sqrt() as usize;
        Self::with(Criterion::Gini, max_features, n_rows, seed)
    }

    /// The usual settings of regression: a bootstrap, full depth, a third of the features.
    pub fn regression(n_rows: usize, n_features: usize, seed: u64) -> Self {
        Self::with(Criterion::Variance, n_features / 3, n_rows, seed)
    }

    fn with(criterion: Criterion, max_features: usize, n_rows: usize, seed: u64) -> Self {
        Self {
            criterion,
            max_features: max_features.max(1),
            max_depth: None,
            max_leaf_nodes: None,
            min_samples_leaf: 1,
            min_samples_split: 2,
            min_impurity_decrease: 0.0,
            balance_each_bag: false,
            extra_trees: false,
            sampling: Sampling::Bootstrap { n_draws: n_rows as u64 },
            seed,
        }
    }

    /// No tree has more leaves than this.
    pub(super) fn most_leaves(&self, n_rows: usize) -> u64 {
        let n_draws = self.sampling.n_draws(n_rows);
        (n_rows as u64).min(n_draws / u64::from(self.min_samples_leaf.max(1))).max(1)
    }

    pub(super) fn check(&self, set: &TrainingSet<'_>) -> Result<(), ForestError> {
        let fits = matches!(
            (self.criterion, set.target),
            (Criterion::Gini | Criterion::Entropy, Target::Classes { .. }) | (Criterion::Variance, Target::Values(_))
        );
        if !fits {
            return Err(ForestError::Setting(
                "the criterion does not fit the target; use gini or entropy for classes, variance for numbers",
            ));
        }
        if self.max_features == 0 || self.min_samples_leaf == 0 {
            return Err(ForestError::Setting("the features per split and the smallest leaf must be at least 1"));
        }
        if self.max_leaf_nodes.is_some_and(|n| n < 2) {
            return Err(ForestError::Setting("the most leaves of a tree must be at least 2"));
        }
        if self.min_impurity_decrease.is_nan() || self.min_impurity_decrease < 0.0 {
            return Err(ForestError::Setting("the least impurity decrease must not be negative"));
        }
        if self.balance_each_bag && !matches!(set.target, Target::Classes { .. }) {
            return Err(ForestError::Setting("numbers have no classes whose weights could be balanced"));
        }
        self.sampling.check(set.columns.n_rows())
    }
}

/// Weights under which the classes in one tree's bag count the same together: draws in the bag / (classes in it · draws of the
/// class). Rows of weight 0 are not there; weights else do not matter here, they multiply what this gives. A class that the bag
/// lacks weighs 0. `in_bag` and `weights` have an entry for each row; the result has one for each class.
pub fn bag_class_weights(classes: &[u32], n_classes: u32, in_bag: &[u8], weights: Option<&[f64]>) -> Vec<f64> {
    let mut n_draws_of = vec![0_u64; n_classes as usize];
    for (row, (&class, &draws)) in classes.iter().zip(in_bag).enumerate() {
        let counts = weights.is_none_or(|weights| weights.get(row).is_some_and(|&weight| weight > 0.0));
        if let (true, Some(n_draws)) = (counts, n_draws_of.get_mut(class as usize)) {
            *n_draws += u64::from(draws);
        }
    }
    let n_draws: u64 = n_draws_of.iter().sum();
    let n_present = n_draws_of.iter().filter(|&&n| n > 0).count();
    n_draws_of.iter().map(|&n| if n > 0 { n_draws as f64 / (n_present as f64 * n as f64) } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_in_a_bag_count_the_same_together() {
        let (classes, in_bag) = ([0, 0, 1, 2, 1], [2, 1, 1, 0, 0]);
        assert_eq!(bag_class_weights(&classes, 4, &in_bag, None), [4.0 / 6.0, 2.0, 0.0, 0.0]);
        let weights = [0.0, 0.5, 7.0, 1.0, 1.0];
        // The first row is not there, and the others' weights change nothing.
        assert_eq!(bag_class_weights(&classes, 4, &in_bag, Some(&weights)), [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(bag_class_weights(&classes, 3, &[1; 5], None), [5.0 / 6.0, 5.0 / 6.0, 5.0 / 3.0]);
        assert_eq!(bag_class_weights(&classes, 3, &[0; 5], None), [0.0; 3]);
    }
}
