//! What a person can set for `evaluate`: one struct is the command line, the wire and the job's record. It checks the settings against
//! each other only; it must not open a file.

use super::Evaluation;
use crate::interactions::ColumnNames;
use crate::registry::Settings;
use crate::table::TableFormat;
use crate::workload::Workload;
use paceline_common::failure::Refusal;
use paceline_common::job::OutputPlan;
use paceline_kernels::evaluate::{Cutoff, Evaluator, LogDiscount, Metric, Settings as MetricSettings};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// How good lists of recommended items and predicted ratings are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct EvaluateSettings {
    /// The lists, as recommend writes them: a table with columns of users and items, and a column rank (1 is the best) or, where there is
    /// none, score (the highest is the best; equal ones in the order of the table). Parquet, CSV or Arrow; several files or a directory
    /// of them are one table.
    #[arg(long, value_name = "FILE|DIR", num_args = 1.., required_unless_present = "predictions")]
    #[serde(default)]
    pub lists: Vec<PathBuf>,
    /// What users truly chose: a table with a row for each user and item, perhaps with ratings.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub truth: Vec<PathBuf>,
    /// Where to write the numbers of each user, a table in .parquet or .csv.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Where to write the numbers over all users, a table in .parquet or .csv.
    #[arg(long, value_name = "FILE")]
    #[serde(default)]
    pub summary: Option<PathBuf>,
    /// What to measure of each list: ndcg, dcg, graded_ndcg, graded_dcg (where an item gains its rating), precision, recall, hit,
    /// reciprocal_rank, average_precision, rbp.
    #[arg(long, value_name = "METRIC,…", value_delimiter = ',', default_values_t = default_metrics())]
    #[serde(default = "default_metrics")]
    pub metrics: Vec<String>,
    /// How many items of a list count: several numbers measure several times, `all` takes lists as long as they are.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = default_cutoffs(), allow_negative_numbers = true)]
    #[serde(default = "default_cutoffs")]
    pub at: Vec<String>,
    /// Of rbp: how likely a user who has seen an item looks at the next, above 0 and below 1.
    #[arg(long, value_name = "P", default_value_t = default_patience(), allow_negative_numbers = true)]
    #[serde(default = "default_patience")]
    pub rbp_patience: f64,
    /// What a rank weighs in ndcg and dcg: clipped is 1 / log2(rank) but 1 for rank 1, as LensKit has it; shifted is
    /// 1 / log2(rank + 1), as most others have it.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub discount: DiscountChoice,
    /// What becomes of users who have a truth and no list: skip leaves them out of every mean, as LensKit does, empty takes them for
    /// users with an empty list, who count 0 in most.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub missing_lists: MissingLists,
    /// All items that could have been recommended, for coverage and gini: a table with a column of items (that of the training, say) or
    /// the model. Items of lists count too. Without it, all items of the lists and the truth.
    #[arg(long, value_name = "FILE|MODEL")]
    #[serde(default)]
    pub catalog: Option<PathBuf>,
    /// Predicted ratings, to be compared with the values of the truth (RMSE and MAE): a table with columns of users, items and
    /// predictions.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    #[serde(default)]
    pub predictions: Vec<PathBuf>,
    /// The column of users in all tables. Without it: user or user_id, or else the first.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub user_column: Option<String>,
    /// The column of items in all tables. Without it: item or item_id, or else the second.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub item_column: Option<String>,
    /// The column of ratings in the truth. Without it: value, rating or count, where one is wanted.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub value_column: Option<String>,
    /// The column of predictions in --predictions. Without it: prediction or score.
    #[arg(long, value_name = "COL", requires = "predictions")]
    #[serde(default)]
    pub prediction_column: Option<String>,
    /// Replace what stands at --out and --summary. An input of the same job is never replaced.
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

fn default_metrics() -> Vec<String> {
    use Metric::{AveragePrecision, Hit, Ndcg, Precision, Rbp, Recall, ReciprocalRank};
    [Ndcg, Precision, Recall, Hit, ReciprocalRank, AveragePrecision, Rbp].map(|metric| metric.name().to_owned()).to_vec()
}

fn default_cutoffs() -> Vec<String> {
    vec!["10".to_owned()]
}

