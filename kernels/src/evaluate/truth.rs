//! What a user truly chose, and the memory in which a list is held against it. This file must not know a metric.

use super::weights::RankWeights;
use thiserror::Error;

/// The items that a user truly chose, in any order, with their ratings where there are any.
#[derive(Clone, Copy, Debug)]
pub struct Truth<'a> {
    items: &'a [u32],
    ratings: Option<&'a [f32]>,
}

/// Two arrays that should be equally long and are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{n_items} items have {n_values} values; give one for each")]
pub struct LengthMismatch {
    /// Length of the array of items.
    pub n_items: usize,
    /// Length of the array of values.
    pub n_values: usize,
}

impl LengthMismatch {
    /// Refuses values that are not one for each item.
    pub(super) fn check<T>(items: &[u32], values: &[T]) -> Result<(), Self> {
        let (n_items, n_values) = (items.len(), values.len());
        if n_items == n_values { Ok(()) } else { Err(Self { n_items, n_values }) }
    }
}

impl<'a> Truth<'a> {
    /// Items alone.
    pub fn of_items(items: &'a [u32]) -> Self {
        Self { items, ratings: None }
    }

    /// Items and a rating for each; NaN says that one is missing.
    pub fn with_ratings(items: &'a [u32], ratings: &'a [f32]) -> Result<Self, LengthMismatch> {
        LengthMismatch::check(items, ratings)?;
        Ok(Self { items, ratings: Some(ratings) })
    }

    /// Whether the items have ratings.
    pub fn has_ratings(&self) -> bool {
        self.ratings.is_some()
    }
}

/// A relevant item of a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hit {
    /// Its rank, from 0 on.
    pub(super) rank_idx: usize,
    /// Its rating where that is positive, or else 0.
    pub(super) gain: f64,
}

/// One item of the truth, ready to be found.
#[derive(Clone, Copy, Debug)]
struct Relevant {
    item: u32,
    /// NaN where it is missing.
    rating: f32,
    is_found: bool,
}

/// Memory for one user after the other; it grows to the longest list and truth and stays. One for each thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// Ascending by item, each item once.
    relevant: Vec<Relevant>,
    /// Ascending by rank.
    pub(super) hits: Vec<Hit>,
    /// At n: the graded DCG of the n best items in the best order. Empty where no item has a rating.
    pub(super) ideal_graded_dcg: Vec<f64>,
    pub(super) weights: RankWeights,
    gains: Vec<f64>,
}

impl Scratch {
    pub(super) fn n_relevant(&self) -> usize {
        self.relevant.len()
    }

    /// Takes the truth of the next user. Returns how many of its items were named before; the largest rating counts.
    pub(super) fn load(&mut self, truth: Truth<'_>) -> usize {
        let rating_of = |idx: usize| truth.ratings.and_then(|ratings| ratings.get(idx)).copied().unwrap_or(f32::NAN);
        self.relevant.clear();
        self.relevant.extend(truth.items.iter().enumerate().map(|(idx, &item)| Relevant { item, rating: rating_of(idx), is_found: false }));
        // A missing rating is the least of all.
        let key = |relevant: &Relevant| if relevant.rating.is_nan() { f32::NEG_INFINITY } else { relevant.rating };
        self.relevant.sort_unstable_by(|a, b| a.item.cmp(&b.item).then_with(|| key(b).total_cmp(&key(a))));
        self.relevant.dedup_by_key(|relevant| relevant.item);
        truth.items.len() - self.relevant.len()
    }

    /// The rating of an item of the loaded truth (NaN where it is missing), which is now taken, or `None` where the truth lacks it.
    pub(super) fn take(&mut self, item: u32) -> Option<f32> {
        let position = self.position(item)?;
        let relevant = self.relevant.get_mut(position)?;
        relevant.is_found = true;
        Some(relevant.rating)
    }

    /// How many items of the loaded truth have a rating and were not taken.
    pub(super) fn n_rated_left(&self) -> usize {
        self.relevant.iter().filter(|relevant| !relevant.is_found && !relevant.rating.is_nan()).count()
    }

    fn position(&self, item: u32) -> Option<usize> {
        self.relevant.binary_search_by_key(&item, |relevant| relevant.item).ok()
    }

    /// Gathers the hits of a list. Returns how many of them are items that the list has named before.
    pub(super) fn find_hits(&mut self, list: &[u32]) -> usize {
        self.hits.clear();
        let mut n_repeated = 0;
        for (rank_idx, &item) in list.iter().enumerate() {
            let Some(relevant) = self.position(item).and_then(|position| self.relevant.get_mut(position)) else { continue };
            n_repeated += usize::from(relevant.is_found);
            relevant.is_found = true;
            self.hits.push(Hit { rank_idx, gain: gain_of(relevant.rating) });
        }
        n_repeated
    }

    /// The best graded DCG that the loaded truth allows, for lists up to the length for which there are weights.
    pub(super) fn find_graded_ideal(&mut self) {
        self.ideal_graded_dcg.clear();
        if self.relevant.iter().all(|relevant| relevant.rating.is_nan()) {
            return;
        }
        self.gains.clear();
        self.gains.extend(self.relevant.iter().map(|relevant| gain_of(relevant.rating)));
        self.gains.sort_unstable_by(|a, b| b.total_cmp(a));
        let mut ideal = 0.0;
        self.ideal_graded_dcg.push(ideal);
        for (gain, weight) in self.gains.iter().zip(&self.weights.log) {
            ideal += gain * weight;
            self.ideal_graded_dcg.push(ideal);
        }
    }
}

fn gain_of(rating: f32) -> f64 {
    // `max` takes 0 where the rating is NaN.
    f64::from(rating.max(0.0))
}
