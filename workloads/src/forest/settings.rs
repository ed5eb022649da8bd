//! What a person can set for `forest train` and `forest predict`: one struct is the command line, the wire and the job's record.
//! It checks the settings against each other only; it must not open a file.

use paceline_common::failure::Refusal;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How a forest is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct TrainSettings {
    /// Tables to learn from, of the same columns: Parquet, CSV (also .gz or .zst), Arrow IPC or .npy, or directories of them.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub data: Vec<PathBuf>,
    /// The column to be predicted.
    #[arg(long, value_name = "COL")]
    pub target: String,
    /// Where to write the model, a safetensors file.
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// How many trees to grow.
    #[arg(long, value_name = "N", default_value_t = default_trees())]
    #[serde(default = "default_trees")]
    pub trees: u64,
    /// What to predict: a class or a number. Without it, a target of text or truth values is classified and one of fractions is
    /// regressed; one of whole numbers is classified up to 32 different ones, and must be told otherwise.
    #[arg(long, value_enum)]
    #[serde(default)]
    pub task: Option<TaskChoice>,
    /// How many features each split tries, drawn anew for every split: sqrt or log2 of their number, all, a fraction of them such as
    /// 0.3, or a number such as 5. Without it, sqrt for classification and a third of them for regression.
    #[arg(long, value_name = "sqrt|log2|all|F|N")]
    #[serde(default)]
    pub max_features: Option<MaxFeatures>,
    /// How deep a tree may grow, counted in splits from its root. Without it, trees grow until their leaves are pure or too small to split.
    #[arg(long, value_name = "N")]
    #[serde(default)]
    pub max_depth: Option<u32>,
    /// How many rows a leaf must hold at least.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[serde(default = "default_min_samples_leaf")]
    pub min_samples_leaf: u32,
    /// What a split of a classification shall reduce; a regression always reduces the variance. Without it, gini.
    #[arg(long, value_enum)]
    #[serde(default)]
    pub criterion: Option<CriterionChoice>,
    /// Columns of numbers to be taken as categories, separated by commas. Columns of text always are.
    #[arg(long, value_name = "COL,…", value_delimiter = ',')]
    #[serde(default)]
    pub categorical: Vec<String>,
    /// Columns that are not to be learnt from, separated by commas.
    #[arg(long, value_name = "COL,…", value_delimiter = ',')]
    #[serde(default)]
    pub exclude: Vec<String>,
    /// The column that says how much each row counts; it is not learnt from.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub sample_weight: Option<String>,
    /// Let rows count so that all classes count the same together.
    #[arg(long, value_enum)]
    #[serde(default)]
    pub class_weight: Option<ClassWeight>,
    /// Grow every tree from a draw without replacement (of all rows, unless --sample-fraction says less) instead of a bootstrap.
    #[arg(long)]
    #[serde(default)]
    pub no_bootstrap: bool,
    /// How many rows to draw for each tree, as a fraction of all rows.
    #[arg(long, value_name = "F", default_value_t = 1.0)]
    #[serde(default = "default_sample_fraction")]
    pub sample_fraction: f64,
    /// Draw the threshold of every split at random instead of searching for the best (extremely randomised trees).
    #[arg(long)]
    #[serde(default)]
    pub extra_trees: bool,
    /// Into how many bins the values of a feature are sorted before trees are grown.
    #[arg(long, value_name = "N", default_value_t = default_max_bins())]
    #[serde(default = "default_max_bins")]
    pub max_bins: u32,
    /// Measure the forest on the rows that each tree did not see (out-of-bag), and record the score in the model.
    #[arg(long)]
    #[serde(default)]
    pub oob: bool,
    /// Replace what stands at the output path.
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

/// How a forest is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct PredictSettings {
    /// The model that `forest train` wrote.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Tables to predict for, with the columns that the model was trained on, in any order; others are ignored.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub data: Vec<PathBuf>,
    /// Where to write the predictions, one row for each row of the data and in its order: one file for a name ending in .parquet or
    /// .csv, else a directory of Parquet files.
    #[arg(long, value_name = "FILE|DIR")]
    pub out: PathBuf,
    /// Write the probability of every class too (classification only).
    #[arg(long)]
    #[serde(default)]
    pub proba: bool,
    /// Replace what stands at the output path.
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

const fn default_trees() -> u64 {
    100
}

const fn default_min_samples_leaf() -> u32 {
    1
}

const fn default_sample_fraction() -> f64 {
    1.0
}

const fn default_max_bins() -> u32 {
    paceline_kernels::forest::DEFAULT_MAX_BINS as u32
}

/// What a forest predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TaskChoice {
    /// One of the classes seen in training.
    Classification,
    /// A number.
    Regression,
}

