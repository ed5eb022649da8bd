//! The tables of users and of seen items: which of their columns are meant, and their ids as rows of the model.

use super::ids::IdIndex;
use super::settings::{RecommendSettings, UserChoice};
use crate::table::{Ids, Schema, TableSource};
use paceline_common::failure::Failure;
use paceline_common::job::{InputIdentity, JobRecord};
use std::path::Path;

/// A table with the columns that are meant.
pub(super) struct IdTable {
    source: TableSource,
    user_column: String,
    /// Only of a table of seen items.
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
        let Some(path) = &settings.seen else { return Ok(None) };
        let source = TableSource::open(std::slice::from_ref(path))?;
        let user_column = pick_column(&source, path, settings.user_column.as_deref(), "user", 0)?;
        let item_column = pick_column(&source, path, settings.item_column.as_deref(), "item", 1)?;
        if user_column == item_column {
            let message = format!(
                "{}: column {user_column} would serve as users and as items; name both with --user-column and --item-column",
                path.display()
            );
            return Err(Failure::bad_input(message));
        }
        Ok(Some(Self { source, user_column, item_column: Some(item_column) }))
    }

    /// The files that make up the table, as they are now.
    pub(super) fn identities(&self) -> Result<Vec<InputIdentity>, Failure> {
        self.source.files().iter().map(|path| InputIdentity::of(path)).collect()
    }

    /// Refuses files that are no longer those of the job.
    pub(super) fn verify(&self, record: &JobRecord) -> Result<(), Failure> {
        for path in self.source.files() {
            let submitted = record.plan.inputs.iter().find(|input| input.path == *path);
            let submitted = submitted.ok_or_else(|| {
                Failure::bad_input(format!("{}: was not there when the job was submitted; submit it again", path.display()))
            })?;
            submitted.verify()?;
        }
        Ok(())
    }

    /// The users, row by row, as rows of the model.
    pub(super) fn read_users(&self, index: &IdIndex<'_>, path: &Path) -> Result<Vec<u32>, Failure> {
        let ids = self.source.read_ids(&[&self.user_column])?;
        let users = ids.first().map_or(Ok(vec![]), |ids| index.rows_of(ids, "user", path))?;
        if users.is_empty() {
            Err(Failure::bad_input(format!("{}: names no users; put at least one in", path.display())))
        } else {
            Ok(users)
        }
    }

    /// The users and items, row by row, as rows of the model.
    pub(super) fn read_pairs(&self, users: &IdIndex<'_>, items: &IdIndex<'_>, path: &Path) -> Result<(Vec<u32>, Vec<u32>), Failure> {
        let columns: Vec<&str> = [Some(&self.user_column), self.item_column.as_ref()].into_iter().flatten().map(String::as_str).collect();
        let ids = self.source.read_ids(&columns)?;
        let none = Ids::Int(vec![]);
        let user_rows = users.rows_of(ids.first().unwrap_or(&none), "user", path)?;
        let item_rows = items.rows_of(ids.get(1).unwrap_or(&none), "item", path)?;
        Ok((user_rows, item_rows))
    }
}

/// The column `chosen` by a person; else the one called `what` or `what`_id; else the one at `place`.
fn pick_column(source: &TableSource, path: &Path, chosen: Option<&str>, what: &str, place: usize) -> Result<String, Failure> {
    let Schema { fields, .. } = source.schema();
    if let Some(name) = chosen {
        let idx = source.column_idx(name)?;
        return Ok(fields.get(idx).map_or_else(|| name.to_owned(), |field| field.name.clone()));
    }
    let by_name = |name: &str| fields.iter().find(|field| field.name == name);
    let found = by_name(what).or_else(|| by_name(&format!("{what}_id"))).or_else(|| fields.get(place));
    let missing = || Failure::bad_input(format!("{}: has no column of {what}s; name one with --{what}-column", path.display()));
    found.map(|field| field.name.clone()).ok_or_else(missing)
}
