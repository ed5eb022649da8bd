//! The first stage: one item that looks at every value of the model and finds out who is to be recommended to. Its result is small,
//! and says how many items the stages after it have.

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
    /// Of the items' rows.
    pub(super) item_bounds: RowBounds,
    /// The users; `None` for all, in the order of the model.
    users: Option<&'a [u32]>,
}

const N_HEADER_WORDS: usize = 5;

impl<'a> CheckedInput<'a> {
    /// A header of five 64-bit words: users, repetitions, whether a list of users follows, and the bits of both bounds; then the list.
    fn encode(&self, bytes: &mut Vec<u8>) {
        let RowBounds { max_norm, max_abs_bias } = self.item_bounds;
        let header = [self.n_selected, self.n_repeated, u64::from(self.users.is_some()), max_norm.to_bits(), max_abs_bias.to_bits()];
        bytes.extend_from_slice(bytemuck::bytes_of(&header));
        bytes.extend_from_slice(bytemuck::cast_slice(self.users.unwrap_or_default()));
    }

    fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (header, list) = bytes.split_at_checked(N_HEADER_WORDS * size_of::<u64>())?;
        let &[n_selected, n_repeated, has_list, max_norm, max_abs_bias] = bytemuck::try_cast_slice::<u8, u64>(header).ok()? else {
            return None;
        };
        let list: &[u32] = bytemuck::try_cast_slice(list).ok()?;
        let item_bounds = RowBounds { max_norm: f64::from_bits(max_norm), max_abs_bias: f64::from_bits(max_abs_bias) };
        let users = (has_list == 1).then_some(list);
        let is_sound = users.is_none_or(|users| users.len() as u64 == n_selected);
        is_sound.then_some(Self { n_selected, n_repeated, item_bounds, users })
    }

    /// The result of the first stage.
    pub(super) fn of(parts: &'a StageParts) -> Result<Self, Failure> {
        parts.item(0)?.and_then(Self::decode).ok_or_else(|| Failure::storage("the result of the check of the model is missing or damaged"))
    }

    /// Row of the user at `position` of those recommended to.
    pub(super) fn user(&self, position: u64) -> u32 {
        // All rows are numbered by u32, which was checked when the model was opened.
        self.users.map_or(position as u32, |users| users.get(position as usize).copied().unwrap_or(u32::MAX))
    }
}

/// The one item of the first stage.
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

    fn check(&self, outputs: &mut ItemOutputs) -> Result<(), Failure> {
        let item_bounds = self.model.check_values()?;
        let n_users = self.model.factors()?.n_users();
        let checked = CheckedInput { n_selected: n_users as u64, n_repeated: 0, item_bounds, users: None };
        match (&self.users, &self.settings.users) {
            (Some(table), UserChoice::File(path)) => {
                let named = table.read_users(&self.model.user_index()?, path)?;
                let users = without_repetitions(&named, n_users);
                let n_repeated = (named.len() - users.len()) as u64;
                let checked = CheckedInput { n_selected: users.len() as u64, n_repeated, users: Some(&users), ..checked };
                outputs.push_with(|bytes| checked.encode(bytes));
            }
            _ => outputs.push_with(|bytes| checked.encode(bytes)),
        }
        Ok(())
    }
}

impl StageTask for CheckTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        self.check(outputs).map_err(|failure| ItemFailure { item: block.start, failure })
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
        let item_bounds = RowBounds { max_norm: 1.5, max_abs_bias: 0.25 };
        for users in [None, Some(&[7_u32, 3, 9][..])] {
            let checked = CheckedInput { n_selected: 3, n_repeated: 2, item_bounds, users };
            let mut words = vec![0_u64; 8];
            let mut bytes = vec![];
            checked.encode(&mut bytes);
            bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(&bytes);
            let aligned = &bytemuck::cast_slice(&words)[..bytes.len()];
            assert_eq!(CheckedInput::decode(aligned), Some(checked));
            assert_eq!(CheckedInput::decode(&aligned[..N_HEADER_WORDS * 8 - 1]), None);
            if users.is_some() {
                assert_eq!(CheckedInput::decode(&aligned[..aligned.len() - 4]), None);
            }
        }
        assert_eq!(without_repetitions(&[3, 1, 3, 0, 1], 4), [3, 1, 0]);
    }
}
