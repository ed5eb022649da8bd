//! What a person can set for `als train`. It checks the settings against each other only; it must not open a file.

use super::AlsTraining;
use crate::interactions::ColumnNames;
use crate::registry::Settings;
use crate::workload::Workload;
use paceline_common::failure::Refusal;
use paceline_kernels::als::{MAX_FACTORS, Method};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A factor model by alternating least squares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct AlsSettings {
    /// The interactions: a table with a row for each user and item (Parquet, CSV, Arrow; several files or a directory of them are one
    /// table).
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Where to write the model, a safetensors file for `recommend --model`.
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// Learn ratings: the values are what users think of items, and those that were not given are unknown. Without it the values say
    /// how sure it is that a user wants an item (counts, say), and what was not taken counts as a little unwanted.
    #[arg(long)]
    #[serde(default)]
    pub explicit: bool,
    /// Factors of each user and item, 1 to 1,024.
    #[arg(long, value_name = "N", default_value_t = default_factors())]
    #[serde(default = "default_factors")]
    pub factors: u32,
    /// Iterations: in each all users are solved, then all items.
    #[arg(long, value_name = "N", default_value_t = default_iterations())]
    #[serde(default = "default_iterations")]
    pub iterations: u32,
    /// What large factors cost; raise it where lists of users with few interactions are poor. With --explicit it counts once for
    /// each rating.
    #[arg(long, value_name = "F", default_value_t = default_regularization())]
    #[serde(default = "default_regularization")]
    pub regularization: f64,
    /// How much surer an interaction of value 1 is than none: its confidence is 1 + F × value. Not with --explicit.
    #[arg(long, value_name = "F", default_value_t = default_alpha())]
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// How many ratings of nothing but the mean each user and item is given beside their own, so that the biases of those with few
    /// ratings stay small. Only with --explicit.
    #[arg(long, value_name = "F", default_value_t = default_damping())]
    #[serde(default = "default_damping")]
    pub damping: f64,
    /// Solve each row exactly, by a Cholesky factorisation, instead of by steps of conjugate gradients from the iteration before.
    #[arg(long)]
    #[serde(default)]
    pub cholesky: bool,
    /// Steps of conjugate gradients for each row and iteration.
    #[arg(long, value_name = "N", default_value_t = default_steps())]
    #[serde(default = "default_steps")]
    pub cg_steps: u32,
    /// A model of the same table and settings, from which training goes on: with --iterations 20 after 15 the model is that of 20.
    #[arg(long, value_name = "MODEL")]
    #[serde(default)]
    pub resume: Option<PathBuf>,
    /// The column of users. Without it: user or user_id, or else the first.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub user_column: Option<String>,
    /// The column of items. Without it: item or item_id, or else the second.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub item_column: Option<String>,
    /// The column of values. Without it: value, rating or count, where the table has one; else every interaction is worth 1.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub value_column: Option<String>,
    /// Replace what stands at --out. An input of the same job is never replaced.
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

fn default_factors() -> u32 {
    64
}
fn default_iterations() -> u32 {
    15
}
fn default_regularization() -> f64 {
    0.01
}
fn default_alpha() -> f64 {
    1.0
}
fn default_damping() -> f64 {
    5.0
}
fn default_steps() -> u32 {
    3
}

/// More would be a mistake, and every iteration is two stages that the journal knows.
const MAX_ITERATIONS: u32 = 1000;

impl AlsSettings {
    pub(super) fn column_names(&self) -> ColumnNames<'_> {
        ColumnNames {
            user: self.user_column.as_deref(),
            item: self.item_column.as_deref(),
            value: self.value_column.as_deref(),
            time: None,
        }
    }

    pub(super) fn method(&self) -> Method {
        if self.cholesky { Method::Cholesky } else { Method::ConjugateGradients { n_steps: self.cg_steps } }
    }

    fn check_ranges(&self) -> Result<(), Refusal> {
        if self.factors == 0 || self.factors as usize > MAX_FACTORS {
            return Err(Refusal::bad_input(format!("--factors {}: must be from 1 to {MAX_FACTORS}", self.factors)));
        }
        if self.iterations == 0 || self.iterations > MAX_ITERATIONS {
            return Err(Refusal::bad_input(format!("--iterations {}: must be from 1 to {MAX_ITERATIONS}", self.iterations)));
        }
        if self.cg_steps == 0 {
            return Err(Refusal::bad_input("--cg-steps 0: solves nothing; take at least 1"));
        }
        for (name, value) in [("--regularization", self.regularization), ("--alpha", self.alpha), ("--damping", self.damping)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Refusal::bad_input(format!("{name} {value}: must be a number of at least 0")));
            }
        }
        Ok(())
    }
}

impl Settings for AlsSettings {
    const WORKLOAD: &'static str = "als-train";

    fn resolve_paths(&mut self, base: &Path) {
        self.data.iter_mut().for_each(|path| *path = base.join(&*path));
        self.out = base.join(&self.out);
        self.resume = self.resume.take().map(|path| base.join(path));
    }

    fn check(self, seed: u64) -> Result<Box<dyn Workload>, Refusal> {
        self.check_ranges()?;
        Ok(Box::new(AlsTraining { settings: self, seed }))
    }
}
