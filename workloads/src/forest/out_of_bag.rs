//! The stage of training after growing, where it is asked for: every item predicts one block of the training rows with the trees that
//! did not see them, and yields what the score needs. A tree's part says which rows it saw; of trees of an earlier job the bag is
//! drawn again.

use super::growing::Bags;
use super::grown::GrownTrees;
use super::oob_table;
use super::training_data::{TrainingFacts, TrainingParts, refusal};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::forest::{BinnedColumns, ForestView, OutOfBag, ROWS_PER_CALL, Target, class_of, out_of_bag};
use std::ops::Range;

/// How many blocks the rows are cut into, whatever their number: the coordinator never needs to know how many rows there are.
/// Every process that works on one checks all trees, so more blocks would cost more than they spread.
pub(super) const N_BLOCKS: u64 = 16;

/// The bytes of the score, with which an item begins. Where they are asked for, the predictions of the block follow.
pub(super) const SCORE_BYTES: usize = 6 * size_of::<f64>();

/// What the score is computed from; blocks add up in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct OobScore {
    is_classification: bool,
    /// Rows that at least one tree did not see.
    pub(super) n_scored: u64,
    n_correct: u64,
    squared_error: f64,
    /// Sum of the targets, each less the first row's, so that the sum of squares keeps its digits where targets are large.
    sum: f64,
    sum_of_squares: f64,
}

impl OobScore {
    /// Accuracy, or R² for a regression; `None` where no row, or for a regression no spread, was left to measure on.
    pub(super) fn score(&self) -> Option<f64> {
        let n = self.n_scored as f64;
        if self.n_scored == 0 {
            return None;
        }
        if self.is_classification {
            return Some(self.n_correct as f64 / n);
        }
        let spread = self.sum_of_squares - self.sum * self.sum / n;
        (spread > 0.0).then(|| 1.0 - self.squared_error / spread)
    }

    /// Adds up the results of the stage.
    pub(super) fn of(blocks: &StageParts) -> Result<Self, Failure> {
        let mut total = Self::default();
        for item in 0..blocks.n_items() {
            let bytes = blocks.item(item)?.unwrap_or_default();
            let words: &[f64] = bytemuck::try_cast_slice(bytes.get(..SCORE_BYTES).unwrap_or_default()).unwrap_or_default();
            let &[is_classification, n_scored, n_correct, squared_error, sum, sum_of_squares] = words else {
                return Err(Failure::storage(format!("the out-of-bag result of block {item} is damaged; submit the job again")));
            };
            total.is_classification |= is_classification != 0.0;
            total.n_scored += n_scored as u64;
            total.n_correct += n_correct as u64;
            total.squared_error += squared_error;
            total.sum += sum;
            total.sum_of_squares += sum_of_squares;
        }
        Ok(total)
    }

    /// Counts stay exact: no table has 2^53 rows.
    fn to_words(&self) -> [f64; 6] {
        let is_classification = f64::from(u8::from(self.is_classification));
        [is_classification, self.n_scored as f64, self.n_correct as f64, self.squared_error, self.sum, self.sum_of_squares]
    }
}

/// The mapped inputs of this stage, and the bags that are not in them.
struct OobParts {
    training: TrainingParts,
    trees: GrownTrees,
    facts: TrainingFacts,
    earlier_bags: Vec<Vec<u64>>,
}

/// What is checked once and read by every block.
struct OobViews<'a> {
    columns: BinnedColumns<'a>,
    target: Target<'a>,
    forest: ForestView<'a>,
    bags: Vec<&'a [u64]>,
}

self_cell::self_cell!(
    /// The views together with the maps that they read.
    struct MappedOob {
        owner: OobParts,
        #[covariant]
        dependent: OobViews,
    }
);

/// The stage, opened.
pub(super) struct OutOfBagTask {
    mapped: MappedOob,
    /// What is kept of each row's predictions.
    keep: Keep,
}

/// What an item holds of the predictions, beside their score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing.
    Score,
    /// The class or the number.
    Predictions,
    /// The probabilities of the classes too.
    Probabilities,
}

impl OutOfBagTask {
    pub(super) fn open(training: TrainingParts, trees: GrownTrees, bags: &Bags, keep: Keep) -> Result<Self, Failure> {
        let facts = training.facts()?;
        let earlier_bags = (0..trees.n_earlier()).map(|tree_idx| bags.bits(tree_idx)).collect();
        let mapped = MappedOob::try_new(OobParts { training, trees, facts, earlier_bags }, |parts| OobViews::open(parts))?;
        Ok(Self { mapped, keep })
    }

