//! The model that training writes: an artifact of kind `forest` that says what it learnt from and holds its nodes. Described for
//! other programs in `docs/model-format.md`. It checks everything before use; what a node means, the kernels know.

use super::target::{ClassLabels, MAX_CLASSES};
use super::training_data::Thresholds;
use crate::table::NumericKind;
use paceline_common::artifact::{self, Artifact, NewArray};
use paceline_common::failure::Failure;
use paceline_kernels::forest::{FeatureKind, ForestSlices, ForestView, Outcome};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// The artifact's kind.
pub const KIND: &str = "forest";
/// The version of its layout that this program writes and reads.
pub const VERSION: u32 = 1;

/// What a feature's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureType {
    /// Truth values, as 0 and 1.
    Bool,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Float,
    /// Days since 1970.
    Date,
    /// Seconds since 1970.
    Timestamp,
    /// Text, or numbers taken as text: one of the feature's levels.
    Categorical,
}

impl FeatureType {
    /// The type of a column of numbers.
    #[must_use]
    pub fn of(kind: NumericKind) -> Self {
        match kind {
            NumericKind::Bool => Self::Bool,
            NumericKind::Integer => Self::Integer,
            NumericKind::Float => Self::Float,
            NumericKind::Date => Self::Date,
            NumericKind::Timestamp => Self::Timestamp,
        }
    }

    /// What its numbers stand for; `None` for categories.
    #[must_use]
    pub fn numeric_kind(self) -> Option<NumericKind> {
        match self {
            Self::Bool => Some(NumericKind::Bool),
            Self::Integer => Some(NumericKind::Integer),
            Self::Float => Some(NumericKind::Float),
            Self::Date => Some(NumericKind::Date),
            Self::Timestamp => Some(NumericKind::Timestamp),
            Self::Categorical => None,
        }
    }

    /// Whether its values have no order.
    #[must_use]
    pub fn is_categorical(self) -> bool {
        self == Self::Categorical
    }
}

/// A column that the forest needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureSpec {
    /// Its name.
    pub name: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub feature_type: FeatureType,
    /// The categories seen in training, sorted; the place of each is its code. Empty for numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<String>,
}

impl FeatureSpec {
    /// What the kernels must know of it.
    pub(super) fn kind(&self) -> FeatureKind {
        match self.feature_type {
            FeatureType::Categorical => FeatureKind::Categorical { n_levels: self.levels.len() as u32 },
            _ => FeatureKind::Numeric,
        }
    }
}

/// What the forest predicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum TaskSpec {
    /// One of these classes.
    Classification {
        /// The labels.
        classes: ClassLabels,
    },
    /// A number.
    Regression,
}

impl TaskSpec {
    /// How many numbers a prediction has: a share for each class, or one value.
    #[must_use]
    pub fn n_outputs(&self) -> usize {
        match self {
            Self::Classification { classes } => classes.len(),
            Self::Regression => 1,
        }
    }

    /// What the kernels must know of it.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Classification { classes } => Outcome::Classes(classes.len() as u32),
            Self::Regression => Outcome::Value,
        }
    }

    /// The score that this task is measured by.
    #[must_use]
    pub fn score_name(&self) -> &'static str {
        match self {
            Self::Classification { .. } => "accuracy",
            Self::Regression => "R²",
        }
    }
}

/// What tells the columns that a forest was trained on, as they were binned, from others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataHashes {
    /// Of the target.
    pub target: String,
    /// Of the rows' weights, where they had any.
    pub weight: Option<String>,
    /// Of each feature.
    pub features: Vec<String>,
}

/// Everything of a model that is no array; small, and readable without its nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct ForestHeader {
    /// What it predicts.
    pub task: TaskSpec,
    /// The name of the column that it predicts.
    pub target: String,
    /// The columns that it needs, in the order in which its nodes count them.
    pub features: Vec<FeatureSpec>,
    /// How many rows it was trained on.
    pub n_rows: u64,
    /// How many trees it has.
    pub n_trees: u64,
    /// The key of every random draw of its training.
    pub seed: u64,
    /// Accuracy or R² on the rows that the trees did not see, where it was measured.
    pub oob_score: Option<f64>,
    /// What it was trained on; `None` where an earlier version of the program wrote it.
    pub data_hashes: Option<DataHashes>,
    /// How it was trained, as JSON: the settings without paths, so that the same training gives the same bytes anywhere.
    pub settings_json: String,
}