/// What a split of a classification shall reduce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum CriterionChoice {
    /// The Gini impurity.
    Gini,
    /// The entropy.
    Entropy,
}

/// How the classes are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeight {
    /// Each by the inverse of its share of the rows.
    Balanced,
}

/// How many features a split tries, written `sqrt`, `log2`, `all`, a fraction with a point, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MaxFeatures {
    /// The square root of their number.
    Sqrt,
    /// The binary logarithm of their number.
    Log2,
    /// All.
    All,
    /// This share of them, above 0 and at most 1.
    Fraction(f64),
    /// So many, at least 1.
    Count(u32),
}

impl MaxFeatures {
    /// The number that it means for `n_features`: rounded down, at least 1 and at most all.
    #[must_use]
    pub fn resolve(self, n_features: usize) -> usize {
        let n = n_features as f64;
        let wanted = match self {
            Self::Sqrt => n.sqrt() as usize,
            Self::Log2 => n.log2() as usize,
            Self::All => n_features,
            Self::Fraction(fraction) => (n * fraction) as usize,
            Self::Count(count) => count as usize,
        };
        wanted.clamp(1, n_features.max(1))
    }
}

impl FromStr for MaxFeatures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refusal = || format!("{text}: is none of sqrt, log2, all, a fraction such as 0.3 (above 0, at most 1.0) or a number such as 5");
        match text {
            "sqrt" => Ok(Self::Sqrt),
            "log2" => Ok(Self::Log2),
            "all" => Ok(Self::All),
            // The point tells a fraction from a number: 1.0 is all features and 1 is one feature.
            _ if text.contains('.') => match text.parse::<f64>() {
                Ok(fraction) if fraction > 0.0 && fraction <= 1.0 => Ok(Self::Fraction(fraction)),
                _ => Err(refusal()),
            },
            _ => match text.parse::<u32>() {
                Ok(count) if count > 0 => Ok(Self::Count(count)),
                _ => Err(refusal()),
            },
        }
    }
}

