//! Which rows a tree sees and how often, drawn again from the seed wherever it is asked for, so that nothing is stored for
//! out-of-bag work. This room must not know what a tree does with its rows.

use super::error::ForestError;
use crate::draws::Draws;

/// The draws of one tree's bag; the tree's own nodes use [`NODE_DRAWS`].
const BAG_DRAWS: u64 = 1;
/// The stage of the draws inside a tree.
pub(super) const NODE_DRAWS: u64 = 2;

/// Largest bootstrap in draws per row. At this size a count is nearly Poisson(16), and one above 255, which a byte could not
/// hold, has a chance below 1e-180.
const MAX_DRAWS_PER_ROW: u64 = 16;

/// How a tree's rows are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// This many draws with replacement.
    Bootstrap {
        /// Usually the number of rows.
        n_draws: u64,
    },
    /// This many different rows.
    Subsample {
        /// At most the number of rows.
        n_rows: u64,
    },
    /// Every row once. There are no out-of-bag rows then.
    All,
}

impl Sampling {
    pub(super) fn check(self, n_rows: usize) -> Result<(), ForestError> {
        let n_rows = n_rows as u64;
        match self {
            Self::Bootstrap { n_draws } if !(1..=n_rows * MAX_DRAWS_PER_ROW).contains(&n_draws) || n_draws > u64::from(u32::MAX) => {
                Err(ForestError::Setting("a bootstrap must draw at least one row and at most 16 times as many as there are"))
            }
            Self::Subsample { n_rows: drawn } if !(1..=n_rows).contains(&drawn) => {
                Err(ForestError::Setting("a subsample must draw at least one row and no more than there are"))
            }
            _ => Ok(()),
        }
    }
}

impl Sampling {
    /// Draws for one tree from this many rows.
    pub(super) fn n_draws(self, n_rows: usize) -> u64 {
        match self {
            Self::Bootstrap { n_draws } => n_draws,
            Self::Subsample { n_rows: drawn } => drawn,
            Self::All => n_rows as u64,
        }
    }
}

/// How often each row is in the bag of one tree.
#[derive(Clone, Debug)]
pub struct InBag {
    counts: Vec<u8>,
}

impl InBag {
    /// Draws the bag of a tree: always the same for the same arguments.
    pub fn draw(sampling: Sampling, n_rows: usize, seed: u64, tree_idx: u64) -> Self {
        let mut draws = Draws::new(seed, BAG_DRAWS, tree_idx);
        let counts = match sampling {
            Sampling::Bootstrap { n_draws } => bootstrap(&mut draws, n_rows, n_draws),
            Sampling::Subsample { n_rows: n_drawn } => subsample(&mut draws, n_rows, n_drawn),
            Sampling::All => vec![1; n_rows],
        };
        Self { counts }
    }

    /// How often a row was drawn.
    pub fn count(&self, row: usize) -> u8 {
        self.counts.get(row).copied().unwrap_or(0)
    }

    /// The same of every row, owned.
    pub fn into_counts(self) -> Vec<u8> {
        self.counts
    }

    /// The same of every row.
    pub fn counts(&self) -> &[u8] {
        &self.counts
    }

    /// Which rows are in the bag, a bit each: row r is bit r % 64 of word r / 64.
    pub fn to_bits(&self) -> Vec<u64> {
        let word = |counts: &[u8]| counts.iter().rev().fold(0, |word, &count| word << 1 | u64::from(count > 0));
        self.counts.chunks(64).map(word).collect()
    }
}

fn bootstrap(draws: &mut Draws, n_rows: usize, n_draws: u64) -> Vec<u8> {
    let mut counts = vec![0u8; n_rows];
    for _ in 0..n_draws {
        let row = draws.below(n_rows as u64) as usize;
        if let Some(count) = counts.get_mut(row) {
            *count = count.saturating_add(1);
        }
    }
    counts
}

/// Selection sampling (Knuth, TAOCP 2, 3.4.2, algorithm S): each row is taken with the chance (still needed) / (still to come).
fn subsample(draws: &mut Draws, n_rows: usize, n_drawn: u64) -> Vec<u8> {
    let mut needed = n_drawn;
    let rows_to_come = (1..=n_rows as u64).rev();
    rows_to_come
        .map(|to_come| {
            let taken = draws.below(to_come) < needed;
            needed -= u64::from(taken);
            u8::from(taken)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootstrap_draws_as_often_as_asked() {
        let bag = InBag::draw(Sampling::Bootstrap { n_draws: 1000 }, 1000, 5, 0);
        assert_eq!(bag.counts().iter().map(|&c| u32::from(c)).sum::<u32>(), 1000);
        let distinct = bag.counts().iter().filter(|&&c| c > 0).count();
        assert!((590..680).contains(&distinct), "{distinct} rows in bag, about 632 expected");
        assert_eq!(bag.counts(), InBag::draw(Sampling::Bootstrap { n_draws: 1000 }, 1000, 5, 0).counts());
        assert_ne!(bag.counts(), InBag::draw(Sampling::Bootstrap { n_draws: 1000 }, 1000, 5, 1).counts());
    }

    #[test]
    fn a_subsample_has_its_size_and_favours_no_row() {
        let mut times = [0u32; 10];
        for tree in 0..20_000 {
            let bag = InBag::draw(Sampling::Subsample { n_rows: 3 }, 10, 5, tree);
            assert_eq!(bag.counts().iter().map(|&c| u32::from(c)).sum::<u32>(), 3);
            times.iter_mut().zip(bag.counts()).for_each(|(t, &c)| *t += u32::from(c));
        }
        assert!(times.iter().all(|&t| (5_700..6_300).contains(&t)), "{times:?}");
    }

    #[test]
    fn impossible_samples_are_refused() {
        assert!(Sampling::Bootstrap { n_draws: 0 }.check(5).is_err());
        assert!(Sampling::Bootstrap { n_draws: 81 }.check(5).is_err());
        assert!(Sampling::Subsample { n_rows: 6 }.check(5).is_err());
        assert!(Sampling::Subsample { n_rows: 5 }.check(5).is_ok());
    }
}
