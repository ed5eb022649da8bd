//! One half-iteration on a block of rows: the factors of each, given the other side's. It must not know parts, files or threads.

use super::equations::{Equations, set_solution};
use super::feedback::Feedback;
use super::gram::Gram;
use super::lanes::{Lanes, N_LANES, Processor};
use super::packed::Layout;
use super::products::Products;
use super::rows::{Entries, FactorRows, Interactions};
use super::scratch::{Scratch, Source};
use crate::recommend::InstructionSet;
use std::ops::Range;
use thiserror::Error;

/// How a row's equations are solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By so many steps of conjugate gradients from the factors before (Takács, Pilászy and Tikk, "Applications of the conjugate
    /// gradient method for implicit feedback collaborative filtering", RecSys 2011).
    ConjugateGradients {
        /// At least 1.
        n_steps: u32,
    },
    /// Exactly, by a Cholesky factorisation of the row's matrix.
    Cholesky,
}

impl Default for Method {
    /// Three steps of conjugate gradients.
    fn default() -> Self {
        Self::ConjugateGradients { n_steps: 3 }
    }
}

/// Settings that cannot be used together with the factors given.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SettingsError {
    /// A number that must be at least 0 and no more than a 32-bit float can hold.
    #[error("{name} is {value}, and must be a number from 0 to {:e}", f32::MAX)]
    Number {
        /// Which setting.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// Conjugate gradients without a step.
    #[error("the number of steps is 0, and conjugate gradients need at least 1")]
    NoSteps,
    /// The Gram matrix is not that of the other side's factors.
    #[error("the Gram matrix is for {gram} factors, and the rows have {rows}")]
    Gram {
        /// Factors of the Gram matrix.
        gram: usize,
        /// Factors of the rows.
        rows: usize,
    },
}

/// A row whose factors are not determined by its equations, or too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the factors of row {row} are not determined or too large for a 32-bit float: raise the regularisation, or scale the values down")]
pub struct UnsolvableRow {
    /// Which row of the interactions.
    pub row: usize,
}

/// What a block of rows contributes to the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BlockLoss {
    /// The weighted squared error of the block's entries; of implicit feedback less their squared scores, which
    /// [`Gram::sum_of_squared_scores`] holds. 0 where it was not asked for.
    pub squared_error: f64,
    /// The regularisation times the squares of the rows' factors.
    pub penalty: f64,
}

impl BlockLoss {
    /// The sum of both. Called block by block in their order, it gives the same sum on any node.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { squared_error: self.squared_error + other.squared_error, penalty: self.penalty + other.penalty }
    }
}

/// Finds the factors of rows, given the other side's.
#[derive(Clone, Debug)]
pub struct Solver<'a> {
    other: FactorRows<'a>,
    feedback: Feedback<'a>,
    gram: Option<(&'a Gram, Vec<Lanes>)>,
    regularization: f64,
    method: Method,
    processor: Processor,
}

/// The rows of one block.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// Which rows of `interactions`.
    pub rows: Range<usize>,
    /// The entries of all rows.
    pub interactions: Interactions<'a>,
    /// The rows' factors before, [n_rows, n_factors], from which conjugate gradients start; zeros where there are none.
    pub previous: Option<&'a [f32]>,
    /// Whether the squared error is wanted, which costs one more pass over the entries.
    pub wants_error: bool,
}

impl<'a> Solver<'a> {
    /// For implicit feedback (Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008): every cell
    /// that was not observed asks for a score of 0 with confidence 1. `gram` is the Gram matrix of all rows of `other`.
    pub fn implicit(
        other: FactorRows<'a>,
        gram: &'a Gram,
        alpha: f64,
        regularization: f64,
        method: Method,
        set: InstructionSet,
    ) -> Result<Self, SettingsError> {
        check("alpha", alpha)?;
        if gram.n_factors() != other.n_factors() {
            return Err(SettingsError::Gram { gram: gram.n_factors(), rows: other.n_factors() });
        }
        Self::new(other, Feedback::Implicit { alpha }, Some(gram), regularization, method, set)
    }

    /// For ratings: each asks for what is left of it after `row_bias` [n_rows, 1] and `other_bias` [n_other_rows, 1]. The regularisation
    /// counts once for each rating of a row (Zhou, Wilkinson, Schreiber and Pan, "Large-scale parallel collaborative filtering for the
    /// Netflix Prize", AAIM 2008).
    pub fn explicit(
        other: FactorRows<'a>,
        row_bias: FactorRows<'a>,
        other_bias: FactorRows<'a>,
        regularization: f64,
        method: Method,
        set: InstructionSet,
    ) -> Result<Self, SettingsError> {
        Self::new(other, Feedback::Explicit { row_bias, other_bias }, None, regularization, method, set)
    }

