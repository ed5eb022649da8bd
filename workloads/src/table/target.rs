//! Rows converted to types that are given: what a model was trained on decides what a column must be, not what a block of rows
//! happens to look like.

use crate::table::cell::{self, Cell};
use crate::table::column::{MISSING_CODE, NumericKind, UNSEEN_CODE};
use crate::table::schema::{LogicalType, Schema};
use crate::table::table_file::Batch;
use crate::table::typed;
use paceline_common::failure::Failure;
use std::collections::HashMap;
use std::path::Path;

/// What a column must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetType {
    /// Numbers of this kind. True and false, whole numbers and numbers serve each other; dates serve as dates with times.
    Numeric(NumericKind),
    /// One of these distinct values; its code is its place in the list.
    Categorical(Vec<String>),
}

/// A column that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetColumn {
    /// Its name.
    pub name: String,
    /// What it must be.
    pub target: TargetType,
}

/// The columns that are wanted, in their order, made ready for looking up levels.
#[derive(Debug)]
pub struct TargetSchema {
    columns: Vec<PreparedColumn>,
}

#[derive(Debug)]
struct PreparedColumn {
    name: String,
    target: PreparedTarget,
}

#[derive(Debug)]
enum PreparedTarget {
    Numeric(NumericKind),
    Categorical(Levels),
}

/// Levels and their codes.
#[derive(Debug)]
struct Levels {
    code_of: HashMap<String, u32>,
    /// Whether every level is the canonical text of a number or of true or false: then the column was one of numbers, and a cell
    /// "7.0" means the level "7".
    are_numbers: bool,
}

/// A column of a block of rows.
#[derive(Clone, Debug, PartialEq)]
pub enum BlockColumn {
    /// Numbers; NaN is a missing value.
    Numeric(Vec<f64>),
    /// Codes of levels, [`MISSING_CODE`] or [`UNSEEN_CODE`].
    Categorical(Vec<u32>),
}

impl TargetSchema {
    /// Makes the wanted columns ready; done once for many blocks.
    #[must_use]
    pub fn new(columns: Vec<TargetColumn>) -> Self {
        let prepared = |column: TargetColumn| PreparedColumn {
            name: column.name,
            target: match column.target {
                TargetType::Numeric(kind) => PreparedTarget::Numeric(kind),
                TargetType::Categorical(levels) => PreparedTarget::Categorical(Levels::new(levels)),
            },
        };
        Self { columns: columns.into_iter().map(prepared).collect() }
    }

    /// The names in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Refuses a table that lacks a column or has one that cannot serve.
    pub(crate) fn check(&self, schema: &Schema, path: &Path) -> Result<(), Failure> {
        for column in &self.columns {
            let idx = schema.column_idx(&column.name, path)?;
            let Some(field) = schema.fields.get(idx) else { continue };
            if let Some(wanted) = column.target.unmet_by(&field.logical_type) {
                let (path, name, found) = (path.display(), &column.name, field.logical_type.noun());
                return Err(Failure::bad_input(format!("{path}: column '{name}' holds {found} where {wanted} are wanted; convert it")));
            }
        }
        Ok(())
    }

    /// Empty columns to be filled by [`Self::append`].
    pub(crate) fn empty_block(&self) -> Vec<BlockColumn> {
        let empty = |column: &PreparedColumn| match column.target {
            PreparedTarget::Numeric(_) => BlockColumn::Numeric(Vec::new()),
            PreparedTarget::Categorical(_) => BlockColumn::Categorical(Vec::new()),
        };
        self.columns.iter().map(empty).collect()
    }

