//! The users of a group on the way to their lists: scores above a user's threshold are gathered, and when there are many, all that
//! are surely not among the best are dropped and the threshold rises. It must not know how scores come about.

use super::vector::{MAX_LEN, Vector};

/// Most users that are scored together.
pub(super) const MAX_GROUP_LEN: usize = 12;

/// How many items are wanted, and how many are gathered before all but the best are dropped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) top_n: usize,
    pub(super) capacity: usize,
}

impl Limits {
    /// Gathering more lets the threshold rise later, gathering less drops more often: half as many again was best.
    pub(super) fn new(top_n: usize, n_items: usize) -> Self {
        let top_n = top_n.min(n_items);
        Self { top_n, capacity: (top_n + (top_n / 2).max(128)).min(n_items + 1) }
    }

    /// So many that are left are not worth another look: a little above those that are wanted.
    fn enough(self) -> usize {
        self.top_n + self.top_n / 8
    }
}

/// Users whose lists are in the making.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group<'a> {
    /// Scores at or below are of no interest. Items come in ascending order, so that one that comes later loses a tie.
    pub(super) thresholds: [f32; MAX_GROUP_LEN],
    /// Gathered so far.
    pub(super) lens: [u32; MAX_GROUP_LEN],
    /// What is left of the seen items, ascending.
    seen: [&'a [u32]; MAX_GROUP_LEN],
    /// The first of them; `u32::MAX`, which is no item's number, where there is none.
    next_seen: [u32; MAX_GROUP_LEN],
}

impl<'a> Group<'a> {
    /// Places without a user: nothing exceeds their thresholds.
    pub(super) fn empty() -> Self {
        Self {
            thresholds: [f32::INFINITY; MAX_GROUP_LEN],
            lens: [0; MAX_GROUP_LEN],
            seen: [&[]; MAX_GROUP_LEN],
            next_seen: [u32::MAX; MAX_GROUP_LEN],
        }
    }

    /// Puts a user into a place.
    pub(super) fn begin(&mut self, place: usize, seen: &'a [u32]) {
        self.thresholds[place] = f32::NEG_INFINITY;
        self.seen[place] = seen;
        self.next_seen[place] = seen.first().copied().unwrap_or(u32::MAX);
    }

    /// Which of `n_items` items from `first_item` on the user has seen, as bits. Items before them are passed.
    #[inline(never)]
    fn pass_seen(&mut self, place: usize, first_item: u32, n_items: u32) -> u32 {
        let seen = &mut self.seen[place];
        let mut bits = 0;
        while let Some((&item, rest)) = seen.split_first()
            && item < first_item + n_items
        {
            bits |= if item < first_item { 0 } else { 1 << (item - first_item) };
            *seen = rest;
        }
        self.next_seen[place] = seen.first().copied().unwrap_or(u32::MAX);
        bits
    }
}

/// Room for what the users of a group gather: `stride` elements for each, of which [`MAX_LEN`] lie beyond what they may hold.
#[derive(Debug)]
pub(super) struct Gathered<'a> {
    pub(super) scores: &'a mut [f32],
    pub(super) items: &'a mut [u32],
    pub(super) stride: usize,
}

/// The elements that one user's place takes where panels have `panel_len` items: one panel may come on top of a full place, and a
/// vector is written whole.
pub(super) fn stride(limits: Limits, panel_len: usize) -> usize {
    limits.capacity + panel_len + MAX_LEN
}

/// The scores of a panel, item by item.
pub(super) struct PanelScores<'a, V, const N_VECTORS: usize> {
    pub(super) scores: &'a [V; N_VECTORS],
    /// Bits of those that are above the user's threshold.
    pub(super) hits: u32,
    pub(super) first_item: u32,
}

impl Gathered<'_> {
    /// Adds the items of a panel that are above the threshold of the user in `place` and not seen.
    ///
    /// # Safety
    /// The processor has the vector's instructions, `place` is one of the group, and the stride is [`stride`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "vectors are written where there is room for them, without a check for each")]
    pub(super) unsafe fn add<V: Vector, const N_VECTORS: usize>(
        &mut self,
        group: &mut Group<'_>,
        place: usize,
        panel: &PanelScores<'_, V, N_VECTORS>,
        limits: Limits,
    ) {
        let panel_len = (N_VECTORS * V::LEN) as u32;
        let mut hits = panel.hits;
        if group.next_seen[place] < panel.first_item + panel_len {
            hits &= !group.pass_seen(place, panel.first_item, panel_len);
        }
        let begin = place * self.stride;
        let mut len = group.lens[place] as usize;
        for (v, scores) in panel.scores.iter().enumerate() {
            let bits = hits >> (v * V::LEN) & (u32::MAX >> (u32::BITS as usize - V::LEN));
            let first_item = panel.first_item + (v * V::LEN) as u32;
            let items: [u32; MAX_LEN] = std::array::from_fn(|i| first_item + i as u32);
            // SAFETY: a place holds fewer than `capacity` before, and has room for a panel and a vector more.
            unsafe {
                let at = begin + len;
                scores.compress(bits, items.as_ptr(), self.scores.as_mut_ptr().add(at), self.items.as_mut_ptr().add(at));
            }
            len += bits.count_ones() as usize;
        }
        if len >= limits.capacity {
            let of_place = begin..begin + self.stride;
            let (scores, items) = (&mut self.scores[of_place.clone()], &mut self.items[of_place]);
            // SAFETY: the processor has the instructions.
            len = unsafe { keep_best::<V>(scores, items, len, &mut group.thresholds[place], limits) };
        }
        group.lens[place] = len as u32;
    }
}

