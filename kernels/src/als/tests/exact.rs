//! The factors that come out are those that the definition asks for, to what f32 and the condition of the equations allow.

use super::*;
use proptest::prelude::*;

const MODELS: [Model; 3] = [
    Model::Implicit { alpha: 2.0, regularization: 0.5 },
    Model::Implicit { alpha: 0.0, regularization: 0.1 },
    Model::Explicit { regularization: 0.1 },
];

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// A backward stable solution in f32 has a residual of a modest multiple of the rounding of `|matrix| |x| + |right|`, with the magnitudes
/// of what the right side is summed from: n_factors for the factorisation and one rounding for each entry, each of them at most eps.
fn assert_solves(fixture: &Fixture, model: Model, rows: &[f32]) {
    let n = fixture.n_factors;
    for row in 0..fixture.n_rows() {
        let (matrix, right) = naive::equations(fixture, model, row);
        let x: Vec<f64> = rows[row * n..][..n].iter().map(|&value| f64::from(value)).collect();
        let residual: Vec<f64> =
            matrix.iter().zip(&right).map(|(values, right)| values.iter().zip(&x).map(|(a, x)| a * x).sum::<f64>() - right).collect();
        let matrix_norm = matrix.iter().map(|values| norm(values).powi(2)).sum::<f64>().sqrt();
        let n_roundings = (n + fixture.n_other()) as f64;
        let bound = n_roundings * f64::from(f32::EPSILON) * (matrix_norm * norm(&x) + naive::right_magnitude(fixture, model, row));
        assert!(norm(&residual) <= bound, "{model:?} row {row}: residual {} above {bound}", norm(&residual));
        // The error is at most the residual by the smallest eigenvalue, which the regularisation bounds from below.
        let exact = naive::solve(matrix, right);
        let error: Vec<f64> = exact.iter().zip(&x).map(|(a, b)| a - b).collect();
        let smallest = naive::regularization(fixture, model, row);
        assert!(smallest == 0.0 || norm(&error) <= bound / smallest * 1.001 + 1e-30, "{model:?} row {row}: error {}", norm(&error));
    }
}

#[test]
fn cholesky_and_many_steps_solve_the_dense_equations() {
    for n_factors in [1, 2, 5, 16, 17, 40, 64, 70] {
        let fixture = Fixture::new(3, n_factors, 90, &[1, 3, 16, 17, 40, 90, 0]);
        for model in MODELS {
            for method in [CHOLESKY, steps(4 * n_factors as u32 + 20)] {
                let (rows, _) = fixture.solve(model, method, InstructionSet::fastest()).unwrap();
                assert_solves(&fixture, model, &rows);
            }
        }
    }
}

#[test]
fn each_step_comes_closer_in_the_norm_of_the_equations() {
    let fixture = Fixture::new(4, 24, 80, &[5, 30, 60]);
    let model = MODELS[0];
    let distance = |rows: &[f32], row: usize| -> f64 {
        let (matrix, right) = naive::equations(&fixture, model, row);
        let exact = naive::solve(matrix.clone(), right);
        let error: Vec<f64> = rows[row * 24..][..24].iter().zip(exact).map(|(&x, exact)| f64::from(x) - exact).collect();
        matrix.iter().zip(&error).map(|(values, e)| values.iter().zip(&error).map(|(a, b)| a * b).sum::<f64>() * e).sum()
    };
    let mut before = fixture.previous.clone();
    for n_steps in 1..6 {
        let (after, _) = fixture.solve(model, steps(n_steps), InstructionSet::fastest()).unwrap();
        for row in 0..3 {
            assert!(distance(&after, row) < 0.9 * distance(&before, row), "step {n_steps} of row {row}");
        }
        before = after;
    }
}

#[test]
fn one_factor_by_hand() {
    // Others are 1, 2 and 3; the row saw the second with 4 and disliked the third with -1, alpha is 0.5: confidences 1, 3 and 1.5.
    let fixture = Fixture {
        other: vec![1.0, 2.0, 3.0],
        indptr: vec![0, 2],
        indices: vec![1, 2],
        values: vec![4.0, -1.0],
        ..Fixture::new(1, 1, 3, &[2])
    };
    let x = 3.0 * 2.0 / (1.0 + 3.0 * 4.0 + 1.5 * 9.0 + 0.25);
    let model = Model::Implicit { alpha: 0.5, regularization: 0.25 };
    for method in [CHOLESKY, steps(2)] {
        let (rows, loss) = fixture.solve(model, method, InstructionSet::fastest()).unwrap();
        assert!((f64::from(rows[0]) - x).abs() < 1e-7);
        assert!((loss.penalty - 0.25 * x * x).abs() < 1e-7);
    }
}

#[test]
fn the_loss_is_that_of_every_cell() {
    for (n_factors, model) in [(7, MODELS[0]), (33, MODELS[1]), (20, MODELS[2])] {
        let fixture = Fixture::new(5, n_factors, 60, &[10, 0, 1, 60, 33]);
        let (rows, loss) = fixture.solve(model, Method::default(), InstructionSet::fastest()).unwrap();
        let unobserved = match model {
            Model::Implicit { .. } => Gram::of_block(&rows, n_factors, InstructionSet::fastest()).sum_of_squared_scores(&fixture.gram()),
            Model::Explicit { .. } => 0.0,
        };
        let (error, penalty) = naive::loss(&fixture, model, &rows);
        assert!((loss.squared_error + unobserved - error).abs() <= 1e-5 * error, "{} and {error}", loss.squared_error + unobserved);
        assert!((loss.penalty - penalty).abs() <= 1e-9 * penalty);
    }
}

#[test]
fn gram_matrices_are_those_of_f64() {
    for (n_factors, n_rows) in [(1, 1), (3, 1000), (17, 255), (64, 257), (100, 40)] {
        let fixture = Fixture::new(6, n_factors, n_rows, &[]);
        let gram = fixture.gram();
        for i in 0..n_factors {
            for j in 0..n_factors {
                let rows = fixture.other.chunks_exact(n_factors);
                let (mut sum, mut magnitude) = (0.0, 0.0);
                rows.map(|row| f64::from(row[i]) * f64::from(row[j])).for_each(|product: f64| {
                    sum += product;
                    magnitude += product.abs();
                });
                let value = gram.values()[i * n_factors + j];
                assert!((value - sum).abs() <= 256.0 * f64::from(f32::EPSILON) * magnitude, "({i}, {j}): {value} and {sum}");
                assert_eq!(value, gram.values()[j * n_factors + i]);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_order_of_entries_gives_the_same_factors_but_for_rounding(seed in 0..1000_u64, n_factors in 1..40_usize, len in 1..60_usize) {
        let fixture = Fixture::new(seed, n_factors, 60, &[len]);
        let mut permuted = fixture.clone();
        let mut order: Vec<usize> = (0..len).collect();
        let mut draws = Draws::new(seed, 1, 0);
        (0..len).for_each(|from| draws.draw_to(&mut order, from));
        permuted.indices = order.iter().map(|&entry| fixture.indices[entry]).collect();
        permuted.values = order.iter().map(|&entry| fixture.values[entry]).collect();
        for model in MODELS {
            let (rows, _) = permuted.solve(model, CHOLESKY, InstructionSet::fastest()).unwrap();
            assert_solves(&fixture, model, &rows);
        }
    }
}
