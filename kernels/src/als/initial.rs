//! The factors that the first half-iteration starts from. It must not know interactions.

use crate::draws::Draws;
use std::ops::Range;

/// The standard deviation of initial factors: small beside those of a trained model.
const STANDARD_DEVIATION: f64 = 0.01;

/// Draws the factors of `rows` into `to` [n_rows, n_factors], keyed by (seed, stage, row): nearly normal with mean 0 and standard
/// deviation 0.01.
pub fn draw_factors(seed: u64, stage: u64, rows: Range<u64>, n_factors: usize, to: &mut [f32]) {
    for (row, to) in rows.zip(to.chunks_exact_mut(n_factors.max(1))) {
        let mut draws = Draws::new(seed, stage, row);
        for value in to {
            *value = (normal(&mut draws) * STANDARD_DEVIATION) as f32;
        }
    }
}

/// The sum of twelve uniform numbers less its mean, whose variance is 1: close to normal up to about three standard deviations, and the
/// same bits on every platform, as logarithms and cosines of mathematical libraries are not.
fn normal(draws: &mut Draws) -> f64 {
    let mut sum = 0;
    for _ in 0..3 {
        let bits = draws.next_u64();
        sum += (0..4).map(|part| (bits >> (16 * part)) & 0xffff).sum::<u64>();
    }
    // Each part is uniform over 0, 1, …, 65535 with the mean 32767.5.
    (sum as f64 - 12.0 * 32767.5) / 65536.0
}