/// A score as a whole number of the same order.
fn ordered(score: f32) -> i32 {
    let bits = score.to_bits().cast_signed();
    bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
}

/// The score again.
fn score_of(ordered: i32) -> f32 {
    f32::from_bits((ordered ^ ((ordered >> 31).cast_unsigned() >> 1).cast_signed()).cast_unsigned())
}

/// Keeps the best of `n` items, in their order, and raises the threshold; returns how many are left, which is fewer than the
/// capacity and, where there were so many, not fewer than are wanted. The threshold is found by bisection: counting what is above a
/// number takes a pass over a few vectors, where a selection would move items about.
///
/// # Safety
/// The processor has the vector's instructions. There are [`MAX_LEN`] elements behind the first `n`.
#[inline(always)]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
pub(super) unsafe fn keep_best<V: Vector>(scores: &mut [f32], items: &mut [u32], n: usize, threshold: &mut f32, limits: Limits) -> usize {
    if n <= limits.enough() {
        return n;
    }
    // The last vector is filled up with what is never above anything.
    scores[n..n + MAX_LEN].fill(f32::NEG_INFINITY);
    let whole = &scores[..n.next_multiple_of(V::LEN)];
    // SAFETY: each chunk has the length of a vector.
    let n_above = |score: f32| -> usize {
        let above = |chunk: &[f32]| unsafe { V::above(V::load(chunk.as_ptr()), V::splat(score)) };
        whole.chunks_exact(V::LEN).map(|chunk| above(chunk).count_ones() as usize).sum()
    };
    // At least as many as are wanted are above `low`, fewer above `high`. What was gathered is above the threshold, or equal to it
    // where only the first of many equal ones were kept.
    let greatest = unsafe { greatest::<V>(whole, *threshold) };
    let (mut low, mut high) = (i64::from(ordered(*threshold)) - 1, i64::from(ordered(greatest)));
    let mut n_above_low = n;
    while n_above_low > limits.enough() && high - low > 1 {
        let middle = low + (high - low) / 2;
        let n_above_middle = n_above(score_of(middle as i32));
        if n_above_middle >= limits.top_n { (low, n_above_low) = (middle, n_above_middle) } else { high = middle }
    }
    if n_above_low > limits.enough() {
        *threshold = score_of(high as i32);
        let n_ties = limits.top_n - n_above(*threshold);
        return keep_first_ties(scores, items, n, *threshold, n_ties);
    }
    *threshold = score_of(low as i32);
    let mut n_kept = 0;
    for at in (0..n).step_by(V::LEN) {
        // SAFETY: what is kept is written at or before the place where it was read.
        unsafe {
            let vector = V::load(scores.as_ptr().add(at));
            let bits = V::above(vector, V::splat(*threshold));
            vector.compress(bits, items.as_ptr().add(at), scores.as_mut_ptr().add(n_kept), items.as_mut_ptr().add(n_kept));
            n_kept += bits.count_ones() as usize;
        }
    }
    n_kept
}

/// The greatest of some whole vectors and `least`.
#[inline(always)]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
unsafe fn greatest<V: Vector>(whole: &[f32], least: f32) -> f32 {
    let mut lanes = [least; MAX_LEN];
    // SAFETY: each chunk has the length of a vector, and none is longer than `lanes`.
    unsafe {
        let greatest = whole.chunks_exact(V::LEN).fold(V::splat(least), |greatest, chunk| V::max(greatest, V::load(chunk.as_ptr())));
        greatest.store(lanes.as_mut_ptr());
    }
    lanes.into_iter().fold(least, f32::max)
}

/// Too many scores are equal: keeps all above `tied`, and of those that are it the first, which have the lower items.
#[cold]
fn keep_first_ties(scores: &mut [f32], items: &mut [u32], n: usize, tied: f32, mut n_ties: usize) -> usize {
    let mut n_kept = 0;
    for i in 0..n {
        let (score, item) = (scores[i], items[i]);
        let is_tie = score == tied && n_ties > 0;
        n_ties -= usize::from(is_tie);
        (scores[n_kept], items[n_kept]) = (score, item);
        n_kept += usize::from(is_tie || score > tied);
    }
    n_kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_the_order_of_scores() {
        let scores = [f32::NEG_INFINITY, -2.5, -1e-40, -0.0, 0.0, 1e-40, 1.0, 1.000_000_1, f32::MAX, f32::INFINITY];
        for pair in scores.windows(2) {
            assert!(ordered(pair[0]) < ordered(pair[1]) || pair[0] == pair[1]);
        }
        assert!(scores.iter().all(|&score| score_of(ordered(score)).to_bits() == score.to_bits()));
    }
}
