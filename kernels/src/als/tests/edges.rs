//! Input at the edges: nothing but finite factors or an error that names the row comes out.

use super::*;
use proptest::prelude::*;

const IMPLICIT: Model = Model::Implicit { alpha: 3.0, regularization: 0.1 };
const EXPLICIT: Model = Model::Explicit { regularization: 0.1 };
const METHODS: [Method; 2] = [steps(3), CHOLESKY];

fn solve(fixture: &Fixture, model: Model, method: Method) -> Result<Vec<f32>, UnsolvableRow> {
    fixture.solve(model, method, InstructionSet::fastest()).map(|(rows, _)| rows)
}

#[test]
fn rows_that_ask_for_nothing_get_zeros() {
    let mut fixture = Fixture::new(1, 20, 30, &[0, 4, 4, 0]);
    fixture.values = vec![0.0, -0.0, 0.0, 0.0, -1.0, -2.0, -1.0, -5.0];
    for method in METHODS {
        // Not even regularisation is needed for that.
        for regularization in [0.0, 0.1] {
            assert_eq!(solve(&fixture, Model::Implicit { alpha: 3.0, regularization }, method).unwrap(), vec![0.0; 80]);
        }
    }
    let empty = Fixture::new(1, 20, 30, &[0]);
    for method in METHODS {
        assert_eq!(solve(&empty, EXPLICIT, method).unwrap(), vec![0.0; 20]);
    }
}

#[test]
fn a_zero_says_as_little_as_no_entry() {
    let fixture = Fixture::new(2, 20, 40, &[9]);
    let mut with_zeros = fixture.clone();
    with_zeros.indices.extend([38, 39]);
    with_zeros.values.extend([0.0, 0.0]);
    with_zeros.indptr[1] = 11;
    for method in METHODS {
        assert_eq!(bits(&solve(&with_zeros, IMPLICIT, method).unwrap()), bits(&solve(&fixture, IMPLICIT, method).unwrap()));
    }
}

#[test]
fn systems_without_a_solution_are_refused_by_row() {
    // Fewer ratings than factors determine nothing.
    let fixture = Fixture::new(3, 12, 40, &[0, 30, 5]);
    let refused = solve(&fixture, Model::Explicit { regularization: 0.0 }, CHOLESKY).unwrap_err();
    assert_eq!(refused, UnsolvableRow { row: 2 });
    assert!(refused.to_string().contains("row 2") && refused.to_string().contains("raise the regularisation"), "{refused}");
    // More factors than rows on the other side.
    let fixture = Fixture::new(3, 12, 6, &[0, 3]);
    let refused = solve(&fixture, Model::Implicit { alpha: 1.0, regularization: 0.0 }, CHOLESKY).unwrap_err();
    assert_eq!(refused, UnsolvableRow { row: 1 });
}

#[test]
fn enough_ratings_need_no_regularisation() {
    let fixture = Fixture::new(4, 8, 40, &[40, 30]);
    let rows = solve(&fixture, Model::Explicit { regularization: 0.0 }, CHOLESKY).unwrap();
    assert!(rows.iter().all(|value| value.is_finite() && *value != 0.0));
}

#[test]
fn what_f32_cannot_solve_is_solved_in_f64() {
    // One weight far above the rest, and a little regularisation: all pivots but the first are lost in f32.
    let mut fixture = Fixture::new(5, 6, 8, &[1]);
    fixture.values = vec![1e9];
    let model = Model::Implicit { alpha: 1.0, regularization: 1e-3 };
    let rows = solve(&fixture, model, CHOLESKY).unwrap();
    let (matrix, right) = naive::equations(&fixture, model, 0);
    for (x, exact) in rows.iter().zip(naive::solve(matrix, right)) {
        assert!((f64::from(*x) - exact).abs() <= 1e-3 * exact.abs().max(1e-3), "{x} and {exact}");
    }
}

#[test]
fn rows_of_the_other_side_that_do_not_exist_count_as_zeros() {
    let fixture = Fixture::new(6, 20, 40, &[9]);
    let mut strange = fixture.clone();
    strange.indices.push(u32::MAX);
    strange.values.push(3.0);
    strange.indptr[1] = 10;
    for (model, method) in [(IMPLICIT, steps(3)), (IMPLICIT, CHOLESKY)] {
        assert_eq!(bits(&solve(&strange, model, method).unwrap()), bits(&solve(&fixture, model, method).unwrap()));
    }
    // Row pointers beyond the entries make rows empty.
    strange.indptr = vec![0, 1000];
    assert_eq!(solve(&strange, IMPLICIT, CHOLESKY).unwrap(), vec![0.0; 20]);
}

