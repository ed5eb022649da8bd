//! Which numbers are asked for: metrics, cutoffs and their names. This file must not know how a metric is computed.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use thiserror::Error;

/// A measure of one user's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Normalised discounted cumulative gain, where every item of the truth gains 1.
    Ndcg,
    /// Normalised discounted cumulative gain, where an item of the truth gains its rating.
    GradedNdcg,
    /// Discounted cumulative gain, where every item of the truth gains 1.
    Dcg,
    /// Discounted cumulative gain, where an item of the truth gains its rating.
    GradedDcg,
    /// Share of the list that is relevant.
    Precision,
    /// Share of the relevant items that are in the list.
    Recall,
    /// Whether any item of the list is relevant.
    Hit,
    /// One over the rank of the first relevant item.
    ReciprocalRank,
    /// Mean of the precisions at the ranks of relevant items.
    AveragePrecision,
    /// Rank-biased precision.
    Rbp,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Ndcg,
        Self::GradedNdcg,
        Self::Dcg,
        Self::GradedDcg,
        Self::Precision,
        Self::Recall,
        Self::Hit,
        Self::ReciprocalRank,
        Self::AveragePrecision,
        Self::Rbp,
    ];

    /// The name in commands and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ndcg => "ndcg",
            Self::GradedNdcg => "graded_ndcg",
            Self::Dcg => "dcg",
            Self::GradedDcg => "graded_dcg",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::Hit => "hit",
            Self::ReciprocalRank => "reciprocal_rank",
            Self::AveragePrecision => "average_precision",
            Self::Rbp => "rbp",
        }
    }

    /// Whether the truth must come with ratings.
    pub fn needs_ratings(self) -> bool {
        matches!(self, Self::GradedNdcg | Self::GradedDcg)
    }
}

/// A metric's name that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no metric {name:?}; name one of {}", Metric::ALL.map(Metric::name).join(", "))]
pub struct UnknownMetric {
    /// What was given.
    pub name: String,
}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Self, UnknownMetric> {
        Self::ALL.into_iter().find(|metric| metric.name() == name).ok_or_else(|| UnknownMetric { name: name.to_owned() })
    }
}

/// How much of a list counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cutoff {
    /// Its first items, at most so many.
    At(NonZeroU32),
    /// All of it, however long.
    WholeList,
}

impl Cutoff {
    /// The most items that count.
    pub(super) fn limit(self) -> usize {
        match self {
            Self::At(n) => n.get() as usize,
            Self::WholeList => usize::MAX,
        }
    }
}

/// One number of a user's row; written `ndcg@10`, or `ndcg` for the whole list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// What is measured.
    pub metric: Metric,
    /// On how much of the list.
    pub cutoff: Cutoff,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cutoff {
            Cutoff::At(n) => write!(f, "{}@{n}", self.metric.name()),
            Cutoff::WholeList => f.write_str(self.metric.name()),
        }
    }
}
