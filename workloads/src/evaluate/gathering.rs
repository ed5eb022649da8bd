//! The first stage: one item that numbers the users and items of all tables together and lays the rows out user by user, so that the
//! stages after it map them. It counts what it leaves out; it must not know a metric.

use super::tables::{ListOrder, Sources};
use crate::interactions::{IdColumn, IdList, InteractionSource, number_together};
use crate::packed::{self, Packed};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::artifact::NewArray;
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::split::RowsByUser;
use serde::{Deserialize, Serialize};

const USER_IDS: &str = "user_ids";
const IN_CATALOG: &str = "in_catalog";
/// Names of the three tables' arrays.
const LISTS: &str = "list";
const TRUTH: &str = "truth";
const PREDICTIONS: &str = "predicted";

/// What was found in the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GatheredFacts {
    pub(super) n_users: usize,
    pub(super) n_items: usize,
    /// What was left out of each table, as a person reads it, and how many rows.
    pub(super) left_out: Vec<(String, u64)>,
    /// Width of the users' ids; `None` where they are numbers.
    user_id_width: Option<usize>,
    has_ratings: bool,
}

/// The one item of the stage.
pub(super) struct GatherTask {
    pub(super) sources: Sources,
}

impl StageTask for GatherTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        outputs.push(&self.gather().map_err(|failure| ItemFailure { item: block.start, failure })?);
        Ok(())
    }
}

/// One table's rows that take part.
#[derive(Default)]
struct Rows {
    users: Vec<u32>,
    items: Vec<u32>,
    /// One a row, or none at all.
    values: Vec<f64>,
}

/// Rows of a table, user by user.
#[derive(Default)]
struct Grouped {
    /// `[n_users + 1]`
    indptr: Vec<u64>,
    items: Vec<u32>,
    values: Vec<f32>,
}

impl GatherTask {
    fn gather(&self) -> Result<Vec<u8>, Failure> {
        let mut read = ReadTables::default();
        if let Some((lists, order)) = &self.sources.lists {
            let why = if *order == ListOrder::Rank { "rank" } else { "score" };
            read.add(lists, Some(why), "lists")?;
        }
        read.add(&self.sources.truth, None, "truth")?;
        if let Some(predictions) = &self.sources.predictions {
            read.add(predictions, None, "predictions")?;
        }
        if let Some(catalog) = &self.sources.catalog {
            let ids = catalog.read()?;
            let is_kept = vec![true; ids.len()];
            read.items.push(IdColumn { ids, is_kept });
        }
        let table = self.sources.truth.path().display().to_string();
        let ReadTables { users, items, values, left_out } = read;
        let (user_ids, users) = number_together(users, "user", &table)?;
        let (item_ids, mut items) = number_together(items, "item", &table)?;
        let catalog = self.sources.catalog.as_ref().and_then(|_| items.pop());
        let mut rows = users.into_iter().zip(items).zip(values).map(|((users, items), values)| Rows { users, items, values });
        let lists = self.sources.lists.as_ref().map(|(_, order)| (rows.next().unwrap_or_default(), *order));
        let (truth, predictions) = (rows.next().unwrap_or_default(), rows.next());

        let n_users = user_ids.len();
        let in_catalog = catalog.map(|catalog| catalog_of(catalog, lists.as_ref().map_or(&[], |(lists, _)| &lists.items), item_ids.len()));
        let lists = lists.map_or(Ok(Grouped::default()), |(lists, order)| grouped_in_order(n_users, &lists, order, &table))?;
        let truth = grouped(n_users, &truth, &table)?;
        let predictions = predictions.map_or(Ok(Grouped::default()), |rows| grouped(n_users, &rows, &table))?;
        self.expect_common_user(&truth, &[&lists, &predictions])?;
        let user_id_width = match &user_ids {
            IdList::Numbers(_) => None,
            IdList::Texts { width, .. } => Some(*width),
        };
        let facts = GatheredFacts {
            n_users,
            n_items: item_ids.len(),
            left_out,
            user_id_width,
            has_ratings: self.sources.truth.value_column().is_some(),
        };
        pack(&facts, &user_ids, &[(LISTS, &lists), (TRUTH, &truth), (PREDICTIONS, &predictions)], in_catalog.as_deref())
    }

