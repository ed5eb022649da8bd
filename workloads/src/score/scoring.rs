//! The stage that scores: each item is a block of pairs. It must not know the table.

use super::resolving::Pairs;
use crate::recommend::{ModelFile, SingleModel, beyond_f32};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::neighbours::ScoreScratch;
use std::ops::Range;

/// Pairs of an item: enough that a user whose pairs stand together is seldom cut in two, and some milliseconds of work.
const PAIRS_PER_BLOCK: usize = 65_536;

/// How many items so many pairs make.
pub(super) fn n_blocks(n_pairs: u64) -> u64 {
    n_pairs.div_ceil(PAIRS_PER_BLOCK as u64)
}

/// The pairs of an item.
pub(super) fn pairs_of(block: u64, n_pairs: u64) -> Range<usize> {
    let edge = |block: u64| (n_pairs as usize).min(block as usize * PAIRS_PER_BLOCK);
    edge(block)..edge(block + 1)
}

/// What the stage left of a block: a score for each of its pairs, NaN where there is none.
pub(super) fn scores_of(block: u64, n_pairs: u64, parts: &StageParts) -> Result<&[f32], Failure> {
    let scores: Option<&[f32]> = parts.item(block)?.and_then(|bytes| bytemuck::try_cast_slice(bytes).ok());
    scores
        .filter(|scores| scores.len() == pairs_of(block, n_pairs).len())
        .ok_or_else(|| Failure::storage(format!("the scores of block {block} are missing or damaged; submit the job again")))
}

/// The stage, opened.
pub(super) struct ScoreTask {
    pub(super) model: ModelFile,
    pub(super) pairs: StageParts,
}

impl StageTask for ScoreTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        for item in block.start..block.end {
            let scores = self.score(item).map_err(|failure| ItemFailure { item, failure })?;
            outputs.push(bytemuck::cast_slice(&scores));
        }
        Ok(())
    }
}

/// A pair within its block: user, item and place. Sorted, the pairs of a user stand together, by item.
type PlacedPair = (u32, u32, usize);

impl ScoreTask {
    /// The scores of a block's pairs in their order; NaN where there is none.
    fn score(&self, block: u64) -> Result<Vec<f32>, Failure> {
        let pairs = Pairs::of(&self.pairs)?;
        let range = pairs_of(block, pairs.facts.n_pairs);
        let mut scores = vec![f32::NAN; range.len()];
        let mut placed: Vec<PlacedPair> =
            range.enumerate().filter_map(|(place, pair)| pairs.get(pair).map(|(user, item)| (user, item, place))).collect();
        placed.sort_unstable();
        let model = SingleModel::of(&self.model)?;
        let (mut scratch, mut list) = (ScoreScratch::default(), vec![]);
        for of_user in placed.chunk_by(|a, b| a.0 == b.0) {
            let mut wanted: Vec<u32> = of_user.iter().map(|&(_, item, _)| item).collect();
            wanted.dedup();
            let scored = model.score(of_user[0].0, Some(&wanted), &mut scratch, &mut list);
            scored.map_err(|error| Failure::bad_input(beyond_f32(&error)))?;
            for line in &list {
                let first = of_user.partition_point(|&(_, item, _)| item < line.item);
                let same = of_user[first..].iter().take_while(|&&(_, item, _)| item == line.item);
                same.for_each(|&(_, _, place)| scores[place] = line.score);
            }
        }
        Ok(scores)
    }
}
