//! Columns as workloads see them: numbers as f64, text as codes into sorted levels, and ids exact to the last digit.

use serde::{Deserialize, Serialize};

/// The code of a missing text value.
pub const MISSING_CODE: u32 = u32::MAX;
/// The code of a text value that is not among the levels that were given.
pub const UNSEEN_CODE: u32 = u32::MAX - 1;

/// One whole column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Numbers, and what can be ordered like numbers.
    Numeric(NumericColumn),
    /// Text.
    Text(TextColumn),
}

impl Column {
    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Numeric(column) => column.values.len(),
            Self::Text(column) => column.codes.len(),
        }
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values are missing.
    #[must_use]
    pub fn n_missing(&self) -> usize {
        match self {
            Self::Numeric(column) => column.values.iter().filter(|value| value.is_nan()).count(),
            Self::Text(column) => column.codes.iter().filter(|&&code| code == MISSING_CODE).count(),
        }
    }
}

/// A column of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct NumericColumn {
    /// One per row; NaN is a missing value. Integers beyond 2^53 are rounded: where they are ids, read them as [`Ids`].
    pub values: Vec<f64>,
    /// What the numbers stand for.
    pub kind: NumericKind,
}

/// What the numbers of a column stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumericKind {
    /// 0 is false, 1 is true.
    Bool,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Float,
    /// Days since 1970-01-01.
    Date,
    /// Seconds since 1970-01-01T00:00:00Z; times without an offset are taken as UTC.
    Timestamp,
}

impl NumericKind {
    /// The kind that can hold values of both, or `None` where they do not go together.
    #[must_use]
    pub(crate) fn join(self, other: Self) -> Option<Self> {
        match (self, other) {
            (a, b) if a == b => Some(a),
            (Self::Integer, Self::Float) | (Self::Float, Self::Integer) => Some(Self::Float),
            (Self::Date, Self::Timestamp) | (Self::Timestamp, Self::Date) => Some(Self::Timestamp),
            _ => None,
        }
    }

    /// What one of this kind is multiplied with to become one of `other`; `None` where that would be another quantity.
    #[must_use]
    pub(crate) fn factor_to(self, other: Self) -> Option<f64> {
        let is_plain = |kind| matches!(kind, Self::Bool | Self::Integer | Self::Float);
        match (self, other) {
            (a, b) if a == b || (is_plain(a) && is_plain(b)) => Some(1.0),
            (Self::Date, Self::Timestamp) => Some(SECONDS_PER_DAY),
            _ => None,
        }
    }

    /// What a person calls such a column.
    #[must_use]
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Integer => "whole numbers",
            Self::Float => "numbers",
            Self::Date => "dates",
            Self::Timestamp => "dates with times",
        }
    }
}

/// Days become seconds.
pub(crate) const SECONDS_PER_DAY: f64 = 86_400.0;

/// A column of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextColumn {
    /// One per row: place in `levels`, or [`MISSING_CODE`].
    pub codes: Vec<u32>,
    /// The distinct values, sorted by their bytes; every one is used, so equal columns have equal codes.
    pub levels: Vec<String>,
}

/// Ids of users, items or rows, exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// Whole numbers.
    Int(Vec<i64>),
    /// Text; no code is [`MISSING_CODE`].
    Text(TextColumn),
}

impl Ids {
    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Int(ids) => ids.len(),
            Self::Text(column) => column.codes.len(),
        }
    }

    /// The id of a row as a person reads it; empty behind the last row.
    #[must_use]
    pub fn shown(&self, row: usize) -> String {
        match self {
            Self::Int(ids) => ids.get(row).map(ToString::to_string),
            Self::Text(column) => column.codes.get(row).and_then(|&code| column.levels.get(code as usize).cloned()),
        }
        .unwrap_or_default()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
