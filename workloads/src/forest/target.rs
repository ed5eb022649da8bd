//! The target and the weights of training: which task they make, which classes there are, and what is refused in them.
//! It sees columns as read, and must not know files or trees.

use super::choices::TaskChoice;
use crate::table::{Column, MISSING_CODE, NumericColumn, NumericKind};
use paceline_common::failure::Failure;
use serde::{Deserialize, Serialize};

/// Integers are taken for classes without being asked to only where there are at most so many different ones.
const MAX_GUESSED_CLASSES: usize = 32;
/// The most classes of a forest: every leaf holds one count for each.
pub(super) const MAX_CLASSES: usize = 10_000;
/// Integers beyond this are not told apart by a floating-point number.
const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

/// The classes of a forest, as they stood in the target column; sorted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "labels", rename_all = "kebab-case")]
pub enum ClassLabels {
    /// From a column of text.
    Text(Vec<String>),
    /// From a column of integers.
    Integer(Vec<i64>),
    /// From a column of truth values.
    Bool(Vec<bool>),
}

impl ClassLabels {
    /// How many classes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(labels) => labels.len(),
            Self::Integer(labels) => labels.len(),
            Self::Bool(labels) => labels.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All labels as text, as in the names of probability columns.
    #[must_use]
    pub fn to_texts(&self) -> Vec<String> {
        match self {
            Self::Text(labels) => labels.clone(),
            Self::Integer(labels) => labels.iter().map(i64::to_string).collect(),
            Self::Bool(labels) => labels.iter().map(bool::to_string).collect(),
        }
    }

    /// Whether they are sorted and all different.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            Self::Text(labels) => labels.is_sorted_by(|a, b| a < b),
            Self::Integer(labels) => labels.is_sorted_by(|a, b| a < b),
            Self::Bool(labels) => labels.is_sorted_by(|a, b| a < b),
        }
    }
}

/// The target of every row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// The place of each row's class among the labels.
    Classes { labels: ClassLabels, codes: Vec<u32> },
    /// Each row's number.
    Values(Vec<f64>),
}

/// Makes the target of `column`, for the task asked for or else the one that its type means.
pub(super) fn target_of(name: &str, column: &Column, choice: Option<TaskChoice>) -> Result<Target, Failure> {
    let refuse = |what: String| Err(Failure::bad_input(format!("{name}: {what}")));
    refuse_missing(name, "the target", column)?;
    match column {
        Column::Text(_) if choice == Some(TaskChoice::Regression) => {
            refuse("is text, which no regression can predict; name a column of numbers".to_owned())
        }
        Column::Text(text) => classes(name, ClassLabels::Text(text.levels.clone()), text.codes.clone()),
        Column::Numeric(numeric) => match (task_of(name, numeric, choice)?, numeric.kind) {
            (TaskChoice::Regression, _) => values(name, numeric),
            (TaskChoice::Classification, kind) => {
                let (distinct, codes) = distinct_integers(name, &numeric.values)?;
                let labels = match kind {
                    NumericKind::Bool => ClassLabels::Bool(distinct.iter().map(|&label| label != 0).collect()),
                    _ => ClassLabels::Integer(distinct),
                };
                classes(name, labels, codes)
            }
        },
    }
}

/// The task asked for, or else the one that the column's type means; refused where the type leaves it open.
fn task_of(name: &str, column: &NumericColumn, choice: Option<TaskChoice>) -> Result<TaskChoice, Failure> {
    match (column.kind, choice) {
        (NumericKind::Date | NumericKind::Timestamp, _) => {
            Err(Failure::bad_input(format!("{name}: holds dates, which cannot be a target; convert it to a column of numbers")))
        }
        (_, Some(choice)) => Ok(choice),
        (NumericKind::Bool, None) => Ok(TaskChoice::Classification),
        (NumericKind::Float, None) => Ok(TaskChoice::Regression),
        (NumericKind::Integer, None) => {
            let mut distinct = column.values.clone();
            distinct.sort_unstable_by(f64::total_cmp);
            distinct.dedup();
            if distinct.len() <= MAX_GUESSED_CLASSES {
                return Ok(TaskChoice::Classification);
            }
            Err(Failure::bad_input(format!(
                "{name}: holds {} different integers, which may be classes or amounts; say --task classification or --task regression",
                distinct.len()
            )))
        }
    }
}

