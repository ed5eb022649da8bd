//! What a person can set for `recommend`: one struct is the command line, the wire and the job's record. It checks the settings
//! against each other only; it must not open a file.

use super::{Destination, Recommend};
use crate::registry::Settings;
use crate::table::TableFormat;
use crate::workload::Workload;
use paceline_common::failure::Refusal;
use paceline_common::job::OutputPlan;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The best unseen items of each user under a factor model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct RecommendSettings {
    /// The factor model: a safetensors file, as `safetensors.numpy.save_file` writes it, with the arrays user_factors [users, factors]
    /// and item_factors [items, factors] of float32. Optional: user_bias and item_bias (float32, one each), user_ids and item_ids
    /// (int64, one each, or text as uint8 [n, width] of UTF-8 padded with zeros), and what users have seen as compressed sparse rows:
    /// seen_indptr (int64, one more than users) and seen_indices (int32, ascending within a user).
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Where to write the lists, with the columns user, item, rank (from 1) and score: a file in .parquet or .csv, or a directory of
    /// Parquet files.
    #[arg(long, value_name = "FILE|DIR")]
    pub out: PathBuf,
    /// Whom to recommend to: a table with a column of users (Parquet, CSV, …), or all users of the model.
    #[arg(long, value_name = "FILE|all", default_value = "all")]
    #[serde(default)]
    pub users: UserChoice,
    /// How many items to recommend to each user.
    #[arg(long, value_name = "N", default_value_t = default_top())]
    #[serde(default = "default_top")]
    pub top: u32,
    /// A table of what users have seen already, one row for each user and item; such items are not recommended. What the model file
    /// says of seen items counts too.
    #[arg(long, value_name = "FILE")]
    #[serde(default)]
    pub seen: Option<PathBuf>,
    /// A table of the items that each user may be recommended, one row for each user and item; only these are scored. A user without
    /// a row gets no list. Items that the model lacks are left out and counted.
    #[arg(long, value_name = "FILE")]
    #[serde(default)]
    pub candidates: Option<PathBuf>,
    /// What to do with users of --users or --candidates that the model lacks: refuse the table, or leave them out and count them.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    #[serde(default)]
    pub unknown_users: UnknownUsers,
    /// The column of users in these tables. Without it: user or user_id, or else the first.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub user_column: Option<String>,
    /// The column of items in the tables of seen items and of candidates. Without it: item or item_id, or else the second.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub item_column: Option<String>,
    /// Replace what stands at --out. An input of the same job is never replaced.
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

fn default_top() -> u32 {
    10
}

/// What becomes of users that the model lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownUsers {
    /// The table is refused.
    #[default]
    Error,
    /// They are left out and counted.
    Skip,
}

/// Whom to recommend to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "PathBuf", into = "PathBuf")]
pub enum UserChoice {
    /// All users of the model, in its order.
    #[default]
    All,
    /// The users of a table, in its order.
    File(PathBuf),
}

/// What stands for all users where a file could be named; a file of that name is `./all`.
const ALL: &str = "all";

impl From<PathBuf> for UserChoice {
    fn from(path: PathBuf) -> Self {
        if path.as_os_str() == ALL { Self::All } else { Self::File(path) }
    }
}

impl From<UserChoice> for PathBuf {
    fn from(choice: UserChoice) -> Self {
        match choice {
            UserChoice::All => ALL.into(),
            UserChoice::File(path) => path,
        }
    }
}

impl FromStr for UserChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(PathBuf::from(text).into())
    }
}

impl Settings for RecommendSettings {
    const WORKLOAD: &'static str = "recommend";

    fn resolve_paths(&mut self, base: &Path) {
        self.model = base.join(&self.model);
        self.out = base.join(&self.out);
        if let UserChoice::File(path) = &mut self.users {
            *path = base.join(&*path);
        }
        for path in [&mut self.seen, &mut self.candidates] {
            *path = path.take().map(|path| base.join(path));
        }
    }

    fn check(self, _seed: u64) -> Result<Box<dyn Workload>, Refusal> {
        if self.top == 0 {
            return Err(Refusal::bad_input("--top 0: recommends nothing; ask for at least 1 item"));
        }
        let has_pairs = self.seen.is_some() || self.candidates.is_some();
        if self.item_column.is_some() && !has_pairs {
            let message = "--item-column: there is no table that it could name a column of; give --seen or --candidates too";
            return Err(Refusal::bad_input(message));
        }
        if self.user_column.is_some() && !has_pairs && self.users == UserChoice::All {
            let message = "--user-column: there is no table that it could name a column of; give --users, --seen or --candidates too";
            return Err(Refusal::bad_input(message));
        }
        let destination = destination_of(&self.out)?;
        // Without the slash that may end the name of a directory.
        let output = OutputPlan { path: self.out.components().collect(), force: self.force, beside: vec![] };
        Ok(Box::new(Recommend { settings: self, output, destination }))
    }
}

/// One file or a directory, by the name: a table's extension names a file, none or a slash at the end a directory.
fn destination_of(out: &Path) -> Result<Destination, Refusal> {
    let is_directory = out.extension().is_none() || out.as_os_str().as_encoded_bytes().ends_with(b"/");
    match TableFormat::of_output(out) {
        _ if is_directory => Ok(Destination::Directory),
        Ok(format) => Ok(Destination::File(format)),
        Err(_) => Err(Refusal::bad_input(format!(
            "{}: is no kind of output; name a file in .parquet or .csv, or a directory (with a / at the end where its name has a dot)",
            out.display()
        ))),
    }
}
