//! The ranking metrics, each a function of where a list's relevant items stand. Sums run in rank order. The edges are told in the
//! table of the parent module. This file must not know a truth, nor items.

use super::column::Metric;
use super::truth::Hit;
use super::weights::RankWeights;

/// A list up to a cutoff, held against a user's truth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged<'a> {
    /// Relevant items, ascending by rank.
    pub(super) hits: &'a [Hit],
    /// Items of the list up to the cutoff.
    pub(super) n_listed: usize,
    /// Items of the truth.
    pub(super) n_relevant: usize,
    /// The cutoff, `usize::MAX` for none.
    pub(super) cutoff: usize,
    /// What ranks weigh.
    pub(super) weights: &'a RankWeights,
    /// See [`Scratch`](super::Scratch).
    pub(super) ideal_graded_dcg: &'a [f64],
    /// See [`Settings`](super::Settings).
    pub(super) patience: f64,
}

impl Judged<'_> {
    /// The metric's value, NaN where it is undefined.
    pub(super) fn measure(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Ndcg => self.ndcg(),
            Metric::GradedNdcg => self.graded_ndcg(),
            Metric::Dcg => self.dcg(),
            Metric::GradedDcg => self.graded_dcg(),
            Metric::Precision => self.precision(),
            Metric::Recall => self.recall(),
            Metric::Hit => self.hit(),
            Metric::ReciprocalRank => self.reciprocal_rank(),
            Metric::AveragePrecision => self.average_precision(),
            Metric::Rbp => self.rbp(),
        }
    }

    /// Sum of the weights at the hits. NaN if nothing is relevant.
    fn dcg(&self) -> f64 {
        if self.n_relevant == 0 { f64::NAN } else { self.sum_at_hits(&self.weights.log, |_| 1.0) }
    }

    /// DCG over that of a list which begins with min(cutoff, relevant items) relevant ones, even if this list is shorter than that.
    /// NaN if nothing is relevant.
    fn ndcg(&self) -> f64 {
        let ideal = self.weights.ideal_dcg.get(self.n_relevant.min(self.cutoff));
        self.dcg() / ideal.copied().unwrap_or(f64::NAN)
    }

    /// Sum of ratings times weights at the hits. NaN if no relevant item has a rating.
    fn graded_dcg(&self) -> f64 {
        if self.ideal_graded_dcg.is_empty() { f64::NAN } else { self.sum_at_hits(&self.weights.log, |hit| hit.gain) }
    }

    /// Graded DCG over that of the relevant items in the order of their ratings, up to the cutoff. NaN if no relevant item has a
    /// rating, 0 if no rating is above 0.
    fn graded_ndcg(&self) -> f64 {
        let n_ideal = self.ideal_graded_dcg.len().saturating_sub(1).min(self.cutoff);
        match self.ideal_graded_dcg.get(n_ideal) {
            Some(0.0) => 0.0,
            Some(ideal) => self.graded_dcg() / ideal,
            None => f64::NAN,
        }
    }

    /// Hits over the list's length, which may be less than the cutoff. NaN for an empty list.
    fn precision(&self) -> f64 {
        // 0 / 0 is NaN.
        self.hits.len() as f64 / self.n_listed as f64
    }

    /// Hits over min(cutoff, relevant items): a list can reach 1 even if more is relevant than fits. NaN if nothing is relevant.
    fn recall(&self) -> f64 {
        self.hits.len() as f64 / self.n_relevant.min(self.cutoff) as f64
    }

    /// 1 if there is a hit, 0 if not. NaN if nothing is relevant.
    fn hit(&self) -> f64 {
        if self.n_relevant == 0 { f64::NAN } else { f64::from(u8::from(!self.hits.is_empty())) }
    }

    /// 1 over the rank of the first hit, 0 if there is none. NaN if nothing is relevant.
    fn reciprocal_rank(&self) -> f64 {
        match self.hits.first() {
            Some(first) => 1.0 / (first.rank_idx + 1) as f64,
            None if self.n_relevant == 0 => f64::NAN,
            None => 0.0,
        }
    }

    /// Sum of the precisions at the hits over min(list's length, relevant items). NaN for an empty list and if nothing is relevant.
    fn average_precision(&self) -> f64 {
        let precisions = self.hits.iter().zip(1..).map(|(hit, n_hits)| f64::from(n_hits) / (hit.rank_idx + 1) as f64);
        precisions.fold(0.0, |sum, precision| sum + precision) / self.n_listed.min(self.n_relevant) as f64
    }

    /// (1 - patience) · Σ patience^(rank - 1) over the hits (Moffat and Zobel, "Rank-biased precision for measurement of retrieval
    /// effectiveness", ACM TOIS 27(1), 2008): 1 is an endless list of relevant items, which no finite truth allows. NaN if nothing is
    /// relevant.
    fn rbp(&self) -> f64 {
        if self.n_relevant == 0 { f64::NAN } else { (1.0 - self.patience) * self.sum_at_hits(&self.weights.geometric, |_| 1.0) }
    }

    fn sum_at_hits(&self, weights: &[f64], gain: impl Fn(&Hit) -> f64) -> f64 {
        let terms = self.hits.iter().filter_map(|hit| weights.get(hit.rank_idx).map(|weight| gain(hit) * weight));
        // Not `sum`, which begins with -0.0.
        terms.fold(0.0, |sum, term| sum + term)
    }
}
