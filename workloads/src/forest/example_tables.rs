//! Small tables with a known law, for the tests of this room: every type of column, missing values, classes and amounts that can
//! be learnt. Made by a counter-based generator, so that every run sees the same rows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::settings::{PredictSettings, TrainSettings};
use crate::testing::{Partition, run_chain};
use paceline_common::view::JobSummary;
use paceline_kernels::draws::Draws;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// One row of the example.
#[derive(Clone, Debug)]
pub struct ExampleRow {
    pub size: Option<f64>,
    pub count: i64,
    pub color: Option<&'static str>,
    pub is_new: bool,
    pub day: u32,
    pub zone: u64,
    /// What the class and the amount depend on.
    pub class: &'static str,
    pub amount: f64,
}

const COLORS: [&str; 5] = ["amber", "blue", "coral", "denim", "ecru"];

/// `n_rows` rows; the class is a rule on colour, size and count with a tenth of noise, and the amount a sum of the same.
pub fn example_rows(n_rows: u64) -> Vec<ExampleRow> {
    let row = |i: u64| {
        let mut draws = Draws::new(1, 2, i);
        let size = draws.unit_f64() * 10.0;
        let count = draws.below(20) as i64;
        let color_idx = draws.below(5) as usize;
        let is_high = (size > 5.0) ^ color_idx.is_multiple_of(2);
        let class = match (is_high, count > 12, draws.below(10) == 0) {
            (_, _, true) => ["low", "mid", "top"][draws.below(3) as usize],
            (true, true, _) => "top",
            (true, false, _) => "mid",
            (false, _, _) => "low",
        };
        let amount = 2.0 * size + 10.0 * color_idx as f64 + draws.unit_f64();
        ExampleRow {
            size: (draws.below(20) > 0).then_some(size),
            count,
            color: (draws.below(20) > 0).then(|| COLORS[color_idx]),
            is_new: draws.below(2) == 0,
            day: 1 + draws.below(28) as u32,
            zone: draws.below(4),
            class,
            amount,
        }
    };
    (0..n_rows).map(row).collect()
}

/// Writes the rows as a CSV with these columns, in this order.
pub fn write_csv(path: &Path, rows: &[ExampleRow], columns: &[&str]) -> PathBuf {
    let mut text = columns.join(",") + "\n";
    for row in rows {
        let cells: Vec<String> = columns.iter().map(|column| cell(row, column)).collect();
        writeln!(text, "{}", cells.join(",")).unwrap();
    }
    std::fs::write(path, text).unwrap();
    path.to_owned()
}

fn cell(row: &ExampleRow, column: &str) -> String {
    match column {
        "size" => row.size.map_or(String::new(), |size| size.to_string()),
        "count" => row.count.to_string(),
        "color" => row.color.unwrap_or_default().to_owned(),
        "is_new" => row.is_new.to_string(),
        "day" => format!("2024-05-{:02}", row.day),
        "zone" => row.zone.to_string(),
        "class" => row.class.to_owned(),
        "amount" => row.amount.to_string(),
        "is_top" => (row.class == "top").to_string(),
        "weight" => if row.class == "top" { "3" } else { "0.5" }.to_owned(),
        constant => constant.to_owned(),
    }
}

/// Every feature of the example.
pub const FEATURES: [&str; 6] = ["size", "count", "color", "is_new", "day", "zone"];

/// A CSV of all features and this target.
pub fn write_example(path: &Path, n_rows: u64, target: &str) -> PathBuf {
    let columns: Vec<&str> = FEATURES.into_iter().chain([target]).collect();
    write_csv(path, &example_rows(n_rows), &columns)
}

/// The settings of a small forest, with what `changes` says in JSON.
pub fn train_settings(data: &Path, target: &str, out: &Path, changes: serde_json::Value) -> TrainSettings {
    let mut json = serde_json::json!({"data": [data], "target": target, "out": out, "trees": 20});
    json.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    serde_json::from_value(json).unwrap()
}

/// The settings of a prediction, with what `changes` says in JSON.
pub fn predict_settings(model: &Path, data: &Path, out: &Path, changes: serde_json::Value) -> PredictSettings {
    let mut json = serde_json::json!({"model": model, "data": [data], "out": out});
    json.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    serde_json::from_value(json).unwrap()
}

/// Trains in one piece, in a job directory of its own.
pub fn train(settings: &TrainSettings, seed: u64) -> JobSummary {
    let job_dir = tempfile::tempdir().unwrap();
    run_chain(settings, seed, job_dir.path(), &Partition::of(1000, 2)).unwrap()
}

/// Predicts in one piece, in a job directory of its own.
pub fn predict(settings: &PredictSettings) -> JobSummary {
    let job_dir = tempfile::tempdir().unwrap();
    run_chain(settings, 0, job_dir.path(), &Partition::of(1000, 2)).unwrap()
}

/// A fact of a summary.
pub fn fact<'a>(summary: &'a JobSummary, name: &str) -> &'a str {
    &summary.facts.iter().find(|(fact, _)| fact == name).unwrap_or_else(|| panic!("no fact {name} in {summary:?}")).1
}

/// A model trained on the example, in a directory of its own.
pub struct Trained {
    pub dir: tempfile::TempDir,
    pub model: PathBuf,
}

impl Trained {
    /// 20 trees on 600 rows.
    pub fn on(target: &str, changes: serde_json::Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model");
        let data = write_example(&dir.path().join("train.csv"), 600, target);
        train(&train_settings(&data, target, &model, changes), 3);
        Self { dir, model }
    }

    /// A place beside the model.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}
