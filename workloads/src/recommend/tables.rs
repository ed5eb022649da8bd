//! The tables of users, of seen items and of candidates: which of their columns are meant, and their ids as rows of the model.

use super::ids::IdIndex;
use super::model::ModelFile;
use super::settings::{RecommendSettings, UnknownUsers, UserChoice};
use crate::interactions::pick_column;
use crate::table::{Ids, TableSource};
use paceline_common::failure::Failure;
use paceline_common::job::{InputIdentity, JobRecord};
use std::path::Path;

/// A table with the columns that are meant.
pub(super) struct IdTable {
    source: TableSource,
    user_column: String,
    /// Only of a table of pairs.
    item_column: Option<String>,
}

impl IdTable {
    /// The table of users, where there is one.
    pub(super) fn users(settings: &RecommendSettings) -> Result<Option<Self>, Failure> {
        let UserChoice::File(path) = &settings.users else { return Ok(None) };
        let source = TableSource::open(std::slice::from_ref(path))?;
        let user_column = pick_column(&source, path, settings.user_column.as_deref(), "user", 0)?;
        Ok(Some(Self { source, user_column, item_column: None }))
    }

    /// The table of seen items, where there is one.
    pub(super) fn seen(settings: &RecommendSettings) -> Result<Option<Self>, Failure> {
        settings.seen.as_deref().map(|path| Self::pairs(path, settings)).transpose()
    }

    /// The table of candidates, where there is one.
    pub(super) fn candidates(settings: &RecommendSettings) -> Result<Option<Self>, Failure> {
        settings.candidates.as_deref().map(|path| Self::pairs(path, settings)).transpose()
    }

    fn pairs(path: &Path, settings: &RecommendSettings) -> Result<Self, Failure> {
        let source = TableSource::open(&[path.to_owned()])?;
        let user_column = pick_column(&source, path, settings.user_column.as_deref(), "user", 0)?;
        let item_column = pick_column(&source, path, settings.item_column.as_deref(), "item", 1)?;
        if user_column == item_column {
            let message = format!(
                "{}: column {user_column} would serve as users and as items; name both with --user-column and --item-column",
                path.display()
            );
            return Err(Failure::bad_input(message));
        }
        Ok(Self { source, user_column, item_column: Some(item_column) })
    }

    /// The files that make up the table, as they are now.
    pub(super) fn identities(&self) -> Result<Vec<InputIdentity>, Failure> {
        self.source.files().iter().map(|path| InputIdentity::of(path)).collect()
    }

    /// Refuses files that are no longer those of the job.
    pub(super) fn verify(&self, record: &JobRecord) -> Result<(), Failure> {
        self.source.files().iter().try_for_each(|path| record.verify_input(path))
    }

    /// The users, row by row, as rows of the model, and how many rows name one that it lacks.
    pub(super) fn read_users(&self, index: &IdIndex<'_>, unknown: UnknownUsers, path: &Path) -> Result<(Vec<u32>, u64), Failure> {
        let ids = self.source.read_ids(&[&self.user_column])?;
        let none = Ids::Int(vec![]);
        let ids = ids.first().unwrap_or(&none);
        let users = match unknown {
            UnknownUsers::Error => index.rows_of(ids, "user", path)?,
            UnknownUsers::Skip => index.find(ids).into_iter().flatten().collect(),
        };
        if users.is_empty() {
            Err(Failure::bad_input(format!("{}: names no users of the model; put at least one in", path.display())))
        } else {
            let n_unknown = (ids.len() - users.len()) as u64;
            Ok((users, n_unknown))
        }
    }

    /// The users and items of rows that have both in the model, and how many have not. Refused: a table all of whose rows have not.
    pub(super) fn read_pairs(&self, model: &ModelFile, unknown: UnknownUsers, path: &Path) -> Result<Pairs, Failure> {
        let columns: Vec<&str> = [Some(&self.user_column), self.item_column.as_ref()].into_iter().flatten().map(String::as_str).collect();
        let ids = self.source.read_ids(&columns)?;
        let none = Ids::Int(vec![]);
        let (users, items) = (ids.first().unwrap_or(&none), ids.get(1).unwrap_or(&none));
        let user_index = model.user_index()?;
        let user_rows = match unknown {
            UnknownUsers::Error => user_index.rows_of(users, "user", path)?.into_iter().map(Some).collect(),
            UnknownUsers::Skip => user_index.find(users),
        };
        let mut pairs = Pairs::default();
        for (user, item) in user_rows.into_iter().zip(model.item_index()?.find(items)) {
            if let (Some(user), Some(item)) = (user, item) {
                pairs.users.push(user);
                pairs.items.push(item);
            } else {
                pairs.n_left_out += 1;
            }
        }
        if pairs.users.is_empty() && pairs.n_left_out > 0 {
            return Err(Failure::bad_input(format!(
                "{}: no row names a user and an item of the model (the first: user {}, item {}); give ids as the model has them",
                path.display(),
                users.shown(0),
                items.shown(0)
            )));
        }
        Ok(pairs)
    }
}

/// Pairs of a user and an item.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    pub(super) users: Vec<u32>,
    pub(super) items: Vec<u32>,
    /// Rows whose user or item the model lacks.
    pub(super) n_left_out: u64,
}
