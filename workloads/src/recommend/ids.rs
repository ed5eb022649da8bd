//! Ids of users and items: as the model file holds them, as tables name them, and how one is found by the other.

use crate::table::Ids;
use paceline_common::artifact::Artifact;
use paceline_common::failure::Failure;
use safetensors::Dtype;
use std::collections::HashMap;
use std::hash::Hash;
use std::path::Path;

/// The ids of a model's users or items, in place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ModelIds<'a> {
    /// The model has none: a row's number is its id.
    RowNumbers { n_rows: usize },
    /// One number a row.
    Numbers(&'a [i64]),
    /// One text a row.
    Texts(PaddedTexts<'a>),
}

/// Texts of one width: UTF-8, padded with zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PaddedTexts<'a> {
    bytes: &'a [u8],
    width: usize,
}

impl<'a> PaddedTexts<'a> {
    /// The text of a row; nothing where it is no UTF-8, which [`ModelIds::check`] refuses.
    pub(crate) fn get(&self, row: usize) -> Option<&'a str> {
        let padded = self.bytes.get(row * self.width..(row + 1) * self.width)?;
        let len = padded.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        std::str::from_utf8(&padded[..len]).ok()
    }

    fn n_rows(&self) -> usize {
        self.bytes.len() / self.width
    }
}

impl<'a> ModelIds<'a> {
    /// The ids in array `name` of the model, where it has one; refused where there are not `n_rows`.
    pub(crate) fn of(model: &'a Artifact, name: &str, n_rows: usize) -> Result<Self, Failure> {
        match model.arrays().get(name).map(|info| info.dtype) {
            None => Ok(Self::RowNumbers { n_rows }),
            Some(Dtype::U8) => {
                let (bytes, n_texts, width) = model.matrix::<u8>(name)?;
                if n_texts != n_rows || width == 0 {
                    return Err(model.refuse(&format!("array {name} has shape [{n_texts}, {width}], where [{n_rows}, width] is needed")));
                }
                Ok(Self::Texts(PaddedTexts { bytes, width }))
            }
            Some(Dtype::I64) => Ok(Self::Numbers(model.vector(name, Some(n_rows))?)),
            Some(other) => Err(model.refuse(&format!("array {name} is of type {other:?}, where I64, or U8 for text, is needed"))),
        }
    }

    /// Builds the way back from an id to its row. Refuses a text that is no UTF-8 and an id that occurs twice; `name` is the array's.
    pub(crate) fn index(self, model: &Artifact, name: &str) -> Result<IdIndex<'a>, Failure> {
        let twice = |(first, second, id): (usize, usize, String)| {
            model.refuse(&format!("array {name} has {id} in rows {first} and {second}; make ids unique"))
        };
        match self {
            Self::RowNumbers { n_rows } => Ok(IdIndex::RowNumbers { n_rows }),
            Self::Numbers(ids) => Ok(IdIndex::Numbers(rows_by_id(ids.iter().copied()).map_err(twice)?)),
            Self::Texts(texts) => {
                if let Some(row) = (0..texts.n_rows()).find(|&row| texts.get(row).is_none()) {
                    return Err(model.refuse(&format!("array {name} has no UTF-8 text in row {row}; encode the ids in UTF-8")));
                }
                Ok(IdIndex::Texts(rows_by_id((0..texts.n_rows()).filter_map(|row| texts.get(row))).map_err(twice)?))
            }
        }
    }
}

fn rows_by_id<T: Hash + Eq + Copy + ToString>(ids: impl Iterator<Item = T>) -> Result<HashMap<T, u32>, (usize, usize, String)> {
    let mut rows = HashMap::with_capacity(ids.size_hint().0);
    for (row, id) in ids.enumerate() {
        // A model's rows are numbered by u32, which was checked when it was opened.
        if let Some(first) = rows.insert(id, row as u32) {
            return Err((first as usize, row, id.to_string()));
        }
    }
    Ok(rows)
}

/// From an id to its row.
#[derive(Debug)]
pub(crate) enum IdIndex<'a> {
    RowNumbers { n_rows: usize },
    Numbers(HashMap<i64, u32>),
    Texts(HashMap<&'a str, u32>),
}

impl IdIndex<'_> {
    /// The rows of `ids` in their order. Refused: an id that the model lacks. `what` is "user" or "item", `table` the ids' file.
    pub(crate) fn rows_of(&self, ids: &Ids, what: &str, table: &Path) -> Result<Vec<u32>, Failure> {
        let unknown = |id: &dyn std::fmt::Display| {
            let hint = if matches!(self, Self::RowNumbers { .. }) {
                format!("; it has no {what}_ids, so {what}s are numbered from 0")
            } else {
                String::new()
            };
            Failure::bad_input(format!("{}: {what} {id} is not in the model{hint}", table.display()))
        };
        match ids {
            Ids::Int(numbers) => numbers.iter().map(|&id| self.row_of_number(id).ok_or_else(|| unknown(&id))).collect(),
            Ids::Text(texts) => {
                let rows =
                    texts.levels.iter().map(|id| self.row_of_text(id).ok_or_else(|| unknown(id))).collect::<Result<Vec<u32>, _>>()?;
                let no_level = || Failure::bad_input(format!("{}: a {what} is missing", table.display()));
                texts.codes.iter().map(|&code| rows.get(code as usize).copied().ok_or_else(no_level)).collect()
            }
        }
    }

    /// The rows of `ids` in their order; `None` where the model lacks one.
    pub(crate) fn find(&self, ids: &Ids) -> Vec<Option<u32>> {
        match ids {
            Ids::Int(numbers) => numbers.iter().map(|&id| self.row_of_number(id)).collect(),
            Ids::Text(texts) => {
                let rows: Vec<Option<u32>> = texts.levels.iter().map(|id| self.row_of_text(id)).collect();
                texts.codes.iter().map(|&code| rows.get(code as usize).copied().flatten()).collect()
            }
        }
    }

    fn row_of_number(&self, id: i64) -> Option<u32> {
        match self {
            Self::RowNumbers { n_rows } => u32::try_from(id).ok().filter(|&row| (row as usize) < *n_rows),
            Self::Numbers(rows) => rows.get(&id).copied(),
            // A table of text ids that all look like numbers is read as numbers.
            Self::Texts(rows) => rows.get(id.to_string().as_str()).copied(),
        }
    }

    fn row_of_text(&self, id: &str) -> Option<u32> {
        match self {
            Self::Texts(rows) => rows.get(id).copied(),
            Self::RowNumbers { .. } | Self::Numbers(_) => self.row_of_number(id.trim().parse().ok()?),
        }
    }
}
