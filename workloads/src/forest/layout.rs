//! Which column of the tables plays which part in training, and which item of the first stage it is.
//! It knows names, not values.

use super::choices::MaxFeatures;
use super::settings::TrainSettings;
use crate::table::TableSource;
use paceline_common::failure::Failure;
use std::collections::BTreeSet;

/// The columns that a forest is trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnLayout {
    pub(super) target: String,
    pub(super) weight: Option<String>,
    /// In the order of the tables.
    pub(super) features: Vec<FeatureColumn>,
    /// Columns that are left out although nobody said so: the row index that pandas writes beside the data.
    pub(super) row_index: Vec<String>,
}

/// A column that is learnt from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FeatureColumn {
    pub(super) name: String,
    /// Whether the settings make it a category whatever its type.
    pub(super) is_forced_categorical: bool,
}

/// What one item of the first stage reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnRole<'a> {
    Target(&'a str),
    Weight(&'a str),
    Feature(&'a FeatureColumn),
}

impl ColumnLayout {
    /// Shares out the columns of `source`; refuses names that it does not have.
    pub(super) fn of(settings: &TrainSettings, source: &TableSource) -> Result<Self, Failure> {
        let named = [&settings.target].into_iter().chain(&settings.sample_weight).chain(&settings.categorical).chain(&settings.exclude);
        for name in named {
            source.column_idx(name)?;
        }
        let categorical: BTreeSet<&String> = settings.categorical.iter().collect();
        let not_learnt: BTreeSet<&String> = settings.exclude.iter().chain(&settings.sample_weight).chain([&settings.target]).collect();
        let others = source.schema().fields.iter().filter(|field| !not_learnt.contains(&field.name));
        // The number of a row tells nothing of other rows. Who names the column as a category wants it.
        let is_row_index = |name: &String| source.is_row_index(name) && !categorical.contains(name);
        let (row_index, others): (Vec<_>, Vec<_>) = others.partition(|field| is_row_index(&field.name));
        let features: Vec<FeatureColumn> = others
            .into_iter()
            .map(|field| FeatureColumn { name: field.name.clone(), is_forced_categorical: categorical.contains(&field.name) })
            .collect();
        if features.is_empty() {
            return Err(Failure::bad_input(format!(
                "{}: the data has no other column to learn from; name a table with features, or exclude fewer columns",
                settings.target
            )));
        }
        if let Some(MaxFeatures::Count(count)) = settings.max_features
            && count as usize > features.len()
        {
            return Err(Failure::bad_input(format!(
                "--max-features {count}: the data has {} columns to learn from; name at most so many, or say all",
                features.len()
            )));
        }
        let row_index = row_index.into_iter().map(|field| field.name.clone()).collect();
        Ok(Self { target: settings.target.clone(), weight: settings.sample_weight.clone(), features, row_index })
    }

    /// What the user should know of it.
    pub(super) fn notes(&self) -> Vec<String> {
        let names = self.row_index.join(", ");
        let note = || {
            format!("{names}: not learnt from, since this is the row index of pandas; to learn from it, make it a column by reset_index()")
        };
        if self.row_index.is_empty() { vec![] } else { vec![note()] }
    }

    /// How many items the first stage has.
    pub(super) fn n_items(&self) -> u64 {
        self.first_feature_item() + self.features.len() as u64
    }

    /// The target comes first, and then the weights, so that what is wrong with them is found before the features are binned.
    pub(super) fn role(&self, item: u64) -> Option<ColumnRole<'_>> {
        match (item, &self.weight) {
            (0, _) => Some(ColumnRole::Target(&self.target)),
            (1, Some(weight)) => Some(ColumnRole::Weight(weight)),
            _ => self.features.get((item - self.first_feature_item()) as usize).map(ColumnRole::Feature),
        }
    }

    fn first_feature_item(&self) -> u64 {
        1 + u64::from(self.weight.is_some())
    }
}
