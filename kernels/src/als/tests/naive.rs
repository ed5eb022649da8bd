//! The definition of both models in f64: dense normal equations over every cell, solved by elimination with pivots.

use super::{Fixture, Model};

/// One cell's weight and wish; None where it does not count.
fn cell(fixture: &Fixture, model: Model, row: usize, other: usize) -> Option<(f64, f64)> {
    let range = fixture.indptr[row] as usize..fixture.indptr[row + 1] as usize;
    let entry = range.into_iter().find(|&entry| fixture.indices[entry] as usize == other);
    let value = entry.map(|entry| f64::from(fixture.values[entry]));
    match model {
        Model::Implicit { alpha, .. } => {
            let value = value.unwrap_or(0.0);
            Some((1.0 + alpha * value.abs(), if value > 0.0 { 1.0 } else { 0.0 }))
        }
        Model::Explicit { .. } => {
            let bias = f64::from(fixture.row_bias[row]) + f64::from(fixture.other_bias[other]);
            value.map(|value| (1.0, value - bias))
        }
    }
}

pub(super) fn regularization(fixture: &Fixture, model: Model, row: usize) -> f64 {
    match model {
        Model::Implicit { regularization, .. } => regularization,
        Model::Explicit { regularization } => regularization * (fixture.indptr[row + 1] - fixture.indptr[row]) as f64,
    }
}

/// The matrix and the right side of a row's equations.
pub(super) fn equations(fixture: &Fixture, model: Model, row: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
    let n = fixture.n_factors;
    let (mut matrix, mut right) = (vec![vec![0.0; n]; n], vec![0.0; n]);
    for other in 0..fixture.n_other() {
        let Some((weight, wish)) = cell(fixture, model, row, other) else { continue };
        let factors: Vec<f64> = fixture.other[other * n..][..n].iter().map(|&value| f64::from(value)).collect();
        for i in 0..n {
            right[i] += weight * wish * factors[i];
            for j in 0..n {
                matrix[i][j] += weight * factors[i] * factors[j];
            }
        }
    }
    for (i, values) in matrix.iter_mut().enumerate() {
        values[i] += regularization(fixture, model, row);
    }
    (matrix, right)
}

/// The sum of the norms of the terms that the right side is made of: what its rounding is relative to.
pub(super) fn right_magnitude(fixture: &Fixture, model: Model, row: usize) -> f64 {
    let norm = |other: usize| {
        fixture.other[other * fixture.n_factors..][..fixture.n_factors].iter().map(|y| f64::from(*y).powi(2)).sum::<f64>().sqrt()
    };
    let terms = (0..fixture.n_other())
        .filter_map(|other| cell(fixture, model, row, other).map(|(weight, wish)| (weight * wish).abs() * norm(other)));
    terms.sum()
}

/// Gaussian elimination with the largest pivots.
pub(super) fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    for i in 0..n {
        let pivot = (i..n).max_by(|&a, &b| matrix[a][i].abs().total_cmp(&matrix[b][i].abs())).unwrap();
        matrix.swap(i, pivot);
        right.swap(i, pivot);
        let (pivot_row, pivot_right) = (matrix[i].clone(), right[i]);
        for (values, right) in matrix.iter_mut().zip(&mut right).skip(i + 1) {
            let scale = values[i] / pivot_row[i];
            values.iter_mut().zip(&pivot_row).for_each(|(value, pivot)| *value -= scale * pivot);
            *right -= scale * pivot_right;
        }
    }
    for i in (0..n).rev() {
        let later: f64 = (i + 1..n).map(|c| matrix[i][c] * right[c]).sum();
        right[i] = (right[i] - later) / matrix[i][i];
    }
    right
}

/// The loss over every cell, and the penalty of the rows.
pub(super) fn loss(fixture: &Fixture, model: Model, rows: &[f32]) -> (f64, f64) {
    let n = fixture.n_factors;
    let (mut error, mut penalty) = (0.0, 0.0);
    for row in 0..fixture.n_rows() {
        let factors = &rows[row * n..][..n];
        penalty += regularization(fixture, model, row) * factors.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>();
        for other in 0..fixture.n_other() {
            let score: f64 = factors.iter().zip(&fixture.other[other * n..]).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            if let Some((weight, wish)) = cell(fixture, model, row, other) {
                error += weight * (wish - score).powi(2);
            }
        }
    }
    (error, penalty)
}
