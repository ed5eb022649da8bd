//! Sorting eight short lists at once, with no branch that depends on the data. This room must not know what is sorted.

use super::N_LANES;
use super::vector::Vector;

/// Sorts each lane upwards.
#[inline(always)]
pub(super) fn sort_lanes<V: Vector>(vector: V, keys: &mut [[u32; N_LANES]]) {
    match keys.len() {
        0 | 1 => {}
        2..=4 => sort_in_registers::<V, FourKeys, 4>(vector, keys),
        5..=8 => sort_in_registers::<V, EightKeys, 8>(vector, keys),
        9..=16 => sort_in_registers::<V, SixteenKeys, 16>(vector, keys),
        _ => merge_exchange(vector, keys),
    }
}

/// Sorts up to `N` keys in registers, without a branch: most nodes of a full tree are that small. What is missing is filled up
/// with keys that come last.
#[inline(always)]
fn sort_in_registers<V: Vector, S: Network<N>, const N: usize>(vector: V, keys: &mut [[u32; N_LANES]]) {
    let mut words = [vector.load_words(&[u32::MAX; N_LANES]); N];
    for (word, key) in words.iter_mut().zip(&*keys) {
        *word = vector.load_words(key);
    }
    S::sort(vector, &mut words);
    for (&word, key) in words.iter().zip(keys) {
        vector.store_words(word, key);
    }
}

/// A fixed sequence of comparisons that sorts `N` keys.
trait Network<const N: usize> {
    fn sort<V: Vector>(vector: V, words: &mut [V::Words; N]);
}

macro_rules! network {
    ($(#[$doc:meta])* $name:ident, $n:literal, $(($low:literal $high:literal))*) => {
        $(#[$doc])*
        struct $name;

        impl Network<$n> for $name {
            #[inline(always)]
            fn sort<V: Vector>(vector: V, words: &mut [V::Words; $n]) {
                $(
                    let (low, high) = (words[$low], words[$high]);
                    words[$low] = vector.min(low, high);
                    words[$high] = vector.max(low, high);
                )*
            }
        }
    };
}

network! {
    /// Knuth, TAOCP 3, 5.3.4, figure 44.
    FourKeys, 4,
        (0 1) (2 3) (0 2) (1 3) (1 2)
}
network! {
    /// Likewise, figure 49.
    EightKeys, 8,
        (0 2) (1 3) (4 6) (5 7) (0 4) (1 5) (2 6) (3 7) (0 1) (2 3) (4 5) (6 7) (2 4) (3 5) (1 4) (3 6) (1 2) (3 4) (5 6)
}
network! {
    /// Batcher's odd-even merge (Knuth, TAOCP 3, 5.3.4).
    SixteenKeys, 16,
        (0 1) (2 3) (4 5) (6 7) (8 9) (10 11) (12 13) (14 15) (0 2) (1 3) (4 6) (5 7) (8 10) (9 11) (12 14) (13 15)
        (1 2) (5 6) (9 10) (13 14) (0 4) (1 5) (2 6) (3 7) (8 12) (9 13) (10 14) (11 15) (2 4) (3 5) (10 12) (11 13)
        (1 2) (3 4) (5 6) (9 10) (11 12) (13 14) (0 8) (1 9) (2 10) (3 11) (4 12) (5 13) (6 14) (7 15) (4 8) (5 9)
        (6 10) (7 11) (2 4) (3 5) (6 8) (7 9) (10 12) (11 13) (1 2) (3 4) (5 6) (7 8) (9 10) (11 12) (13 14)
}

/// Batcher's merge exchange (Knuth, TAOCP 3, 5.2.2, algorithm M), a fixed sequence of comparisons for a given length.
#[inline(always)]
fn merge_exchange<V: Vector>(vector: V, keys: &mut [[u32; N_LANES]]) {
    let n_keys = keys.len();
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