    /// Adds the rows of a batch; `places` are those of the wanted columns in it.
    pub(crate) fn append(&self, batch: &Batch<'_>, places: &[usize], block: &mut [BlockColumn]) -> Result<(), Failure> {
        for ((column, &place), out) in self.columns.iter().zip(places).zip(block) {
            match (&column.target, out) {
                (PreparedTarget::Numeric(kind), BlockColumn::Numeric(out)) => append_numeric(batch, place, &column.name, *kind, out)?,
                (PreparedTarget::Categorical(levels), BlockColumn::Categorical(out)) => levels.append(batch, place, &column.name, out)?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl PreparedTarget {
    /// What is wanted instead of a column of this type; `None` where it serves.
    fn unmet_by(&self, found: &LogicalType) -> Option<&'static str> {
        match (self, found, found.numeric_kind()) {
            (_, LogicalType::Unknown, _) => None,
            (Self::Categorical(_), LogicalType::Unsupported(_), _) => Some("values that can be categories"),
            (Self::Categorical(_), _, _) => None,
            (Self::Numeric(wanted), _, Some(kind)) if kind.factor_to(*wanted).is_some() => None,
            (Self::Numeric(wanted), _, _) => Some(wanted.noun()),
        }
    }
}

fn append_numeric(batch: &Batch<'_>, place: usize, name: &str, wanted: NumericKind, out: &mut Vec<f64>) -> Result<(), Failure> {
    let array = batch.column(place)?;
    let refuse = |row: Option<usize>, found: &str| {
        let place = row.map_or(String::new(), |row| format!("{}: ", batch.place(row)));
        let (path, wanted) = (batch.path.display(), wanted.noun());
        Failure::bad_input(format!("{path}: {place}column '{name}' holds {found} where {wanted} are wanted; correct it"))
    };
    if batch.lines.is_none() {
        let from = out.len();
        let factor = typed::append_numbers(array.as_ref(), out).and_then(|kind| kind.factor_to(wanted));
        let factor = factor.ok_or_else(|| refuse(None, typed::logical_type(array.data_type()).noun()))?;
        if factor != 1.0 {
            out.iter_mut().skip(from).for_each(|value| *value *= factor);
        }
        return Ok(());
    }
    let mut row = 0;
    let mut refused: Option<Failure> = None;
    let read = typed::for_each_text(array.as_ref(), |text| {
        let text = text.unwrap_or_default();
        let value = match cell::parse(text) {
            Cell::Missing => Some(f64::NAN),
            Cell::Number(value, kind) => kind.factor_to(wanted).map(|factor| value * factor),
            Cell::Text(_) => None,
        };
        if value.is_none() {
            refused.get_or_insert_with(|| refuse(Some(row), &shown(text)));
        }
        out.push(value.unwrap_or(f64::NAN));
        row += 1;
    });
    read.ok_or_else(|| refuse(None, "no cells"))?;
    refused.map_or(Ok(()), Err)
}

/// A cell as a refusal quotes it, cut to a length that a sentence bears.
fn shown(cell: &str) -> String {
    const MAX_LETTERS: usize = 40;
    let cut: String = cell.chars().take(MAX_LETTERS).collect();
    if cut.len() < cell.len() { format!("{cut:?} and more") } else { format!("{cut:?}") }
}

impl Levels {
    fn new(levels: Vec<String>) -> Self {
        let is_number = |level: &String| match cell::parse(level) {
            Cell::Number(value, kind) => cell::canonical_text(value, kind) == *level,
            Cell::Missing | Cell::Text(_) => false,
        };
        let are_numbers = levels.iter().all(is_number);
        let code_of = levels.into_iter().zip(0..).collect();
        Self { code_of, are_numbers }
    }

    fn code(&self, value: &str) -> u32 {
        self.code_of.get(value).copied().unwrap_or(UNSEEN_CODE)
    }

    fn code_of_number(&self, value: f64, kind: NumericKind) -> u32 {
        if value.is_nan() { MISSING_CODE } else { self.code(&cell::canonical_text(value, kind)) }
    }

    fn code_of_cell(&self, text: &str) -> u32 {
        if cell::is_missing(text.trim_ascii()) {
            return MISSING_CODE;
        }
        match self.code(text) {
            UNSEEN_CODE if self.are_numbers => match cell::parse(text) {
                Cell::Number(value, kind) => self.code_of_number(value, kind),
                Cell::Missing | Cell::Text(_) => UNSEEN_CODE,
            },
            code => code,
        }
    }

    fn append(&self, batch: &Batch<'_>, place: usize, name: &str, out: &mut Vec<u32>) -> Result<(), Failure> {
        let array = batch.column(place)?;
        let mut numbers = Vec::new();
        let read = if batch.lines.is_some() {
            typed::for_each_text(array.as_ref(), |text| out.push(self.code_of_cell(text.unwrap_or_default())))
        } else if let Some(kind) = typed::append_numbers(array.as_ref(), &mut numbers) {
            out.extend(numbers.iter().map(|&value| self.code_of_number(value, kind)));
            Some(())
        } else {
            typed::for_each_text(array.as_ref(), |text| out.push(text.map_or(MISSING_CODE, |text| self.code(text))))
        };
        read.ok_or_else(|| {
            let (path, found) = (batch.path.display(), array.data_type());
            Failure::bad_input(format!("{path}: column '{name}' is of type {found}, which holds no categories; convert it"))
        })
    }
}