fn classes(name: &str, labels: ClassLabels, codes: Vec<u32>) -> Result<Target, Failure> {
    match labels.len() {
        0 | 1 => Err(Failure::bad_input(format!(
            "{name}: holds one class only ({}); there is nothing to tell apart: name data with at least two classes",
            labels.to_texts().join("")
        ))),
        n if n > MAX_CLASSES => Err(Failure::bad_input(format!(
            "{name}: holds {n} classes, more than the {MAX_CLASSES} that a forest can tell apart; is it a number or an id?"
        ))),
        _ => Ok(Target::Classes { labels, codes }),
    }
}

fn values(name: &str, column: &NumericColumn) -> Result<Target, Failure> {
    if let Some(row) = column.values.iter().position(|value| value.is_infinite()) {
        return Err(Failure::bad_input(format!("{name}: is infinite in row {}; remove or correct that row", row + 1)));
    }
    match column.values.first() {
        Some(first) if column.values.iter().all(|value| value == first) => {
            Err(Failure::bad_input(format!("{name}: is {first} in every row; there is nothing to learn: name another target")))
        }
        _ => Ok(Target::Values(column.values.clone())),
    }
}

/// The different integers of a column in order, and the place of each row's among them.
fn distinct_integers(name: &str, values: &[f64]) -> Result<(Vec<i64>, Vec<u32>), Failure> {
    if let Some(row) = values.iter().position(|value| value.fract() != 0.0 || value.abs() > MAX_EXACT_INTEGER) {
        return Err(Failure::bad_input(format!(
            "{name}: is {} in row {}, and classes must be integers, text or truth values; convert it or say --task regression",
            values[row],
            row + 1
        )));
    }
    let integers: Vec<i64> = values.iter().map(|&value| value as i64).collect();
    let mut distinct = integers.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let codes = integers.iter().map(|integer| distinct.partition_point(|other| other < integer) as u32).collect();
    Ok((distinct, codes))
}

/// How much each row counts: finite, not negative, and not all zero.
pub(super) fn weights_of(name: &str, column: &Column) -> Result<Vec<f64>, Failure> {
    let Column::Numeric(numeric) = column else {
        return Err(Failure::bad_input(format!("{name}: is text and cannot weigh rows; name a column of numbers for --sample-weight")));
    };
    refuse_missing(name, "the weight", column)?;
    if let Some(row) = numeric.values.iter().position(|weight| !weight.is_finite() || *weight < 0.0) {
        return Err(Failure::bad_input(format!(
            "{name}: weighs row {} by {}; weights must be finite and not negative",
            row + 1,
            numeric.values[row]
        )));
    }
    if numeric.values.iter().all(|&weight| weight == 0.0) {
        return Err(Failure::bad_input(format!("{name}: weighs every row by 0; at least one row must count")));
    }
    Ok(numeric.values.clone())
}

/// How many rows a refusal names.
const MAX_ROWS_NAMED: usize = 5;

fn refuse_missing(name: &str, role: &str, column: &Column) -> Result<(), Failure> {
    let missing: Vec<usize> = match column {
        Column::Numeric(numeric) => rows_where(&numeric.values, |value| value.is_nan()),
        Column::Text(text) => rows_where(&text.codes, |&code| code == MISSING_CODE),
    };
    if missing.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = missing.iter().take(MAX_ROWS_NAMED).map(|row| (row + 1).to_string()).collect();
    let rest = if missing.len() > MAX_ROWS_NAMED { format!(" and {} more", missing.len() - MAX_ROWS_NAMED) } else { String::new() };
    let rows = if missing.len() == 1 { "row" } else { "rows" };
    Err(Failure::bad_input(format!("{name}: {role} is missing in {rows} {}{rest} (counted from 1); remove or fill them", named.join(", "))))
}

