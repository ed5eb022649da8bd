//! The binned columns, target and weights of training, used where they lie in the mapped parts of the first stage.
//! It puts together what the kernels need, and must not know how they use it.

use super::choices::ClassWeight;
use super::columns::{ColumnFacts, codes_of};
use super::describe::shortened;
use super::model::{DataHashes, FeatureSpec, TaskSpec};
use super::settings::TrainSettings;
use crate::packed::Packed;
use paceline_common::failure::Failure;
use paceline_common::part::StageParts;
use paceline_kernels::forest::{BinnedColumn, BinnedColumns, Codes, ForestError, Target, TrainingSet, bag_class_weights};

/// The mapped results of the first stage, and what was computed from them for every row.
pub(super) struct TrainingParts {
    columns: StageParts,
    /// Whether the second item holds weights; the features begin behind it.
    has_weights: bool,
    /// Sample weight times class weight; `None` where all rows count the same.
    row_weights: Option<Vec<f64>>,
}

/// One feature of the first stage.
struct PackedFeature<'a> {
    packed: Packed<'a>,
    spec: FeatureSpec,
    code_width_bytes: usize,
    largest_code: u16,
    hash: String,
}

impl<'a> PackedFeature<'a> {
    fn codes(&self) -> Result<Codes<'a>, Failure> {
        codes_of(&self.packed, self.code_width_bytes)
    }
}

/// What the tables turned out to hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TrainingFacts {
    pub(super) n_rows: u64,
    pub(super) task: TaskSpec,
    pub(super) features: Vec<FeatureSpec>,
    pub(super) hashes: DataHashes,
}

/// The ends of the bins of all features, one feature after the other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Thresholds {
    pub(super) values: Vec<f64>,
    /// Where each feature's begin, and the end.
    pub(super) starts: Vec<u64>,
}

impl TrainingParts {
    /// The ends of all bins; a category has none.
    pub(super) fn thresholds(&self) -> Result<Thresholds, Failure> {
        let mut thresholds = Thresholds { values: vec![], starts: vec![0] };
        for item in self.feature_items() {
            thresholds.values.extend_from_slice(self.packed(item)?.array("thresholds")?);
            thresholds.starts.push(thresholds.values.len() as u64);
        }
        Ok(thresholds)
    }

    pub(super) fn open(columns: StageParts, settings: &TrainSettings) -> Result<Self, Failure> {
        let mut parts = Self::unweighted(columns, settings);
        parts.row_weights = parts.combined_weights(settings)?;
        Ok(parts)
    }

    /// For those who do not ask what rows weigh: reads nothing yet.
    pub(super) fn unweighted(columns: StageParts, settings: &TrainSettings) -> Self {
        Self { columns, has_weights: settings.sample_weight.is_some(), row_weights: None }
    }

    fn feature_items(&self) -> std::ops::Range<u64> {
        1 + u64::from(self.has_weights)..self.columns.n_items()
    }

