//! From the values of one column to bin codes: where the bins of a numeric column end, and which bin a value is in. Bins are a
//! function of the column's values alone, whatever their order or how the rows are divided. This room must not know trees.

use super::columns::{BinCodes, code_width_bytes};
use super::error::ForestError;

/// Value bins of a column unless asked otherwise: with the missing code, what one byte holds.
pub const DEFAULT_MAX_BINS: usize = 255;
/// The most value bins or levels of a column: with the missing code, what two bytes hold.
pub const MAX_BINS: usize = 65_535;
/// How a missing categorical value is written before it is encoded.
pub const MISSING_LEVEL: u32 = u32::MAX;

/// Where the bins of a numeric column end.
#[derive(Clone, Debug, PartialEq)]
pub struct NumericBins {
    thresholds: Vec<f64>,
}

impl NumericBins {
    /// Chooses at most `max_bins` bins: one per distinct value if these suffice, else bins of about equally many rows. NaN is a
    /// missing value and takes no part; infinities are values like others.
    ///
    /// # Errors
    /// `max_bins` outside 2..=65,535.
    pub fn fit(values: &[f64], max_bins: usize) -> Result<Self, ForestError> {
        if !(2..=MAX_BINS).contains(&max_bins) {
            return Err(ForestError::Setting("the number of bins must lie between 2 and 65,535"));
        }
        let runs = distinct_values(values);
        Ok(Self { thresholds: if runs.len() <= max_bins { exact_thresholds(&runs) } else { quantile_thresholds(&runs, max_bins) } })
    }

    /// Bins whose ends are known already.
    ///
    /// # Errors
    /// Thresholds that do not ascend, NaN or infinity among them, or more than 65,534 of them.
    pub fn from_thresholds(thresholds: Vec<f64>) -> Result<Self, ForestError> {
        let is_end = |threshold: &f64| *threshold < f64::INFINITY;
        if thresholds.len() >= MAX_BINS || !thresholds.iter().all(is_end) || !thresholds.is_sorted_by(|a, b| a < b) {
            return Err(ForestError::Setting("the thresholds of a column must ascend, lie below infinity and number fewer than 65,535"));
        }
        Ok(Self { thresholds })
    }

    /// The upper ends of all bins but the last, ascending: a value is in the first bin whose end is not below it.
    pub fn thresholds(&self) -> &[f64] {
        &self.thresholds
    }

    /// Bins of values; the code of a missing one is this number.
    pub fn n_value_bins(&self) -> usize {
        self.thresholds.len() + 1
    }

    /// The code of one value.
    pub fn code_of(&self, value: f64) -> usize {
        if value.is_nan() { self.n_value_bins() } else { self.thresholds.partition_point(|&threshold| threshold < value) }
    }

    /// The codes of any rows of the column.
    pub fn encode(&self, values: &[f64]) -> BinCodes {
        if code_width_bytes(self.n_value_bins()) == 1 {
            BinCodes::U8(values.iter().map(|&value| self.code_of(value) as u8).collect())
        } else {
            BinCodes::U16(values.iter().map(|&value| self.code_of(value) as u16).collect())
        }
    }
}

/// The codes of a categorical column: the level itself, and `n_levels` for [`MISSING_LEVEL`] and any level that is not known.
///
/// # Errors
/// More than 65,535 levels.
pub fn encode_levels(levels: &[u32], n_levels: usize) -> Result<BinCodes, ForestError> {
    if n_levels > MAX_BINS {
        return Err(ForestError::Setting("a categorical column has more than 65,535 levels; group the rare ones or leave it out"));
    }
    let code = |&level: &u32| (level as usize).min(n_levels);
    Ok(if code_width_bytes(n_levels) == 1 {
        BinCodes::U8(levels.iter().map(|level| code(level) as u8).collect())
    } else {
        BinCodes::U16(levels.iter().map(|level| code(level) as u16).collect())
    })
}

/// A distinct value and how many rows have it.
struct Run {
    value: f64,
    n_rows: usize,
}

fn distinct_values(values: &[f64]) -> Vec<Run> {
    // Adding 0.0 makes -0.0 and 0.0 one value.
    let mut sorted: Vec<f64> = values.iter().filter(|value| !value.is_nan()).map(|value| value + 0.0).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let runs = sorted.chunk_by(|a, b| a == b);
    runs.filter_map(|run| run.first().map(|&value| Run { value, n_rows: run.len() })).collect()
}

fn exact_thresholds(runs: &[Run]) -> Vec<f64> {
    runs.windows(2).filter_map(|pair| pair.first().zip(pair.last())).map(|(a, b)| threshold_between(a.value, b.value)).collect()
}

/// Closes a bin where its rows come nearest to an equal share of the rows that are left. A value that alone has more than a
/// share gets a bin of its own, and the others share what remains evenly.
fn quantile_thresholds(runs: &[Run], max_bins: usize) -> Vec<f64> {
    let mut thresholds = Vec::with_capacity(max_bins - 1);
    let mut rows_left: usize = runs.iter().map(|run| run.n_rows).sum();
    let mut rows_in_bin = 0;
    for pair in runs.windows(2) {
        let [run, next] = pair else { continue };
        let bins_left = max_bins - thresholds.len();
        if bins_left == 1 {
            break;
        }
        rows_in_bin += run.n_rows;
        // Closing now misses the share by (share - rows), going on by (rows + next - share): close when the former is no more.
        let share = rows_left as f64 / bins_left as f64;
        if rows_in_bin as f64 + next.n_rows as f64 / 2.0 >= share {
            thresholds.push(threshold_between(run.value, next.value));
            rows_left -= rows_in_bin;
            rows_in_bin = 0;
        }
    }
    thresholds
}

/// A threshold with `lower <= threshold < upper`: the midpoint, or `lower` where rounding or an infinity leaves no room.
fn threshold_between(lower: f64, upper: f64) -> f64 {
    let middle = lower / 2.0 + upper / 2.0;
    if middle >= lower && middle < upper && middle.is_finite() { middle } else { lower }
}

#[cfg(test)]
#[path = "binning_tests.rs"]
mod tests;
