//! Short vectors of factors: their products and sums. It must not know what they stand for.

use super::lanes::{Lanes, N_LANES, Simd, Work};
use super::products::N_SUMS;

/// The product of two vectors in f64: a product of two f32 is exact there, so nothing overflows and fusing changes nothing. Sixteen
/// running sums, added by halves.
pub(super) struct Dot<'a>(pub(super) &'a [Lanes], pub(super) &'a [Lanes]);

impl Work for Dot<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> f64 {
        let mut sums = [0.0; N_LANES];
        for (a, b) in self.0.iter().zip(self.1) {
            for ((sum, &a), &b) in sums.iter_mut().zip(&a.0).zip(&b.0) {
                *sum += f64::from(a) * f64::from(b);
            }
        }
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                sums[lane] += sums[lane + half];
            }
        }
        sums[0]
    }
}

/// `to = factor * by + to`, or `to = factor * to + by` where `scales_target`.
pub(super) struct AddScaled<'a> {
    pub(super) factor: f32,
    pub(super) by: &'a [Lanes],
    pub(super) to: &'a mut [Lanes],
    pub(super) scales_target: bool,
}

impl Work for AddScaled<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let factor = simd.splat(self.factor);
        for (by, to) in self.by.iter().zip(self.to) {
            let (by, target) = (simd.load(&by.0), simd.load(&to.0));
            let sum = if self.scales_target { simd.mul_add(factor, target, by) } else { simd.mul_add(factor, by, target) };
            simd.store(sum, &mut to.0);
        }
    }
}

/// `to = (even + odd) + factor * vector`: ends a sum of rows that was kept in two running sums.
pub(super) struct EndSums<'a> {
    /// [N_SUMS, n_vectors]
    pub(super) sums: &'a [Lanes],
    pub(super) factor: f32,
    /// `[n_vectors]`
    pub(super) vector: &'a [Lanes],
    /// `[n_vectors]`
    pub(super) to: &'a mut [Lanes],
}

impl Work for EndSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (even, odd) = self.sums.split_at(self.sums.len() / N_SUMS);
        let factor = simd.splat(self.factor);
        for (v, to) in self.to.iter_mut().enumerate() {
            let sum = simd.add(simd.load(&even[v].0), simd.load(&odd[v].0));
            simd.store(simd.mul_add(factor, simd.load(&self.vector[v].0), sum), &mut to.0);
        }
    }
}