impl ForestHeader {
    /// Reads and checks the header of an open artifact.
    pub fn of(artifact: &Artifact) -> Result<Self, Failure> {
        artifact.expect_kind(KIND, VERSION)?;
        let oob_score = match artifact.metadata().get("oob_score") {
            Some(_) => Some(number(artifact, "oob_score")?),
            None => None,
        };
        let data_hashes = match artifact.metadata().get("data_hashes") {
            Some(_) => Some(json(artifact, "data_hashes")?),
            None => None,
        };
        let header = Self {
            task: json(artifact, "task")?,
            target: artifact.entry("target")?.to_owned(),
            features: json(artifact, "features")?,
            n_rows: number(artifact, "n_rows")?,
            n_trees: number(artifact, "n_trees")?,
            seed: number(artifact, "seed")?,
            oob_score,
            data_hashes,
            settings_json: artifact.entry("settings")?.to_owned(),
        };
        header.check().map_err(|why| artifact.refuse(&why))?;
        Ok(header)
    }

    fn check(&self) -> Result<(), String> {
        if let TaskSpec::Classification { classes } = &self.task
            && !((2..=MAX_CLASSES).contains(&classes.len()) && classes.is_sound())
        {
            return Err(format!("metadata entry task must name 2 to {MAX_CLASSES} different classes in order"));
        }
        if self.features.is_empty() {
            return Err("metadata entry features names no feature".to_owned());
        }
        let mut names = HashSet::new();
        for feature in &self.features {
            if !names.insert(&feature.name) {
                return Err(format!("metadata entry features names {} twice", feature.name));
            }
            let is_sound =
                feature.levels.is_sorted_by(|a, b| a < b) && (feature.feature_type.is_categorical() || feature.levels.is_empty());
            if !is_sound || u32::try_from(feature.levels.len()).is_err() {
                return Err(format!("feature {} has levels that are unsorted, doubled or not of its type", feature.name));
            }
        }
        Ok(())
    }

    fn to_metadata(&self) -> Result<BTreeMap<String, String>, Failure> {
        let to_json = |key: &str, result: serde_json::Result<String>| {
            let text = result.map_err(|e| Failure::storage(format!("the model's {key} cannot be written: {e}")))?;
            Ok((key.to_owned(), text))
        };
        let mut entries = BTreeMap::from([
            to_json("task", serde_json::to_string(&self.task))?,
            to_json("features", serde_json::to_string(&self.features))?,
            ("target".to_owned(), self.target.clone()),
            ("n_rows".to_owned(), self.n_rows.to_string()),
            ("n_trees".to_owned(), self.n_trees.to_string()),
            ("seed".to_owned(), self.seed.to_string()),
            ("settings".to_owned(), self.settings_json.clone()),
        ]);
        if let Some(hashes) = &self.data_hashes {
            entries.extend([to_json("data_hashes", serde_json::to_string(hashes))?]);
        }
        // Rust writes the shortest decimal that reads back as the same number.
        entries.extend(self.oob_score.map(|score| ("oob_score".to_owned(), score.to_string())));
        Ok(entries)
    }
}

fn json<T: DeserializeOwned>(artifact: &Artifact, key: &str) -> Result<T, Failure> {
    serde_json::from_str(artifact.entry(key)?).map_err(|e| artifact.refuse(&format!("metadata entry {key} cannot be read: {e}")))
}

fn number<T: std::str::FromStr>(artifact: &Artifact, key: &str) -> Result<T, Failure> {
    artifact.entry(key)?.parse().map_err(|_| artifact.refuse(&format!("metadata entry {key} is no number of the kind needed")))
}

self_cell::self_cell!(
    /// A checked view of the nodes together with the map that they lie in.
    struct MappedForest {
        owner: Arc<Artifact>,
        #[covariant]
        dependent: ForestView,
    }
);

/// A model that was checked wholly and can be used where it is mapped.
pub struct ForestModel {
    header: ForestHeader,
    forest: MappedForest,
}

impl ForestModel {
    /// Checks the whole model, every node of it, and opens it for use. Refused with the file named: another kind or version, a
    /// header that contradicts itself, arrays that contradict each other or the header.
    pub fn open(artifact: Arc<Artifact>) -> Result<Self, Failure> {
        let header = ForestHeader::of(&artifact)?;
        let forest = MappedForest::try_new(artifact, |artifact| view(artifact, &header))?;
        Ok(Self { header, forest })
    }

    /// What it needs and predicts.
    #[must_use]
    pub fn header(&self) -> &ForestHeader {
        &self.header
    }

    /// Its trees, for prediction.
    #[must_use]
    pub fn view(&self) -> &ForestView<'_> {
        self.forest.borrow_dependent()
    }
}

