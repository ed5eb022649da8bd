//! The stage that scores: item i is the list of the i-th user recommended to. All threads of a node share one map of the model and
//! one of the seen items; each has working memory of its own.

use super::checking::CheckedInput;
use super::model::ModelFile;
use super::seeing::rows_of;
use super::single::{SingleModel, beyond_f32};
use crate::working_memory::WorkingMemory;
use crate::workload::{ItemFailure, StageTask};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::neighbours::ScoreScratch;
use paceline_kernels::recommend::{InstructionSet, NonFiniteScore, ScoredItem, Scorer, Scratch, SeenItems, rank_best};

/// Most users of a block: as many as the kernel scores in one pass over the catalogue.
const MAX_BLOCK_LEN: u64 = 1024;
/// Fewest users of a block: below, reading the catalogue costs more than scoring it.
const MIN_BLOCK_LEN: u64 = 32;
/// Users of a block where each is scored alone.
const SINGLE_BLOCK_LEN: u64 = 64;
/// Multiplications of a block, so that it lasts some tenths of a second at most: a lease can only be shortened between blocks.
const MULTIPLICATIONS_PER_BLOCK: u64 = 10_000_000_000;

/// The working memory of one thread.
#[derive(Default)]
struct ThreadScratch {
    factors: Scratch,
    neighbours: ScoreScratch,
    list: Vec<ScoredItem>,
}

/// The stage, opened.
pub(super) struct ScoreTask {
    model: ModelFile,
    checked: StageParts,
    /// The rows of the table of seen items, where there is one; they hold those of the model too.
    seen: Option<StageParts>,
    /// The rows of the table of candidates, where there is one.
    candidates: Option<StageParts>,
    top_n: usize,
    block_len: u64,
    scratches: WorkingMemory<ThreadScratch>,
}

impl ScoreTask {
    pub(super) fn new(
        model: ModelFile,
        checked: StageParts,
        seen: Option<StageParts>,
        candidates: Option<StageParts>,
        top_n: usize,
    ) -> Result<Self, Failure> {
        let block_len = if model.has_neighbours() || candidates.is_some() {
            SINGLE_BLOCK_LEN
        } else {
            let multiplications_per_user = model.factors()?.item_factors().len() as u64;
            (MULTIPLICATIONS_PER_BLOCK / multiplications_per_user.max(1)).clamp(MIN_BLOCK_LEN, MAX_BLOCK_LEN)
        };
        Ok(Self { model, checked, seen, candidates, top_n, block_len, scratches: WorkingMemory::default() })
    }

    fn score(&self, block: ItemRange, scratch: &mut ThreadScratch, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        let of_block = |failure| ItemFailure { item: block.start, failure };
        let checked = CheckedInput::of(&self.checked).map_err(of_block)?;
        let seen = self.seen_items().map_err(of_block)?;
        let users: Vec<u32> = (block.start..block.end).map(|position| checked.user(position)).collect();
        if self.candidates.is_some() || self.model.has_neighbours() {
            return self.score_one_by_one(block, &users, seen, scratch, outputs);
        }
        let factors = self.model.factors().map_err(of_block)?;
        let scorer = Scorer::new(factors, checked.item_bounds, seen, self.top_n, InstructionSet::fastest());
        scorer
            .recommend(&users, &mut scratch.factors, |list| outputs.push_with(|bytes| encode_list(list, bytes)))
            .map_err(|e| self.refuse_user(block, &e))
    }

    /// Users each by themselves: by their own items, or against their candidates alone.
    fn score_one_by_one(
        &self,
        block: ItemRange,
        users: &[u32],
        seen: SeenItems<'_>,
        scratch: &mut ThreadScratch,
        outputs: &mut ItemOutputs,
    ) -> Result<(), ItemFailure> {
        let of_block = |failure| ItemFailure { item: block.start, failure };
        let model = SingleModel::of(&self.model).map_err(of_block)?;
        let candidates = self.candidates.as_ref().map(rows_of).transpose().map_err(of_block)?.map(|(rows, _)| rows);
        for (position, &user) in users.iter().enumerate() {
            let ThreadScratch { neighbours, list, .. } = &mut *scratch;
            let wanted = candidates.map(|rows| rows.of(user as usize));
            if let Err(error) = model.score(user, wanted, neighbours, list) {
                return Err(self.refuse_user(block, &NonFiniteScore { position, ..error }));
            }
            let seen = seen.of(user as usize);
            list.retain(|line| seen.binary_search(&line.item).is_err());
            rank_best(list, self.top_n);
            outputs.push_with(|bytes| encode_list(list, bytes));
        }
        Ok(())
    }

    fn seen_items(&self) -> Result<SeenItems<'_>, Failure> {
        self.seen.as_ref().map_or_else(|| self.model.seen(), |parts| Ok(rows_of(parts)?.0))
    }

    fn refuse_user(&self, block: ItemRange, error: &NonFiniteScore) -> ItemFailure {
        ItemFailure { item: block.start + error.position as u64, failure: Failure::item(beyond_f32(error)) }
    }
}

impl StageTask for ScoreTask {
    fn block_len(&self) -> u64 {
        self.block_len
    }

    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        self.scratches.lend(|scratch| self.score(block, scratch, outputs))
    }
}

/// A list as bytes: all items, then all scores.
fn encode_list(list: &[ScoredItem], bytes: &mut Vec<u8>) {
    list.iter().for_each(|line| bytes.extend_from_slice(&line.item.to_ne_bytes()));
    list.iter().for_each(|line| bytes.extend_from_slice(&line.score.to_ne_bytes()));
}

/// The items and scores of a list, in place.
pub(super) fn decode_list(bytes: &[u8]) -> Option<(&[u32], &[f32])> {
    let (items, scores) = bytes.split_at(bytes.len() / 2);
    Some((bytemuck::try_cast_slice(items).ok()?, bytemuck::try_cast_slice(scores).ok()?))
}
