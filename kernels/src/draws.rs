//! Random draws that depend on what they are for and on nothing else: the key is (seed, stage, item), the position is a
//! counter. This room must not know what is drawn, nor any source of entropy.
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014) with the
//! finaliser that Stafford calls mix 13. Its state is a plain counter, so a stream is known by its starting point alone, and
//! starting points are themselves mixed from the key.

/// The odd increment of SplitMix64: 2^64 over the golden ratio.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of draws that is fixed by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    key: u64,
    counter: u64,
}

impl Draws {
    /// The stream of one item of one stage under a seed.
    pub fn new(seed: u64, stage: u64, item: u64) -> Self {
        Self::keyed(mix(seed)).child(stage).child(item)
    }

    /// A stream of its own, fixed by this stream's key and `label`; how much was drawn from this one does not matter.
    pub fn child(&self, label: u64) -> Self {
        // The label is mixed before it meets the key, so that neighbouring labels give unrelated keys.
        Self::keyed(mix(self.key ^ mix(label.wrapping_add(GOLDEN_GAMMA))))
    }

    fn keyed(key: u64) -> Self {
        Self { key, counter: 0 }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(GOLDEN_GAMMA);
        mix(self.key.wrapping_add(self.counter))
    }

    /// An integer below `bound` without bias, 0 if `bound` is 0. Lemire, "Fast random integer generation in an interval",
    /// ACM TOMACS 29(1), 2019: a multiplication, and a second draw in the rare case that would be biased.
    pub fn below(&mut self, bound: u64) -> u64 {
        let mut product = u128::from(self.next_u64()) * u128::from(bound);
        if (product as u64) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u64) < threshold {
                product = u128::from(self.next_u64()) * u128::from(bound);
            }
        }
        (product >> 64) as u64
    }

    /// A number in [0, 1) with 53 random bits.
    pub fn unit_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Draws one of `items[from..]` and swaps it to position `from`: one step of the Fisher-Yates shuffle, so that calls with
    /// `from` = 0, 1, 2, … draw without replacement. Does nothing when nothing is left.
    pub fn draw_to<T>(&mut self, items: &mut [T], from: usize) {
        if from < items.len() {
            let picked = from + self.below((items.len() - from) as u64) as usize;
            items.swap(from, picked);
        }
    }
}

/// Stafford's mix 13, the finaliser of SplitMix64: a bijection in which every input bit moves every output bit.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_key_0_is_splitmix64() {
        // The first outputs of the reference implementation started at 0.
        let mut draws = Draws::keyed(0);
        assert_eq!(draws.next_u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(draws.next_u64(), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(draws.next_u64(), 0x06c4_5d18_8009_454f);
    }

    #[test]
    fn golden_values_hold() {
        let mut draws = Draws::new(42, 2, 7);
        let first: Vec<u64> = (0..3).map(|_| draws.next_u64()).collect();
        assert_eq!(first, [170_168_746_008_190_522, 13_337_333_715_978_782_294, 14_249_178_611_159_194_971]);
        assert_eq!((draws.below(1000), draws.below(6), draws.unit_f64()), (953, 3, 0.088_032_385_074_556_8));
    }

    #[test]
    fn keys_give_unrelated_streams() {
        let mut firsts = std::collections::HashSet::new();
        for seed in 0..10 {
            for stage in 0..10 {
                for item in 0..100 {
                    assert!(firsts.insert(Draws::new(seed, stage, item).next_u64()));
                }
            }
        }
        let mut parent = Draws::new(1, 2, 3);
        let before = parent.child(9);
        parent.next_u64();
        assert_eq!(before, parent.child(9), "a child depends on the key alone");
    }

    #[test]
    fn bounded_integers_are_uniform() {
        let mut draws = Draws::new(7, 0, 0);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[draws.below(7) as usize] += 1;
        }
        // Chi-squared with 6 degrees of freedom: 22.5 is its 99.9 % point.
        let chi2: f64 = counts.iter().map(|&c| (f64::from(c) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi2 < 22.5, "{counts:?}");
        assert_eq!(draws.below(0), 0);
        assert_eq!(draws.below(1), 0);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&draws.unit_f64())));
    }

    #[test]
    fn fisher_yates_draws_every_pair_equally_often() {
        let mut counts = std::collections::HashMap::new();
        for item in 0..60_000 {
            let mut draws = Draws::new(3, 1, item);
            let mut items = [0, 1, 2, 3];
            draws.draw_to(&mut items, 0);
            draws.draw_to(&mut items, 1);
            *counts.entry((items[0], items[1])).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 12);
        let chi2: f64 = counts.values().map(|&c| (f64::from(c) - 5_000.0).powi(2) / 5_000.0).sum();
        assert!(chi2 < 31.3, "{counts:?}"); // 99.9 % point of 11 degrees of freedom
    }
}
