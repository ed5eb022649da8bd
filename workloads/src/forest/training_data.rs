//! The binned columns, target and weights of training, used where they lie in the mapped parts of the first stage.
//! It puts together what the kernels need, and must not know how they use it.

use super::columns::{ColumnFacts, codes_of};
use super::model::{FeatureSpec, TaskSpec};
use super::packed::Packed;
use super::settings::{ClassWeight, TrainSettings};
use paceline_common::failure::Failure;
use paceline_common::part::StageParts;
use paceline_kernels::forest::{BinnedColumn, BinnedColumns, ForestError, Target, TrainingSet};

/// The mapped results of the first stage, and what was computed from them for every row.
pub(super) struct TrainingParts {
    columns: StageParts,
    /// Whether the second item holds weights; the features begin behind it.
    has_weights: bool,
    /// Sample weight times class weight; `None` where all rows count the same.
    row_weights: Option<Vec<f64>>,
}

/// What the tables turned out to hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TrainingFacts {
    pub(super) n_rows: u64,
    pub(super) task: TaskSpec,
    pub(super) features: Vec<FeatureSpec>,
}

impl TrainingParts {
    pub(super) fn open(columns: StageParts, settings: &TrainSettings) -> Result<Self, Failure> {
        let mut parts = Self { columns, has_weights: settings.sample_weight.is_some(), row_weights: None };
        parts.row_weights = parts.combined_weights(settings)?;
        Ok(parts)
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
            ColumnFacts::Classes { labels } => Ok(Target::Classes { classes: packed.array("classes")?, n_classes: labels.len() as u32 }),
            ColumnFacts::Values => Ok(Target::Values(packed.array("values")?)),
            other => Err(Failure::storage(format!("the target's part holds {other:?}; submit the job again"))),
        }
    }

    fn combined_weights(&self, settings: &TrainSettings) -> Result<Option<Vec<f64>>, Failure> {
        let sample_weights = if self.has_weights { Some(self.packed(1)?.array::<f64>("weights")?) } else { None };
        match settings.class_weight {
            None => Ok(sample_weights.map(<[f64]>::to_vec)),
            Some(ClassWeight::Balanced) => match self.target()? {
                Target::Classes { classes, n_classes } => Ok(Some(balanced_weights(classes, n_classes, sample_weights))),
                Target::Values(_) => Err(Failure::bad_input(format!(
                    "--class-weight: the target {} is a number and has no classes; leave it out or say --task classification",
                    settings.target
                ))),
            },
        }
    }

    /// The columns, checked: reads every code once.
    pub(super) fn columns(&self) -> Result<BinnedColumns<'_>, Failure> {
        let columns = self.feature_items().map(|item| {
            let packed = self.packed(item)?;
            match packed.facts()? {
                ColumnFacts::Feature { spec, code_width_bytes } => {
                    let codes = codes_of(&packed, code_width_bytes)?;
                    Ok(if spec.feature_type.is_categorical() {
                        BinnedColumn::categorical(codes, spec.levels.len())
                    } else {
                        BinnedColumn::numeric(codes, packed.array("thresholds")?)
                    })
                }
                other => Err(Failure::storage(format!("the part of a feature holds {other:?}; submit the job again"))),
            }
        });
        BinnedColumns::new(columns.collect::<Result<_, Failure>>()?).map_err(refusal)
    }

    /// Everything that trees are grown from.
    pub(super) fn training_set(&self) -> Result<TrainingSet<'_>, Failure> {
        TrainingSet::new(self.columns()?, self.target()?, self.row_weights.as_deref()).map_err(refusal)
    }

    /// What the tables turned out to hold.
    pub(super) fn facts(&self) -> Result<TrainingFacts, Failure> {
        let n_rows = match self.target()? {
            Target::Classes { classes, .. } => classes.len(),
            Target::Values(values) => values.len(),
        };
        let task = match self.packed(0)?.facts()? {
            ColumnFacts::Classes { labels } => TaskSpec::Classification { classes: labels },
            _ => TaskSpec::Regression,
        };
        let features = self.feature_items().map(|item| match self.packed(item)?.facts()? {
            ColumnFacts::Feature { spec, .. } => Ok(spec),
            other => Err(Failure::storage(format!("the part of a feature holds {other:?}; submit the job again"))),
        });
        Ok(TrainingFacts { n_rows: n_rows as u64, task, features: features.collect::<Result<_, Failure>>()? })
    }
}

/// What a kernel refuses is the user's data, whatever stage notices.
pub(super) fn refusal(error: ForestError) -> Failure {
    Failure::bad_input(error.to_string())
}

/// Weights under which every class counts as much as the others together: n_rows / (n_classes · rows of the class), times the
/// sample weight. The same rule as scikit-learn's `class_weight="balanced"`.
fn balanced_weights(classes: &[u32], n_classes: u32, sample_weights: Option<&[f64]>) -> Vec<f64> {
    let mut n_rows_of = vec![0_u64; n_classes as usize];
    classes.iter().filter_map(|&class| usize::try_from(class).ok()).for_each(|class| n_rows_of[class] += 1);
    let weight_of: Vec<f64> = n_rows_of.iter().map(|&n| classes.len() as f64 / (f64::from(n_classes) * n.max(1) as f64)).collect();
    let class_weights = classes.iter().map(|&class| weight_of[class as usize]);
    match sample_weights {
        Some(weights) => class_weights.zip(weights).map(|(class_weight, weight)| class_weight * weight).collect(),
        None => class_weights.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_classes_weigh_the_same() {
        let weights = balanced_weights(&[0, 0, 0, 1], 2, None);
        assert_eq!(weights, [4.0 / 6.0, 4.0 / 6.0, 4.0 / 6.0, 2.0]);
        assert_eq!(balanced_weights(&[0, 0, 0, 1], 2, Some(&[0.0, 1.0, 3.0, 1.0])), [0.0, 4.0 / 6.0, 2.0, 2.0]);
    }
}
