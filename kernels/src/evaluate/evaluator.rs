//! From a user's list and truth to the user's row of numbers. This file must not know how a metric is computed, nor other users.

use super::column::{Column, Cutoff, Metric};
use super::ranking::Judged;
use super::truth::{Scratch, Truth};
use super::weights::Settings;
use thiserror::Error;

/// Settings that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum SettingsError {
    /// Nothing would be measured.
    #[error("no metric or no cutoff is given; name at least one of each")]
    NoColumns,
    /// The patience is not within bounds.
    #[error("the patience of RBP is {0}; it must be above 0 and below 1")]
    Patience(f64),
}

/// A list that cannot be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MeasureError {
    /// A graded metric is asked for, and the truth is one of items alone.
    #[error("the truth has no ratings, which {} needs; give ratings or leave the metric out", .0.name())]
    NoRatings(Metric),
}

/// What was met in a list and its truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListFacts {
    /// Items of the list, those beyond every cutoff included.
    pub n_listed: usize,
    /// Distinct items of the truth.
    pub n_relevant: usize,
    /// Hits within the largest cutoff that the list had named before.
    pub n_repeated_hits: usize,
    /// Items of the truth that it had named before.
    pub n_repeated_truth: usize,
}

/// Measures lists, one user after the other; users may be divided over threads, each with a [`Scratch`] of its own.
#[derive(Clone, Debug)]
pub struct Evaluator {
    columns: Vec<Column>,
    settings: Settings,
    /// The most items of a list that count in any column.
    largest_cutoff: usize,
    /// A metric that needs ratings.
    graded: Option<Metric>,
}

impl Evaluator {
    /// Measures every metric at every cutoff.
    pub fn new(metrics: &[Metric], cutoffs: &[Cutoff], settings: Settings) -> Result<Self, SettingsError> {
        if !(settings.patience > 0.0 && settings.patience < 1.0) {
            return Err(SettingsError::Patience(settings.patience));
        }
        let columns: Vec<Column> =
            metrics.iter().flat_map(|&metric| cutoffs.iter().map(move |&cutoff| Column { metric, cutoff })).collect();
        let largest_cutoff = cutoffs.iter().map(|cutoff| cutoff.limit()).max().filter(|_| !columns.is_empty());
        let graded = metrics.iter().copied().find(|metric| metric.needs_ratings());
        Ok(Self { columns, settings, largest_cutoff: largest_cutoff.ok_or(SettingsError::NoColumns)?, graded })
    }

    /// What the numbers of a row are, in order: metric by metric, each at all cutoffs.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Measures the list of one user, item indices with the best first, and puts a number for each of [`Self::columns`] into `row`:
    /// NaN where the metric is undefined. Nothing is allocated once `scratch` and `row` have grown to the longest list and truth.
    pub fn measure(&self, list: &[u32], truth: Truth<'_>, scratch: &mut Scratch, row: &mut Vec<f64>) -> Result<ListFacts, MeasureError> {
        if let Some(metric) = self.graded.filter(|_| !truth.has_ratings()) {
            return Err(MeasureError::NoRatings(metric));
        }
        let counting = &list[..list.len().min(self.largest_cutoff)];
        let n_repeated_truth = scratch.load(truth);
        let n_relevant = scratch.n_relevant();
        scratch.weights.prepare(self.settings, counting.len().max(n_relevant.min(self.largest_cutoff)));
        let n_repeated_hits = scratch.find_hits(counting);
        if self.graded.is_some() {
            scratch.find_graded_ideal();
        }
        row.clear();
        row.extend(self.columns.iter().map(|&column| self.value(column, counting.len(), scratch)));
        Ok(ListFacts { n_listed: list.len(), n_relevant, n_repeated_hits, n_repeated_truth })
    }

    fn value(&self, column: Column, n_listed: usize, scratch: &Scratch) -> f64 {
        let cutoff = column.cutoff.limit();
        let n_hits = scratch.hits.partition_point(|hit| hit.rank_idx < cutoff);
        let judged = Judged {
            hits: &scratch.hits[..n_hits],
            n_listed: n_listed.min(cutoff),
            n_relevant: scratch.n_relevant(),
            cutoff,
            weights: &scratch.weights,
            ideal_graded_dcg: &scratch.ideal_graded_dcg,
            patience: self.settings.patience,
        };
        judged.measure(column.metric)
    }
}