    fn new(
        other: FactorRows<'a>,
        feedback: Feedback<'a>,
        gram: Option<&'a Gram>,
        regularization: f64,
        method: Method,
        set: InstructionSet,
    ) -> Result<Self, SettingsError> {
        check("the regularisation", regularization)?;
        if method == (Method::ConjugateGradients { n_steps: 0 }) {
            return Err(SettingsError::NoSteps);
        }
        let gram = gram.map(|gram| (gram, gram.packed()));
        Ok(Self { other, feedback, gram, regularization, method, processor: Processor::new(set) })
    }

    /// Writes the factors of the block's rows to `to` [n_rows, n_factors]. A row without entries gets zeros.
    pub fn solve(&self, block: &Block<'_>, to: &mut [f32], scratch: &mut Scratch) -> Result<BlockLoss, UnsolvableRow> {
        let n_factors = self.other.n_factors();
        let mut loss = BlockLoss::default();
        for (i, (row, to)) in block.rows.clone().zip(to.chunks_exact_mut(n_factors)).enumerate() {
            let entries = block.interactions.row(row);
            let previous = block.previous.and_then(|rows| rows.get(i * n_factors..(i + 1) * n_factors)).unwrap_or_default();
            let equations = self.equations(row, entries);
            self.solve_row(&equations, previous, to, scratch)?;
            let squares: f64 = to.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
            let squared_error = if block.wants_error { self.squared_error(&equations, to, scratch) } else { 0.0 };
            loss = loss.plus(BlockLoss { squared_error, penalty: equations.regularization * squares });
        }
        Ok(loss)
    }

    fn equations<'s>(&'s self, row: usize, entries: Entries<'s>) -> Equations<'s> {
        let source = Source { processor: self.processor, other: &self.other, feedback: &self.feedback, row, entries };
        let gram = self.gram.as_ref().map(|(gram, packed)| (*gram, &packed[..]));
        let regularization = self.feedback.row_regularization(self.regularization, entries.len());
        Equations { source, gram, regularization }
    }

    fn solve_row(&self, equations: &Equations<'_>, previous: &[f32], to: &mut [f32], scratch: &mut Scratch) -> Result<(), UnsolvableRow> {
        scratch.vectors.reset(to.len());
        scratch.gathered.clear();
        to.fill(0.0);
        // Where nothing is asked for, zeros are the solution, whatever the regularisation.
        if !self.feedback.asks_for_anything(equations.source.row, equations.source.entries) {
            return Ok(());
        }
        let solved = match self.method {
            Method::ConjugateGradients { n_steps } => {
                set_solution(&mut scratch.vectors, previous);
                equations.take_steps(n_steps, scratch)
            }
            Method::Cholesky => equations.factor(scratch),
        };
        if solved.is_ok() {
            for (to, lanes) in to.chunks_mut(N_LANES).zip(&scratch.vectors.solution) {
                to.copy_from_slice(&lanes.0[..to.len()]);
            }
        } else {
            let solution = equations.solve_in_double().map_err(|_| UnsolvableRow { row: equations.source.row })?;
            to.copy_from_slice(&solution);
        }
        Ok(())
    }

    /// The squared error of a row's entries with its `factors`.
    fn squared_error(&self, equations: &Equations<'_>, factors: &[f32], scratch: &mut Scratch) -> f64 {
        let layout = Layout::new(factors.len());
        let Scratch { gathered, vectors, .. } = scratch;
        set_solution(vectors, factors);
        let (solution, mut scores) = (&vectors.solution, vec![]);
        let mut sum = 0.0;
        gathered.for_each_piece(equations.source, |piece, entries| {
            scores.resize(piece.weights.len(), Lanes::ZERO);
            self.processor.run(Products { layout, rows: piece.rows(), vector: solution, to: &mut scores });
            self.feedback.for_each_term(equations.source.row, entries, |i, term| {
                let score = f64::from(scores[i / N_LANES].0[i % N_LANES]);
                let score = if score.is_finite() { score } else { self.score_in_double(entries.indices[i], factors) };
                sum += self.feedback.error(term, score);
            });
        });
        sum
    }

    /// The score with row `index` of the other side, where it overflows f32.
    fn score_in_double(&self, index: u32, factors: &[f32]) -> f64 {
        self.other.row(index as usize).iter().zip(factors).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }
}

fn check(name: &'static str, value: f64) -> Result<(), SettingsError> {
    if (0.0..=f64::from(f32::MAX)).contains(&value) { Ok(()) } else { Err(SettingsError::Number { name, value }) }
}
