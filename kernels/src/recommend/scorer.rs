//! Lists for blocks of users: groups of users against panels of the catalogue, so arranged that both stay in the caches.

use super::gathering::{Gathered, Group, Limits, stride};
use super::model::{FactorModel, RowBounds, SeenItems, norm, score};
use super::ranking::{Key, ScoredItem, keep_largest, key_of, rank};
use super::tile::{InstructionSet, TileInput, TileKernel};
use std::ops::Range;
use thiserror::Error;

/// Bytes of item factors that are used for all groups before the next come: they stay in a core's second-level cache, beside the
/// users' factors and what is gathered.
const ITEM_BLOCK_BYTES: usize = 512 << 10;
/// Most users scored against one pass over the catalogue: enough that reading it, and laying it out, costs little.
const MAX_PASS_USERS: usize = 1024;
/// Bytes that the users' factors and gathered items of one pass may take, as far as a single group does not need more.
const PASS_BYTES: usize = 4 << 20;

/// Finds the best unseen items of users.
#[derive(Clone, Copy, Debug)]
pub struct Scorer<'a> {
    model: FactorModel<'a>,
    item_bounds: RowBounds,
    seen: SeenItems<'a>,
    limits: Limits,
    kernel: TileKernel,
}

/// A score that is NaN or infinite, of an item that the user has not seen.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("the score of user {user} and item {item} is {score}")]
pub struct NonFiniteScore {
    /// The place of the user in the list of users asked for.
    pub position: usize,
    /// The user's index.
    pub user: u32,
    /// The item's index, the lowest that has such a score.
    pub item: u32,
    /// The score.
    pub score: f32,
}

/// The working memory of one thread: at most `PASS_BYTES`, or what one group of users needs where that is more, and
/// `ITEM_BLOCK_BYTES` or a panel of items.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The users' factors, group by group: [n_groups, n_factors, group_len].
    user_factors: Vec<f32>,
    /// [n_groups, group_len].
    user_bias: Vec<f32>,
    /// A block of the items' factors, panel by panel: [n_panels, n_factors, panel_len].
    item_factors: Vec<f32>,
    /// [n_panels, panel_len].
    item_bias: Vec<f32>,
    /// [n_groups, group_len, stride].
    scores: Vec<f32>,
    items: Vec<u32>,
    keys: Vec<Key>,
    list: Vec<ScoredItem>,
}

/// Elements of a cache line. Vectors are loaded from addresses aligned to one: a load across two lines costs as much as two.
const CACHE_LINE_LEN: usize = 16;

/// The first `len` elements of `buffer` that begin at a cache line. It grows where it must; what stood there stays.
fn aligned(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len + CACHE_LINE_LEN {
        buffer.resize(len + CACHE_LINE_LEN, 0.0);
    }
    let start = buffer.as_ptr().align_offset(CACHE_LINE_LEN * size_of::<f32>()).min(CACHE_LINE_LEN);
    &mut buffer[start..start + len]
}

impl<'a> Scorer<'a> {
    /// A scorer of the `top_n` best items that are not in `seen`. `item_bounds` must be those of the items' rows: they tell for
    /// which users no sum can overflow, so that their scores need no check.
    #[must_use]
    pub fn new(model: FactorModel<'a>, item_bounds: RowBounds, seen: SeenItems<'a>, top_n: usize, instructions: InstructionSet) -> Self {
        Self { model, item_bounds, seen, limits: Limits::new(top_n, model.n_items()), kernel: TileKernel::new(instructions) }
    }

    /// Gives `emit` the list of each of `users` (indices of rows) in turn: best first, ties to the lower item index, shorter than
    /// `top_n` where less is left unseen. Stops at the first user with a score that is not finite.
    ///
    /// # Panics
    /// Where a user has no row in the model.
    pub fn recommend(&self, users: &[u32], scratch: &mut Scratch, mut emit: impl FnMut(&[ScoredItem])) -> Result<(), NonFiniteScore> {
        let n_pass = self.n_pass_users();
        for (pass, users) in users.chunks(n_pass).enumerate() {
            let mut groups = self.score_pass(users, scratch);
            for (i, &user) in users.iter().enumerate() {
                if self.cannot_overflow(user as usize) {
                    self.list_gathered(i, &mut groups[i / self.kernel.group_len], scratch);
                } else {
                    let refuse = |(item, score)| NonFiniteScore { position: pass * n_pass + i, user, item, score };
                    self.list_checked(user as usize, scratch).map_err(refuse)?;
                }
                emit(&scratch.list);
            }
        }
        Ok(())
    }

    /// How many users share a pass: as many as fit into the memory of one, in whole groups where that is more than one.
    fn n_pass_users(&self) -> usize {
        let bytes_per_user = self.model.n_factors * size_of::<f32>() + self.stride() * (size_of::<f32>() + size_of::<u32>());
        let fitting = (PASS_BYTES / bytes_per_user).clamp(1, MAX_PASS_USERS);
        if fitting > self.kernel.group_len { fitting - fitting % self.kernel.group_len } else { fitting }
    }

    fn stride(&self) -> usize {
        stride(self.limits, self.kernel.panel_len)
    }

    /// Whether no partial sum of the user's scores can leave the range of f32: by the inequality of Cauchy and Schwarz, with room
    /// for the roundings.
    fn cannot_overflow(&self, user: usize) -> bool {
        let bias = f64::from(self.model.user_bias(user).abs()) + self.item_bounds.max_abs_bias;
        let bound = norm(self.model.user(user)) * self.item_bounds.max_norm + bias;
        // A NaN bound is not below anything.
        bound < f64::from(f32::MAX) / 2.0
    }

