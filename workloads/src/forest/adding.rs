//! What `--add-to` means: the settings and the seed are those of the model, the data must be what it was trained on, and whatever
//! says otherwise is refused by name. It must not know how trees are grown.

use super::choices::{CriterionChoice, ImportanceChoice, MaxFeatures, TaskChoice};
use super::growing::REGRESSION_MAX_FEATURES;
use super::merge::NOT_OF_THE_MODEL;
use super::model::{FeatureSpec, ForestHeader, TaskSpec};
use super::settings::TrainSettings;
use super::training_data::TrainingFacts;
use paceline_common::artifact::Artifact;
use paceline_common::failure::Failure;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A forest that trees are added to.
#[derive(Clone, Debug)]
pub(super) struct EarlierForest {
    pub(super) path: PathBuf,
    pub(super) header: ForestHeader,
}

/// What a training comes to: the settings and the seed that hold, with the number of all trees.
#[derive(Clone, Debug)]
pub(super) struct Training {
    pub(super) settings: TrainSettings,
    pub(super) seed: u64,
    pub(super) earlier: Option<EarlierForest>,
}

/// Settings that measure the forest and do not grow it: they may be asked for in addition. `trees` says how many to add.
const MAY_DIFFER: [&str; 3] = ["trees", "oob", "importance"];

impl Training {
    /// The settings asked for, or with --add-to the model's.
    pub(super) fn of(asked: &TrainSettings, seed: u64) -> Result<Self, Failure> {
        let Some(path) = &asked.add_to else { return Ok(Self { settings: asked.clone(), seed, earlier: None }) };
        let artifact = Artifact::open(path)?;
        let header = ForestHeader::of(&artifact)?;
        if header.data_hashes.is_none() || !artifact.has("feature_gains") {
            return Err(
                artifact.refuse("was written by an earlier version, which did not record what trees can be added to; train it anew")
            );
        }
        // 0 is the seed of those who name none.
        if seed != 0 && seed != header.seed {
            let message = format!("--seed {seed}: {} was grown with seed {}; leave it out", path.display(), header.seed);
            return Err(Failure::bad_input(message));
        }
        let settings = continued(asked, &header).map_err(|why| match why {
            Refused::Flag(message) => Failure::bad_input(message),
            Refused::Model(why) => artifact.refuse(&format!("its settings cannot be read: {why}")),
        })?;
        settings.check_ranges().map_err(|refusal| Failure::bad_input(refusal.message))?;
        Ok(Self { seed: header.seed, settings, earlier: Some(EarlierForest { path: path.clone(), header }) })
    }

    /// How many trees are there already.
    pub(super) fn n_earlier(&self) -> u64 {
        self.earlier.as_ref().map_or(0, |earlier| earlier.header.n_trees)
    }

    /// Refuses data that the earlier trees were not grown from.
    pub(super) fn check_data(&self, facts: &TrainingFacts) -> Result<(), Failure> {
        let Some(earlier) = &self.earlier else { return Ok(()) };
        match difference(facts, &earlier.header) {
            None => Ok(()),
            Some(what) => {
                let message = format!("--add-to {}: {what}; name the data that the model was trained on", earlier.path.display());
                Err(Failure::bad_input(message))
            }
        }
    }
}

enum Refused {
    Flag(String),
    Model(serde_json::Error),
}

