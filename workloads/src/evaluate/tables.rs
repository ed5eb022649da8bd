//! The tables that are evaluated: which of their columns are meant, and their rows. This file must not know a metric.

use super::settings::EvaluateSettings;
use crate::interactions::{InteractionSource, pick_column};
use crate::recommend::ITEM_IDS;
use crate::table::{Ids, TableSource, TextColumn};
use paceline_common::artifact::Artifact;
use paceline_common::failure::Failure;
use paceline_common::job::{InputIdentity, JobRecord};
use safetensors::Dtype;
use std::path::Path;

/// What the order of a list is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListOrder {
    /// The least is the best.
    Rank,
    /// The highest is the best.
    Score,
}

/// All inputs, opened by their headers.
pub(super) struct Sources {
    /// With ranks or scores as values.
    pub(super) lists: Option<(InteractionSource, ListOrder)>,
    /// With ratings as values, where they are wanted.
    pub(super) truth: InteractionSource,
    /// With predictions as values.
    pub(super) predictions: Option<InteractionSource>,
    pub(super) catalog: Option<Catalog>,
}

const RANK: &str = "rank";
const SCORE: &str = "score";
const PREDICTION: &str = "prediction";

impl Sources {
    /// Refuses a table that lacks a column or has one that cannot serve.
    pub(super) fn open(settings: &EvaluateSettings) -> Result<Self, Failure> {
        let truth = InteractionSource::open(&settings.truth, settings.column_names(settings.value_column.as_deref()))?.without_times();
        let truth = if settings.needs_values() { truth } else { truth.without_values() };
        if settings.needs_values() && truth.value_column().is_none() {
            let path = truth.path().display();
            return Err(Failure::bad_input(format!(
                "{path}: has no column of ratings, which --predictions and the graded metrics need; name one with --value-column"
            )));
        }
        Ok(Self {
            lists: open_lists(settings)?,
            truth,
            predictions: open_predictions(settings)?,
            catalog: settings.catalog.as_deref().map(|path| Catalog::open(path, settings)).transpose()?,
        })
    }

    fn tables(&self) -> impl Iterator<Item = &InteractionSource> {
        self.lists.iter().map(|(lists, _)| lists).chain([&self.truth]).chain(&self.predictions)
    }

    /// The files as they are now.
    pub(super) fn identities(&self) -> Result<Vec<InputIdentity>, Failure> {
        let mut identities = vec![];
        for table in self.tables() {
            identities.extend(table.identities()?);
        }
        match &self.catalog {
            Some(Catalog::Table { source, .. }) => {
                for path in source.files() {
                    identities.push(InputIdentity::of(path)?);
                }
            }
            Some(Catalog::Model(model)) => identities.push(InputIdentity::of(model.path())?),
            None => {}
        }
        Ok(identities)
    }

    /// Refuses files that are no longer those of the job.
    pub(super) fn verify(&self, record: &JobRecord) -> Result<(), Failure> {
        self.identities()?.iter().try_for_each(|input| record.verify_input(&input.path))
    }
}

fn open_lists(settings: &EvaluateSettings) -> Result<Option<(InteractionSource, ListOrder)>, Failure> {
    if settings.lists.is_empty() {
        return Ok(None);
    }
    let has = columns_of(&TableSource::open(&settings.lists)?, &[RANK, SCORE]);
    let (column, order) = match has[..] {
        [true, _] => (RANK, ListOrder::Rank),
        [_, true] => (SCORE, ListOrder::Score),
        _ => return Err(lacks(&settings.lists[0], "rank or score, which orders its lists; add one")),
    };
    let lists = InteractionSource::open(&settings.lists, settings.column_names(Some(column)))?.without_times();
    Ok(Some((lists, order)))
}

fn open_predictions(settings: &EvaluateSettings) -> Result<Option<InteractionSource>, Failure> {
    if settings.predictions.is_empty() {
        return Ok(None);
    }
    let column = match (&settings.prediction_column, &columns_of(&TableSource::open(&settings.predictions)?, &[PREDICTION, SCORE])[..]) {
        (Some(chosen), _) => chosen.as_str(),
        (None, [true, _]) => PREDICTION,
        (None, [_, true]) => SCORE,
        _ => return Err(lacks(&settings.predictions[0], "prediction or score; name it with --prediction-column")),
    };
    Ok(Some(InteractionSource::open(&settings.predictions, settings.column_names(Some(column)))?.without_times()))
}