    /// Refuses tables of different users: most often one names users by an id and the other by a number of its own.
    fn expect_common_user(&self, truth: &Grouped, others: &[&Grouped]) -> Result<(), Failure> {
        let has_rows = |table: &Grouped, user: usize| table.indptr.get(user) < table.indptr.get(user + 1);
        let is_common = |user: usize| has_rows(truth, user) && others.iter().any(|table| has_rows(table, user));
        if (0..truth.indptr.len()).any(is_common) {
            return Ok(());
        }
        let other = self.sources.lists.as_ref().map(|(lists, _)| lists).or(self.sources.predictions.as_ref());
        let other = other.map_or(String::new(), |other| other.path().display().to_string());
        let truth = self.sources.truth.path().display();
        Err(Failure::bad_input(format!("{truth}: has no user in common with {other}; name tables of the same users, by the same ids")))
    }
}

/// The columns of the tables that were read so far.
#[derive(Default)]
struct ReadTables {
    users: Vec<IdColumn>,
    items: Vec<IdColumn>,
    values: Vec<Vec<f64>>,
    left_out: Vec<(String, u64)>,
}

impl ReadTables {
    /// Reads a table. Rows without a user or an item are left out; where `needed` names the value, so are rows without one.
    fn add(&mut self, source: &InteractionSource, needed: Option<&str>, what: &str) -> Result<(), Failure> {
        let path = source.path().display();
        let rows = source.read()?;
        let mut is_kept = kept(rows.users.len(), &rows.without_ids);
        let n_with_ids = count(&is_kept);
        let mut values = rows.values.unwrap_or_default();
        if needed.is_none() {
            refuse_too_large(&values, source)?;
        } else {
            is_kept.iter_mut().zip(&values).for_each(|(is_kept, value)| *is_kept &= !value.is_nan());
        }
        let n_kept = count(&is_kept);
        if n_kept == 0 {
            let and = needed.map_or(String::new(), |needed| format!(" and a {needed}"));
            return Err(Failure::bad_input(format!("{path}: no row has a user and an item{and}; put at least one in")));
        }
        let mut row_is_kept = is_kept.iter();
        values.retain(|_| row_is_kept.next().is_some_and(|is_kept| *is_kept));
        self.left_out.push((format!("rows of the {what} without a user or an item, left out"), rows.without_ids.len() as u64));
        if let Some(needed) = needed {
            self.left_out.push((format!("rows of the {what} without a {needed}, left out"), (n_with_ids - n_kept) as u64));
        }
        self.users.push(IdColumn { ids: rows.users, is_kept: is_kept.clone() });
        self.items.push(IdColumn { ids: rows.items, is_kept });
        self.values.push(values);
        Ok(())
    }
}

fn kept(n_rows: usize, left_out: &[u64]) -> Vec<bool> {
    let mut is_kept = vec![true; n_rows];
    left_out.iter().for_each(|&row| is_kept[row as usize] = false);
    is_kept
}

fn count(is_kept: &[bool]) -> usize {
    is_kept.iter().filter(|is_kept| **is_kept).count()
}

/// Refuses ratings and predictions that single precision cannot hold.
fn refuse_too_large(values: &[f64], source: &InteractionSource) -> Result<(), Failure> {
    match values.iter().position(|value| value.abs() > f64::from(f32::MAX)) {
        None => Ok(()),
        Some(row) => {
            let (path, value) = (source.path().display(), values[row]);
            Err(Failure::bad_input(format!("{path}: row {}: the value {value} is beyond the range of float32; mend or drop it", row + 1)))
        }
    }
}

/// Whether each item could have been recommended: those that the catalogue names, and those of the lists.
fn catalog_of(catalog: Vec<u32>, listed: &[u32], n_items: usize) -> Vec<u8> {
    let mut in_catalog = vec![0; n_items];
    catalog.iter().chain(listed).for_each(|&item| in_catalog[item as usize] = 1);
    in_catalog
}

fn rows_by_user(n_users: usize, rows: &Rows, table: &str) -> Result<RowsByUser, Failure> {
    RowsByUser::new(&rows.users, 0..n_users as u32).ok_or_else(|| {
        Failure::bad_input(format!("{table}: a table has {} rows, where 2^32 are the most; split it by users", rows.users.len()))
    })
}

/// Users' rows in the order of the table.
fn grouped(n_users: usize, rows: &Rows, table: &str) -> Result<Grouped, Failure> {
    let mut grouped = Grouped { indptr: vec![0], ..Grouped::default() };
    for of_user in rows_by_user(n_users, rows, table)?.iter() {
        grouped.items.extend(of_user.iter().map(|&row| rows.items[row as usize]));
        // Checked to be in the range of f32; no value at all where none is wanted.
        grouped.values.extend(of_user.iter().filter_map(|&row| rows.values.get(row as usize)).map(|&value| value as f32));
        grouped.indptr.push(grouped.items.len() as u64);
    }
    Ok(grouped)
}

