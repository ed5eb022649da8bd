//! What every export, and `model show`, says of a forest beside its trees. It must not know nodes.

use crate::forest::model::{FeatureSpec, FeatureType, ForestHeader, TaskSpec};
use crate::forest::target::ClassLabels;
use serde::Serialize;
use serde_json::Value;

/// The header as it stands in JSON.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ExportHeader<'a> {
    format: &'static str,
    version: u32,
    #[serde(flatten)]
    forest: ForestFacts<'a>,
}

/// What a forest predicts, from what, and how it was trained.
#[derive(Clone, Debug, Serialize)]
pub(in crate::forest) struct ForestFacts<'a> {
    task: &'static str,
    target: &'a str,
    /// In the order of the shares; none for a regression.
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Labels<'a>>,
    features: Vec<Feature<'a>>,
    n_rows: u64,
    n_trees: u64,
    seed: u64,
    oob_score: Option<f64>,
    settings: Value,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Labels<'a> {
    Text(&'a [String]),
    Integer(&'a [i64]),
    Bool(&'a [bool]),
}

#[derive(Clone, Debug, Serialize)]
struct Feature<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    feature_type: FeatureType,
    #[serde(skip_serializing_if = "Option::is_none")]
    levels: Option<&'a [String]>,
    importance: f64,
}

/// The version of the documents that are written: it grows when a reader of the one before could be misled.
const VERSION: u32 = 1;

impl<'a> ExportHeader<'a> {
    /// The header of a model with the importance of each feature; a sentence's end where its settings are no JSON.
    pub(super) fn of(header: &'a ForestHeader, importance: &[f64]) -> Result<Self, String> {
        Ok(Self { format: "paceline-forest", version: VERSION, forest: ForestFacts::of(header, importance)? })
    }
}

impl<'a> ForestFacts<'a> {
    /// The facts of a model with the importance of each feature; a sentence's end where its settings are no JSON.
    pub(in crate::forest) fn of(header: &'a ForestHeader, importance: &[f64]) -> Result<Self, String> {
        let settings = serde_json::from_str(&header.settings_json).map_err(|e| format!("metadata entry settings cannot be read: {e}"))?;
        let (task, classes) = match &header.task {
            TaskSpec::Regression => ("regression", None),
            TaskSpec::Classification { classes } => ("classification", Some(Labels::of(classes))),
        };
        let feature = |(spec, &importance): (&'a FeatureSpec, &f64)| Feature {
            name: &spec.name,
            feature_type: spec.feature_type,
            levels: spec.feature_type.is_categorical().then_some(spec.levels.as_slice()),
            importance,
        };
        Ok(Self {
            task,
            target: &header.target,
            classes,
            features: header.features.iter().zip(importance).map(feature).collect(),
            n_rows: header.n_rows,
            n_trees: header.n_trees,
            seed: header.seed,
            oob_score: header.oob_score,
            settings,
        })
    }
}

impl<'a> Labels<'a> {
    fn of(classes: &'a ClassLabels) -> Self {
        match classes {
            ClassLabels::Text(labels) => Self::Text(labels),
            ClassLabels::Integer(labels) => Self::Integer(labels),
            ClassLabels::Bool(labels) => Self::Bool(labels),
        }
    }
}