    fn packed(&self, item: u64) -> Result<Packed<'_>, Failure> {
        let bytes = self.columns.item(item)?;
        Packed::open(bytes.ok_or_else(|| Failure::storage(format!("column {item} was set aside; submit the job again")))?)
    }

    /// The target of every row.
    pub(super) fn target(&self) -> Result<Target<'_>, Failure> {
        let packed = self.packed(0)?;
        match packed.facts()? {
            ColumnFacts::Classes { labels, .. } => {
                Ok(Target::Classes { classes: packed.array("classes")?, n_classes: labels.len() as u32 })
            }
            ColumnFacts::Values { .. } => Ok(Target::Values(packed.array("values")?)),
            other => Err(Failure::storage(format!("the target's part holds {other:?}; submit the job again"))),
        }
    }

    fn combined_weights(&self, settings: &TrainSettings) -> Result<Option<Vec<f64>>, Failure> {
        let sample_weights = if self.has_weights { Some(self.packed(1)?.array::<f64>("weights")?) } else { None };
        let Some(class_weight) = &settings.class_weight else { return Ok(sample_weights.map(<[f64]>::to_vec)) };
        let Target::Classes { classes, n_classes } = self.target()? else {
            return Err(Failure::bad_input(format!(
                "--class-weight: the target {} is a number and has no classes; leave it out or say --task classification",
                settings.target
            )));
        };
        let weight_of = match class_weight {
            // The grower weighs the rows of each bag.
            ClassWeight::BalancedSubsample => return Ok(sample_weights.map(<[f64]>::to_vec)),
            ClassWeight::Balanced => bag_class_weights(classes, n_classes, &vec![1; classes.len()], sample_weights),
            ClassWeight::Explicit(weights) => self.explicit_weights(weights, &settings.target)?,
        };
        let class_weights = classes.iter().map(|&class| weight_of[class as usize]);
        Ok(Some(match sample_weights {
            Some(weights) => class_weights.zip(weights).map(|(class_weight, weight)| class_weight * weight).collect(),
            None => class_weights.collect(),
        }))
    }

    /// The weight of every class, 1 where it is not named.
    fn explicit_weights(&self, weights: &[(String, f64)], target: &str) -> Result<Vec<f64>, Failure> {
        let ColumnFacts::Classes { labels, .. } = self.packed(0)?.facts()? else {
            return Err(Failure::storage("the target's part holds no classes; submit the job again"));
        };
        let labels = labels.to_texts();
        let mut weight_of = vec![1.0; labels.len()];
        for (label, weight) in weights {
            let Some(class) = labels.iter().position(|other| other == label) else {
                return Err(Failure::bad_input(format!(
                    "--class-weight: {label} is no class of {target}; its classes are {}",
                    shortened(&labels)
                )));
            };
            weight_of[class] = *weight;
        }
        Ok(weight_of)
    }

    pub(super) fn n_rows(&self) -> Result<usize, Failure> {
        Ok(match self.target()? {
            Target::Classes { classes, .. } => classes.len(),
            Target::Values(values) => values.len(),
        })
    }

    /// The largest code of every feature.
    pub(super) fn largest_codes(&self) -> Result<Vec<u16>, Failure> {
        self.feature_items().map(|item| self.feature(item).map(|feature| feature.largest_code)).collect()
    }

    /// The codes of every feature, as they are.
    pub(super) fn codes(&self) -> Result<Vec<Codes<'_>>, Failure> {
        self.feature_items().map(|item| self.feature(item)?.codes()).collect()
    }

    fn feature(&self, item: u64) -> Result<PackedFeature<'_>, Failure> {
        let packed = self.packed(item)?;
        match packed.facts()? {
            ColumnFacts::Feature { spec, code_width_bytes, largest_code, hash } => {
                Ok(PackedFeature { packed, spec, code_width_bytes, largest_code, hash })
            }
            other => Err(Failure::storage(format!("the part of a feature holds {other:?}; submit the job again"))),
        }
    }

    /// The columns, checked: reads every code once.
    pub(super) fn columns(&self) -> Result<BinnedColumns<'_>, Failure> {
        let columns = self.feature_items().map(|item| {
            let feature = self.feature(item)?;
            Ok(if feature.spec.feature_type.is_categorical() {
                BinnedColumn::categorical(feature.codes()?, feature.spec.levels.len())
            } else {
                BinnedColumn::numeric(feature.codes()?, feature.packed.array("thresholds")?)
            })
        });
        BinnedColumns::new(columns.collect::<Result<_, Failure>>()?).map_err(refusal)
    }

    /// Everything that trees are grown from.
    pub(super) fn training_set(&self) -> Result<TrainingSet<'_>, Failure> {
        TrainingSet::new(self.columns()?, self.target()?, self.row_weights.as_deref()).map_err(refusal)
    }

    /// What the tables turned out to hold.
    pub(super) fn facts(&self) -> Result<TrainingFacts, Failure> {
        let misplaced = |other: ColumnFacts| Failure::storage(format!("the part of a column holds {other:?}; submit the job again"));
        let (task, target) = match self.packed(0)?.facts()? {
            ColumnFacts::Classes { labels, hash } => (TaskSpec::Classification { classes: labels }, hash),
            ColumnFacts::Values { hash } => (TaskSpec::Regression, hash),
            other => return Err(misplaced(other)),
        };
        let weight = match self.has_weights.then(|| self.packed(1)?.facts()).transpose()? {
            Some(ColumnFacts::Weights { hash }) => Some(hash),
            Some(other) => return Err(misplaced(other)),
            None => None,
        };
        let features = self.feature_items().map(|item| self.feature(item).map(|feature| (feature.spec, feature.hash)));
        let (features, feature_hashes) = features.collect::<Result<Vec<_>, Failure>>()?.into_iter().unzip();
        let hashes = DataHashes { target, weight, features: feature_hashes };
        Ok(TrainingFacts { n_rows: self.n_rows()? as u64, task, features, hashes })
    }
}

/// What a kernel refuses is the user's data, whatever stage notices.
pub(super) fn refusal(error: ForestError) -> Failure {
    Failure::bad_input(error.to_string())
}
