//! The best items so far of each user of a block: scores above a threshold are gathered, and from time to time all but the best
//! are dropped and the threshold rises. This room must not know how scores come about.

use super::model::SeenItems;

/// One line of a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoredItem {
    /// The item's index.
    pub item: u32,
    /// Its score; never -0.0.
    pub score: f32,
}

/// A score and an item as one number that is larger for the better: by score, then by the lower item index.
pub(super) type Key = u64;

pub(super) fn key_of(item: u32, score: f32) -> Key {
    // Adding 0.0 turns -0.0 into 0.0, which it must tie with. Then the bits of a positive float are ordered as they are and those
    // of a negative one the other way round.
    let bits = (score + 0.0).to_bits();
    let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    u64::from(ordered) << 32 | u64::from(!item)
}

pub(super) fn scored_item_of(key: Key) -> ScoredItem {
    let ordered = (key >> 32) as u32;
    let bits = if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered };
    ScoredItem { item: !(key as u32), score: f32::from_bits(bits) }
}

/// Cuts `keys` down to its `top_n` largest, in no order.
pub(super) fn keep_best(keys: &mut Vec<Key>, top_n: usize) {
    if keys.len() > top_n {
        keys.select_nth_unstable_by(top_n, |a, b| b.cmp(a));
        keys.truncate(top_n);
    }
}

/// One user's candidates. Items must be offered in ascending order.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    keys: Vec<Key>,
    /// What is left of the user's seen items: positions in the indices of [`SeenItems`].
    seen_at: usize,
    seen_end: usize,
    /// The first seen item that was not passed yet; `u32::MAX` where there is none, which is no item's index.
    next_seen: u32,
}

impl Candidates {
    /// Forgets everything and starts on `user`.
    pub(super) fn start(&mut self, user: usize, seen: &SeenItems<'_>, capacity: usize) {
        self.keys.clear();
        self.keys.reserve_exact(capacity);
        let row = seen.of(user);
        self.seen_at = if row.is_empty() { 0 } else { seen.indptr[user] as usize };
        self.seen_end = self.seen_at + row.len();
        self.next_seen = row.first().copied().unwrap_or(u32::MAX);
    }

    /// Takes an item whose score is above the threshold. Returns the new threshold where it rises: only scores above it matter
    /// from now on, since an item that comes later loses a tie.
    #[inline]
    pub(super) fn offer(&mut self, item: u32, score: f32, seen: &SeenItems<'_>, limits: Limits) -> Option<f32> {
        if item >= self.next_seen && self.is_seen(item, seen) {
            return None;
        }
        self.keys.push(key_of(item, score));
        if self.keys.len() < limits.capacity { None } else { self.raise_threshold(limits.top_n) }
    }

    fn is_seen(&mut self, item: u32, seen: &SeenItems<'_>) -> bool {
        while self.seen_at < self.seen_end && seen.indices[self.seen_at] < item {
            self.seen_at += 1;
        }
        self.next_seen = if self.seen_at < self.seen_end { seen.indices[self.seen_at] } else { u32::MAX };
        self.next_seen == item
    }

    #[cold]
    #[inline(never)]
    fn raise_threshold(&mut self, top_n: usize) -> Option<f32> {
        keep_best(&mut self.keys, top_n);
        let worst = self.keys.iter().min().filter(|_| self.keys.len() == top_n)?;
        Some(scored_item_of(*worst).score)
    }

    /// The list, best first; at most `top_n` long.
    pub(super) fn finish(&mut self, top_n: usize, list: &mut Vec<ScoredItem>) {
        keep_best(&mut self.keys, top_n);
        self.keys.sort_unstable_by(|a, b| b.cmp(a));
        list.clear();
        list.extend(self.keys.iter().copied().map(scored_item_of));
    }
}

/// How many candidates are wanted and how many are gathered before all but the best are dropped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) top_n: usize,
    pub(super) capacity: usize,
}

impl Limits {
    /// Gathering more lets the threshold rise later, gathering less selects more often: a few hundred beyond `top_n` was best.
    pub(super) fn new(top_n: usize, n_items: usize) -> Self {
        let top_n = top_n.min(n_items);
        Self { top_n, capacity: (top_n + (top_n / 2).max(256)).min(n_items + 1) }
    }
}