    /// Gathers the best items of a pass's users, except of those that need checks.
    fn score_pass(&self, users: &[u32], scratch: &mut Scratch) -> Vec<Group<'a>> {
        let (n_factors, group_len) = (self.model.n_factors, self.kernel.group_len);
        let mut groups = self.begin_groups(users, scratch);
        let Scratch { user_factors, user_bias, item_factors, item_bias, scores, items, .. } = scratch;
        let (stride, n_places) = (self.stride(), groups.len() * group_len);
        if scores.len() < n_places * stride {
            scores.resize(n_places * stride, 0.0);
            items.resize(n_places * stride, 0);
        }
        let block_items = (ITEM_BLOCK_BYTES / (n_factors * size_of::<f32>())).next_multiple_of(self.kernel.panel_len);
        for first_item in (0..self.model.n_items()).step_by(block_items) {
            let block = first_item..(first_item + block_items).min(self.model.n_items());
            let n_slots = block.len().next_multiple_of(self.kernel.panel_len);
            let item_factors = aligned(item_factors, n_slots * n_factors);
            self.lay_out(block, item_factors, item_bias);
            for (g, group) in groups.iter_mut().enumerate() {
                let input = TileInput {
                    n_factors,
                    user_factors: &user_factors[g * group_len * n_factors..][..group_len * n_factors],
                    user_bias: &user_bias[g * group_len..][..group_len],
                    item_factors,
                    item_bias,
                    first_item: first_item as u32,
                };
                let places = g * group_len * stride..(g + 1) * group_len * stride;
                let mut gathered = Gathered { scores: &mut scores[places.clone()], items: &mut items[places], stride };
                self.kernel.score(&input, group, &mut gathered, self.limits);
            }
        }
        groups
    }

    /// Lays out the users' factors for the tiles; all lists are empty. Places of users who need checks stay without a user.
    fn begin_groups(&self, users: &[u32], scratch: &mut Scratch) -> Vec<Group<'a>> {
        let (n_factors, group_len) = (self.model.n_factors, self.kernel.group_len);
        let n_places = users.len().next_multiple_of(group_len);
        scratch.user_factors.clear();
        scratch.user_factors.resize(n_places * n_factors, 0.0);
        scratch.user_bias.clear();
        scratch.user_bias.resize(n_places, 0.0);
        let mut groups = vec![Group::empty(); n_places / group_len];
        for (i, &user) in users.iter().enumerate() {
            let (user, place) = (user as usize, i % group_len);
            if !self.cannot_overflow(user) {
                continue;
            }
            groups[i / group_len].begin(place, self.seen.of(user));
            scratch.user_bias[i] = self.model.user_bias(user);
            let column = &mut scratch.user_factors[i / group_len * group_len * n_factors + place..];
            column.iter_mut().step_by(group_len).zip(self.model.user(user)).for_each(|(to, &factor)| *to = factor);
        }
        groups
    }

    /// Lays out a block of the items, panel by panel.
    fn lay_out(&self, block: Range<usize>, item_factors: &mut [f32], item_bias: &mut Vec<f32>) {
        let (n_factors, panel_len) = (self.model.n_factors, self.kernel.panel_len);
        for (panel, first) in item_factors.chunks_exact_mut(n_factors * panel_len).zip(block.clone().step_by(panel_len)) {
            let end = (first + panel_len).min(block.end);
            self.kernel.pack(&self.model.item_factors[first * n_factors..end * n_factors], n_factors, panel);
        }
        item_bias.clear();
        item_bias.extend(block.clone().map(|item| self.model.item_bias(item)));
        // What is no item has a score that is above nothing.
        item_bias.resize(block.len().next_multiple_of(panel_len), f32::NEG_INFINITY);
    }

    /// The list of the `i`-th user of a pass.
    fn list_gathered(&self, i: usize, group: &mut Group<'_>, scratch: &mut Scratch) {
        let Scratch { scores, items, keys, list, .. } = scratch;
        let (place, begin) = (i % self.kernel.group_len, i * self.stride());
        let (scores, items) = (&mut scores[begin..begin + self.stride()], &mut items[begin..begin + self.stride()]);
        let mut n = group.lens[place] as usize;
        if n > self.limits.top_n {
            n = self.kernel.keep_best(scores, items, n, &mut group.thresholds[place], self.limits);
        }
        keys.clear();
        keys.extend(items[..n].iter().zip(&*scores).map(|(&item, &score)| key_of(item, score)));
        rank(keys, self.limits.top_n, list);
    }

    /// The list of one user whose scores may overflow, each score checked. Such users have factors near the end of the range of
    /// f32; their lists may be slow.
    fn list_checked(&self, user: usize, scratch: &mut Scratch) -> Result<(), (u32, f32)> {
        let mut seen = self.seen.of(user).iter().copied().peekable();
        scratch.keys.clear();
        for item in 0..self.model.n_items() {
            if seen.next_if_eq(&(item as u32)).is_some() {
                continue;
            }
            let score = score(self.model.user(user), self.model.item(item), self.model.user_bias(user), self.model.item_bias(item));
            if !score.is_finite() {
                return Err((item as u32, score));
            }
            scratch.keys.push(key_of(item as u32, score));
            if scratch.keys.len() == self.limits.capacity {
                keep_largest(&mut scratch.keys, self.limits.top_n);
            }
        }
        rank(&mut scratch.keys, self.limits.top_n, &mut scratch.list);
        Ok(())
    }
}
