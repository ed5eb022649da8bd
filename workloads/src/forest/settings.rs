//! What a person can set for `forest train` and `forest predict`: one struct is the command line, the wire and the job's record.
//! It checks the settings against each other only; it must not open a file.

use super::choices::{self, ClassWeight, CriterionChoice, ImportanceChoice, MaxFeatures, TaskChoice};
use paceline_common::failure::Refusal;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How a forest is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct TrainSettings {
    /// Tables to learn from, of the same columns: Parquet, CSV (also .gz or .zst), Arrow IPC or .npy, or directories of them.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub data: Vec<PathBuf>,
    /// The column to be predicted. With --add-to it may be left out: the model knows it.
    #[arg(long, value_name = "COL", required_unless_present = "add_to", default_value = "", hide_default_value = true)]
    #[serde(default)]
    pub target: String,
    /// Where to write the model, a safetensors file.
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// How many trees to grow; with --add-to, how many more.
    #[arg(long, value_name = "N", default_value_t = default_trees(), value_parser = choices::whole_number::<u64>, allow_negative_numbers = true)]
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
    #[arg(long, value_name = "N", value_parser = choices::whole_number::<u32>, allow_negative_numbers = true)]
    #[serde(default)]
    pub max_depth: Option<u32>,
    /// How many rows a leaf must hold at least. [default: 1]
    #[arg(long, value_name = "N", value_parser = choices::n_rows, allow_negative_numbers = true)]
    #[serde(default)]
    pub min_samples_leaf: Option<u32>,
    /// How many rows a node must hold at least to be split. [default: 2]
    #[arg(long, value_name = "N", value_parser = choices::n_rows, allow_negative_numbers = true)]
    #[serde(default)]
    pub min_samples_split: Option<u32>,
    /// By how much a split must reduce the impurity at least, weighted by the share of the tree's rows that are in the node.
    /// [default: 0]
    #[arg(long, value_name = "F", value_parser = choices::finite_number, allow_negative_numbers = true)]
    #[serde(default)]
    pub min_impurity_decrease: Option<f64>,
    /// How many leaves a tree may have: the node whose split gains most is split next. Without it, there is no limit.
    #[arg(long, value_name = "N", value_parser = choices::whole_number::<u32>, allow_negative_numbers = true)]
    #[serde(default)]
    pub max_leaf_nodes: Option<u32>,
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
    /// How much the rows of each class count: balanced, so that all classes count the same together; balanced-subsample, the same
    /// within the rows of each tree; or classes with their weights, such as yes=5,no=0.5, where a class that is not named counts 1.
    #[arg(long, value_name = "balanced|balanced-subsample|LABEL=WEIGHT,…", allow_hyphen_values = true)]
    #[serde(default)]
    pub class_weight: Option<ClassWeight>,
    /// Grow every tree from a draw without replacement (of all rows, unless --sample-fraction says less) instead of a bootstrap.
    #[arg(long)]
    #[serde(default)]
    pub no_bootstrap: bool,
    /// How many rows to draw for each tree, as a fraction of all rows. [default: 1.0]
    #[arg(long, value_name = "F", value_parser = choices::finite_number, allow_negative_numbers = true)]
    #[serde(default)]
    pub sample_fraction: Option<f64>,
    /// Draw the threshold of every split at random instead of searching for the best (extremely randomised trees).
    #[arg(long)]
    #[serde(default)]
    pub extra_trees: bool,
    /// Into how many bins the values of a feature are sorted before trees are grown. [default: 255]
    #[arg(long, value_name = "N", value_parser = choices::whole_number::<u32>, allow_negative_numbers = true)]
    #[serde(default)]
    pub max_bins: Option<u32>,
    /// Measure the forest on the rows that each tree did not see (out-of-bag), and record the score in the model.
    #[arg(long)]
    #[serde(default)]
    pub oob: bool,
    /// How the importance of features is measured, separated by commas: by the impurity that their splits reduce, which every model
    /// holds; and by permutation, how much worse each tree predicts the rows that it did not see when a feature is shuffled among them.
    #[arg(long, value_enum, value_name = "impurity|permutation", value_delimiter = ',')]
    #[serde(default)]
    pub importance: Vec<ImportanceChoice>,
    /// Write what the trees that did not see a row say of it, for every row of the data in its order, and how many trees those are;
    /// a row that every tree saw gets no value. A name ending in .parquet or .csv. Measures the forest as --oob does.
    #[arg(long, value_name = "FILE")]
    #[serde(default)]
    pub oob_predictions: Option<PathBuf>,
    /// Write the probability of every class into the out-of-bag predictions too (classification only).
    #[arg(long, requires = "oob_predictions")]
    #[serde(default)]
    pub oob_proba: bool,
    /// Add trees to this forest, with the same result as if it had been trained with all of them at once. The settings and the seed
    /// are the model's, and the data must be the same: flags that say otherwise are refused.
    #[arg(long, value_name = "MODEL")]
    #[serde(default)]
    pub add_to: Option<PathBuf>,
    /// Replace what stands at the output path. An input of the same job is never replaced.
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
    /// Write the leaf that each row comes to in each tree instead of predictions: one column for each tree, tree_0, tree_1 and so on,
    /// with the number of the node within the tree.
    #[arg(long)]
    #[serde(default)]
    pub leaves: bool,
    /// Replace what stands at the output path. An input of the same job is never replaced.
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

const fn default_trees() -> u64 {
    100
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
        for path in [&mut self.oob_predictions, &mut self.add_to].into_iter().flatten() {
            *path = base.join(&path);
        }
    }

    /// How many rows a leaf must hold at least.
    pub(super) fn min_samples_leaf(&self) -> u32 {
        self.min_samples_leaf.unwrap_or(1)
    }

    /// How many rows a node must hold at least to be split.
    pub(super) fn min_samples_split(&self) -> u32 {
        self.min_samples_split.unwrap_or(2)
    }

    /// By how much a split must reduce the impurity at least.
    pub(super) fn min_impurity_decrease(&self) -> f64 {
        self.min_impurity_decrease.unwrap_or(0.0)
    }

    /// How many rows are drawn for each tree, as a fraction of all rows.
    pub(super) fn sample_fraction(&self) -> f64 {
        self.sample_fraction.unwrap_or(1.0)
    }

    /// Into how many bins a feature is sorted.
    pub(super) fn max_bins(&self) -> u32 {
        self.max_bins.unwrap_or(paceline_kernels::forest::DEFAULT_MAX_BINS as u32)
    }

    /// The same settings with every default said, as a model records them.
    pub(super) fn with_defaults(self) -> Self {
        Self {
            min_samples_leaf: Some(self.min_samples_leaf()),
            min_samples_split: Some(self.min_samples_split()),
            min_impurity_decrease: Some(self.min_impurity_decrease()),
            sample_fraction: Some(self.sample_fraction()),
            max_bins: Some(self.max_bins()),
            importance: match self.measures_permutation() {
                true => vec![ImportanceChoice::Impurity, ImportanceChoice::Permutation],
                false => vec![ImportanceChoice::Impurity],
            },
            ..self
        }
    }

    /// Refuses what can never work, whatever the data.
    pub(super) fn check_ranges(&self) -> Result<(), Refusal> {
        let refuse = |message: String| Err(Refusal::bad_input(message));
        if self.data.is_empty() {
            return refuse("--data: names no file; name at least one table".to_owned());
        }
        if self.target.is_empty() && self.add_to.is_none() {
            return refuse("--target: is not given; name the column to be predicted".to_owned());
        }
        if self.trees == 0 || self.trees > MAX_TREES {
            return refuse(format!("--trees {}: must be between 1 and {MAX_TREES}, with those that are there already", self.trees));
        }
        if self.task == Some(TaskChoice::Regression) && (self.criterion.is_some() || self.class_weight.is_some()) {
            let flag = if self.criterion.is_some() { "--criterion" } else { "--class-weight" };
            return refuse(format!("{flag}: has no meaning for --task regression; leave it out"));
        }
        self.check_limits()?;
        self.check_measuring()?;
        self.check_columns()
    }

    /// Refuses limits of trees, rows and bins that leave nothing to grow.
    fn check_limits(&self) -> Result<(), Refusal> {
        let refuse = |message: String| Err(Refusal::bad_input(message));
        if self.max_depth == Some(0) {
            return refuse("--max-depth 0: must be at least 1, or be left out for no limit".to_owned());
        }
        if self.min_samples_leaf() == 0 {
            return refuse("--min-samples-leaf 0: must be at least 1".to_owned());
        }
        if self.min_samples_split() < 2 {
            return refuse(format!("--min-samples-split {}: must be at least 2", self.min_samples_split()));
        }
        if !(self.min_impurity_decrease() >= 0.0 && self.min_impurity_decrease().is_finite()) {
            return refuse(format!("--min-impurity-decrease {}: must be a number of at least 0", self.min_impurity_decrease()));
        }
        if self.max_leaf_nodes.is_some_and(|n| n < 2) {
            return refuse("--max-leaf-nodes: must be at least 2; leave it out for no limit".to_owned());
        }
        // Not `<= 0.0 || > 1.0`: NaN must be refused too.
        if !(self.sample_fraction() > 0.0 && self.sample_fraction() <= 1.0) {
            return refuse(format!("--sample-fraction {}: must be above 0 and at most 1", self.sample_fraction()));
        }
        if !(2..=MAX_BINS).contains(&self.max_bins()) {
            return refuse(format!("--max-bins {}: must be between 2 and {MAX_BINS}", self.max_bins()));
        }
        Ok(())
    }

    /// Refuses measures of the forest that there is nothing to take from, or nowhere to write.
    fn check_measuring(&self) -> Result<(), Refusal> {
        let refuse = |message: String| Err(Refusal::bad_input(message));
        if let Some(flag) = self.needs_out_of_bag_rows()
            && self.no_bootstrap
            && self.sample_fraction() == 1.0
        {
            return refuse(format!(
                "{flag}: no row is out of bag where every tree sees all rows; leave out --no-bootstrap or set --sample-fraction below 1"
            ));
        }
        if self.oob_predictions.as_ref() == Some(&self.out) {
            return refuse(format!("{}: is named by both --out and --oob-predictions; name two files", self.out.display()));
        }
        if self.oob_proba && (self.oob_predictions.is_none() || self.task == Some(TaskChoice::Regression)) {
            return refuse("--oob-proba: needs --oob-predictions FILE and a classification".to_owned());
        }
        Ok(())
    }

    /// Whether the forest is measured on the rows out of bag.
    pub(super) fn measures_oob(&self) -> bool {
        self.oob || self.oob_predictions.is_some()
    }

    /// Whether importance by permutation is to be measured.
    pub(super) fn measures_permutation(&self) -> bool {
        self.importance.contains(&ImportanceChoice::Permutation)
    }

    /// The flag that cannot do without rows out of bag.
    fn needs_out_of_bag_rows(&self) -> Option<&'static str> {
        if self.oob {
            return Some("--oob");
        }
        if self.oob_predictions.is_some() {
            return Some("--oob-predictions");
        }
        self.measures_permutation().then_some("--importance permutation")
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
    fn flags_that_contradict_each_other_are_refused_by_name() {
        let minimal = r#"{"data": ["t.csv"], "target": "y", "out": "m""#;
        let refusal = |rest: &str| {
            let settings: TrainSettings = serde_json::from_str(&format!("{minimal}{rest}}}")).unwrap();
            settings.check_ranges().map_or_else(|refusal| refusal.message, |()| String::new())
        };
        assert_eq!(refusal(""), "");
        let without_target: TrainSettings = serde_json::from_str(r#"{"data": ["t.csv"], "out": "m"}"#).unwrap();
        assert!(without_target.check_ranges().unwrap_err().message.starts_with("--target: is not given"));
        for (rest, named) in [
            (r#", "trees": 0"#, "--trees"),
            (r#", "max_depth": 0"#, "--max-depth"),
            (r#", "min_samples_leaf": 0"#, "--min-samples-leaf"),
            (r#", "min_samples_split": 1"#, "--min-samples-split"),
            (r#", "min_impurity_decrease": -0.1"#, "--min-impurity-decrease"),
            (r#", "max_leaf_nodes": 1"#, "--max-leaf-nodes"),
            (r#", "oob_predictions": "p.csv", "no_bootstrap": true"#, "--oob-predictions"),
            (r#", "oob_predictions": "m""#, "--oob-predictions"),
            (r#", "oob_proba": true"#, "--oob-proba"),
            (r#", "importance": ["permutation"], "no_bootstrap": true"#, "--importance permutation"),
            (r#", "task": "regression", "class_weight": "a=2""#, "--class-weight"),
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
