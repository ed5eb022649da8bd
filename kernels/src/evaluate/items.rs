//! Which items of the catalogue lists reach, and how evenly. This file must not know users, ranks or truths.

use thiserror::Error;

/// An item of a list that the catalogue lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("item {item} is not one of the catalogue's {n_items}")]
pub struct ItemOutOfRange {
    /// The item's index.
    pub item: u32,
    /// Size of the catalogue.
    pub n_items: usize,
}

impl ItemOutOfRange {
    fn check(list: &[u32], n_items: usize) -> Result<(), Self> {
        match list.iter().find(|&&item| item as usize >= n_items) {
            Some(&item) => Err(Self { item, n_items }),
            None => Ok(()),
        }
    }
}

/// The items that any list names: a bit for each item of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemCoverage {
    n_items: usize,
    words: Vec<u64>,
}

impl ItemCoverage {
    /// No item of a catalogue of `n_items`.
    pub fn new(n_items: usize) -> Self {
        Self { n_items, words: vec![0; n_items.div_ceil(64)] }
    }

    /// Adds the items of a list, cut to the cutoff by the caller. A list that names an item beyond the catalogue adds nothing.
    pub fn add(&mut self, list: &[u32]) -> Result<(), ItemOutOfRange> {
        ItemOutOfRange::check(list, self.n_items)?;
        for &item in list {
            self.words[item as usize / 64] |= 1 << (item % 64);
        }
        Ok(())
    }

    /// Adds the items of another part of the users; a catalogue that is larger makes this one so.
    pub fn merge(&mut self, other: &Self) {
        self.n_items = self.n_items.max(other.n_items);
        self.words.resize(self.n_items.div_ceil(64), 0);
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// How many items are covered.
    pub fn n_covered(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The covered share of the catalogue; NaN for an empty one.
    pub fn share(&self) -> f64 {
        self.n_covered() as f64 / self.n_items as f64
    }

    /// The bits, item 0 lowest in the first word.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// A set from its bits; `None` if they are not those of a catalogue of `n_items`.
    pub fn from_words(n_items: usize, words: Vec<u64>) -> Option<Self> {
        let n_unused = words.len() * 64 - n_items.min(words.len() * 64);
        let is_within = words.len() == n_items.div_ceil(64) && words.last().is_none_or(|last| last.leading_zeros() as usize >= n_unused);
        is_within.then_some(Self { n_items, words })
    }
}

/// How many times lists name each item of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemExposure {
    counts: Vec<u64>,
}

impl ItemExposure {
    /// No list yet, for a catalogue of `n_items`.
    pub fn new(n_items: usize) -> Self {
        Self { counts: vec![0; n_items] }
    }

    /// What another part of the users has counted, item by item.
    pub fn from_counts(counts: Vec<u64>) -> Self {
        Self { counts }
    }

    /// Counts the items of a list, cut to the cutoff by the caller. A list that names an item beyond the catalogue counts nothing.
    pub fn add(&mut self, list: &[u32]) -> Result<(), ItemOutOfRange> {
        ItemOutOfRange::check(list, self.counts.len())?;
        for &item in list {
            self.counts[item as usize] += 1;
        }
        Ok(())
    }

    /// Adds the counts of another part of the users; a catalogue that is larger makes this one so.
    pub fn merge(&mut self, other: &Self) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// The count of each item.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The Gini coefficient of the counts: 0 where every item is named equally often, near 1 where one item is named alone. With the
    /// counts in ascending order, Σ (2·i - n - 1)·count_i / (n·Σ count_i) for i = 1…n, as LensKit's `ListGini` has it; items that no
    /// list names count as 0. NaN if nothing was counted.
    pub fn gini(&self) -> f64 {
        let mut ascending = self.counts.clone();
        ascending.sort_unstable();
        let n_items = ascending.len() as i128;
        // Integers, so that nothing is rounded before the division.
        let weighted: i128 = ascending.iter().zip(1..).map(|(&count, i)| (2 * i - n_items - 1) * i128::from(count)).sum();
        let total: i128 = ascending.iter().map(|&count| i128::from(count)).sum();
        weighted as f64 / (n_items * total) as f64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn coverage_counts_distinct_items() {
        let mut first = ItemCoverage::new(130);
        first.add(&[0, 5, 129, 5]).unwrap();
        let mut second = ItemCoverage::new(130);
        second.add(&[64, 5]).unwrap();
        assert_eq!(second.add(&[1, 130]), Err(ItemOutOfRange { item: 130, n_items: 130 }));
        first.merge(&second);
        assert_eq!(first.n_covered(), 4, "nothing of the refused list was added");
        assert_eq!(first.share(), 4.0 / 130.0);
        assert_eq!(ItemCoverage::from_words(130, first.words().to_vec()), Some(first.clone()));
        assert_eq!(ItemCoverage::from_words(129, first.words().to_vec()), None, "item 129 is beyond");
        assert_eq!(ItemCoverage::from_words(200, first.words().to_vec()), None);
        assert_eq!(ItemCoverage::from_words(0, vec![]).map(|none| none.n_covered()), Some(0));
        assert!(ItemCoverage::new(0).share().is_nan());
    }

    #[test]
    fn gini_is_the_mean_difference_over_twice_the_mean() {
        for counts in [vec![1, 1, 1, 1], vec![0, 0, 0, 8], vec![3, 0, 7, 2, 2], vec![5]] {
            let n = counts.len() as f64;
            let differences: f64 = counts.iter().flat_map(|&a: &u64| counts.iter().map(move |&b| a.abs_diff(b) as f64)).sum();
            let naive = differences / (2.0 * n * counts.iter().sum::<u64>() as f64);
            let gini = ItemExposure::from_counts(counts.clone()).gini();
            assert!((gini - naive).abs() < 1e-15, "{counts:?}: {gini} {naive}");
        }
        let mut exposure = ItemExposure::new(4);
        assert!(exposure.gini().is_nan());
        exposure.add(&[3, 3]).unwrap();
        exposure.merge(&ItemExposure::from_counts(vec![0, 0, 0, 6]));
        assert_eq!((exposure.counts(), exposure.gini()), ([0, 0, 0, 8].as_slice(), 0.75));
        assert!(exposure.add(&[4]).is_err());
    }
}
