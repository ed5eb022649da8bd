//! What a rank weighs: the logarithmic discount of DCG and the geometric one of RBP, as tables. This file must not know a list.
//!
//! Logarithms and powers are computed here from additions, multiplications and divisions, which IEEE 754 rounds in one way; those of
//! the platform's library may differ in the last bit from one platform to the next.

use std::f64::consts::LN_2;

/// How DCG discounts a rank; ranks count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogDiscount {
    /// 1 / log2(max(rank, 2)): the first two ranks weigh the same. LensKit's default, and the original (Järvelin and Kekäläinen,
    /// "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20(4), 2002).
    #[default]
    Clipped,
    /// 1 / log2(rank + 1), as most other libraries have it; `LogRankWeight(offset=1)` of LensKit.
    Shifted,
}

/// What metrics leave open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What ranks weigh in DCG.
    pub discount: LogDiscount,
    /// Of RBP: the probability that a user who has seen an item looks at the next, above 0 and below 1.
    pub patience: f64,
}

impl Default for Settings {
    /// LensKit's: the clipped logarithm and a patience of 0.85.
    fn default() -> Self {
        Self { discount: LogDiscount::Clipped, patience: 0.85 }
    }
}

/// Weights of the ranks 1, 2, … at 0, 1, …; as many as were needed so far.
#[derive(Clone, Debug)]
pub(super) struct RankWeights {
    settings: Settings,
    /// Weights of DCG.
    pub(super) log: Vec<f64>,
    /// At n: the binary DCG of a list whose first n items are relevant. One longer than `log`.
    pub(super) ideal_dcg: Vec<f64>,
    /// Weights of RBP: patience^(rank - 1).
    pub(super) geometric: Vec<f64>,
}

impl Default for RankWeights {
    fn default() -> Self {
        Self { settings: Settings::default(), log: vec![], ideal_dcg: vec![0.0], geometric: vec![] }
    }
}

impl RankWeights {
    /// Makes sure that ranks up to `n_ranks` have the weights that the settings ask for.
    pub(super) fn prepare(&mut self, settings: Settings, n_ranks: usize) {
        if self.settings != settings {
            *self = Self { settings, ..Self::default() };
        }
        while self.log.len() < n_ranks {
            let rank = self.log.len() + 1;
            let weight = match settings.discount {
                LogDiscount::Clipped => 1.0 / log2(rank.max(2)),
                LogDiscount::Shifted => 1.0 / log2(rank + 1),
            };
            let geometric = self.geometric.last().map_or(1.0, |previous| previous * settings.patience);
            let ideal = self.ideal_dcg.last().map_or(0.0, |previous| previous + weight);
            self.log.push(weight);
            self.geometric.push(geometric);
            self.ideal_dcg.push(ideal);
        }
    }
}

/// The binary logarithm of a number from 1 on. With n = 2^e·m, 1 ≤ m < 2, it is e + ln m / ln 2, and
/// ln m = 2·(s + s³/3 + s⁵/5 + …) for s = (m - 1) / (m + 1) < 1/3, where 20 terms leave less than the last bit.
fn log2(n: usize) -> f64 {
    let exponent = n.max(1).ilog2();
    let mantissa = n.max(1) as f64 / (1u64 << exponent) as f64;
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    // Horner's scheme, from the smallest term up.
    let series = (0..20).rev().fold(0.0, |sum, term| sum * (s * s) + 1.0 / f64::from(2 * term + 1));
    f64::from(exponent) + 2.0 * s * series / LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_those_of_the_library() {
        for n in (1..5000).chain([1 << 20, (1 << 30) - 1, 1 << 40]) {
            let (ours, expected) = (log2(n), (n as f64).log2());
            assert!((ours - expected).abs() <= 4.0 * f64::EPSILON * expected, "{n}: {ours} {expected}");
        }
        assert_eq!((log2(1), log2(2), log2(8)), (0.0, 1.0, 3.0));
    }

    #[test]
    fn weights_are_those_of_the_definition() {
        let clipped = Settings { discount: LogDiscount::Clipped, patience: 0.5 };
        let shifted = Settings { discount: LogDiscount::Shifted, patience: 0.25 };
        let third = 1.0 / 3f64.log2();
        let mut weights = RankWeights::default();
        weights.prepare(clipped, 4);
        weights.prepare(clipped, 2);
        assert_eq!(weights.log, [1.0, 1.0, third, 0.5]);
        assert_eq!(weights.ideal_dcg, [0.0, 1.0, 2.0, 2.0 + third, 2.0 + third + 0.5]);
        assert_eq!(weights.geometric, [1.0, 0.5, 0.25, 0.125]);
        weights.prepare(shifted, 3);
        assert_eq!(weights.log, [1.0, third, 0.5], "other settings, other weights");
        assert_eq!(weights.geometric, [1.0, 0.25, 0.0625]);
    }
}