/// The model's settings, with what was asked for of those that do not grow trees.
fn continued(asked: &TrainSettings, header: &ForestHeader) -> Result<TrainSettings, Refused> {
    let object = |value: serde_json::Result<Map<String, Value>>| value.map_err(Refused::Model);
    let mut of_model = object(serde_json::from_str(&header.settings_json))?;
    let of_asked = object(to_object(asked))?;
    for key in NOT_OF_THE_MODEL {
        of_model.extend(of_asked.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    let mut settings: TrainSettings = serde_json::from_value(Value::Object(of_model)).map_err(Refused::Model)?;
    let [meant, held] = [asked, &settings].map(|settings| to_object(&spelled_out(settings, header)));
    let (meant, held) = (object(meant)?, object(held)?);
    for (key, value) in &of_asked {
        let is_free = NOT_OF_THE_MODEL.contains(&key.as_str()) || MAY_DIFFER.contains(&key.as_str());
        if !is_free && is_said(value) && meant.get(key) != held.get(key) {
            let flag = key.replace('_', "-");
            return Err(Refused::Flag(format!(
                "--{flag} {}: the model was grown with {}; say the same or leave it out",
                shown(value),
                shown(held.get(key).unwrap_or(&Value::Null))
            )));
        }
    }
    settings.trees = header.n_trees.saturating_add(asked.trees);
    settings.oob |= asked.measures_oob();
    if asked.measures_permutation() && !settings.measures_permutation() {
        settings.importance.push(ImportanceChoice::Permutation);
    }
    Ok(settings)
}

fn to_object(settings: &TrainSettings) -> serde_json::Result<Map<String, Value>> {
    serde_json::to_value(settings).and_then(serde_json::from_value)
}

/// The settings in one spelling of the many that mean the same for this forest: a default is said, columns stand in order, and of
/// features there is a number.
fn spelled_out(settings: &TrainSettings, header: &ForestHeader) -> TrainSettings {
    let (task, criterion, max_features) = match &header.task {
        TaskSpec::Classification { .. } => (TaskChoice::Classification, Some(CriterionChoice::Gini), MaxFeatures::Sqrt),
        TaskSpec::Regression => (TaskChoice::Regression, None, REGRESSION_MAX_FEATURES),
    };
    let n_features = settings.max_features.unwrap_or(max_features).resolve(header.features.len());
    let in_order = |columns: &[String]| columns.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    TrainSettings {
        task: settings.task.or(Some(task)),
        criterion: settings.criterion.or(criterion),
        max_features: Some(MaxFeatures::Count(u32::try_from(n_features).unwrap_or(u32::MAX))),
        exclude: in_order(&settings.exclude),
        categorical: in_order(&settings.categorical),
        ..settings.clone().with_defaults()
    }
}

/// Whether a setting is there because somebody gave it.
fn is_said(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        _ => true,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The first thing in which data differ from what a model was trained on.
fn difference(facts: &TrainingFacts, header: &ForestHeader) -> Option<String> {
    if facts.n_rows != header.n_rows {
        return Some(format!("the data has {} rows, and the model was trained on {}", facts.n_rows, header.n_rows));
    }
    if let Some(what) = task_difference(&facts.task, header) {
        return Some(what);
    }
    let names = |features: &[FeatureSpec]| features.iter().map(|feature| feature.name.clone()).collect::<Vec<_>>().join(", ");
    if let Some((here, there)) = facts.features.iter().zip(&header.features).find(|(here, there)| here.name != there.name) {
        return Some(format!("the data has the column {} where the model has {}", here.name, there.name));
    }
    if facts.features.len() != header.features.len() {
        return Some(format!("the data has the columns {}, and the model {}", names(&facts.features), names(&header.features)));
    }
    let expected = header.data_hashes.as_ref()?;
    if facts.hashes.target != expected.target {
        return Some(format!("{} holds other values", header.target));
    }
    if facts.hashes.weight != expected.weight {
        return Some("the rows have other weights".to_owned());
    }
    let hashes = facts.hashes.features.iter().zip(&expected.features);
    let mut features = facts.features.iter().zip(&header.features).zip(hashes);
    let ((here, there), _) = features.find(|((here, there), (hash, expected))| here != there || hash != expected)?;
    let what = if here.feature_type == there.feature_type { "holds other values" } else { "is of another type" };
    Some(format!("{} {what}", here.name))
}

fn task_difference(task: &TaskSpec, header: &ForestHeader) -> Option<String> {
    match (task, &header.task) {
        (TaskSpec::Classification { classes: here }, TaskSpec::Classification { classes: there }) if here != there => {
            let (here, there) = (super::describe::shortened(&here.to_texts()), super::describe::shortened(&there.to_texts()));
            Some(format!("the classes of {} are {here}, and those of the model {there}", header.target))
        }
        (here, there) if here.score_name() != there.score_name() => {
            Some(format!("{} is a class in one of model and data, and a number in the other", header.target))
        }
        _ => None,
    }
}
