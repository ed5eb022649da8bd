//! The stage that looks at every value of the model and finds the rows of the model that a table of pairs means: one item, whose result
//! later stages map. It must not know how a pair is scored.

use crate::interactions::{InteractionRows, InteractionSource};
use crate::packed::{self, Packed};
use crate::recommend::{ModelFile, UnknownUsers};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::artifact::NewArray;
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use serde::{Deserialize, Serialize};

/// In place of a row of the model where it has none.
const NONE: u32 = u32::MAX;

/// What was found in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PairFacts {
    /// Rows with a user and an item.
    pub(super) n_pairs: u64,
    /// Rows without, which were left out.
    pub(super) n_without_ids: u64,
    /// Pairs whose user the model lacks.
    pub(super) n_unknown_users: u64,
    /// Pairs of a known user whose item it lacks.
    pub(super) n_unknown_items: u64,
}

/// The pairs in place in the stage's result.
pub(super) struct Pairs<'a> {
    pub(super) facts: PairFacts,
    users: &'a [u32],
    items: &'a [u32],
}

impl<'a> Pairs<'a> {
    pub(super) fn of(parts: &'a StageParts) -> Result<Self, Failure> {
        let damaged = || Failure::storage("the pairs of an earlier stage are missing or damaged; submit the job again");
        let packed = Packed::open(parts.item(0)?.ok_or_else(damaged)?)?;
        let pairs = Self { facts: packed.facts()?, users: packed.array("users")?, items: packed.array("items")? };
        let is_sound = [pairs.users.len(), pairs.items.len()].iter().all(|&n| n as u64 == pairs.facts.n_pairs);
        is_sound.then_some(pairs).ok_or_else(damaged)
    }

    /// The user and item of a pair, where the model has both.
    pub(super) fn get(&self, pair: usize) -> Option<(u32, u32)> {
        let (&user, &item) = self.users.get(pair).zip(self.items.get(pair))?;
        (user != NONE && item != NONE).then_some((user, item))
    }
}

/// The one item of the stage.
pub(super) struct ResolveTask {
    pub(super) model: ModelFile,
    pub(super) source: InteractionSource,
    pub(super) unknown_users: UnknownUsers,
}

impl ResolveTask {
    fn resolve(&self) -> Result<Vec<u8>, Failure> {
        self.model.check_values()?;
        let rows = self.source.read()?;
        let kept = kept_rows(&rows);
        let path = self.source.path();
        let users = self.model.user_index()?.find(&rows.users);
        let items = self.model.item_index()?.find(&rows.items);
        if let (UnknownUsers::Error, Some(&row)) = (self.unknown_users, kept.iter().find(|&&row| users[row].is_none())) {
            let (path, user) = (path.display(), rows.users.shown(row));
            let message = format!("{path}: user {user} is not in the model; leave such pairs without a score by --unknown-users skip");
            return Err(Failure::bad_input(message));
        }
        let number = |found: &[Option<u32>]| -> Vec<u32> { kept.iter().map(|&row| found[row].unwrap_or(NONE)).collect() };
        let (users, items) = (number(&users), number(&items));
        if !users.iter().zip(&items).any(|(&user, &item)| user != NONE && item != NONE) {
            let first = kept
                .first()
                .map_or(String::new(), |&row| format!(" (the first: user {}, item {})", rows.users.shown(row), rows.items.shown(row)));
            let message =
                format!("{}: no row names a user and an item of the model{first}; give ids as the model has them", path.display());
            return Err(Failure::bad_input(message));
        }
        let facts = PairFacts {
            n_pairs: kept.len() as u64,
            n_without_ids: rows.without_ids.len() as u64,
            n_unknown_users: users.iter().filter(|&&user| user == NONE).count() as u64,
            n_unknown_items: users.iter().zip(&items).filter(|(user, item)| **user != NONE && **item == NONE).count() as u64,
        };
        packed::pack(&facts, &[NewArray::vector("users", &users), NewArray::vector("items", &items)])
    }
}

/// The rows that have a user and an item, in their order.
pub(super) fn kept_rows(rows: &InteractionRows) -> Vec<usize> {
    (0..rows.users.len()).filter(|&row| rows.without_ids.binary_search(&(row as u64)).is_err()).collect()
}

impl StageTask for ResolveTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        outputs.push_owned(self.resolve().map_err(|failure| ItemFailure { item: block.start, failure })?);
        Ok(())
    }
}
