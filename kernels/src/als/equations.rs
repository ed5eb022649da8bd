//! The equations of one row, solved in f32 by conjugate gradients or by Cholesky, and in f64 where that fails. It must not know blocks of
//! rows.
//!
//! With y the factors of the other side, they are `(gram + regularization I + Σ weight y'y) x = Σ target y`.

use super::cholesky::SolveByCholesky;
use super::gram::Gram;
use super::lanes::{Lanes, N_LANES};
use super::outer::AddOuter;
use super::packed::Layout;
use super::products::{AddProjected, AddRows};
use super::scratch::{Gathered, Scratch, Source, Vectors};
use super::vectors::{AddScaled, Dot, EndSums};

/// Groups of rows whose outer products are added at a time: for common numbers of factors they stay in the first-level cache while
/// the tiles of the matrix pass over them.
const OUTER_GROUPS: usize = 8;

/// One row's equations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Equations<'a> {
    pub(super) source: Source<'a>,
    /// In f64, and in f32 as the kernels want it.
    pub(super) gram: Option<(&'a Gram, &'a [Lanes])>,
    pub(super) regularization: f64,
}

/// The equations have no solution that f32 can find or hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Breakdown;

impl Equations<'_> {
    fn n_factors(&self) -> usize {
        self.source.other.n_factors()
    }

    /// Takes `n_steps` of conjugate gradients from the solution that `scratch` holds, or fewer where nothing is left to improve.
    pub(super) fn take_steps(&self, n_steps: u32, scratch: &mut Scratch) -> Result<(), Breakdown> {
        let Scratch { gathered, vectors, .. } = scratch;
        let processor = self.source.processor;
        self.multiply(gathered, &vectors.solution, true, &mut vectors.sums, &mut vectors.product);
        vectors.residual.fill(Lanes::ZERO);
        processor.run(AddScaled { factor: -1.0, by: &vectors.product, to: &mut vectors.residual, scales_target: false });
        vectors.direction.copy_from_slice(&vectors.residual);
        let mut squared_residual = processor.run(Dot(&vectors.residual, &vectors.residual));
        for _ in 0..n_steps {
            // Nothing is left to improve.
            if squared_residual == 0.0 {
                break;
            }
            squared_residual = self.take_step(squared_residual, gathered, vectors)?;
        }
        if all_finite(&vectors.solution) { Ok(()) } else { Err(Breakdown) }
    }

    /// Takes one step; returns the square of the residual's norm after it.
    fn take_step(&self, squared_residual: f64, gathered: &mut Gathered, vectors: &mut Vectors) -> Result<f64, Breakdown> {
        let processor = self.source.processor;
        let Vectors { solution, residual, direction, product, sums } = vectors;
        self.multiply(gathered, direction, false, sums, product);
        let curvature = processor.run(Dot(direction, product));
        // Written so that NaN fails too.
        if !(curvature > 0.0 && curvature < f64::INFINITY) {
            return Err(Breakdown);
        }
        let step = (squared_residual / curvature) as f32;
        processor.run(AddScaled { factor: step, by: direction, to: solution, scales_target: false });
        processor.run(AddScaled { factor: -step, by: product, to: residual, scales_target: false });
        let squared_after = processor.run(Dot(residual, residual));
        let keep = (squared_after / squared_residual) as f32;
        processor.run(AddScaled { factor: keep, by: residual, to: direction, scales_target: true });
        Ok(squared_after)
    }

    /// The left side's matrix times `vector`, less the right side where `subtracts_right`.
    fn multiply(&self, gathered: &mut Gathered, vector: &[Lanes], subtracts_right: bool, sums: &mut [Lanes], to: &mut [Lanes]) {
        let layout = Layout::new(self.n_factors());
        let processor = self.source.processor;
        sums.fill(Lanes::ZERO);
        if let Some((_, gram)) = self.gram {
            processor.run(AddRows { layout, rows: gram, coefficients: vector, sums });
        }
        gathered.for_each_piece(self.source, |piece, _| {
            let targets = subtracts_right.then_some(&piece.targets[..]);
            processor.run(AddProjected { layout, rows: piece.rows(), vector, weights: &piece.weights, targets, sums });
        });
        processor.run(EndSums { sums, factor: self.regularization as f32, vector, to });
    }

    /// Solves them by Cholesky.
    pub(super) fn factor(&self, scratch: &mut Scratch) -> Result<(), Breakdown> {
        let layout = Layout::new(self.n_factors());
        let processor = self.source.processor;
        let Scratch { gathered, vectors, matrix } = scratch;
        self.fill_matrix(layout, matrix);
        vectors.sums.fill(Lanes::ZERO);
        gathered.for_each_piece(self.source, |piece, _| {
            let rows = piece.rows();
            processor.run(AddRows { layout, rows, coefficients: &piece.targets, sums: &mut vectors.sums });
            for (rows, weights) in rows.chunks(OUTER_GROUPS * layout.group_len()).zip(piece.weights.chunks(OUTER_GROUPS)) {
                processor.run(AddOuter { layout, rows, weights, matrix });
            }
        });
        processor.run(EndSums { sums: &vectors.sums, factor: 0.0, vector: &vectors.direction, to: &mut vectors.solution });
        let inverse_pivots = &mut vectors.product;
        let work = SolveByCholesky { n_factors: self.n_factors(), matrix, inverse_pivots, right: &mut vectors.solution };
        let is_definite = processor.run(work);
        if is_definite && all_finite(&vectors.solution) { Ok(()) } else { Err(Breakdown) }
    }

    /// The part of the left side that is there without any entry.
    fn fill_matrix(&self, layout: Layout, matrix: &mut Vec<Lanes>) {
        matrix.clear();
        match self.gram {
            Some((_, gram)) => matrix.extend_from_slice(gram),
            None => matrix.resize(layout.n_vectors * layout.group_len(), Lanes::ZERO),
        }
        for row in 0..self.n_factors() {
            matrix[layout.at(row, row / N_LANES)].0[row % N_LANES] += self.regularization as f32;
        }
    }

    /// Solves them in f64 by plain code, where f32 is not enough: rows with weights far above the rest, or without regularisation.
    pub(super) fn solve_in_double(&self) -> Result<Vec<f32>, Breakdown> {
        let n = self.n_factors();
        let mut matrix = self.gram.map_or_else(|| vec![0.0; n * n], |(gram, _)| gram.values().to_vec());
        let mut right = vec![0.0; n];
        (0..n).for_each(|row| matrix[row * n + row] += self.regularization);
        let Source { other, feedback, row, entries, .. } = self.source;
        feedback.for_each_term(row, entries, |i, term| {
            let factors = other.row(entries.indices[i] as usize);
            for ((values, right), &left) in matrix.chunks_exact_mut(n).zip(&mut right).zip(factors) {
                *right += term.target * f64::from(left);
                let scale = term.weight * f64::from(left);
                values.iter_mut().zip(factors).for_each(|(value, &factor)| *value += scale * f64::from(factor));
            }
        });
        solve_dense(&mut matrix, &mut right).ok_or(Breakdown)?;
        let solution: Vec<f32> = right.iter().map(|&value| value as f32).collect();
        if solution.iter().all(|value| value.is_finite()) { Ok(solution) } else { Err(Breakdown) }
    }
}