#[test]
fn shapes_and_settings_that_do_not_fit_are_refused() {
    let rows = [0.0; 24];
    assert_eq!(FactorRows::new(vec![&rows], 24, 0, 3).unwrap_err(), BlockShapeError::Factors { n_factors: 0 });
    assert!(FactorRows::whole(&rows, 1025).is_err());
    let wrong = FactorRows::new(vec![&rows[..12], &rows[..8]], 6, 4, 2).unwrap_err();
    assert_eq!(wrong, BlockShapeError::BlockLen { block: 0, len: 12, expected: 16 });
    assert!(FactorRows::new(vec![&rows[..16]], 6, 4, 2).is_err(), "a block is missing");
    assert!(FactorRows::new(vec![&rows[..16], &rows[..8], &rows[..4]], 6, 4, 2).is_err(), "a block too many");
    let whole = FactorRows::new(vec![&rows[..16], &rows[..8]], 6, 4, 2).unwrap();
    assert_eq!((whole.n_rows(), whole.n_factors(), whole.row(5).len(), whole.row(6).len()), (6, 4, 4, 0));
    let gram = Gram::zero(3);
    let solver = |alpha, regularization| {
        Solver::implicit(whole.clone(), &gram, alpha, regularization, CHOLESKY, InstructionSet::fastest()).unwrap_err()
    };
    assert_eq!(solver(1.0, 0.1), SettingsError::Gram { gram: 3, rows: 4 });
    assert!(matches!(solver(f64::NAN, 0.1), SettingsError::Number { name: "alpha", .. }));
    assert!(matches!(solver(-1.0, 0.1), SettingsError::Number { name: "alpha", .. }));
    let gram = Gram::zero(4);
    let no_steps = Solver::implicit(whole.clone(), &gram, 1.0, 0.1, steps(0), InstructionSet::fastest());
    assert_eq!(no_steps.unwrap_err(), SettingsError::NoSteps);
    let refused = Solver::implicit(whole, &gram, 1.0, f64::INFINITY, CHOLESKY, InstructionSet::fastest()).unwrap_err();
    assert_eq!(refused.to_string(), "the regularisation is inf, and must be a number from 0 to 3.4028235e38");
}

#[test]
fn huge_factors_have_a_finite_gram_matrix() {
    let rows = [1e30_f32, -1e25, 3e38, 1.0];
    let gram = Gram::of_block(&rows, 2, InstructionSet::fastest());
    assert!(gram.values().iter().all(|value| value.is_finite()));
    assert!((gram.values()[0] / 9e76 - 1.0).abs() < 1e-6);
}

/// Numbers of every magnitude.
fn any_size() -> impl Strategy<Value = f32> {
    (-38.0..38.0_f64, any::<bool>()).prop_map(|(exponent, sign)| (if sign { 1.0 } else { -1.0 } * 10_f64.powf(exponent)) as f32)
}

proptest! {
    #[test]
    fn finite_input_gives_finite_factors_or_an_error(
        values in prop::collection::vec(any_size(), 12),
        scale in -20.0..20.0_f64,
        alpha in prop_oneof![Just(0.0), 1e-6..1e6_f64],
        regularization in prop_oneof![Just(0.0), 1e-9..1e6_f64],
        n_factors in 1..20_usize,
    ) {
        let mut fixture = Fixture::new(8, n_factors, 12, &[12]);
        fixture.values = values;
        fixture.other.iter_mut().for_each(|value| *value *= 10_f64.powf(scale) as f32);
        for model in [Model::Implicit { alpha, regularization }, Model::Explicit { regularization }] {
            for method in METHODS {
                match fixture.solve(model, method, InstructionSet::fastest()) {
                    Ok((rows, loss)) => {
                        prop_assert!(rows.iter().all(|value| value.is_finite()), "{rows:?}");
                        prop_assert!(loss.penalty.is_finite() && loss.squared_error.is_finite(), "{loss:?}");
                    }
                    Err(refused) => prop_assert_eq!(refused.row, 0),
                }
            }
        }
    }

    #[test]
    fn regularised_rows_of_common_sizes_are_never_refused(seed in 0..500_u64, len in 1..50_usize, alpha in 0.0..1000.0_f64) {
        let fixture = Fixture::new(seed, 24, 50, &[len]);
        for method in METHODS {
            for model in [Model::Implicit { alpha, regularization: 0.01 }, Model::Explicit { regularization: 0.01 }] {
                prop_assert_eq!(solve(&fixture, model, method).err(), None);
            }
        }
    }
}
