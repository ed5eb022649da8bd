//! A contiguous run of item numbers, the unit in which work is handed out.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Items `start..end`; empty where `start == end`. `start <= end` always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemRange {
    /// The first item.
    pub start: u64,
    /// One past the last item.
    pub end: u64,
}

impl ItemRange {
    /// Items `start..end`; an `end` before `start` gives the empty range at `start`.
    #[must_use]
    pub fn new(start: u64, end: u64) -> Self {
        Self { start, end: end.max(start) }
    }

    /// The one item `item`.
    #[must_use]
    pub fn one(item: u64) -> Self {
        Self { start: item, end: item + 1 }
    }

    /// How many items.
    #[must_use]
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Whether `item` is one of these.
    #[must_use]
    pub fn contains(self, item: u64) -> bool {
        self.start <= item && item < self.end
    }

    /// The items that are in both.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// The items before `at` and those from `at` on.
    #[must_use]
    pub fn split_at(self, at: u64) -> (Self, Self) {
        let at = at.clamp(self.start, self.end);
        (Self::new(self.start, at), Self::new(at, self.end))
    }
}

impl fmt::Display for ItemRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len() {
            0 => write!(f, "no items"),
            1 => write!(f, "item {}", self.start),
            _ => write!(f, "items {}-{}", self.start, self.end - 1),
        }
    }
}
