//! The first stage, which looks at every value of the model and finds out who is to be recommended to. Its first item does the latter and
//! says how many items the stages after it have; each of the others looks at a block of factors, so that a large model is not one node's
//! to read. All results are small.

use super::model::ModelFile;
use super::settings::{RecommendSettings, UserChoice};
use super::tables::IdTable;
use crate::workload::{ItemFailure, JobContext, StageTask};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::recommend::RowBounds;

/// What the first stage found out, in place in its result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CheckedInput<'a> {
    /// How many users are recommended to.
    pub(super) n_selected: u64,
    /// How many rows of the table of users named a user again.
    pub(super) n_repeated: u64,
    /// How many rows of that table named a user whom the model lacks.
    pub(super) n_unknown: u64,
    /// Of the items' rows.
    pub(super) item_bounds: RowBounds,
    /// The users; `None` for all, in the order of the model.
    users: Option<&'a [u32]>,
}

const N_HEADER_WORDS: usize = 4;

/// What the first item found out.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Selection<'a> {
    n_selected: u64,
    n_repeated: u64,
    n_unknown: u64,
    users: Option<&'a [u32]>,
}

impl<'a> Selection<'a> {
    /// A header of four 64-bit words: users, repetitions, unknown ones, and whether a list of users follows; then the list.
    fn encode(&self, bytes: &mut Vec<u8>) {
        let header = [self.n_selected, self.n_repeated, self.n_unknown, u64::from(self.users.is_some())];
        bytes.extend_from_slice(bytemuck::bytes_of(&header));
        bytes.extend_from_slice(bytemuck::cast_slice(self.users.unwrap_or_default()));
    }

    fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (header, list) = bytes.split_at_checked(N_HEADER_WORDS * size_of::<u64>())?;
        let &[n_selected, n_repeated, n_unknown, has_list] = bytemuck::try_cast_slice::<u8, u64>(header).ok()? else { return None };
        let list: &[u32] = bytemuck::try_cast_slice(list).ok()?;
        let users = (has_list == 1).then_some(list);
        let is_sound = users.is_none_or(|users| users.len() as u64 == n_selected);
        is_sound.then_some(Self { n_selected, n_repeated, n_unknown, users })
    }
}

/// The bounds of a block's rows as its item's result.
fn encode_bounds(RowBounds { max_norm, max_abs_bias }: RowBounds, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(bytemuck::bytes_of(&[max_norm, max_abs_bias]));
}

fn decode_bounds(bytes: &[u8]) -> Option<RowBounds> {
    let &[max_norm, max_abs_bias] = bytemuck::try_cast_slice::<u8, f64>(bytes).ok()? else { return None };
    Some(RowBounds { max_norm, max_abs_bias })
}

impl<'a> CheckedInput<'a> {
    /// The results of the first stage.
    pub(super) fn of(parts: &'a StageParts) -> Result<Self, Failure> {
        let damaged = || Failure::storage("a result of the check of the model is missing or damaged; submit the job again");
        let Selection { n_selected, n_repeated, n_unknown, users } = parts.item(0)?.and_then(Selection::decode).ok_or_else(damaged)?;
        let mut item_bounds = RowBounds::default();
        for block in 1..parts.n_items() {
            item_bounds = item_bounds.max(parts.item(block)?.and_then(decode_bounds).ok_or_else(damaged)?);
        }
        Ok(Self { n_selected, n_repeated, n_unknown, item_bounds, users })
    }

    /// Row of the user at `position` of those recommended to.
    pub(super) fn user(&self, position: u64) -> u32 {
        // All rows are numbered by u32, which was checked when the model was opened.
        self.users.map_or(position as u32, |users| users.get(position as usize).copied().unwrap_or(u32::MAX))
    }
}

/// The first stage, opened.
pub(super) struct CheckTask {
    model: ModelFile,
    users: Option<IdTable>,
    settings: RecommendSettings,
}

impl CheckTask {
    pub(super) fn open(model: ModelFile, settings: &RecommendSettings, job: &JobContext<'_>) -> Result<Self, Failure> {
        let users = IdTable::users(settings)?;
        users.iter().try_for_each(|table| table.verify(job.record))?;
        Ok(Self { model, users, settings: settings.clone() })
    }

    /// How many items the stage has for a model.
    pub(super) fn n_items(model: &ModelFile) -> Result<u64, Failure> {
        Ok(1 + model.n_factor_blocks()?)
    }

    fn check(&self, item: u64, outputs: &mut ItemOutputs) -> Result<(), Failure> {
        match item.checked_sub(1) {
            None => self.select(outputs),
            Some(block) => {
                let bounds = self.model.check_factor_block(block)?;
                outputs.push_with(|bytes| encode_bounds(bounds, bytes));
                Ok(())
            }
        }
    }

    fn select(&self, outputs: &mut ItemOutputs) -> Result<(), Failure> {
        self.model.check_all_but_factors()?;
        let (n_users, _) = self.model.shape()?;
        let all = Selection { n_selected: n_users as u64, n_repeated: 0, n_unknown: 0, users: None };
        match (&self.users, &self.settings.users) {
            (Some(table), UserChoice::File(path)) => {
                let (named, n_unknown) = table.read_users(&self.model.user_index()?, self.settings.unknown_users, path)?;
                let users = without_repetitions(&named, n_users);
                let n_repeated = (named.len() - users.len()) as u64;
                let selection = Selection { n_selected: users.len() as u64, n_repeated, n_unknown, users: Some(&users) };
                outputs.push_with(|bytes| selection.encode(bytes));
            }
            _ => outputs.push_with(|bytes| all.encode(bytes)),
        }
        Ok(())
    }
}

impl StageTask for CheckTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        (block.start..block.end).try_for_each(|item| self.check(item, outputs).map_err(|failure| ItemFailure { item, failure }))
    }
}

/// Each user once, where first named.
fn without_repetitions(named: &[u32], n_users: usize) -> Vec<u32> {
    let mut is_named = vec![false; n_users];
    let is_first = |user: &&u32| is_named.get_mut(**user as usize).is_some_and(|seen| !std::mem::replace(seen, true));
    named.iter().filter(is_first).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_comes_back_and_a_damaged_one_does_not() {
        for users in [None, Some(&[7_u32, 3, 9][..])] {
            let selection = Selection { n_selected: 3, n_repeated: 2, n_unknown: 1, users };
            let mut words = vec![0_u64; 6];
            let mut bytes = vec![];
            selection.encode(&mut bytes);
            bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(&bytes);
            let aligned = &bytemuck::cast_slice(&words)[..bytes.len()];
            assert_eq!(Selection::decode(aligned), Some(selection));
            assert_eq!(Selection::decode(&aligned[..N_HEADER_WORDS * 8 - 1]), None);
            if users.is_some() {
                assert_eq!(Selection::decode(&aligned[..aligned.len() - 4]), None);
            }
        }
        assert_eq!(without_repetitions(&[3, 1, 3, 0, 1], 4), [3, 1, 0]);
    }
}
