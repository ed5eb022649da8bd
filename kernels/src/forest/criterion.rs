//! What a split is judged by: the sums that a row adds to, and the score of a division of a node's rows into two sides. This
//! room must not know bins, features or trees.
//!
//! Scores order the splits of one node: a higher one is better, and the gain, its distance from the undivided node, is the
//! decrease in impurity times weight.
//! * Gini: sum over classes of n_c^2 / n on each side. Without weights all sums are whole numbers and exact in a double as long
//!   as n^2 < 2^53; beyond 94 million draws in a node the last bits are rounded, always in the same way.
//! * Entropy: sum over classes of n_c ln n_c, less n ln n, on each side.
//! * Variance: d^2 n / (n_left n_right) with d = (sum of the left) - n_left * mean. As d is taken about the node's own mean, what
//!   cancels is the rounding of a sum of at most 2^32 terms, some 1e-16 * n relative to the mean; a spread of a billionth of the
//!   mean is still seen.

use super::lanes::LaneSums;

/// The sums that one kind of target needs, and how splits are scored with them.
pub(super) trait Measure: Sync {
    /// What one in-bag row contributes.
    type Item: Copy + Send + Sync;
    /// One sum of a histogram's bin.
    type Cell: Copy + Default + Send + Sync;
    /// Running sums on both sides of a split that moves from left to right.
    type Sides: Sides<Item = Self::Item, Cell = Self::Cell>;
    /// The same in several lanes at once.
    type Lanes: LaneSums;

    /// The contribution of a row that is `draws` times in the bag.
    fn item(&self, row: usize, draws: u8) -> Self::Item;
    /// What a leaf of one row says.
    fn leaf_of_one(item: Self::Item) -> LeafValue<'static>;
    /// Whether a row has weight at all.
    fn counts(&self, row: usize) -> bool;
    /// Sums per bin.
    fn n_cells(&self) -> usize;
    /// Adds a row to its bin.
    fn add(cells: &mut [Self::Cell], item: Self::Item);
    /// Empty sums.
    fn sides(&self) -> Self::Sides;
    /// Sums per level from which [`Measure::level_keys`] orders levels.
    fn n_level_sums(&self) -> usize;
    /// Adds a row to its level's sums.
    fn add_to_level(sums: &mut [f64], item: Self::Item);
    /// Adds a bin to its level's sums.
    fn add_cells_to_level(sums: &mut [f64], cells: &[Self::Cell]);
    /// A number for each level such that the best division of the levels is sought along its order. `sums` is
    /// [n_levels, n_level_sums].
    fn level_keys(&self, sums: &[f64], keys: &mut Vec<f64>);

    /// Empty sums for lanes.
    fn lanes(&self) -> Self::Lanes;
    /// Turns lanes to a node; false where it cannot be judged in lanes.
    fn begin_lanes(&self, node: &Self::Sides, lanes: &mut Self::Lanes) -> bool;
    /// A contribution as the lanes of its node take it.
    fn lane_item(&self, item: Self::Item, lanes: &Self::Lanes) -> <Self::Lanes as LaneSums>::Item;
}

/// Sums of a node and of the left side of a division of it.
pub(super) trait Sides: Send {
    /// What one row contributes.
    type Item;
    /// One sum of a bin.
    type Cell;

    /// Turns to a node of these rows.
    fn sum_up(&mut self, items: impl Iterator<Item = Self::Item>);
    /// Whether no split can improve the node.
    fn is_pure(&self) -> bool;
    /// Draws in the node.
    fn n_draws(&self) -> f64;
    /// Weight of the node.
    fn weight(&self) -> f64;
    /// What a leaf of these rows says.
    fn leaf(&self) -> LeafValue<'_>;

    /// Puts all rows on the right.
    fn start(&mut self);
    /// Moves a row to the left.
    fn move_item(&mut self, item: Self::Item);
    /// Moves a bin to the left.
    fn move_cells(&mut self, cells: &[Self::Cell]);
    /// The score of the division, NaN when a side has no weight.
    fn score(&self) -> f64;
    /// Draws on the left.
    fn n_left_draws(&self) -> f64;
    /// Weight on the left.
    fn left_weight(&self) -> f64;
    /// How much impurity times weight a split of this score takes away.
    fn gain(&self, score: f64) -> f64;
}

/// What a leaf says of its rows.
pub(super) enum LeafValue<'a> {
    /// All rows have this class.
    Class(u32),
    /// Weights of the classes; their sum.
    Shares(&'a [f64], f64),
    /// The mean.
    Mean(f64),
}
