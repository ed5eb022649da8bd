//! What an observation means: the weight of its squared error and what it asks for. The two models differ in nothing else but their
//! regularisation and the weight of what was not observed. This file must not know how equations are solved.

use super::rows::{Entries, FactorRows};

/// What the entries of a row mean.
#[derive(Clone, Debug)]
pub(super) enum Feedback<'a> {
    /// A value v > 0 asks for a score of 1 with confidence 1 + alpha v, one below 0 for a score of 0 with confidence 1 + alpha |v|, and
    /// 0 says as little as no entry: a score of 0 with confidence 1, which the Gram matrix stands for.
    Implicit { alpha: f64 },
    /// A rating asks for what the biases of its row and of the other side leave of it, with weight 1.
    Explicit { row_bias: FactorRows<'a>, other_bias: FactorRows<'a> },
}

/// One term of a row's equations: `weight * y' y` on the left side and `target * y` on the right, with y the other side's factors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Term {
    pub(super) weight: f64,
    pub(super) target: f64,
}

impl Feedback<'_> {
    /// Calls `put` with the place and the term of each entry of `row`, in order.
    #[inline]
    pub(super) fn for_each_term(&self, row: usize, entries: Entries<'_>, mut put: impl FnMut(usize, Term)) {
        match self {
            Self::Implicit { alpha } => {
                for (i, &value) in entries.values.iter().enumerate() {
                    let weight = alpha * f64::from(value.abs());
                    put(i, Term { weight, target: if value > 0.0 { 1.0 + weight } else { 0.0 } });
                }
            }
            Self::Explicit { row_bias, other_bias } => {
                let row_bias = bias_of(row_bias, row);
                for (i, (&index, &value)) in entries.indices.iter().zip(entries.values).enumerate() {
                    put(i, Term { weight: 1.0, target: f64::from(value) - (row_bias + bias_of(other_bias, index as usize)) });
                }
            }
        }
    }

    /// Whether any entry of `row` has a target other than 0.
    pub(super) fn asks_for_anything(&self, row: usize, entries: Entries<'_>) -> bool {
        match self {
            Self::Implicit { .. } => entries.values.iter().any(|&value| value > 0.0),
            Self::Explicit { .. } => {
                let mut any = false;
                self.for_each_term(row, entries, |_, term| any |= term.target != 0.0);
                any
            }
        }
    }

    /// What an entry adds to the squared error when its score is `score`. For implicit feedback that is its weighted squared error
    /// less the squared score, which the sum over all cells already holds.
    #[inline]
    pub(super) fn error(&self, term: Term, score: f64) -> f64 {
        match self {
            Self::Implicit { .. } => term.target * (1.0 - 2.0 * score) + term.weight * score * score,
            Self::Explicit { .. } => (term.target - score) * (term.target - score),
        }
    }

    /// The regularisation of a row with `n_entries`: ratings weigh it by their number, so that a row with many keeps as much of it
    /// for each (ALS-WR).
    pub(super) fn row_regularization(&self, regularization: f64, n_entries: usize) -> f64 {
        match self {
            Self::Implicit { .. } => regularization,
            Self::Explicit { .. } => regularization * n_entries as f64,
        }
    }
}

/// The bias of `row`; 0 where it has none.
#[inline]
fn bias_of(bias: &FactorRows<'_>, row: usize) -> f64 {
    bias.row(row).first().map_or(0.0, |&bias| f64::from(bias))
}
