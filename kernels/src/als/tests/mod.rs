//! The fast kernels against naive ones in f64, against each other bit by bit, and on input at the edges.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod biases;
mod bits;
mod edges;
mod exact;
mod naive;
mod training;

use super::*;
use crate::draws::Draws;
use crate::recommend::InstructionSet;

/// A small problem with everything in memory.
#[derive(Clone, Debug)]
pub(super) struct Fixture {
    pub(super) n_factors: usize,
    /// [n_other, n_factors]
    pub(super) other: Vec<f32>,
    pub(super) indptr: Vec<u64>,
    pub(super) indices: Vec<u32>,
    pub(super) values: Vec<f32>,
    /// The rows' factors before, [n_rows, n_factors].
    pub(super) previous: Vec<f32>,
    pub(super) row_bias: Vec<f32>,
    pub(super) other_bias: Vec<f32>,
}

/// Which of the two models, with its settings.
#[derive(Clone, Copy, Debug)]
pub(super) enum Model {
    Implicit { alpha: f64, regularization: f64 },
    Explicit { regularization: f64 },
}

pub(super) const CHOLESKY: Method = Method::Cholesky;

pub(super) const fn steps(n_steps: u32) -> Method {
    Method::ConjugateGradients { n_steps }
}

impl Fixture {
    /// `row_lens` are the rows' numbers of entries among `n_other`; values are 1 to 5, one in ten of them negative.
    pub(super) fn new(seed: u64, n_factors: usize, n_other: usize, row_lens: &[usize]) -> Self {
        let mut draws = Draws::new(seed, 0, n_factors as u64);
        let mut factors = |n: usize| -> Vec<f32> { (0..n * n_factors).map(|_| (draws.unit_f64() - 0.4) as f32).collect() };
        let (other, previous) = (factors(n_other), factors(row_lens.len()));
        let (mut indptr, mut indices, mut values) = (vec![0], vec![], vec![]);
        for &len in row_lens {
            let mut all: Vec<u32> = (0..n_other as u32).collect();
            (0..len).for_each(|from| draws.draw_to(&mut all, from));
            all.truncate(len);
            all.sort_unstable();
            indices.extend(all);
            for _ in 0..len {
                let sign = if draws.below(10) == 0 { -1.0 } else { 1.0 };
                values.push(sign * (1 + draws.below(5)) as f32);
            }
            indptr.push(indices.len() as u64);
        }
        let mut biases = |n: usize| -> Vec<f32> { (0..n).map(|_| draws.unit_f64() as f32).collect() };
        let (row_bias, other_bias) = (biases(row_lens.len()), biases(n_other));
        Self { n_factors, other, indptr, indices, values, previous, row_bias, other_bias }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.indptr.len() - 1
    }

    pub(super) fn n_other(&self) -> usize {
        self.other.len() / self.n_factors
    }

    pub(super) fn other(&self) -> FactorRows<'_> {
        FactorRows::whole(&self.other, self.n_factors).unwrap()
    }

    pub(super) fn interactions(&self) -> Interactions<'_> {
        Interactions::trusted(&self.indptr, &self.indices, &self.values)
    }

    pub(super) fn gram(&self) -> Gram {
        Gram::of_block(&self.other, self.n_factors, InstructionSet::fastest())
    }

    pub(super) fn solver<'a>(&'a self, gram: &'a Gram, model: Model, method: Method, set: InstructionSet) -> Solver<'a> {
        self.solver_on(self.other(), gram, model, method, set)
    }

    pub(super) fn solver_on<'a>(
        &'a self,
        other: FactorRows<'a>,
        gram: &'a Gram,
        model: Model,
        method: Method,
        set: InstructionSet,
    ) -> Solver<'a> {
        match model {
            Model::Implicit { alpha, regularization } => Solver::implicit(other, gram, alpha, regularization, method, set).unwrap(),
            Model::Explicit { regularization } => {
                let row_bias = FactorRows::whole(&self.row_bias, 1).unwrap();
                let other_bias = FactorRows::whole(&self.other_bias, 1).unwrap();
                Solver::explicit(other, row_bias, other_bias, regularization, method, set).unwrap()
            }
        }
    }

    pub(super) fn block(&self) -> Block<'_> {
        Block { rows: 0..self.n_rows(), interactions: self.interactions(), previous: Some(&self.previous), wants_error: true }
    }

    /// All rows' factors and their loss.
    pub(super) fn solve(&self, model: Model, method: Method, set: InstructionSet) -> Result<(Vec<f32>, BlockLoss), UnsolvableRow> {
        let gram = self.gram();
        let mut rows = vec![f32::NAN; self.n_rows() * self.n_factors];
        let loss = self.solver(&gram, model, method, set).solve(&self.block(), &mut rows, &mut Scratch::default())?;
        Ok((rows, loss))
    }
}

/// The bits of factors, for exact comparison.
pub(super) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
