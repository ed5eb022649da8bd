//! The same bits from every instruction set, block, piece and place.

use super::*;

const MODELS: [Model; 2] = [Model::Implicit { alpha: 2.0, regularization: 0.05 }, Model::Explicit { regularization: 0.02 }];
const METHODS: [Method; 2] = [steps(3), CHOLESKY];

#[test]
fn every_instruction_set_gives_the_same_bits() {
    for n_factors in [1, 3, 15, 16, 17, 31, 33, 48, 63, 64, 65, 80, 100, 112, 130] {
        let fixture = Fixture::new(1, n_factors, 100, &[0, 1, 15, 16, 17, 64, 65, 99]);
        for model in MODELS {
            for method in METHODS {
                let (expected, loss) = fixture.solve(model, method, InstructionSet::Portable).unwrap();
                for set in InstructionSet::available() {
                    let (rows, other_loss) = fixture.solve(model, method, set).unwrap();
                    assert_eq!(bits(&rows), bits(&expected), "{n_factors} factors, {model:?}, {method:?}, {set:?}");
                    assert_eq!(loss, other_loss);
                }
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_gram_matrix() {
    for n_factors in [1, 16, 23, 64, 77] {
        let fixture = Fixture::new(1, n_factors, 600, &[]);
        for set in InstructionSet::available() {
            let expected = Gram::of_block(&fixture.other, n_factors, InstructionSet::Portable);
            assert_eq!(Gram::of_block(&fixture.other, n_factors, set), expected, "{n_factors} factors, {set:?}");
        }
    }
}

#[test]
fn blocks_of_rows_and_of_factors_change_nothing() {
    let n_factors = 20;
    let fixture = Fixture::new(2, n_factors, 100, &[7, 0, 30, 99, 2, 16, 41]);
    let gram = fixture.gram();
    for model in MODELS {
        for method in METHODS {
            let (expected, _) = fixture.solve(model, method, InstructionSet::fastest()).unwrap();
            let blocks: Vec<&[f32]> = fixture.other.chunks(8 * n_factors).collect();
            let other = FactorRows::new(blocks, 100, n_factors, 3).unwrap();
            let solver = fixture.solver_on(other, &gram, model, method, InstructionSet::fastest());
            for block_len in [1, 2, 5] {
                let mut rows = vec![0.0; expected.len()];
                let mut scratch = Scratch::default();
                // Backwards, with what other rows left in the scratch.
                for start in (0..fixture.n_rows()).step_by(block_len).rev() {
                    let end = (start + block_len).min(fixture.n_rows());
                    let range = start * n_factors..end * n_factors;
                    let previous = Some(&fixture.previous[range.clone()]);
                    let block = Block { rows: start..end, previous, ..fixture.block() };
                    solver.solve(&block, &mut rows[range], &mut scratch).unwrap();
                }
                assert_eq!(bits(&rows), bits(&expected), "{model:?}, {method:?}, blocks of {block_len}");
            }
        }
    }
}

#[test]
fn rows_longer_than_the_scratch_give_the_same_bits() {
    let fixture = Fixture::new(3, 33, 300, &[300, 129, 1, 200]);
    let gram = fixture.gram();
    for model in MODELS {
        for method in METHODS {
            let (expected, expected_loss) = fixture.solve(model, method, InstructionSet::fastest()).unwrap();
            for piece_bytes in [1, 7000, 20_000] {
                let mut scratch = Scratch::default();
                scratch.gathered.piece_bytes = piece_bytes;
                let mut rows = vec![0.0; expected.len()];
                let solver = fixture.solver(&gram, model, method, InstructionSet::fastest());
                let loss = solver.solve(&fixture.block(), &mut rows, &mut scratch).unwrap();
                assert_eq!(bits(&rows), bits(&expected), "{model:?}, {method:?}, {piece_bytes} bytes");
                assert!((loss.squared_error - expected_loss.squared_error).abs() <= 1e-12 * expected_loss.squared_error.abs());
            }
        }
    }
}

#[test]
fn gram_matrices_of_blocks_add_up_in_order() {
    let fixture = Fixture::new(4, 10, 1024, &[]);
    let sum = |n_rows: usize| {
        let mut sum = Gram::zero(10);
        for block in fixture.other.chunks(n_rows * 10) {
            sum.add(Gram::of_block(block, 10, InstructionSet::fastest()).values()).unwrap();
        }
        sum
    };
    // Blocks of whole chunks of 256 rows are summed as one large block is.
    assert_eq!(sum(256), fixture.gram());
    assert_eq!(Gram::zero(3).add(&[0.0]), Err(GramShapeError { len: 1, n_factors: 3 }));
}

/// FNV-1a over the bits of factors.
fn hash(rows: &[f32]) -> u64 {
    rows.iter().fold(0xcbf2_9ce4_8422_2325, |hash, value| (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn golden_hashes_hold() {
    let fixture = Fixture::new(7, 19, 120, &[120, 5, 0, 64]);
    let mut hashes = vec![];
    for model in MODELS {
        for method in METHODS {
            hashes.push(hash(&fixture.solve(model, method, InstructionSet::fastest()).unwrap().0));
        }
    }
    assert_eq!(hashes, [3_310_764_097_100_014_039, 3_375_758_023_046_996_994, 11_282_274_348_084_078_941, 3_445_907_141_415_272_819]);
}
