//! Sums of f64 without any rounding but the last, so that neither the order of the terms nor their division into partial sums can be
//! seen in the result. This file must not know what is summed.
//!
//! The sum is one wide fixed-point number that has room for every bit of every finite f64 (Neal, "Fast exact summation using small and
//! large superaccumulators", 2015, the small one, with narrower limbs).

/// Limbs of 32 bits: 2,098 from the lowest bit of the least f64 to the highest of the largest, and 64 for the carries of 2^64 terms.
const N_LIMBS: usize = 68;
/// The exponent of the lowest bit.
const LOWEST_EXPONENT: i32 = -1074;
/// A term adds less than 2^32 to a limb, so that many of them leave room in an i64.
const TERMS_BETWEEN_CARRIES: u32 = 1 << 30;

/// A sum that is exact until it is read. Terms that are not finite make it NaN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExactSum {
    /// The sum is Σ limbs[i]·2^(32·i - 1074).
    limbs: [i64; N_LIMBS],
    n_since_carry: u32,
    is_finite: bool,
}

impl Default for ExactSum {
    fn default() -> Self {
        Self { limbs: [0; N_LIMBS], n_since_carry: 0, is_finite: true }
    }
}

impl ExactSum {
    /// Adds one term.
    pub fn add(&mut self, term: f64) {
        self.is_finite &= term.is_finite();
        if !term.is_finite() || term == 0.0 {
            return;
        }
        let exponent_bits = (term.to_bits() >> 52 & 0x7ff) as usize;
        let fraction = term.to_bits() & ((1 << 52) - 1);
        // A subnormal number has no leading one, and the exponent of the least normal number.
        let mantissa = if exponent_bits == 0 { fraction } else { fraction | 1 << 52 };
        let lowest_bit = exponent_bits.max(1) - 1;
        let wide = u128::from(mantissa) << (lowest_bit % 32);
        let sign = if term < 0.0 { -1 } else { 1 };
        for (limb, part) in self.limbs[lowest_bit / 32..].iter_mut().zip([wide, wide >> 32, wide >> 64]) {
            *limb += sign * i64::from(part as u32);
        }
        self.n_since_carry += 1;
        if self.n_since_carry == TERMS_BETWEEN_CARRIES {
            self.carry();
        }
    }

    /// Adds all the terms of another sum.
    pub fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        self.carry();
        other.carry();
        for (limb, part) in self.limbs.iter_mut().zip(&other.limbs) {
            *limb += part;
        }
        self.carry();
        self.is_finite &= other.is_finite;
    }

    /// The sum rounded once, ties to even.
    pub fn value(&self) -> f64 {
        if !self.is_finite {
            return f64::NAN;
        }
        let mut sum = self.clone();
        sum.carry();
        let is_negative = sum.limbs[N_LIMBS - 1] < 0;
        if is_negative {
            sum.limbs.iter_mut().for_each(|limb| *limb = -*limb);
            sum.carry();
        }
        let magnitude = magnitude_of(&sum.limbs);
        if is_negative { -magnitude } else { magnitude }
    }

    /// Brings every limb but the highest into 0..2^32; the highest takes the sign.
    fn carry(&mut self) {
        for idx in 1..N_LIMBS {
            let carry = self.limbs[idx - 1] >> 32;
            self.limbs[idx - 1] -= carry << 32;
            self.limbs[idx] += carry;
        }
        self.n_since_carry = 0;
    }

    /// The sum as bytes, the same for the same sum however it came about.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut sum = self.clone();
        sum.carry();
        sum.limbs.iter().flat_map(|limb| limb.to_le_bytes()).chain([u8::from(sum.is_finite)]).collect()
    }

    /// The sum that [`Self::to_bytes`] gave; `None` for bytes that it did not give.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&is_finite, limb_bytes) = bytes.split_last().filter(|(last, _)| **last <= 1)?;
        let (limb_bytes, rest) = limb_bytes.as_chunks::<8>();
        let mut sum = Self { is_finite: is_finite == 1, ..Self::default() };
        if limb_bytes.len() != N_LIMBS || !rest.is_empty() {
            return None;
        }
        for (limb, bytes) in sum.limbs.iter_mut().zip(limb_bytes) {
            *limb = i64::from_le_bytes(*bytes);
        }
        let (highest, lower) = sum.limbs.split_last()?;
        // Room for the carries of 2^64 terms takes 18 bits of the highest limb.
        let is_carried = lower.iter().all(|limb| (0..1 << 32).contains(limb)) && highest.unsigned_abs() < 1 << 32;
        is_carried.then_some(sum)
    }
}

