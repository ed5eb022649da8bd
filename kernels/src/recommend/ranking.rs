//! Scored items in the order in which they are recommended. This room must not know how scores come about.

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
pub(super) fn keep_largest(keys: &mut Vec<Key>, top_n: usize) {
    if keys.len() > top_n {
        keys.select_nth_unstable_by(top_n, |a, b| b.cmp(a));
        keys.truncate(top_n);
    }
}

/// Cuts a list down to its `top_n` best and sorts it, best first. Scores are finite.
pub fn rank_best(list: &mut Vec<ScoredItem>, top_n: usize) {
    let key = |line: &ScoredItem| key_of(line.item, line.score);
    if list.len() > top_n {
        list.select_nth_unstable_by(top_n, |a, b| key(b).cmp(&key(a)));
        list.truncate(top_n);
    }
    list.sort_unstable_by_key(|line| std::cmp::Reverse(key(line)));
}

/// The list of the `top_n` largest keys, best first.
pub(super) fn rank(keys: &mut Vec<Key>, top_n: usize, list: &mut Vec<ScoredItem>) {
    keep_largest(keys, top_n);
    keys.sort_unstable_by(|a, b| b.cmp(a));
    list.clear();
    list.extend(keys.iter().copied().map(scored_item_of));
}