fn view<'a>(artifact: &'a Artifact, header: &ForestHeader) -> Result<ForestView<'a>, Failure> {
    let n_starts = usize::try_from(header.n_trees).ok().and_then(|n_trees| n_trees.checked_add(1));
    let n_starts = n_starts.ok_or_else(|| artifact.refuse("metadata entry n_trees is too large"))?;
    let (words, n_nodes, n_words) = artifact.matrix::<u32>("nodes")?;
    if n_words != NODE_WORDS {
        return Err(artifact.refuse(&format!("array nodes has shape [{n_nodes}, {n_words}], where [n_nodes, {NODE_WORDS}] is needed")));
    }
    let slices = ForestSlices {
        nodes: bytemuck::try_cast_slice(words).map_err(|e| artifact.refuse(&format!("array nodes cannot be used: {e}")))?,
        node_starts: artifact.vector("node_starts", Some(n_starts))?,
        level_words: artifact.vector("level_words", None)?,
        level_starts: artifact.vector("level_starts", Some(n_starts))?,
        leaf_shares: artifact.vector("leaf_shares", None)?,
        leaf_means: artifact.vector("leaf_means", None)?,
        leaf_starts: artifact.vector("leaf_starts", Some(n_starts))?,
        thresholds: artifact.vector("thresholds", None)?,
        threshold_starts: artifact.vector("threshold_starts", Some(header.features.len() + 1))?,
    };
    let kinds = header.features.iter().map(FeatureSpec::kind).collect();
    let view = ForestView::new(slices, kinds, header.task.outcome()).map_err(|e| artifact.refuse(&e.to_string()))?;
    if view.depths() != artifact.vector::<u32>("tree_depths", Some(n_starts - 1))? {
        return Err(artifact.refuse("array tree_depths does not fit the nodes"));
    }
    Ok(view)
}

/// The array of importance by permutation.
pub(super) const PERMUTATION_IMPORTANCE: &str = "permutation_importance";
/// The array of its standard error.
pub(super) const PERMUTATION_STANDARD_ERROR: &str = "permutation_standard_error";

/// A node is two words.
pub(super) const NODE_WORDS: usize = 2;

/// The arrays of a model, tree by tree; a slice each for the trees in their order, so that no tree is copied to be written.
#[derive(Default)]
pub(super) struct TreeArrays<'a> {
    pub(super) nodes: Vec<&'a [u32]>,
    pub(super) level_words: Vec<&'a [u32]>,
    pub(super) leaf_shares: Vec<&'a [f32]>,
    pub(super) leaf_means: Vec<&'a [f64]>,
    /// [n_trees, n_features].
    pub(super) feature_gains: Vec<f64>,
    pub(super) tree_depths: Vec<u32>,
    /// One for each feature, summed to 1 unless no tree has a split.
    pub(super) feature_importance: Vec<f64>,
    /// Where it was measured.
    pub(super) permutation: Option<PermutationImportance>,
}

/// Importance by permutation, one number of each kind for each feature.
pub(super) struct PermutationImportance {
    pub(super) means: Vec<f64>,
    pub(super) standard_errors: Vec<f64>,
}

/// Writes the model durably and atomically at `path`.
pub(super) fn write(path: &Path, header: &ForestHeader, thresholds: &Thresholds, trees: &TreeArrays<'_>) -> Result<(), Failure> {
    let node_starts = starts(trees.nodes.iter().map(|words| words.len() / NODE_WORDS));
    let level_starts = starts(trees.level_words.iter().map(|words| words.len()));
    // A forest has shares or means, never both.
    let leaf_starts = starts(trees.leaf_shares.iter().zip(&trees.leaf_means).map(|(shares, means)| shares.len() + means.len()));
    let n_nodes = node_starts.last().map_or(0, |&n| n as usize);
    let (n_shares, n_means) = (trees.leaf_shares.iter().map(|s| s.len()).sum(), trees.leaf_means.iter().map(|m| m.len()).sum());
    let mut arrays = vec![
        NewArray::concatenated("nodes", &[n_nodes, NODE_WORDS], &trees.nodes),
        NewArray::vector("node_starts", &node_starts),
        NewArray::concatenated("level_words", &[level_starts.last().map_or(0, |&n| n as usize)], &trees.level_words),
        NewArray::vector("level_starts", &level_starts),
        NewArray::concatenated("leaf_shares", &[n_shares], &trees.leaf_shares),
        NewArray::concatenated("leaf_means", &[n_means], &trees.leaf_means),
        NewArray::vector("leaf_starts", &leaf_starts),
        NewArray::vector("thresholds", &thresholds.values),
        NewArray::vector("threshold_starts", &thresholds.starts),
        NewArray::vector("tree_depths", &trees.tree_depths),
        NewArray::concatenated("feature_gains", &[trees.tree_depths.len(), header.features.len()], &[&trees.feature_gains]),
        NewArray::vector("feature_importance", &trees.feature_importance),
    ];
    if let Some(permutation) = &trees.permutation {
        arrays.push(NewArray::vector(PERMUTATION_IMPORTANCE, &permutation.means));
        arrays.push(NewArray::vector(PERMUTATION_STANDARD_ERROR, &permutation.standard_errors));
    }
    artifact::write(path, KIND, VERSION, &header.to_metadata()?, &arrays)
}

/// Where each tree's elements begin in the concatenated array, and where the last tree's end.
fn starts(lens: impl Iterator<Item = usize>) -> Vec<u64> {
    let ends = lens.scan(0_u64, |end, len| {
        *end += len as u64;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}
