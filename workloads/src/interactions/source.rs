//! The table as its files hold it: which of its columns are meant, and its rows as ids, values and times. This room must not know
//! what is made of a row.

use crate::table::{Column, Ids, LogicalType, NumericKind, Schema, TableSource};
use paceline_common::failure::Failure;
use paceline_common::job::{InputIdentity, JobRecord};
use std::path::{Path, PathBuf};

/// The columns that a person named.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ColumnNames<'a> {
    pub(crate) user: Option<&'a str>,
    pub(crate) item: Option<&'a str>,
    /// What an interaction is worth: a rating, a count.
    pub(crate) value: Option<&'a str>,
    pub(crate) time: Option<&'a str>,
}

/// An open table with the columns that are meant.
#[derive(Debug)]
pub(crate) struct InteractionSource {
    source: TableSource,
    user: String,
    item: String,
    value: Option<String>,
    time: Option<String>,
}

/// The rows of a table that have a user and an item.
#[derive(Debug)]
pub(crate) struct InteractionRows {
    pub(crate) users: Ids,
    pub(crate) items: Ids,
    /// One a row; NaN where there is none.
    pub(crate) values: Option<Vec<f64>>,
    /// One a row with what the numbers stand for; NaN where there is none.
    pub(crate) times: Option<(Vec<f64>, NumericKind)>,
    /// Rows without a user or an item, ascending; what the columns hold there means nothing.
    pub(crate) without_ids: Vec<u64>,
}

/// Names under which values are looked for.
const VALUE_NAMES: [&str; 3] = ["value", "rating", "count"];
/// Names under which times are looked for.
const TIME_NAMES: [&str; 3] = ["time", "timestamp", "date"];

impl InteractionSource {
    /// Opens the table by its headers. A column that is not named is found by name: user or `user_id`, else the first; item or
    /// `item_id`, else the second; values and times only by their usual names, as a table need not have them.
    pub(crate) fn open(paths: &[PathBuf], names: ColumnNames<'_>) -> Result<Self, Failure> {
        let source = TableSource::open(paths)?;
        let path = source.files().first().cloned().unwrap_or_default();
        let user = pick_column(&source, &path, names.user, "user", 0)?;
        let item = pick_column(&source, &path, names.item, "item", 1)?;
        // A column that was named as one thing is not looked at as another.
        let unnamed = |usual: &[&'static str]| -> Vec<&'static str> {
            let is_named = |name: &str| [names.user, names.item, names.value, names.time].contains(&Some(name));
            usual.iter().filter(|name| !is_named(name)).copied().collect()
        };
        let value = find_numbers(&source, &path, names.value, &unnamed(&VALUE_NAMES), "values")?;
        let time = find_numbers(&source, &path, names.time, &unnamed(&TIME_NAMES), "times")?;
        let named = [Some(&user), Some(&item), value.as_ref(), time.as_ref()];
        for (place, name) in named.iter().enumerate() {
            if name.is_some() && named[..place].contains(name) {
                let name = name.map_or("", String::as_str);
                let message = format!(
                    "{}: column {name} would serve as two things; name the columns of users, items, values and times apart",
                    path.display()
                );
                return Err(Failure::bad_input(message));
            }
        }
        Ok(Self { source, user, item, value, time })
    }

    /// The same table for a use that needs ratings; refused where it has none.
    pub(crate) fn with_ratings(self) -> Result<Self, Failure> {
        if self.value.is_some() {
            return Ok(self);
        }
        let path = self.path().display();
        Err(Failure::bad_input(format!("{path}: has no column of ratings; name one with --value-column")))
    }

    /// The same table for a use to which values mean nothing: they are not read, whatever they hold.
    pub(crate) fn without_values(self) -> Self {
        Self { value: None, ..self }
    }

    /// The same for a use to which times mean nothing.
    pub(crate) fn without_times(self) -> Self {
        Self { time: None, ..self }
    }

    /// The table itself, with all of its columns.
    pub(crate) fn table(&self) -> &TableSource {
        &self.source
    }

    /// The files that make up the table, as they are now.
    pub(crate) fn identities(&self) -> Result<Vec<InputIdentity>, Failure> {
        self.source.files().iter().map(|path| InputIdentity::of(path)).collect()
    }

    /// Refuses files that are no longer those of the job.
    pub(crate) fn verify(&self, record: &JobRecord) -> Result<(), Failure> {
        self.source.files().iter().try_for_each(|path| record.verify_input(path))
    }

    /// The first file, for messages.
    pub(crate) fn path(&self) -> &Path {
        self.source.files().first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// The column of values, where there is one.
    pub(crate) fn value_column(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// The column of times, where there is one.
    pub(crate) fn time_column(&self) -> Option<&str> {
        self.time.as_deref()
    }

    /// All rows.
    pub(crate) fn read(&self) -> Result<InteractionRows, Failure> {
        let columns = self.source.read_ids_with_gaps(&[&self.user, &self.item])?;
        let Ok([(users, no_user), (items, no_item)]) = <[_; 2]>::try_from(columns) else {
            return Err(Failure::storage(format!("{}: its columns were lost while they were read", self.path().display())));
        };
        let mut without_ids = [no_user, no_item].concat();
        without_ids.sort_unstable();
        without_ids.dedup();
        Ok(InteractionRows {
            users,
            items,
            values: self.numbers(self.value_column())?.map(|(values, _)| values),
            times: self.numbers(self.time_column())?,
            without_ids,
        })
    }

    fn numbers(&self, name: Option<&str>) -> Result<Option<(Vec<f64>, NumericKind)>, Failure> {
        let Some(name) = name else { return Ok(None) };
        match &*self.source.read_column(name)? {
            Column::Numeric(numbers) => Ok(Some((numbers.values.clone(), numbers.kind))),
            // A column of a CSV, which is known to be of text only when all of it was read.
            Column::Text(_) => Err(no_numbers(self.path(), name)),
        }
    }
}

fn no_numbers(path: &Path, name: &str) -> Failure {
    Failure::bad_input(format!("{}: column '{name}' holds text where numbers are wanted; name another, or convert it", path.display()))
}

/// The column `chosen` by a person; else the one called `what` or `what`_id; else the one at `place`.
pub(crate) fn pick_column(source: &TableSource, path: &Path, chosen: Option<&str>, what: &str, place: usize) -> Result<String, Failure> {
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

/// The column `chosen` by a person, or the first of `usual` that the table has; refused where a chosen one holds text.
fn find_numbers(source: &TableSource, path: &Path, chosen: Option<&str>, usual: &[&str], what: &str) -> Result<Option<String>, Failure> {
    let fields = &source.schema().fields;
    let found = match chosen {
        Some(name) => fields.get(source.column_idx(name)?),
        None => usual.iter().find_map(|name| fields.iter().find(|field| field.name == *name)),
    };
    match found.map(|field| (&field.name, &field.logical_type)) {
        None => Ok(None),
        Some((name, LogicalType::Text)) if chosen.is_some() => Err(no_numbers(path, name)),
        // By its name alone it need not be one of what is looked for.
        Some((_, LogicalType::Text)) => Ok(None),
        Some((name, LogicalType::Unsupported(of))) => {
            Err(Failure::bad_input(format!("{}: column '{name}' is of type {of} and cannot serve as {what}; convert it", path.display())))
        }
        Some((name, _)) => Ok(Some(name.clone())),
    }
}