/// Users' lists, the best first, equal ones in the order of the table. Ranks and scores are not needed any more.
fn grouped_in_order(n_users: usize, rows: &Rows, order: ListOrder, table: &str) -> Result<Grouped, Failure> {
    let mut grouped = Grouped { indptr: vec![0], ..Grouped::default() };
    let mut list: Vec<(f64, u32)> = vec![];
    for of_user in rows_by_user(n_users, rows, table)?.iter() {
        list.clear();
        // Adding 0 makes no difference but to -0, which shall be equal to 0.
        list.extend(of_user.iter().map(|&row| (rows.values[row as usize] + 0.0, rows.items[row as usize])));
        match order {
            ListOrder::Rank => list.sort_by(|a, b| a.0.total_cmp(&b.0)),
            ListOrder::Score => list.sort_by(|a, b| b.0.total_cmp(&a.0)),
        }
        grouped.items.extend(list.iter().map(|line| line.1));
        grouped.indptr.push(grouped.items.len() as u64);
    }
    Ok(grouped)
}

fn pack(facts: &GatheredFacts, user_ids: &IdList, tables: &[(&str, &Grouped)], in_catalog: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
    let mut arrays = vec![user_ids.array(USER_IDS)];
    for (name, table) in tables {
        arrays.push(NewArray::vector(format!("{name}_indptr"), &table.indptr));
        arrays.push(NewArray::vector(format!("{name}_items"), &table.items));
        arrays.push(NewArray::vector(format!("{name}_values"), &table.values));
    }
    arrays.extend(in_catalog.map(|in_catalog| NewArray::vector(IN_CATALOG, in_catalog)));
    packed::pack(facts, &arrays)
}

/// Rows of a table in place, user by user.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByUser<'a> {
    indptr: &'a [u64],
    pub(super) items: &'a [u32],
    values: &'a [f32],
}

impl<'a> ByUser<'a> {
    /// The items of a user, and their values where the table has any; nothing where there is no such table.
    pub(super) fn of(&self, user: usize) -> (&'a [u32], &'a [f32]) {
        let ends = self.indptr.get(user).zip(self.indptr.get(user + 1));
        let range = ends.map_or(0..0, |(&start, &end)| start as usize..end as usize);
        (self.items.get(range.clone()).unwrap_or_default(), self.values.get(range).unwrap_or_default())
    }
}

/// The ids of users in place.
#[derive(Clone, Copy, Debug)]
pub(super) enum UserIds<'a> {
    Numbers(&'a [i64]),
    Texts { bytes: &'a [u8], width: usize },
}

impl<'a> UserIds<'a> {
    /// The text of a user's id.
    pub(super) fn text(bytes: &'a [u8], width: usize, user: usize) -> &'a str {
        let padded = bytes.get(user * width..(user + 1) * width).unwrap_or_default();
        let end = padded.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        // Packed from texts.
        std::str::from_utf8(&padded[..end]).unwrap_or_default()
    }
}

/// What the stage left, in place.
pub(super) struct Gathered<'a> {
    pub(super) facts: GatheredFacts,
    pub(super) user_ids: UserIds<'a>,
    pub(super) lists: ByUser<'a>,
    pub(super) truth: ByUser<'a>,
    pub(super) predictions: ByUser<'a>,
    /// One an item; `None` where every item counts.
    pub(super) in_catalog: Option<&'a [u8]>,
}

impl<'a> Gathered<'a> {
    /// Opens the result of the stage.
    pub(super) fn of(parts: &'a StageParts) -> Result<Self, Failure> {
        let bytes = parts.item(0)?.ok_or_else(|| Failure::storage("the tables were never read; submit the job again"))?;
        let packed = Packed::open(bytes)?;
        let facts: GatheredFacts = packed.facts()?;
        let table = |name: &str| -> Result<ByUser<'a>, Failure> {
            let [indptr, items, values] = ["indptr", "items", "values"].map(|array| format!("{name}_{array}"));
            Ok(ByUser { indptr: packed.array(&indptr)?, items: packed.array(&items)?, values: packed.array(&values)? })
        };
        let user_ids = match facts.user_id_width {
            None => UserIds::Numbers(packed.array(USER_IDS)?),
            Some(width) => UserIds::Texts { bytes: packed.array(USER_IDS)?, width },
        };
        let in_catalog = if packed.has(IN_CATALOG) { Some(packed.array(IN_CATALOG)?) } else { None };
        Ok(Self { user_ids, lists: table(LISTS)?, truth: table(TRUTH)?, predictions: table(PREDICTIONS)?, in_catalog, facts })
    }

    /// Whether the truth comes with ratings.
    pub(super) fn has_ratings(&self) -> bool {
        self.facts.has_ratings
    }
}
