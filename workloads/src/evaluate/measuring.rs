//! The stage that measures: item i is the i-th user's row of numbers. This file must not know how a number is computed, nor how it is
//! written.

use super::gathering::Gathered;
use super::settings::MissingLists;
use crate::working_memory::WorkingMemory;
use crate::workload::{ItemFailure, StageTask};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::evaluate::{Evaluator, ListFacts, RatingErrors, Scratch, Truth};

/// Users of a block: some milliseconds of work.
const BLOCK_LEN: u64 = 1024;

/// The stage, opened.
pub(super) struct MeasureTask {
    gathered: StageParts,
    /// `None` where there are no lists.
    evaluator: Option<Evaluator>,
    missing_lists: MissingLists,
    scratches: WorkingMemory<UserScratch>,
}

/// Working memory of one thread.
#[derive(Default)]
struct UserScratch {
    kernel: Scratch,
    row: Vec<f64>,
    sorted: Vec<u32>,
}

impl MeasureTask {
    pub(super) fn new(gathered: StageParts, evaluator: Option<Evaluator>, missing_lists: MissingLists) -> Self {
        Self { gathered, evaluator, missing_lists, scratches: WorkingMemory::default() }
    }

    fn measure(&self, block: ItemRange, scratch: &mut UserScratch, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        let gathered = Gathered::of(&self.gathered).map_err(|failure| ItemFailure { item: block.start, failure })?;
        for user in block.start..block.end {
            let measured = self.measure_user(&gathered, user as usize, scratch);
            let measured = measured.map_err(|failure| ItemFailure { item: user, failure })?;
            outputs.push_with(|bytes| measured.encode(bytes));
        }
        Ok(())
    }

    fn measure_user<'a>(&self, gathered: &Gathered<'_>, user: usize, scratch: &'a mut UserScratch) -> Result<UserMeasures<'a>, Failure> {
        let (list, _) = gathered.lists.of(user);
        let (relevant, ratings) = gathered.truth.of(user);
        let (predicted, predictions) = gathered.predictions.of(user);
        let misfit = |why: String| Failure::storage(format!("user {user}: the gathered rows do not fit: {why}; submit the job again"));
        let truth = if gathered.has_ratings() {
            Truth::with_ratings(relevant, ratings).map_err(|e| misfit(e.to_string()))?
        } else {
            Truth::of_items(relevant)
        };
        let errors = RatingErrors::measure(predicted, predictions, truth, &mut scratch.kernel).map_err(|e| misfit(e.to_string()))?;
        let has_list = !list.is_empty() || (self.missing_lists == MissingLists::Empty && !relevant.is_empty());
        scratch.row.clear();
        let facts = match &self.evaluator {
            Some(evaluator) if has_list => {
                evaluator.measure(list, truth, &mut scratch.kernel, &mut scratch.row).map_err(|e| misfit(e.to_string()))?
            }
            _ => {
                let n_repeated_truth = errors.n_repeated_truth;
                ListFacts { n_relevant: relevant.len() - n_repeated_truth, n_repeated_truth, ..ListFacts::default() }
            }
        };
        let n_repeated_items = n_repeated(list, &mut scratch.sorted);
        Ok(UserMeasures { facts, n_repeated_items, errors, row: has_list.then_some(&scratch.row) })
    }
}

impl StageTask for MeasureTask {
    fn block_len(&self) -> u64 {
        BLOCK_LEN
    }

    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        self.scratches.lend(|scratch| self.measure(block, scratch, outputs))
    }
}

/// How many items a list had named before.
fn n_repeated(list: &[u32], sorted: &mut Vec<u32>) -> usize {
    sorted.clear();
    sorted.extend_from_slice(list);
    sorted.sort_unstable();
    sorted.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

/// What was measured of one user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct UserMeasures<'a> {
    pub(super) facts: ListFacts,
    /// Items that the list had named before.
    pub(super) n_repeated_items: usize,
    pub(super) errors: RatingErrors,
    /// A number for each column, NaN where it is undefined; `None` where the user has no list.
    pub(super) row: Option<&'a [f64]>,
}

/// Words before the row.
const N_HEADER_WORDS: usize = 11;

impl<'a> UserMeasures<'a> {
    /// Words of 64 bits: counts, the bits of the two sums of errors, and those of the row.
    fn encode(&self, bytes: &mut Vec<u8>) {
        let Self { facts, errors, .. } = self;
        let counts = [
            facts.n_listed,
            facts.n_relevant,
            facts.n_repeated_hits,
            facts.n_repeated_truth,
            self.n_repeated_items,
            errors.n_compared,
            errors.n_without_rating,
            errors.n_without_prediction,
        ];
        let words = counts.map(|n| n as u64);
        bytes.extend_from_slice(bytemuck::bytes_of(&words));
        let sums = [errors.sum_squared, errors.sum_absolute];
        bytes.extend_from_slice(bytemuck::bytes_of(&sums));
        bytes.extend_from_slice(bytemuck::bytes_of(&u64::from(self.row.is_some())));
        bytes.extend_from_slice(bytemuck::cast_slice(self.row.unwrap_or_default()));
    }

    /// What [`Self::encode`] wrote.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let words: &[u64] = bytemuck::try_cast_slice(bytes).ok()?;
        let (header, row) = words.split_at_checked(N_HEADER_WORDS)?;
        let &[
            n_listed,
            n_relevant,
            n_repeated_hits,
            n_repeated_truth,
            n_repeated_items,
            n_compared,
            n_without_rating,
            n_without_prediction,
            sum_squared,
            sum_absolute,
            has_list,
        ] = header
        else {
            return None;
        };
        let facts = ListFacts {
            n_listed: n_listed as usize,
            n_relevant: n_relevant as usize,
            n_repeated_hits: n_repeated_hits as usize,
            n_repeated_truth: n_repeated_truth as usize,
        };
        let errors = RatingErrors {
            n_compared: n_compared as usize,
            sum_squared: f64::from_bits(sum_squared),
            sum_absolute: f64::from_bits(sum_absolute),
            n_without_rating: n_without_rating as usize,
            n_without_prediction: n_without_prediction as usize,
            // Counted with the list.
            n_repeated_truth: 0,
        };
        Some(Self { facts, n_repeated_items: n_repeated_items as usize, errors, row: (has_list == 1).then(|| bytemuck::cast_slice(row)) })
    }

    /// The result of `user`.
    pub(super) fn of(parts: &'a StageParts, user: u64) -> Result<Self, Failure> {
        let decoded = parts.item(user)?.and_then(Self::decode);
        decoded.ok_or_else(|| Failure::storage(format!("the numbers of user {user} are missing or damaged; submit the job again")))
    }
}
