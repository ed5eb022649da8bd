//! Collects figures and prints them. Knows nothing of what is measured.

/// Figures in the order in which they were taken.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<(String, f64, String)>,
}

impl Report {
    /// Without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a figure, and shows it at once, since the next may take minutes.
    #[expect(clippy::print_stderr, reason = "progress of a measurement")]
    pub fn row(&mut self, what: &str, value: f64, unit: &str) {
        eprintln!("{what}: {value:.3} {unit}");
        self.rows.push((what.to_owned(), value, unit.to_owned()));
    }

    /// Prints all rows to standard output.
    #[expect(clippy::print_stdout, reason = "the figures are what it is for")]
    pub fn print(&self, as_json: bool) {
        if as_json {
            let rows: Vec<_> =
                self.rows.iter().map(|(what, value, unit)| serde_json::json!({"what": what, "value": value, "unit": unit})).collect();
            println!("{}", serde_json::Value::from(rows));
            return;
        }
        let width = self.rows.iter().map(|(what, ..)| what.chars().count()).max().unwrap_or(0);
        for (what, value, unit) in &self.rows {
            println!("{what:width$}  {value:>14.3} {unit}");
        }
    }
}

/// The middle value; the mean of the two middle ones for an even number.
///
/// # Panics
/// Without values.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "no values");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}
