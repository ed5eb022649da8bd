//! What a person can set for `split`: one struct is the command line, the wire and the job's record. It checks the settings against each
//! other only; it must not open a file.

use super::{Method, Split};
use crate::interactions::ColumnNames;
use crate::registry::Settings;
use crate::table::{TableFormat, number_or_moment};
use crate::workload::Workload;
use paceline_common::failure::Refusal;
use paceline_common::job::OutputPlan;
use paceline_kernels::split::{Amount, Holdout, RowShare};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A table of interactions divided into one to train on and one to test on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct SplitSettings {
    /// The interactions: a table with a row for each user and item (Parquet, CSV, Arrow; several files or a directory of them are one
    /// table).
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Where to write the rows to train on, with all columns as they are and in the order of the data: a table in .parquet or .csv.
    #[arg(long, value_name = "FILE")]
    pub out_train: PathBuf,
    /// Where to write the rows to test on, likewise.
    #[arg(long, value_name = "FILE")]
    pub out_test: PathBuf,
    /// Which rows are tested: leave-n-out takes --n rows of each user, fraction takes --fraction of each user's rows, temporal takes all
    /// rows from a point in time on.
    #[arg(long, value_enum)]
    pub method: MethodChoice,
    /// Of leave-n-out: how many rows of each user are tested.
    #[arg(long, value_name = "N")]
    #[serde(default)]
    pub n: Option<u32>,
    /// Of fraction: which share of each user's rows is tested, above 0 and below 1; rounded to whole rows, halves to the even number.
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    #[serde(default)]
    pub fraction: Option<f64>,
    /// Of leave-n-out and fraction: test each user's latest rows instead of random ones. Of rows of equal time those further down in the
    /// table are later.
    #[arg(long)]
    #[serde(default)]
    pub latest: bool,
    /// Of temporal: the time from which on rows are tested: a number, a date such as 2015-03-31 or a date with a time, as the column
    /// of times holds them.
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    #[serde(default)]
    pub at: Option<String>,
    /// Of temporal, instead of --at: which share of all rows is tested, above 0 and below 1. Rows of equal time stay together.
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    #[serde(default)]
    pub test_fraction: Option<f64>,
    /// How many rows to train on a user must have to be tested: the tested rows of all others are left out. 0 tests users whom a model
    /// cannot know.
    #[arg(long, value_name = "N", default_value_t = default_min_train())]
    #[serde(default = "default_min_train")]
    pub min_train: u32,
    /// The column of users. Without it: user or user_id, or else the first.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub user_column: Option<String>,
    /// The column of items. Without it: item or item_id, or else the second.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub item_column: Option<String>,
    /// The column of times, for --latest and temporal. Without it: time, timestamp or date.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub time_column: Option<String>,
    /// Replace what stands at --out-train and --out-test. An input of the same job is never replaced.
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

fn default_min_train() -> u32 {
    1
}

/// Which rows are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum MethodChoice {
    /// So many of each user.
    LeaveNOut,
    /// A share of those of each user.
    Fraction,
    /// All from a point in time on.
    Temporal,
}

impl MethodChoice {
    fn name(self) -> &'static str {
        match self {
            Self::LeaveNOut => "leave-n-out",
            Self::Fraction => "fraction",
            Self::Temporal => "temporal",
        }
    }
}

