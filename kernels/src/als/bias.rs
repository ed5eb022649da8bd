//! Biases of ratings: what an item gets more than the mean, and what a user gives more than that. It must not know factors.

use super::rows::{FactorRows, Interactions};
use std::ops::Range;

/// Biases with damping: those of a row with few ratings stay near 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BiasModel {
    /// The mean of all ratings.
    pub mean: f64,
    /// How many ratings of nothing but the mean each row is given beside its own; at least 0.
    pub damping: f64,
}

/// The sum of a block's values, for the mean of all. Added block by block in their order, such sums give the same on any node.
#[must_use]
pub fn sum_of_values(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum()
}

impl BiasModel {
    /// Writes the biases of the items `rows` of `interactions` to `to` `[n_rows]`: the mean of what their ratings are above the mean.
    pub fn item_bias(&self, rows: Range<usize>, interactions: Interactions<'_>, to: &mut [f32]) {
        for (row, to) in rows.zip(to) {
            *to = to_f32(self.damped_mean(row, interactions, None));
        }
    }

    /// Writes the biases of the users `rows` of `interactions` to `to` `[n_rows]`, given those of the items [n_items, 1]. The mean is
    /// folded in, so a user's and an item's bias add up to the rating that they lead to expect.
    pub fn user_bias(&self, rows: Range<usize>, interactions: Interactions<'_>, item_bias: &FactorRows<'_>, to: &mut [f32]) {
        for (row, to) in rows.zip(to) {
            *to = to_f32(self.mean + self.damped_mean(row, interactions, Some(item_bias)));
        }
    }

    fn damped_mean(&self, row: usize, interactions: Interactions<'_>, other_bias: Option<&FactorRows<'_>>) -> f64 {
        let entries = interactions.row(row);
        if entries.is_empty() {
            return 0.0;
        }
        let mut sum = 0.0;
        for (&index, &value) in entries.indices.iter().zip(entries.values) {
            let other = other_bias.and_then(|bias| bias.row(index as usize).first()).map_or(0.0, |&bias| f64::from(bias));
            sum += f64::from(value) - self.mean - other;
        }
        sum / (entries.len() as f64 + self.damping)
    }
}

/// A bias beyond f32 stays at its largest number, so that no infinity comes out of finite ratings.
fn to_f32(bias: f64) -> f32 {
    bias.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}