/// The number of limbs that are all within 0..2^32.
fn magnitude_of(limbs: &[i64; N_LIMBS]) -> f64 {
    let Some(highest) = limbs.iter().rposition(|&limb| limb != 0) else { return 0.0 };
    // Four limbs have at least 97 significant bits; what is below them matters only for being there or not.
    let lowest = highest.saturating_sub(3);
    let leading = limbs[lowest..=highest].iter().rev().fold(0u128, |leading, &limb| leading << 32 | limb as u128);
    let is_inexact = limbs[..lowest].iter().any(|&limb| limb != 0);
    let rounded = (leading | u128::from(is_inexact)) as f64;
    // Scaled in steps that are powers of two within range. Where the result is subnormal, nothing was rounded and nothing will be.
    let mut exponent = LOWEST_EXPONENT + 32 * lowest as i32;
    let mut scaled = rounded;
    while exponent != 0 {
        let step = exponent.clamp(-1022, 1023);
        scaled *= f64::from_bits(((step + 1023) as u64) << 52);
        exponent -= step;
    }
    scaled
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;
    use proptest::prelude::*;

    fn sum_of(terms: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        terms.iter().for_each(|&term| sum.add(term));
        sum
    }

    #[test]
    fn sums_are_rounded_once() {
        assert_eq!(sum_of(&[]).value(), 0.0);
        assert_eq!(sum_of(&[1.0, 1e100, 1.0, -1e100]).value(), 2.0);
        assert_eq!(sum_of(&[0.1; 10]).value(), 1.0, "ten times the number next to 0.1 is nearest to 1");
        // Half a unit in the last place is rounded to even, and a trace more is rounded up.
        let half = f64::EPSILON / 2.0;
        assert_eq!(sum_of(&[1.0, half]).value(), 1.0);
        assert_eq!(sum_of(&[1.0, half, f64::from_bits(1)]).value(), 1.0 + f64::EPSILON);
        assert_eq!(sum_of(&[-1.0, -half, -f64::from_bits(1)]).value(), -1.0 - f64::EPSILON);
        assert_eq!(sum_of(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
        assert_eq!(sum_of(&[f64::MAX, f64::MAX, -f64::MAX]).value(), f64::MAX);
        assert!(sum_of(&[1.0, f64::NAN]).value().is_nan());
    }

    /// Each term alone comes back, so no exponent is placed wrongly.
    #[test]
    fn every_exponent_comes_back() {
        for exponent in 0..2047u64 {
            for fraction in [0, 1, 0x000f_ffff_ffff_ffff, 0x0005_5555_5555_5555] {
                let term = f64::from_bits(exponent << 52 | fraction);
                assert_eq!(sum_of(&[term]).value(), term);
                assert_eq!(sum_of(&[-term]).value(), -term);
            }
        }
    }

    proptest! {
        /// Terms are multiples of 2^-40, so that an i128 holds their sum exactly.
        #[test]
        fn sums_are_those_of_integers(terms in prop::collection::vec(any::<i64>(), 0..200), cut in 0..200usize) {
            let unit = 2f64.powi(-40);
            let values: Vec<f64> = terms.iter().map(|&term| (term >> 11) as f64 * unit).collect();
            let expected = terms.iter().map(|&term| i128::from(term >> 11)).sum::<i128>() as f64 * unit;
            prop_assert_eq!(sum_of(&values).value(), expected);

            let (first, rest) = values.split_at(cut.min(values.len()));
            let mut merged = sum_of(rest);
            merged.merge(&sum_of(first));
            prop_assert_eq!(merged.to_bytes(), sum_of(&values).to_bytes(), "the division into partial sums can be seen");
            prop_assert_eq!(ExactSum::from_bytes(&merged.to_bytes()).unwrap().value(), expected);
        }

        #[test]
        fn any_terms_give_the_same_in_any_order(mut terms in prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL, 0..50)) {
            let forwards = sum_of(&terms).value();
            terms.reverse();
            prop_assert_eq!(forwards.to_bits(), sum_of(&terms).value().to_bits());
            terms.extend(terms.clone().iter().map(|term| -term));
            prop_assert_eq!(sum_of(&terms).value(), 0.0);
        }

        #[test]
        fn bytes_from_elsewhere_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assume!(bytes.len() != 8 * N_LIMBS + 1);
            prop_assert_eq!(ExactSum::from_bytes(&bytes), None);
        }
    }
}
