//! What a person can set for `popular train` and `bias train`.

use super::{Baseline, BaselineTraining};
use crate::interactions::ColumnNames;
use crate::registry::Settings;
use crate::workload::Workload;
use paceline_common::failure::Refusal;
use paceline_common::job::OutputPlan;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A model of what most users took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct PopularSettings {
    /// The interactions: a table with a row for each user and item (Parquet, CSV, Arrow; several files or a directory of them are one
    /// table).
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Where to write the model, a safetensors file for `recommend --model`.
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// The column of users. Without it: user or user_id, or else the first.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub user_column: Option<String>,
    /// The column of items. Without it: item or item_id, or else the second.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub item_column: Option<String>,
    /// Replace what stands at --out. An input of the same job is never replaced.
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

/// A model of ratings by the mean of all, of the item and of the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct BiasSettings {
    /// The ratings: a table with a row for each user and item (Parquet, CSV, Arrow; several files or a directory of them are one table).
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Where to write the model, a safetensors file for `recommend --model` and `score --model`.
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// How many ratings of nothing but the mean each user and item is given beside their own, so that the biases of those with few
    /// ratings stay small.
    #[arg(long, value_name = "F", default_value_t = default_damping())]
    #[serde(default = "default_damping")]
    pub damping: f64,
    /// The column of users. Without it: user or user_id, or else the first.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub user_column: Option<String>,
    /// The column of items. Without it: item or item_id, or else the second.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub item_column: Option<String>,
    /// The column of ratings. Without it: value, rating or count.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub value_column: Option<String>,
    /// Replace what stands at --out. An input of the same job is never replaced.
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

fn default_damping() -> f64 {
    5.0
}

/// The table of both, and which of its columns are meant.
#[derive(Clone, Debug)]
pub(super) struct SourceSettings {
    pub(super) data: Vec<PathBuf>,
    user_column: Option<String>,
    item_column: Option<String>,
    value_column: Option<String>,
}

impl SourceSettings {
    pub(super) fn column_names(&self) -> ColumnNames<'_> {
        ColumnNames {
            user: self.user_column.as_deref(),
            item: self.item_column.as_deref(),
            value: self.value_column.as_deref(),
            time: None,
        }
    }
}

impl Settings for PopularSettings {
    const WORKLOAD: &'static str = "popular-train";

    fn resolve_paths(&mut self, base: &Path) {
        self.data.iter_mut().for_each(|path| *path = base.join(&*path));
        self.out = base.join(&self.out);
    }

    fn check(self, _seed: u64) -> Result<Box<dyn Workload>, Refusal> {
        let Self { data, out, user_column, item_column, force } = self;
        Ok(Box::new(BaselineTraining {
            baseline: Baseline::Popularity,
            source: SourceSettings { data, user_column, item_column, value_column: None },
            output: OutputPlan { path: out, force, beside: vec![] },
        }))
    }
}

impl Settings for BiasSettings {
    const WORKLOAD: &'static str = "bias-train";

    fn resolve_paths(&mut self, base: &Path) {
        self.data.iter_mut().for_each(|path| *path = base.join(&*path));
        self.out = base.join(&self.out);
    }

    fn check(self, _seed: u64) -> Result<Box<dyn Workload>, Refusal> {
        let Self { data, out, damping, user_column, item_column, value_column, force } = self;
        if !(damping.is_finite() && damping >= 0.0) {
            return Err(Refusal::bad_input(format!("--damping {damping}: must be a number of at least 0")));
        }
        Ok(Box::new(BaselineTraining {
            baseline: Baseline::Bias { damping },
            source: SourceSettings { data, user_column, item_column, value_column },
            output: OutputPlan { path: out, force, beside: vec![] },
        }))
    }
}