impl fmt::Display for MaxFeatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqrt => write!(f, "sqrt"),
            Self::Log2 => write!(f, "log2"),
            Self::All => write!(f, "all"),
            // `{:?}` keeps the point of 1.0, which is what makes it a fraction.
            Self::Fraction(fraction) => write!(f, "{fraction:?}"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

impl TryFrom<String> for MaxFeatures {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<MaxFeatures> for String {
    fn from(value: MaxFeatures) -> Self {
        value.to_string()
    }
}

/// The most trees of one forest: their roots and node offsets are held in memory, and more has never paid.
const MAX_TREES: u64 = 1_000_000;
/// The most bins of a feature: with the code of a missing value, what two bytes hold.
const MAX_BINS: u32 = paceline_kernels::forest::MAX_BINS as u32;

impl TrainSettings {
    /// Makes every path absolute.
    pub(super) fn resolve_paths_from(&mut self, base: &Path) {
        resolve_all(&mut self.data, base);
        self.out = base.join(&self.out);
    }

    /// Refuses what can never work, whatever the data.
    pub(super) fn check_ranges(&self) -> Result<(), Refusal> {
        let refuse = |message: String| Err(Refusal::bad_input(message));
        if self.data.is_empty() {
            return refuse("--data: names no file; name at least one table".to_owned());
        }
        if self.trees == 0 || self.trees > MAX_TREES {
            return refuse(format!("--trees {}: must be between 1 and {MAX_TREES}", self.trees));
        }
        if self.max_depth == Some(0) {
            return refuse("--max-depth 0: must be at least 1, or be left out for no limit".to_owned());
        }
        if self.min_samples_leaf == 0 {
            return refuse("--min-samples-leaf 0: must be at least 1".to_owned());
        }
        // Not `<= 0.0 || > 1.0`: NaN must be refused too.
        if !(self.sample_fraction > 0.0 && self.sample_fraction <= 1.0) {
            return refuse(format!("--sample-fraction {}: must be above 0 and at most 1", self.sample_fraction));
        }
        if !(2..=MAX_BINS).contains(&self.max_bins) {
            return refuse(format!("--max-bins {}: must be between 2 and {MAX_BINS}", self.max_bins));
        }
        if self.oob && self.no_bootstrap && self.sample_fraction == 1.0 {
            return refuse(
                "--oob: no row is out of bag where every tree sees all rows; leave out --no-bootstrap or set --sample-fraction below 1"
                    .to_owned(),
            );
        }
        if self.task == Some(TaskChoice::Regression) && (self.criterion.is_some() || self.class_weight.is_some()) {
            let flag = if self.criterion.is_some() { "--criterion" } else { "--class-weight" };
            return refuse(format!("{flag}: has no meaning for --task regression; leave it out"));
        }
        self.check_columns()
    }

    /// Refuses a column named in two roles that exclude each other.
    fn check_columns(&self) -> Result<(), Refusal> {
        let clash = |column: &str, roles: &str| Err(Refusal::bad_input(format!("{column}: is named {roles}; name it in one of them only")));
        if self.exclude.contains(&self.target) {
            return clash(&self.target, "by both --target and --exclude");
        }
        if self.categorical.contains(&self.target) {
            return Err(Refusal::bad_input(format!(
                "{}: is the target and no feature; to predict a class say --task classification",
                self.target
            )));
        }
        if let Some(weight) = &self.sample_weight {
            if *weight == self.target {
                return clash(weight, "by both --target and --sample-weight");
            }
            if self.exclude.contains(weight) || self.categorical.contains(weight) {
                return clash(weight, "by --sample-weight and by --exclude or --categorical");
            }
        }
        match self.categorical.iter().find(|column| self.exclude.contains(column)) {
            Some(column) => clash(column, "by both --categorical and --exclude"),
            None => Ok(()),
        }
    }
}

impl PredictSettings {
    /// Makes every path absolute.
    pub(super) fn resolve_paths_from(&mut self, base: &Path) {
        resolve_all(&mut self.data, base);
        self.model = base.join(&self.model);
        self.out = base.join(&self.out);
    }
}

fn resolve_all(paths: &mut [PathBuf], base: &Path) {
    for path in paths {
        *path = base.join(&path);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn max_features_round_trips_and_resolves() {
        for (text, n) in [("sqrt", 7), ("log2", 5), ("all", 54), ("0.5", 27), ("1.0", 54), ("1", 1), ("12", 12), ("900", 54), ("0.001", 1)]
        {
            let parsed: MaxFeatures = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
            assert_eq!(parsed.resolve(54), n, "{text}");
        }
        for text in ["", "0", "-1", "0.0", "1.5", "NaN", "half", "1e3"] {
            assert!(text.parse::<MaxFeatures>().is_err(), "{text}");
        }
    }

    #[test]
    fn flags_that_contradict_each_other_are_refused_by_name() {
        let minimal = r#"{"data": ["t.csv"], "target": "y", "out": "m""#;
        let refusal = |rest: &str| {
            let settings: TrainSettings = serde_json::from_str(&format!("{minimal}{rest}}}")).unwrap();
            settings.check_ranges().map_or_else(|refusal| refusal.message, |()| String::new())
        };
        assert_eq!(refusal(""), "");
        for (rest, named) in [
            (r#", "trees": 0"#, "--trees"),
            (r#", "max_depth": 0"#, "--max-depth"),
            (r#", "min_samples_leaf": 0"#, "--min-samples-leaf"),
            (r#", "sample_fraction": 0.0"#, "--sample-fraction"),
            (r#", "sample_fraction": 1.1"#, "--sample-fraction"),
            (r#", "max_bins": 1"#, "--max-bins"),
            (r#", "max_bins": 65536"#, "--max-bins"),
            (r#", "oob": true, "no_bootstrap": true"#, "--oob"),
            (r#", "task": "regression", "criterion": "gini""#, "--criterion"),
            (r#", "task": "regression", "class_weight": "balanced""#, "--class-weight"),
            (r#", "exclude": ["y"]"#, "--exclude"),
            (r#", "categorical": ["y"]"#, "is the target"),
            (r#", "sample_weight": "y""#, "--sample-weight"),
            (r#", "sample_weight": "w", "exclude": ["w"]"#, "--sample-weight"),
            (r#", "categorical": ["a"], "exclude": ["a"]"#, "--categorical"),
        ] {
            assert!(refusal(rest).contains(named), "{rest}: {}", refusal(rest));
        }
    }
}