fn rows_where<T>(values: &[T], condition: impl Fn(&T) -> bool) -> Vec<usize> {
    values.iter().enumerate().filter(|(_, value)| condition(value)).map(|(row, _)| row).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;
    use crate::table::TextColumn;

    fn numeric(kind: NumericKind, values: &[f64]) -> Column {
        Column::Numeric(NumericColumn { values: values.to_vec(), kind })
    }

    fn text(codes: &[u32], levels: &[&str]) -> Column {
        Column::Text(TextColumn { codes: codes.to_vec(), levels: levels.iter().map(ToString::to_string).collect() })
    }

    #[test]
    fn the_type_of_the_target_makes_the_task() {
        let of = |column: &Column, choice| target_of("y", column, choice).unwrap();
        let integers = of(&numeric(NumericKind::Integer, &[7.0, -2.0, 7.0]), None);
        assert_eq!(integers, Target::Classes { labels: ClassLabels::Integer(vec![-2, 7]), codes: vec![1, 0, 1] });
        let bools = of(&numeric(NumericKind::Bool, &[1.0, 0.0]), None);
        assert_eq!(bools, Target::Classes { labels: ClassLabels::Bool(vec![false, true]), codes: vec![1, 0] });
        let texts = of(&text(&[1, 0], &["a", "b"]), None);
        assert_eq!(texts, Target::Classes { labels: ClassLabels::Text(vec!["a".to_owned(), "b".to_owned()]), codes: vec![1, 0] });
        assert_eq!(of(&numeric(NumericKind::Float, &[0.5, 1.0]), None), Target::Values(vec![0.5, 1.0]));
        assert_eq!(of(&numeric(NumericKind::Integer, &[2.0, 1.0]), Some(TaskChoice::Regression)), Target::Values(vec![2.0, 1.0]));
        let asked = of(&numeric(NumericKind::Float, &[2.0, 1.0]), Some(TaskChoice::Classification));
        assert_eq!(asked, Target::Classes { labels: ClassLabels::Integer(vec![1, 2]), codes: vec![1, 0] });
    }

    #[test]
    fn targets_that_cannot_be_learnt_are_refused() {
        let many: Vec<f64> = (0..100).map(f64::from).collect();
        let (classification, regression) = (Some(TaskChoice::Classification), Some(TaskChoice::Regression));
        for (column, choice, said) in [
            (numeric(NumericKind::Integer, &[3.0, 3.0]), None, "one class only (3)"),
            (text(&[0, 0], &["a"]), None, "one class only (a)"),
            (numeric(NumericKind::Float, &[0.5, f64::NAN, f64::NAN]), None, "rows 2, 3"),
            (text(&[0, MISSING_CODE, 1], &["a", "b"]), None, "row 2 "),
            (numeric(NumericKind::Float, &[f64::NAN; 9]), None, "and 4 more"),
            (numeric(NumericKind::Integer, &many), None, "100 different integers"),
            (numeric(NumericKind::Float, &[0.5, 1.0]), classification, "0.5 in row 1"),
            (numeric(NumericKind::Float, &[f64::INFINITY, 1.0]), classification, "inf in row 1"),
            (numeric(NumericKind::Float, &[f64::INFINITY, 1.0]), None, "infinite in row 1"),
            (numeric(NumericKind::Float, &[2.5, 2.5]), None, "2.5 in every row"),
            (numeric(NumericKind::Date, &[1.0, 2.0]), None, "dates"),
            (text(&[0, 1], &["a", "b"]), regression, "text"),
        ] {
            let failure = target_of("y", &column, choice).unwrap_err();
            assert!(failure.message.starts_with("y: ") && failure.message.contains(said), "{}", failure.message);
        }
    }

    #[test]
    fn weights_must_weigh() {
        assert_eq!(weights_of("w", &numeric(NumericKind::Float, &[0.0, 2.5])).unwrap(), [0.0, 2.5]);
        for (column, said) in [
            (numeric(NumericKind::Float, &[1.0, f64::NAN]), "missing in row 2"),
            (numeric(NumericKind::Float, &[1.0, f64::INFINITY]), "row 2 by inf"),
            (numeric(NumericKind::Float, &[-1.0]), "row 1 by -1"),
            (numeric(NumericKind::Float, &[0.0, 0.0]), "every row by 0"),
            (text(&[0], &["a"]), "is text"),
        ] {
            let failure = weights_of("w", &column).unwrap_err();
            assert!(failure.message.contains(said), "{}", failure.message);
        }
    }
}
