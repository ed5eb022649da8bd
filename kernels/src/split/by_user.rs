//! Splits of one user's rows. This file must not know other users.

use super::Part;
use crate::draws::Draws;
use std::cmp::Reverse;
use std::num::NonZeroU32;
use thiserror::Error;

/// Stage of the draws of test rows.
const HOLDOUT_DRAWS: u64 = 10;
/// Stage of the draws of folds.
const FOLD_DRAWS: u64 = 11;

/// A share of rows, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowShare(f64);

/// A number that is no share.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{0} is no share of the rows; give a number from 0 to 1")]
pub struct NoShare(f64);

impl RowShare {
    /// Refuses numbers below 0, above 1 and NaN.
    pub fn new(share: f64) -> Result<Self, NoShare> {
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(NoShare(share)) }
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

/// How many of a user's rows are tested.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// So many; all rows of a user who has no more, as in LensKit (unless [`leave_out_untrained`](super::leave_out_untrained) leaves
    /// them out).
    Rows(usize),
    /// This share, rounded to the nearest number of rows, and to the even one of two that are equally near, as LensKit (that is, Python)
    /// rounds.
    Share(RowShare),
}

impl Amount {
    /// How many of `n_rows` rows it is.
    pub fn of(self, n_rows: usize) -> usize {
        match self {
            Self::Rows(n) => n.min(n_rows),
            Self::Share(share) => (n_rows as f64 * share.get()).round_ties_even() as usize,
        }
    }
}

/// Which of a user's rows are tested.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Holdout {
    /// Any, all equally likely.
    Random(Amount),
    /// The latest; of rows of equal time, those further down in the table.
    Latest(Amount),
}

/// The latest rows are asked for, and the rows have no times or not one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the latest of {n_rows} interactions are asked for and {n_times} times are given; give one for each")]
pub struct TimesMissing {
    /// The user's rows.
    pub n_rows: usize,
    /// The user's times.
    pub n_times: usize,
}

/// Memory for one user after the other; one for each thread.
#[derive(Clone, Debug, Default)]
pub struct HoldoutScratch {
    order: Vec<usize>,
}

impl Holdout {
    /// Whether rows must have times.
    pub fn needs_times(self) -> bool {
        matches!(self, Self::Latest(_))
    }

    /// Divides the rows of `user` into train and test. `parts` `[n_rows]` of the user, in the order of the table, is overwritten; `times`
    /// `[n_rows]`, in any unit, may be empty for a random holdout. Nothing is allocated once `scratch` has grown.
    pub fn split(self, seed: u64, user: u64, times: &[i64], scratch: &mut HoldoutScratch, parts: &mut [Part]) -> Result<(), TimesMissing> {
        let order = &mut scratch.order;
        order.clear();
        order.extend(0..parts.len());
        let n_test = match self {
            Self::Random(amount) => {
                let n_test = amount.of(parts.len());
                let mut draws = Draws::new(seed, HOLDOUT_DRAWS, user);
                (0..n_test).for_each(|drawn| draws.draw_to(order, drawn));
                n_test
            }
            Self::Latest(_) if times.len() != parts.len() => return Err(TimesMissing { n_rows: parts.len(), n_times: times.len() }),
            Self::Latest(amount) => {
                order.sort_unstable_by_key(|&row| Reverse((times[row], row)));
                amount.of(parts.len())
            }
        };
        parts.fill(Part::Train);
        for &row in &order[..n_test] {
            parts[row] = Part::Test;
        }
        Ok(())
    }
}

/// The fold of `n_folds` that a user is tested in, all equally likely; for the split of one fold, hold out rows of its users, and leave
/// all others' rows to train. With rows in place of users, it divides the rows of a table.
pub fn fold_of(seed: u64, user: u64, n_folds: NonZeroU32) -> u32 {
    Draws::new(seed, FOLD_DRAWS, user).below(u64::from(n_folds.get())) as u32
}