impl SplitSettings {
    /// The method with its own settings; refused where one is missing or belongs to another method.
    fn checked_method(&self) -> Result<Method, Refusal> {
        let given = [
            ("--n", self.n.is_some(), &[MethodChoice::LeaveNOut][..]),
            ("--fraction", self.fraction.is_some(), &[MethodChoice::Fraction]),
            ("--latest", self.latest, &[MethodChoice::LeaveNOut, MethodChoice::Fraction]),
            ("--at", self.at.is_some(), &[MethodChoice::Temporal]),
            ("--test-fraction", self.test_fraction.is_some(), &[MethodChoice::Temporal]),
        ];
        if let Some((flag, _, of)) = given.iter().find(|(_, is_given, of)| *is_given && !of.contains(&self.method)) {
            let (method, of) = (self.method.name(), of.iter().map(|method| method.name()).collect::<Vec<_>>().join(" and "));
            return Err(Refusal::bad_input(format!("{flag}: means nothing to the method {method}, only to {of}; leave it out")));
        }
        let holdout = |amount| Method::ByUser(if self.latest { Holdout::Latest(amount) } else { Holdout::Random(amount) });
        let missing = |flags: &str| Refusal::bad_input(format!("--method {}: needs {flags}; give it", self.method.name()));
        match (self.method, self.n, self.fraction, &self.at, self.test_fraction) {
            (MethodChoice::LeaveNOut, Some(0), ..) => Err(Refusal::bad_input("--n 0: tests nothing; give at least 1")),
            (MethodChoice::LeaveNOut, Some(n), ..) => Ok(holdout(Amount::Rows(n as usize))),
            (MethodChoice::LeaveNOut, None, ..) => Err(missing("--n")),
            (MethodChoice::Fraction, _, Some(share), ..) => Ok(holdout(Amount::Share(share_of("--fraction", share)?))),
            (MethodChoice::Fraction, ..) => Err(missing("--fraction")),
            (MethodChoice::Temporal, _, _, Some(_), Some(_)) => {
                Err(Refusal::bad_input("--at and --test-fraction: both say when the test begins; give one"))
            }
            (MethodChoice::Temporal, _, _, Some(text), None) => {
                let why = "is neither a number nor a date such as 2015-03-31, perhaps with a time; write it as the column of times does";
                let time = number_or_moment(text).ok_or_else(|| Refusal::bad_input(format!("--at {text}: {why}")))?;
                Ok(Method::FromTime { text: text.clone(), value: time.0, kind: time.1 })
            }
            (MethodChoice::Temporal, _, _, None, Some(share)) => Ok(Method::LatestShare(share_of("--test-fraction", share)?)),
            (MethodChoice::Temporal, ..) => Err(missing("--at or --test-fraction")),
        }
    }

    pub(super) fn column_names(&self) -> ColumnNames<'_> {
        let [user, item, time] = [&self.user_column, &self.item_column, &self.time_column].map(Option::as_deref);
        ColumnNames { user, item, value: None, time }
    }
}

/// A share that leaves rows on both sides.
fn share_of(flag: &str, share: f64) -> Result<RowShare, Refusal> {
    let checked = RowShare::new(share).ok().filter(|checked| checked.get() > 0.0 && checked.get() < 1.0);
    checked.ok_or_else(|| {
        Refusal::bad_input(format!("{flag} {share}: is no share that leaves rows on both sides; give one above 0 and below 1"))
    })
}

impl Settings for SplitSettings {
    const WORKLOAD: &'static str = "split";

    fn resolve_paths(&mut self, base: &Path) {
        self.data.iter_mut().chain([&mut self.out_train, &mut self.out_test]).for_each(|path| *path = base.join(&*path));
    }

    fn check(self, seed: u64) -> Result<Box<dyn Workload>, Refusal> {
        let method = self.checked_method()?;
        if self.time_column.is_some() && !method.needs_times() {
            return Err(Refusal::bad_input("--time-column: no time is looked at; give --latest or --method temporal too"));
        }
        if self.out_train == self.out_test {
            return Err(Refusal::bad_input(format!("{}: is named as both outputs; name two", self.out_train.display())));
        }
        let formats = [TableFormat::of_output(&self.out_train)?, TableFormat::of_output(&self.out_test)?];
        let output = OutputPlan { path: self.out_train.clone(), force: self.force, beside: vec![self.out_test.clone()] };
        Ok(Box::new(Split { settings: self, method, seed, formats, output }))
    }
}
