//! How good lists of recommended items and predicted ratings are: metrics of one user's list against what the user truly chose, and
//! sums over users that do not depend on how the users were divided. Arrays in, numbers out; this room knows no file, no id but an
//! index, no model and no job.
//!
//! **Definitions are LensKit's** (2026.4; where 2025.8 differs, it is said), so that figures of both can stand in one table. With L the
//! list cut to the cutoff k, and R the truth:
//!
//! | | nothing in R | nothing in L | \|L\| < k | \|R\| < k |
//! |---|---|---|---|---|
//! | ndcg, graded ndcg | undefined | 0 | as any list | the ideal list has \|R\| items |
//! | dcg, graded dcg | undefined (0 in 2025.8) | 0 | as any list | - |
//! | precision | 0 | undefined | over \|L\|, not k | - |
//! | recall | undefined | 0 | as any list | over min(\|R\|, k) |
//! | hit, reciprocal rank | undefined | 0 | as any list | - |
//! | average precision | undefined (an error in LensKit) | undefined | over min(\|R\|, \|L\|) | over min(\|R\|, \|L\|) |
//! | RBP | undefined | 0 | as any list | 1 is out of reach |
//!
//! - Undefined is NaN in a user's row. [`ColumnTotal`] has both means that are in use: over the lists where the metric is defined
//!   (2026.4), and over all lists with 0 for the undefined (2025.8).
//! - Users without a list count in no mean, as in LensKit; users with an empty list do. Both are counted, as are lists of users without
//!   a truth.
//! - An item that a list names twice counts twice, as in LensKit, so that a metric may pass 1; hits that are repeated are counted.
//!   (The exposure of an item, too; in 2026.4 it is once a list.)
//! - An item that the truth names twice is relevant once, with the largest of its ratings, and counted. (LensKit expects none.)
//! - Relevance is binary but in the graded metrics and in rating errors: an item with a rating of 0 is relevant if the truth names it.
//! - Ratings below 0 gain 0, missing ones (NaN) too; the graded metrics are undefined where every rating is missing, and 0 where none
//!   is above 0. (2025.8 takes ratings below 0 as they are and knows no missing ones.)
//!
//! **Same bytes everywhere**: discounts are computed from operations that IEEE 754 rounds in one way, sums within a list run in rank
//! order, and sums over users are exact ([`ExactSum`]), so neither the platform nor the partition of the users can be seen in a result.

mod column;
mod evaluator;
mod exact_sum;
mod items;
mod ranking;
mod rating;
mod totals;
mod truth;
mod weights;

#[cfg(test)]
mod tests;

pub use column::{Column, Cutoff, Metric, UnknownMetric};
pub use evaluator::{Evaluator, ListFacts, MeasureError, SettingsError};
pub use exact_sum::ExactSum;
pub use items::{ItemCoverage, ItemExposure, ItemOutOfRange};
pub use rating::{RatingErrorTotals, RatingErrors};
pub use totals::{ColumnTotal, Totals};
pub use truth::{LengthMismatch, Scratch, Truth};
pub use weights::{LogDiscount, Settings};