    /// Rows are summed and scored some at a time, so that few sums are held however many rows there are, unless they are kept.
    fn score_block(&self, item: u64) -> Result<Vec<u8>, Failure> {
        let views = self.mapped.borrow_dependent();
        let (rows, n_outputs) = (block_rows(item, views.columns.n_rows()), views.forest.n_outputs());
        let mut score = OobScore { is_classification: matches!(views.target, Target::Classes { .. }), ..OobScore::default() };
        let mut kept = OutOfBag { sums: vec![], n_trees: vec![] };
        for start in rows.clone().step_by(ROWS_PER_CALL) {
            let rows = start..rows.end.min(start + ROWS_PER_CALL);
            let oob = out_of_bag(&views.forest, &views.columns, &views.bags, rows.clone()).map_err(refusal)?;
            score.add(&oob, n_outputs, &views.target, rows);
            if self.keep != Keep::Score {
                kept.sums.extend(oob.sums);
                kept.n_trees.extend(oob.n_trees);
            }
        }
        let mut bytes = bytemuck::cast_slice(&score.to_words()).to_vec();
        if self.keep != Keep::Score {
            bytes.extend(oob_table::pack_block(&kept, n_outputs, &views.target, self.keep == Keep::Probabilities)?);
        }
        Ok(bytes)
    }
}

impl StageTask for OutOfBagTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        for item in block.start..block.end {
            outputs.push_owned(self.score_block(item).map_err(|failure| ItemFailure { item, failure })?);
        }
        Ok(())
    }
}

impl<'a> OobViews<'a> {
    fn open(parts: &'a OobParts) -> Result<Self, Failure> {
        let trees = (0..parts.trees.n_trees()).map(|tree_idx| parts.trees.tree(tree_idx)).collect::<Result<Vec<_>, Failure>>()?;
        let columns = parts.training.columns()?;
        let slices = trees.iter().map(|tree| tree.slices).collect();
        let forest = ForestView::of_trees(slices, &columns, parts.facts.task.outcome()).map_err(refusal)?;
        let grown_bags = trees.iter().skip(parts.earlier_bags.len()).map(|tree| tree.in_bag);
        let bags = parts.earlier_bags.iter().map(Vec::as_slice).chain(grown_bags).collect();
        Ok(Self { columns, target: parts.training.target()?, forest, bags })
    }
}

/// The rows of a block: the blocks share the rows as evenly as can be.
fn block_rows(item: u64, n_rows: usize) -> Range<usize> {
    let edge = |i: u64| (n_rows as u64 * i / N_BLOCKS) as usize;
    edge(item)..edge(item + 1)
}

impl OobScore {
    /// Adds rows and what the trees that did not see them say.
    fn add(&mut self, oob: &OutOfBag, n_outputs: usize, target: &Target<'_>, rows: Range<usize>) {
        for ((row, sums), &n_trees) in rows.zip(oob.sums.chunks_exact(n_outputs)).zip(&oob.n_trees) {
            if n_trees == 0 {
                continue;
            }
            self.n_scored += 1;
            match target {
                Target::Classes { classes, .. } => self.n_correct += u64::from(class_of(sums) == classes[row]),
                Target::Values(values) => {
                    let error = sums[0] / f64::from(n_trees) - values[row];
                    let shifted = values[row] - values[0];
                    self.squared_error += error * error;
                    self.sum += shifted;
                    self.sum_of_squares += shifted * shifted;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_share_all_rows_whatever_their_number() {
        for n_rows in [1, 15, 16, 17, 1000, 1_000_003] {
            let blocks: Vec<_> = (0..N_BLOCKS).map(|item| block_rows(item, n_rows)).collect();
            assert_eq!((blocks[0].start, blocks[15].end), (0, n_rows));
            assert!(blocks.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }

    fn score(oob: &OutOfBag, n_outputs: usize, target: &Target<'_>, rows: Range<usize>) -> OobScore {
        let mut score = OobScore { is_classification: matches!(target, Target::Classes { .. }), ..OobScore::default() };
        score.add(oob, n_outputs, target, rows);
        score
    }

    #[test]
    fn rows_that_every_tree_saw_do_not_count() {
        let oob = OutOfBag { sums: vec![0.2, 1.8, 0.0, 0.0, 0.9, 0.1], n_trees: vec![2, 0, 1] };
        let target = Target::Classes { classes: &[9, 1, 1, 1], n_classes: 2 };
        let scored = score(&oob, 2, &target, 1..4);
        assert_eq!((scored.n_scored, scored.score()), (2, Some(0.5)));
        assert_eq!(score(&OutOfBag { sums: vec![0.0; 2], n_trees: vec![0] }, 2, &target, 1..2).score(), None);
    }

    #[test]
    fn r_squared_keeps_its_digits_for_large_targets() {
        let values = [1e9, 1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0];
        let oob = OutOfBag { sums: vec![2e9 + 1.0, 1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0], n_trees: vec![2, 1, 1, 1] };
        let scored = score(&oob, 1, &Target::Values(&values), 0..4);
        assert_eq!(scored.score(), Some(1.0 - 0.25 / 5.0));
    }
}
