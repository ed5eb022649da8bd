//! Sums of the users' rows, with counts of what was met. This file must not know lists or metrics; users may come in any order and
//! division.

use super::evaluator::ListFacts;
use super::exact_sum::ExactSum;

/// One metric over users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnTotal {
    /// Lists for which the metric is defined.
    pub n_defined: u64,
    /// Sum over those.
    pub sum: ExactSum,
}

impl ColumnTotal {
    /// Mean over the lists for which the metric is defined, as LensKit 2026.4 has it; NaN if there is none.
    pub fn mean(&self) -> f64 {
        self.sum.value() / self.n_defined as f64
    }

    /// Mean over `n_lists` lists, where those for which the metric is undefined count 0, as LensKit 2025.8 has it; NaN if there is
    /// none.
    pub fn mean_with_undefined_as_0(&self, n_lists: u64) -> f64 {
        self.sum.value() / n_lists as f64
    }
}

/// All metrics over users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// A total for each column of a row.
    pub columns: Vec<ColumnTotal>,
    /// Users with a list, be it empty.
    pub n_lists: u64,
    /// Lists of no item.
    pub n_empty_lists: u64,
    /// Lists of users for whom nothing is relevant.
    pub n_lists_without_truth: u64,
    /// Users with a truth and no list; they enter no mean.
    pub n_truths_without_list: u64,
    /// Hits that a list had named before.
    pub n_repeated_hits: u64,
    /// Items of a truth that it had named before.
    pub n_repeated_truth: u64,
}

impl Totals {
    /// No user yet, for rows of `n_columns`.
    pub fn new(n_columns: usize) -> Self {
        Self { columns: vec![ColumnTotal::default(); n_columns], ..Self::default() }
    }

    /// Adds a user's row, NaN where a metric is undefined.
    pub fn add(&mut self, row: &[f64], facts: ListFacts) {
        self.n_lists += 1;
        self.n_empty_lists += u64::from(facts.n_listed == 0);
        self.n_lists_without_truth += u64::from(facts.n_relevant == 0);
        self.n_repeated_hits += facts.n_repeated_hits as u64;
        self.n_repeated_truth += facts.n_repeated_truth as u64;
        for (total, &value) in self.columns.iter_mut().zip(row).filter(|(_, value)| !value.is_nan()) {
            total.n_defined += 1;
            total.sum.add(value);
        }
    }

    /// Counts a user who has a truth and no list.
    pub fn add_truth_without_list(&mut self) {
        self.n_truths_without_list += 1;
    }

    /// Adds another part of the users, with rows of the same columns.
    pub fn merge(&mut self, other: &Self) {
        for (total, more) in self.columns.iter_mut().zip(&other.columns) {
            total.n_defined += more.n_defined;
            total.sum.merge(&more.sum);
        }
        self.n_lists += other.n_lists;
        self.n_empty_lists += other.n_empty_lists;
        self.n_lists_without_truth += other.n_lists_without_truth;
        self.n_truths_without_list += other.n_truths_without_list;
        self.n_repeated_hits += other.n_repeated_hits;
        self.n_repeated_truth += other.n_repeated_truth;
    }
}
