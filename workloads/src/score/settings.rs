//! What a person can set for `score`. It checks the settings against each other only; it must not open a file.

use super::Scoring;
use crate::interactions::ColumnNames;
use crate::recommend::UnknownUsers;
use crate::registry::Settings;
use crate::table::TableFormat;
use crate::workload::Workload;
use paceline_common::failure::Refusal;
use paceline_common::job::OutputPlan;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a model says of given pairs of users and items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ScoreSettings {
    /// The model, as for `recommend`.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The pairs: a table with a row for each user and item (Parquet, CSV, Arrow; several files or a directory of them are one table).
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub pairs: Vec<PathBuf>,
    /// Where to write the table of user, item and score, in .parquet or .csv: the rows of the pairs in their order. A pair of which the
    /// model knows nothing has no score.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// What to do with users that the model lacks: refuse the table, or leave their pairs without a score and count them.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    #[serde(default)]
    pub unknown_users: UnknownUsers,
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

impl ScoreSettings {
    pub(super) fn column_names(&self) -> ColumnNames<'_> {
        ColumnNames { user: self.user_column.as_deref(), item: self.item_column.as_deref(), value: None, time: None }
    }
}

impl Settings for ScoreSettings {
    const WORKLOAD: &'static str = "score";

    fn resolve_paths(&mut self, base: &Path) {
        self.pairs.iter_mut().chain([&mut self.model, &mut self.out]).for_each(|path| *path = base.join(&*path));
    }

    fn check(self, _seed: u64) -> Result<Box<dyn Workload>, Refusal> {
        let format = TableFormat::of_output(&self.out).map_err(|failure| Refusal::bad_input(failure.message))?;
        let output = OutputPlan { path: self.out.clone(), force: self.force, beside: vec![] };
        Ok(Box::new(Scoring { settings: self, output, format }))
    }
}