fn default_patience() -> f64 {
    MetricSettings::default().patience
}

/// What a rank weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DiscountChoice {
    /// The first two ranks weigh the same.
    #[default]
    Clipped,
    /// Every rank weighs less than the one before.
    Shifted,
}

/// What becomes of users who have a truth and no list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum MissingLists {
    /// They enter no mean.
    #[default]
    Skip,
    /// They have an empty list.
    Empty,
}

/// The cutoff that takes whole lists.
const WHOLE_LIST: &str = "all";

impl EvaluateSettings {
    /// What is measured of lists, each at every one of the cutoffs.
    fn evaluator(&self) -> Result<(Evaluator, Vec<Cutoff>), Refusal> {
        let parse = |name: &String| name.parse().map_err(|e| Refusal::bad_input(format!("--metrics {name}: {e}")));
        let metrics = distinct(self.metrics.iter().map(parse).collect::<Result<Vec<Metric>, Refusal>>()?);
        let cutoffs = distinct(self.at.iter().map(|text| cutoff_of(text)).collect::<Result<Vec<Cutoff>, Refusal>>()?);
        let discount = match self.discount {
            DiscountChoice::Clipped => LogDiscount::Clipped,
            DiscountChoice::Shifted => LogDiscount::Shifted,
        };
        let settings = MetricSettings { discount, patience: self.rbp_patience };
        let evaluator = Evaluator::new(&metrics, &cutoffs, settings).map_err(|e| Refusal::bad_input(e.to_string()))?;
        Ok((evaluator, cutoffs))
    }

    /// Whether the ratings of the truth are looked at.
    pub(super) fn needs_values(&self) -> bool {
        let is_graded = |name: &String| name.parse().is_ok_and(Metric::needs_ratings);
        !self.predictions.is_empty() || (!self.lists.is_empty() && self.metrics.iter().any(is_graded))
    }

    /// The columns of one of the tables.
    pub(super) fn column_names<'a>(&'a self, value: Option<&'a str>) -> ColumnNames<'a> {
        ColumnNames { user: self.user_column.as_deref(), item: self.item_column.as_deref(), value, time: None }
    }
}

fn cutoff_of(text: &str) -> Result<Cutoff, Refusal> {
    match text.parse() {
        Ok(n) => Ok(Cutoff::At(n)),
        Err(_) if text == WHOLE_LIST => Ok(Cutoff::WholeList),
        Err(_) => {
            let most = NonZeroU32::MAX;
            Err(Refusal::bad_input(format!("--at {text}: is no number of items; give whole numbers from 1 to {most}, or {WHOLE_LIST}")))
        }
    }
}

/// Each value once, where it was first named.
fn distinct<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut kept: Vec<T> = vec![];
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

impl Settings for EvaluateSettings {
    const WORKLOAD: &'static str = "evaluate";

    fn resolve_paths(&mut self, base: &Path) {
        let tables = [&mut self.lists, &mut self.truth, &mut self.predictions];
        let single = [Some(&mut self.out), self.summary.as_mut(), self.catalog.as_mut()];
        for path in tables.into_iter().flatten().chain(single.into_iter().flatten()) {
            *path = base.join(&*path);
        }
    }

    fn check(self, _seed: u64) -> Result<Box<dyn Workload>, Refusal> {
        if self.lists.is_empty() && self.predictions.is_empty() {
            return Err(Refusal::bad_input("neither --lists nor --predictions is given; name what is to be measured"));
        }
        if self.lists.is_empty() && self.catalog.is_some() {
            return Err(Refusal::bad_input("--catalog: there are no lists that could cover it; give --lists too"));
        }
        let (evaluator, cutoffs) = self.evaluator()?;
        let format = TableFormat::of_output(&self.out)?;
        let summary_format = self.summary.as_deref().map(TableFormat::of_output).transpose()?;
        if self.summary.as_ref() == Some(&self.out) {
            return Err(Refusal::bad_input(format!("--summary {}: is --out too; name another place", self.out.display())));
        }
        let summary = self.summary.clone().zip(summary_format);
        let output = OutputPlan { path: self.out.clone(), force: self.force, beside: self.summary.iter().cloned().collect() };
        Ok(Box::new(Evaluation { settings: self, evaluator, cutoffs, output, format, summary }))
    }
}