/// Which of these columns a table has.
fn columns_of(source: &TableSource, names: &[&str]) -> Vec<bool> {
    names.iter().map(|name| source.schema().idx_of(name).is_some()).collect()
}

fn lacks(path: &Path, what: &str) -> Failure {
    Failure::bad_input(format!("{}: has no column {what}", path.display()))
}

/// All items that could have been recommended.
pub(super) enum Catalog {
    Table { source: TableSource, item_column: String },
    Model(Artifact),
}

impl Catalog {
    /// A table by its name, or else a model.
    fn open(path: &Path, settings: &EvaluateSettings) -> Result<Self, Failure> {
        match TableSource::open(&[path.to_owned()]) {
            Ok(source) => {
                // A list of items alone has no second column.
                let place = usize::from(source.schema().fields.len() > 1);
                let item_column = pick_column(&source, path, settings.item_column.as_deref(), "item", place)?;
                Ok(Self::Table { source, item_column })
            }
            Err(no_table) => match Artifact::open(path) {
                Ok(model) if model.has("item_factors") || model.has(ITEM_IDS) => Ok(Self::Model(model)),
                Ok(model) => Err(model.refuse("has neither item_ids nor item_factors, so it names no items; name a model or a table")),
                Err(_) => Err(no_table),
            },
        }
    }

    /// The items, each once.
    pub(super) fn read(&self) -> Result<Ids, Failure> {
        match self {
            Self::Table { source, item_column } => {
                let column = source.read_ids_with_gaps(&[item_column])?.pop();
                let (ids, without) = column.ok_or_else(|| Failure::storage("the column of the catalogue was lost while it was read"))?;
                Ok(distinct(ids, &without))
            }
            Self::Model(model) => items_of_model(model),
        }
    }
}

/// Each id once, but for the rows that have none.
fn distinct(ids: Ids, without: &[u64]) -> Ids {
    match ids {
        Ids::Int(ids) => {
            let is_there = |row: u64| without.binary_search(&row).is_err();
            let mut kept: Vec<i64> = ids.into_iter().zip(0..).filter(|(_, row)| is_there(*row)).map(|(id, _)| id).collect();
            kept.sort_unstable();
            kept.dedup();
            Ids::Int(kept)
        }
        // Every level is that of a row.
        Ids::Text(TextColumn { levels, .. }) => Ids::Text(TextColumn { codes: (0..levels.len() as u32).collect(), levels }),
    }
}

/// The ids of a model's items; the numbers of their rows where it has none.
fn items_of_model(model: &Artifact) -> Result<Ids, Failure> {
    match model.arrays().get(ITEM_IDS).map(|info| info.dtype) {
        None => Ok(Ids::Int((0..).take(model.matrix::<f32>("item_factors")?.1).collect())),
        Some(Dtype::U8) => {
            let (bytes, _, width) = model.matrix::<u8>(ITEM_IDS)?;
            let text = |padded: &[u8]| {
                let end = padded.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                String::from_utf8(padded[..end].to_vec())
                    .map_err(|_| model.refuse("item_ids holds what is no UTF-8; encode the ids in UTF-8"))
            };
            let levels = bytes.chunks(width.max(1)).map(text).collect::<Result<Vec<String>, Failure>>()?;
            Ok(Ids::Text(TextColumn { codes: (0..levels.len() as u32).collect(), levels }))
        }
        Some(_) => Ok(Ids::Int(model.vector::<i64>(ITEM_IDS, None)?.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_has_each_item_once_and_not_what_stands_for_none() {
        assert_eq!(distinct(Ids::Int(vec![7, 0, 7, -2, 0]), &[1]), Ids::Int(vec![-2, 0, 7]), "the second 0 is an item");
        assert_eq!(distinct(Ids::Int(vec![7, 0]), &[1]), Ids::Int(vec![7]));
    }
}
