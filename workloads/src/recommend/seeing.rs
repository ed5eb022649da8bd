//! The stages that a table of seen items or of candidates asks for: one item each, which turns the table into compressed sparse rows;
//! those of seen items together with what the model file says of them. The rows are mapped by every node that scores.

use super::model::ModelFile;
use super::settings::{RecommendSettings, UnknownUsers};
use super::tables::{IdTable, Pairs};
use crate::workload::{ItemFailure, JobContext, StageTask};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::recommend::SeenItems;
use std::path::PathBuf;

/// The one item of the stage.
pub(super) struct PairsTask {
    model: ModelFile,
    table: IdTable,
    path: PathBuf,
    unknown_users: UnknownUsers,
    /// Whether what the model knows to be seen is added.
    are_seen: bool,
}

impl PairsTask {
    /// Of the table of seen items. Whom or what the model lacks makes no difference there.
    pub(super) fn open_seen(model: ModelFile, settings: &RecommendSettings, job: &JobContext<'_>) -> Result<Self, Failure> {
        let (Some(table), Some(path)) = (IdTable::seen(settings)?, settings.seen.clone()) else {
            return Err(Failure::storage("the job has a stage for a table of seen items, but no such table"));
        };
        table.verify(job.record)?;
        Ok(Self { model, table, path, unknown_users: UnknownUsers::Skip, are_seen: true })
    }

    /// Of the table of candidates.
    pub(super) fn open_candidates(model: ModelFile, settings: &RecommendSettings, job: &JobContext<'_>) -> Result<Self, Failure> {
        let (Some(table), Some(path)) = (IdTable::candidates(settings)?, settings.candidates.clone()) else {
            return Err(Failure::storage("the job has a stage for a table of candidates, but no such table"));
        };
        table.verify(job.record)?;
        Ok(Self { model, table, path, unknown_users: settings.unknown_users, are_seen: false })
    }

    fn collect(&self, outputs: &mut ItemOutputs) -> Result<(), Failure> {
        let Pairs { users, items, n_left_out } = self.table.read_pairs(&self.model, self.unknown_users, &self.path)?;
        let known = if self.are_seen { self.model.seen()? } else { SeenItems::default() };
        let (indptr, indices) = rows_of_pairs(&users, &items, self.model.shape()?.0, known);
        outputs.push_with(|bytes| {
            bytes.extend_from_slice(bytemuck::bytes_of(&[n_left_out, indptr.len() as u64]));
            bytes.extend_from_slice(bytemuck::cast_slice(&indptr));
            bytes.extend_from_slice(bytemuck::cast_slice(&indices));
        });
        Ok(())
    }
}

impl StageTask for PairsTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        self.collect(outputs).map_err(|failure| ItemFailure { item: block.start, failure })
    }
}

/// What such a stage left, in place: rows of items by user, and how many rows of the table were left out.
pub(super) fn rows_of(parts: &StageParts) -> Result<(SeenItems<'_>, u64), Failure> {
    parts.item(0)?.and_then(decode).ok_or_else(|| Failure::storage("the rows of a table of items are missing or damaged"))
}

fn decode(bytes: &[u8]) -> Option<(SeenItems<'_>, u64)> {
    let (header, rest) = bytes.split_at_checked(2 * size_of::<u64>())?;
    let &[n_left_out, n_pointers] = bytemuck::try_cast_slice::<u8, u64>(header).ok()? else { return None };
    let (indptr, indices) = rest.split_at_checked(usize::try_from(n_pointers).ok()?.checked_mul(size_of::<u64>())?)?;
    Some((SeenItems::trusted(bytemuck::try_cast_slice(indptr).ok()?, bytemuck::try_cast_slice(indices).ok()?), n_left_out))
}

/// Pairs and rows that are known already as one set of rows: every item of a user once, ascending. Row pointers and indices.
fn rows_of_pairs(users: &[u32], items: &[u32], n_users: usize, known: SeenItems<'_>) -> (Vec<u64>, Vec<u32>) {
    // A counting sort by user.
    let mut ends: Vec<usize> = (0..n_users).map(|user| known.of(user).len()).collect();
    users.iter().for_each(|&user| ends[user as usize] += 1);
    let mut n_total = 0;
    for end in &mut ends {
        // Until the rows are filled, this is where the next item of a user goes.
        n_total += std::mem::replace(end, n_total);
    }
    let mut gathered = vec![0; n_total];
    let mut put = |user: usize, item: u32| {
        gathered[ends[user]] = item;
        ends[user] += 1;
    };
    (0..n_users).for_each(|user| known.of(user).iter().for_each(|&item| put(user, item)));
    users.iter().zip(items).for_each(|(&user, &item)| put(user as usize, item));
    let (mut indptr, mut indices) = (vec![0], Vec::with_capacity(n_total));
    let mut start = 0;
    for end in ends {
        let row = &mut gathered[start..end];
        row.sort_unstable();
        indices.extend(row.chunk_by(|a, b| a == b).map(|same| same[0]));
        indptr.push(indices.len() as u64);
        start = end;
    }
    (indptr, indices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_sorted_rows_without_repetitions() {
        let known = SeenItems::trusted(&[0, 2, 2, 3], &[1, 5, 4]);
        let (indptr, indices) = rows_of_pairs(&[2, 0, 2, 0, 2], &[9, 5, 0, 3, 9], 3, known);
        assert_eq!((indptr, indices), (vec![0, 3, 3, 6], vec![1, 3, 5, 0, 4, 9]));
        assert_eq!(rows_of_pairs(&[], &[], 2, SeenItems::default()), (vec![0, 0, 0], vec![]));
    }
}
