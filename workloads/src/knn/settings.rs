//! What a person can set for `knn train`. It checks the settings against each other only; it must not open a file.

use super::KnnTraining;
use crate::interactions::ColumnNames;
use crate::registry::Settings;
use crate::workload::Workload;
use paceline_common::failure::Refusal;
use paceline_kernels::neighbours::SimilaritySettings;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A model of which items are taken by the same users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct KnnSettings {
    /// The interactions: a table with a row for each user and item (Parquet, CSV, Arrow; several files or a directory of them are one
    /// table).
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Where to write the model, a safetensors file for `recommend --model`.
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// Learn ratings: items are alike where the same users rate both above their means, and a score is a rating to expect. Without it
    /// values do not count, and a score is how alike an item is to those that the user took.
    #[arg(long)]
    #[serde(default)]
    pub explicit: bool,
    /// Neighbours of each item that the model keeps, the most similar.
    #[arg(long, value_name = "N", default_value_t = default_saved())]
    #[serde(default = "default_saved")]
    pub save_neighbours: u32,
    /// How many of a user's items speak for another at most: the most similar to it.
    #[arg(long, value_name = "N", default_value_t = default_max())]
    #[serde(default = "default_max")]
    pub max_neighbours: u32,
    /// Items that fewer of a user's items speak for are not recommended.
    #[arg(long, value_name = "N", default_value_t = default_min())]
    #[serde(default = "default_min")]
    pub min_neighbours: u32,
    /// Users that two items must have in common to be alike.
    #[arg(long, value_name = "N", default_value_t = default_min())]
    #[serde(default = "default_min")]
    pub min_common_users: u32,
    /// Items less similar are no neighbours.
    #[arg(long, value_name = "F", default_value_t = default_similarity())]
    #[serde(default = "default_similarity")]
    pub min_similarity: f64,
    /// Added to what the cosine divides by: items with few users are thought less alike.
    #[arg(long, value_name = "F", default_value_t = 0.0)]
    #[serde(default)]
    pub shrinkage: f64,
    /// The column of users. Without it: user or user_id, or else the first.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub user_column: Option<String>,
    /// The column of items. Without it: item or item_id, or else the second.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub item_column: Option<String>,
    /// The column of ratings, with --explicit. Without it: value, rating or count.
    #[arg(long, value_name = "COL")]
    #[serde(default)]
    pub value_column: Option<String>,
    /// Replace what stands at --out. An input of the same job is never replaced.
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

fn default_saved() -> u32 {
    100
}
fn default_max() -> u32 {
    20
}
fn default_min() -> u32 {
    1
}
fn default_similarity() -> f64 {
    1e-6
}

impl KnnSettings {
    pub(super) fn column_names(&self) -> ColumnNames<'_> {
        ColumnNames {
            user: self.user_column.as_deref(),
            item: self.item_column.as_deref(),
            value: self.value_column.as_deref(),
            time: None,
        }
    }

    pub(super) fn similarity(&self) -> SimilaritySettings {
        SimilaritySettings {
            n_neighbours: self.save_neighbours as usize,
            min_similarity: self.min_similarity,
            shrinkage: self.shrinkage,
            min_common_users: self.min_common_users,
        }
    }

    fn check_ranges(&self) -> Result<(), Refusal> {
        for (name, value) in [("--save-neighbours", self.save_neighbours), ("--max-neighbours", self.max_neighbours)] {
            if value == 0 {
                return Err(Refusal::bad_input(format!("{name} 0: leaves nothing to score by; take at least 1")));
            }
        }
        if self.min_neighbours > self.max_neighbours {
            return Err(Refusal::bad_input(format!(
                "--min-neighbours {}: is more than the {} that may speak; lower it, or raise --max-neighbours",
                self.min_neighbours, self.max_neighbours
            )));
        }
        for (name, value) in [("--min-similarity", self.min_similarity), ("--shrinkage", self.shrinkage)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Refusal::bad_input(format!("{name} {value}: must be a number of at least 0")));
            }
        }
        if self.value_column.is_some() && !self.explicit {
            return Err(Refusal::bad_input("--value-column: values count only as ratings; give --explicit too, or leave it out"));
        }
        Ok(())
    }
}

impl Settings for KnnSettings {
    const WORKLOAD: &'static str = "knn-train";

    fn resolve_paths(&mut self, base: &Path) {
        self.data.iter_mut().for_each(|path| *path = base.join(&*path));
        self.out = base.join(&self.out);
    }

    fn check(self, _seed: u64) -> Result<Box<dyn Workload>, Refusal> {
        self.check_ranges()?;
        Ok(Box::new(KnnTraining { settings: self }))
    }
}
