//! Lists for blocks of users: panels of users against tiles of the catalogue, so arranged that both stay in the caches.

use super::candidates::{Candidates, Key, Limits, ScoredItem, keep_best, key_of, scored_item_of};
use super::model::{FactorModel, RowBounds, SeenItems, norm, score};
use super::tile::{InstructionSet, MAX_PANEL_LEN, TileInput, TileKernel, TileScores};
use std::ops::Range;
use thiserror::Error;

/// Bytes of item factors that are used for all panels before the next come: they stay in a core's second-level cache, beside the
/// users' panels and the candidates that are being added to.
const ITEM_BLOCK_BYTES: usize = 512 << 10;
/// Most users scored against one pass over the catalogue: enough that reading it from memory costs little.
const MAX_PASS_USERS: usize = 512;
/// Bytes that the users' factors and candidates of one pass may take, as far as a single user does not need more.
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

/// The working memory of one thread: at most `PASS_BYTES`, or what one panel of users needs where that is more.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The users' factors, panel by panel: [n_panels, n_factors, panel_len].
    panels: Vec<f32>,
    /// [n_panels, panel_len], as are the thresholds.
    user_bias: Vec<f32>,
    thresholds: Vec<f32>,
    candidates: Vec<Candidates>,
    tile: TileScores,
    keys: Vec<Key>,
    list: Vec<ScoredItem>,
}

/// Elements of a cache line. Vectors are loaded from addresses aligned to one: a load across two lines costs as much as two.
const CACHE_LINE_LEN: usize = 16;

/// The part of `buffer` that begins at a cache line; its owner makes it longer by one line for that.
fn aligned(buffer: &mut [f32]) -> &mut [f32] {
    let start = buffer.as_ptr().align_offset(CACHE_LINE_LEN * size_of::<f32>()).min(buffer.len());
    &mut buffer[start..]
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
            self.score_pass(users, scratch);
            for (i, &user) in users.iter().enumerate() {
                if self.cannot_overflow(user as usize) {
                    scratch.candidates[i].finish(self.limits.top_n, &mut scratch.list);
                } else {
                    let refuse = |(item, score)| NonFiniteScore { position: pass * n_pass + i, user, item, score };
                    self.recommend_checked(user as usize, scratch).map_err(refuse)?;
                }
                emit(&scratch.list);
            }
        }
        Ok(())
    }

    /// How many users share a pass: as many as fit into the memory of one, in whole panels where that is more than one.
    fn n_pass_users(&self) -> usize {
        let bytes_per_user = self.model.n_factors * size_of::<f32>() + self.limits.capacity * size_of::<Key>();
        let fitting = (PASS_BYTES / bytes_per_user).clamp(1, MAX_PASS_USERS);
        if fitting > self.kernel.panel_len { fitting - fitting % self.kernel.panel_len } else { fitting }
    }

    /// Whether no partial sum of the user's scores can leave the range of f32: by the inequality of Cauchy and Schwarz, with room
    /// for the roundings.
    fn cannot_overflow(&self, user: usize) -> bool {
        let bias = f64::from(self.model.user_bias(user).abs()) + self.item_bounds.max_abs_bias;
        let bound = norm(self.model.user(user)) * self.item_bounds.max_norm + bias;
        // A NaN bound is not below anything.
        bound < f64::from(f32::MAX) / 2.0
    }

    /// Gathers the candidates of a pass's users, except of those that need checks.
    fn score_pass(&self, users: &[u32], scratch: &mut Scratch) {
        self.pack(users, scratch);
        let Scratch { panels, user_bias, thresholds, candidates, tile, .. } = scratch;
        let panels = aligned(panels);
        let (n_factors, panel_len) = (self.model.n_factors, self.kernel.panel_len);
        let tile_items = self.kernel.tile_items;
        let block_items = (ITEM_BLOCK_BYTES / (n_factors * size_of::<f32>())).next_multiple_of(tile_items);
        for block_start in (0..self.model.n_items()).step_by(block_items) {
            let block_end = (block_start + block_items).min(self.model.n_items());
            for (p, candidates) in candidates[..users.len()].chunks_mut(panel_len).enumerate() {
                let panel = &panels[p * n_factors * panel_len..][..n_factors * panel_len];
                let user_bias = &user_bias[p * panel_len..][..panel_len];
                let thresholds = &mut thresholds[p * panel_len..][..panel_len];
                for start in (block_start..block_end).step_by(tile_items) {
                    let end = (start + tile_items).min(block_end);
                    let item_factors = &self.model.item_factors[start * n_factors..end * n_factors];
                    let item_bias = self.model.item_bias.map(|bias| &bias[start..end]);
                    let input = TileInput { n_factors, panel, user_bias, thresholds, item_factors, item_bias };
                    if self.kernel.score(&input, tile) {
                        self.offer_hits(tile, start..end, candidates, thresholds);
                    }
                }
            }
        }
    }

    #[inline]
    fn offer_hits(&self, tile: &TileScores, items: Range<usize>, candidates: &mut [Candidates], thresholds: &mut [f32]) {
        let scores = tile.scores.chunks_exact(self.kernel.panel_len);
        for ((item, scores), &hits) in items.zip(scores).zip(&tile.hits) {
            let mut left = hits;
            while left != 0 {
                let u = left.trailing_zeros() as usize;
                left &= left - 1;
                if let Some(threshold) = candidates[u].offer(item as u32, scores[u], &self.seen, self.limits) {
                    thresholds[u] = threshold;
                }
            }
        }
    }

    /// Lays out the users' factors for the tiles and makes all lists empty.
    fn pack(&self, users: &[u32], scratch: &mut Scratch) {
        let (n_factors, panel_len) = (self.model.n_factors, self.kernel.panel_len);
        debug_assert!(panel_len <= MAX_PANEL_LEN);
        let n_slots = users.len().next_multiple_of(panel_len);
        // Places without a user, and users that are scored elsewhere, have a threshold that nothing exceeds.
        scratch.thresholds.clear();
        scratch.thresholds.resize(n_slots, f32::INFINITY);
        scratch.user_bias.clear();
        scratch.user_bias.resize(n_slots, 0.0);
        scratch.panels.clear();
        scratch.panels.resize(n_slots * n_factors + CACHE_LINE_LEN, 0.0);
        if scratch.candidates.len() < users.len() {
            scratch.candidates.resize_with(users.len(), Candidates::default);
        }
        for (i, &user) in users.iter().enumerate() {
            let user = user as usize;
            scratch.candidates[i].start(user, &self.seen, self.limits.capacity);
            if !self.cannot_overflow(user) {
                continue;
            }
            scratch.thresholds[i] = f32::NEG_INFINITY;
            scratch.user_bias[i] = self.model.user_bias(user);
            let column = &mut aligned(&mut scratch.panels)[i / panel_len * n_factors * panel_len + i % panel_len..];
            for (place, &factor) in column.iter_mut().step_by(panel_len).zip(self.model.user(user)) {
                *place = factor;
            }
        }
    }

    /// The list of one user whose scores may overflow, each score checked. Such users have factors near the end of the range of
    /// f32; their lists may be slow.
    fn recommend_checked(&self, user: usize, scratch: &mut Scratch) -> Result<(), (u32, f32)> {
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
                keep_best(&mut scratch.keys, self.limits.top_n);
            }
        }
        keep_best(&mut scratch.keys, self.limits.top_n);
        scratch.keys.sort_unstable_by(|a, b| b.cmp(a));
        scratch.list.clear();
        scratch.list.extend(scratch.keys.iter().copied().map(scored_item_of));
        Ok(())
    }
}
