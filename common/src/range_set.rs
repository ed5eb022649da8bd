//! A set of item numbers kept as disjoint, sorted intervals: 10^8 items cost a few dozen bytes while work goes on in order.

use crate::range::ItemRange;
use std::collections::BTreeMap;

/// Disjoint intervals; neighbours that touch are always merged, so equal sets have equal representations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// start → end.
    intervals: BTreeMap<u64, u64>,
    n_items: u64,
}

impl RangeSet {
    /// The set of one range.
    #[must_use]
    pub fn of(range: ItemRange) -> Self {
        let mut set = Self::default();
        set.insert(range);
        set
    }

    /// How many items.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.n_items
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n_items == 0
    }

    /// How many intervals: what the set costs in memory.
    #[must_use]
    pub fn n_intervals(&self) -> usize {
        self.intervals.len()
    }

    /// The interval with the lowest items.
    #[must_use]
    pub fn first(&self) -> Option<ItemRange> {
        self.intervals.first_key_value().map(|(&start, &end)| ItemRange::new(start, end))
    }

    /// The intervals in order.
    pub fn iter(&self) -> impl Iterator<Item = ItemRange> + '_ {
        self.intervals.iter().map(|(&start, &end)| ItemRange::new(start, end))
    }

    /// Whether `item` is in it.
    #[must_use]
    pub fn contains(&self, item: u64) -> bool {
        self.intervals.range(..=item).next_back().is_some_and(|(_, &end)| item < end)
    }

    /// The parts of `range` that are in the set, in order.
    pub fn intersection(&self, range: ItemRange) -> impl Iterator<Item = ItemRange> + '_ {
        let from = self.intervals.range(..=range.start).next_back().map_or(range.start, |(&start, _)| start);
        self.intervals
            .range(from..range.end.max(from))
            .map(move |(&start, &end)| ItemRange::new(start, end).intersect(range))
            .filter(|part| !part.is_empty())
    }

    /// The parts of `range` that are not in the set, in order.
    #[must_use]
    pub fn gaps(&self, range: ItemRange) -> Vec<ItemRange> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        for part in self.intersection(range) {
            if at < part.start {
                gaps.push(ItemRange::new(at, part.start));
            }
            at = part.end;
        }
        if at < range.end {
            gaps.push(ItemRange::new(at, range.end));
        }
        gaps
    }

    /// Adds a range; items that are in it already stay.
    pub fn insert(&mut self, range: ItemRange) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        // Every interval that overlaps or touches the new one melts into it, from the last back to the first.
        while let Some((&s, &e)) = self.intervals.range(..=end).next_back() {
            if e < start {
                break;
            }
            self.intervals.remove(&s);
            self.n_items -= e - s;
            start = start.min(s);
            end = end.max(e);
        }
        self.intervals.insert(start, end);
        self.n_items += end - start;
    }

    /// Takes a range out; items that are not in it are passed over.
    pub fn remove(&mut self, range: ItemRange) {
        if range.is_empty() {
            return;
        }
        while let Some((&s, &e)) = self.intervals.range(..range.end).next_back() {
            if e <= range.start {
                break;
            }
            self.intervals.remove(&s);
            self.n_items -= e - s;
            if range.end < e {
                self.intervals.insert(range.end, e);
                self.n_items += e - range.end;
            }
            if s < range.start {
                self.intervals.insert(s, range.start);
                self.n_items += range.start - s;
                break;
            }
        }
    }

    /// Takes at most `n_items` items out of the first interval: the lowest numbers first, always contiguous.
    pub fn take_first(&mut self, n_items: u64) -> Option<ItemRange> {
        let first = self.first()?;
        let (taken, _) = first.split_at(first.start.saturating_add(n_items));
        self.remove(taken);
        (!taken.is_empty()).then_some(taken)
    }
}

impl FromIterator<ItemRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = ItemRange>>(ranges: I) -> Self {
        let mut set = Self::default();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A small generator, so that the naive set meets many sequences of operations; any constants with a full period do.
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    #[test]
    fn agrees_with_a_set_of_single_items() {
        for seed in 0..200 {
            let mut state = seed;
            let (mut fast, mut naive) = (RangeSet::default(), BTreeSet::new());
            for _ in 0..60 {
                let start = next(&mut state) % 40;
                let range = ItemRange::new(start, start + next(&mut state) % 12);
                match next(&mut state) % 3 {
                    0 => {
                        fast.remove(range);
                        naive.retain(|&i| !range.contains(i));
                    }
                    1 => {
                        let taken = fast.take_first(range.len()).unwrap_or(ItemRange::new(0, 0));
                        (taken.start..taken.end).for_each(|i| assert!(naive.remove(&i)));
                    }
                    _ => {
                        fast.insert(range);
                        naive.extend(range.start..range.end);
                    }
                }
                let items: Vec<u64> = fast.iter().flat_map(|r| r.start..r.end).collect();
                assert_eq!(items, naive.iter().copied().collect::<Vec<_>>());
                assert_eq!(fast.len(), naive.len() as u64);
                assert!(fast.iter().zip(fast.iter().skip(1)).all(|(a, b)| a.end < b.start), "intervals touch");
                let window = ItemRange::new(start, start + 9);
                let inside: Vec<u64> = fast.intersection(window).flat_map(|r| r.start..r.end).collect();
                let outside: Vec<u64> = fast.gaps(window).into_iter().flat_map(|r| r.start..r.end).collect();
                assert_eq!(inside, (window.start..window.end).filter(|i| naive.contains(i)).collect::<Vec<_>>());
                assert_eq!(outside, (window.start..window.end).filter(|i| !naive.contains(i)).collect::<Vec<_>>());
                assert!((0..60).all(|i| fast.contains(i) == naive.contains(&i)));
            }
        }
    }
}