/// Cholesky in f64, row by row; the solution takes the place of `right`. None where a pivot is lost in rounding.
fn solve_dense(matrix: &mut [f64], right: &mut [f64]) -> Option<()> {
    let n = right.len();
    for j in 0..n {
        let (above, rest) = matrix.split_at_mut(j * n);
        let row = &mut rest[..n];
        let smallest = n as f64 * f64::EPSILON * row[j];
        for above in above.chunks_exact(n) {
            let scale = above[j];
            row[j..].iter_mut().zip(&above[j..]).for_each(|(value, above)| *value -= scale * above);
        }
        if !(row[j] > smallest && row[j] < f64::INFINITY) {
            return None;
        }
        let scale = 1.0 / row[j].sqrt();
        row[j..].iter_mut().for_each(|value| *value *= scale);
    }
    for j in 0..n {
        right[j] /= matrix[j * n + j];
        let solved = right[j];
        right[j + 1..].iter_mut().zip(&matrix[j * n + j + 1..]).for_each(|(rest, upper)| *rest -= solved * upper);
    }
    for j in (0..n).rev() {
        let later: f64 = right[j + 1..].iter().zip(&matrix[j * n + j + 1..]).map(|(solved, upper)| solved * upper).sum();
        right[j] = (right[j] - later) / matrix[j * n + j];
    }
    Some(())
}

fn all_finite(vector: &[Lanes]) -> bool {
    vector.iter().all(|lanes| lanes.0.iter().all(|value| value.is_finite()))
}

/// Puts `values` where the solution is looked for.
pub(super) fn set_solution(vectors: &mut Vectors, values: &[f32]) {
    for (lanes, values) in vectors.solution.iter_mut().zip(values.chunks(N_LANES)) {
        lanes.0[..values.len()].copy_from_slice(values);
    }
}
