//! Sorting eight short lists at once, with no branch that depends on the data. This room must not know what is sorted.

use super::N_LANES;
use super::vector::Vector;

/// Sorts each lane upwards: Batcher's merge exchange (Knuth, TAOCP 3, 5.2.2, algorithm M), a fixed sequence of comparisons for a
/// given length.
#[inline(always)]
pub(super) fn sort_lanes<V: Vector>(vector: V, keys: &mut [[u32; N_LANES]]) {
    let n_keys = keys.len();
    if n_keys < 2 {
        return;
    }
    let top = n_keys.next_power_of_two() / 2;
    let mut run_len = top;
    while run_len > 0 {
        let (mut step, mut first, mut distance) = (top, 0, run_len);
        loop {
            let mut start = first;
            while start + distance < n_keys {
                let (low, high) = keys.split_at_mut(start + distance);
                exchange(vector, &mut low[start..], high, run_len);
                start += 2 * run_len;
            }
            if step == run_len {
                break;
            }
            distance = step - run_len;
            step /= 2;
            first = run_len;
        }
        run_len /= 2;
    }
}

/// Puts the smaller of each pair into `low`. There are at most `run_len` pairs.
#[inline(always)]
fn exchange<V: Vector>(vector: V, low: &mut [[u32; N_LANES]], high: &mut [[u32; N_LANES]], run_len: usize) {
    for (low, high) in low.iter_mut().zip(high).take(run_len) {
        let (a, b) = (vector.load_words(low), vector.load_words(high));
        vector.store_words(vector.min(a, b), low);
        vector.store_words(vector.max(a, b), high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;
    use crate::forest::lanes::vector::{OnVectors, on_vectors};

    struct Sort<'a>(&'a mut [[u32; N_LANES]]);

    impl OnVectors for Sort<'_> {
        fn run<V: Vector>(self, vector: V) {
            sort_lanes(vector, self.0);
        }
    }

    #[test]
    fn every_lane_of_every_length_is_sorted() {
        for n_keys in 0..200 {
            let mut draws = Draws::new(1, 0, n_keys);
            let mut keys: Vec<[u32; N_LANES]> = (0..n_keys).map(|_| std::array::from_fn(|_| draws.below(50) as u32)).collect();
            let mut lanes: Vec<Vec<u32>> = (0..N_LANES).map(|lane| keys.iter().map(|key| key[lane]).collect()).collect();
            on_vectors(Sort(&mut keys));
            for (lane, sorted) in lanes.iter_mut().enumerate() {
                sorted.sort_unstable();
                assert!(keys.iter().map(|key| key[lane]).eq(sorted.iter().copied()), "{n_keys} keys, lane {lane}");
            }
        }
    }
}
