//! What the header of a table tells: names and types of its columns, and the refusals when a name or a type does not fit.

use crate::table::column::NumericKind;
use paceline_common::failure::Failure;
use std::collections::BTreeSet;
use std::path::Path;

/// The columns of a table in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Their names are distinct.
    pub fields: Vec<Field>,
    /// Names among them that pandas wrote as the index of its rows.
    pub row_index: BTreeSet<String>,
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub logical_type: LogicalType,
}

/// What a column holds, as far as the header tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogicalType {
    /// Cells of a CSV: their type shows when all of them are read.
    Unknown,
    /// True or false.
    Bool,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Float,
    /// Dates.
    Date,
    /// Dates with times.
    Timestamp,
    /// Text, also where it is stored as a dictionary.
    Text,
    /// Something that is neither a number nor text; the name of the type in its file.
    Unsupported(String),
}

impl LogicalType {
    /// The kind of numbers, where it is one.
    pub(crate) fn numeric_kind(&self) -> Option<NumericKind> {
        match self {
            Self::Bool => Some(NumericKind::Bool),
            Self::Integer => Some(NumericKind::Integer),
            Self::Float => Some(NumericKind::Float),
            Self::Date => Some(NumericKind::Date),
            Self::Timestamp => Some(NumericKind::Timestamp),
            Self::Unknown | Self::Text | Self::Unsupported(_) => None,
        }
    }

    /// What a person calls such a column.
    pub(crate) fn noun(&self) -> &str {
        match (self, self.numeric_kind()) {
            (_, Some(kind)) => kind.noun(),
            (Self::Text, None) => "text",
            (Self::Unsupported(name), None) => name,
            _ => "cells",
        }
    }

    /// Whether columns of these types in two files can be one column.
    fn goes_with(&self, other: &Self) -> bool {
        self == other || matches!((self, other), (Self::Integer, Self::Float) | (Self::Float, Self::Integer))
    }
}

impl Schema {
    /// Checks what every format must check: at least one column, each with a name of its own.
    pub(crate) fn checked(fields: Vec<Field>, path: &Path) -> Result<Self, Failure> {
        if fields.is_empty() {
            return Err(Failure::bad_input(format!("{}: has no column; name a table with columns", path.display())));
        }
        let mut names = std::collections::HashSet::with_capacity(fields.len());
        for (i, field) in fields.iter().enumerate() {
            if field.name.is_empty() {
                let place = i + 1;
                let advice = "give it one, or write the table without its row index";
                return Err(Failure::bad_input(format!("{}: column {place} has no name; {advice}", path.display())));
            }
            if !names.insert(field.name.as_str()) {
                let name = &field.name;
                return Err(Failure::bad_input(format!("{}: two columns are named '{name}'; rename one of them", path.display())));
            }
        }
        let row_index = fields.iter().filter(|field| is_unnamed_index(&field.name)).map(|field| field.name.clone()).collect();
        Ok(Self { fields, row_index })
    }

    /// The same with the row index that the entry `pandas` of a file's metadata declares. An index that is a range is no column, and
    /// an entry that is not as pandas writes it declares nothing.
    pub(crate) fn with_pandas_metadata(mut self, metadata: &arrow_schema::Metadata) -> Self {
        let entry = metadata.get("pandas").and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        let declared = entry.as_ref().and_then(|entry| entry.get("index_columns")?.as_array());
        let names = declared.into_iter().flatten().filter_map(serde_json::Value::as_str).filter(|name| self.idx_of(name).is_some());
        let names: Vec<String> = names.map(str::to_owned).collect();
        self.row_index.extend(names);
        self
    }

    /// The place of a column, if there is one of that name.
    #[must_use]
    pub fn idx_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// The place of a column; the refusal names those that look like it.
    pub(crate) fn column_idx(&self, name: &str, path: &Path) -> Result<usize, Failure> {
        self.idx_of(name).ok_or_else(|| {
            let message = format!("{}: has no column '{name}'; {}", path.display(), self.suggestion(name));
            Failure::bad_input(message)
        })
    }

    /// Refuses `other`, the schema of the file at `path`, where its columns are not those of this one; their order may differ.
    pub(crate) fn check_same(&self, first_path: &Path, other: &Self, path: &Path) -> Result<(), Failure> {
        if self == other {
            return Ok(());
        }
        let (first_path, path) = (first_path.display(), path.display());
        let missing = |has: &Self, lacks: &Self| has.fields.iter().find(|f| lacks.idx_of(&f.name).is_none()).map(|f| f.name.clone());
        let advice = "files of one table need the same columns";
        if let Some(name) = missing(self, other) {
            return Err(Failure::bad_input(format!("{path}: has no column '{name}', which {first_path} has; {advice}")));
        }
        if let Some(name) = missing(other, self) {
            return Err(Failure::bad_input(format!("{path}: has a column '{name}', which {first_path} has not; {advice}")));
        }
        for field in &self.fields {
            let theirs = other.fields.iter().find(|f| f.name == field.name);
            if let Some(theirs) = theirs.filter(|theirs| !field.logical_type.goes_with(&theirs.logical_type)) {
                let (name, this, that) = (&field.name, theirs.logical_type.noun(), field.logical_type.noun());
                let message = format!("{path}: column '{name}' holds {this}, and {that} in {first_path}; write both with one type");
                return Err(Failure::bad_input(message));
            }
        }
        Ok(())
    }

    fn suggestion(&self, name: &str) -> String {
        let mut near: Vec<(usize, &str)> = self
            .fields
            .iter()
            .map(|field| (edit_distance(&name.to_lowercase(), &field.name.to_lowercase()), field.name.as_str()))
            .filter(|&(distance, candidate)| distance <= 1 + name.chars().count().max(candidate.chars().count()) / 3)
            .collect();
        near.sort_by_key(|&(distance, _)| distance);
        let listed = |names: &[&str]| names.iter().map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ");
        if near.is_empty() {
            let names: Vec<&str> = self.fields.iter().take(MAX_NAMES_SHOWN).map(|field| field.name.as_str()).collect();
            let more = self.fields.len().saturating_sub(names.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            return format!("its columns are {}{more}", listed(&names));
        }
        let names: Vec<&str> = near.iter().take(3).map(|&(_, name)| name).collect();
        format!("did you mean {}?", listed(&names))
    }
}

/// Whether pandas names an index so that has no name of its own: `__index_level_0__`.
fn is_unnamed_index(name: &str) -> bool {
    let level = name.strip_prefix("__index_level_").and_then(|rest| rest.strip_suffix("__"));
    level.is_some_and(|level| !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Most column names in a refusal, so that it stays one readable sentence.
const MAX_NAMES_SHOWN: usize = 12;

/// How many letters must be inserted, deleted or replaced (Levenshtein). Names are cut so that hostile headers cost no time.
fn edit_distance(a: &str, b: &str) -> usize {
    const MAX_LETTERS: usize = 64;
    let b: Vec<char> = b.chars().take(MAX_LETTERS).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().take(MAX_LETTERS).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, &other) in row.iter_mut().skip(1).zip(&b) {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = *cell;
            *cell = replaced.min(left + 1).min(diagonal + 1);
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_definition() {
        for (a, b, distance) in
            [("", "", 0), ("abc", "", 3), ("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0), ("ab", "ba", 2)]
        {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
        }
    }
}
