//! What a cell of a CSV says: missing, true or false, a number, a date, or text.
//!
//! Missing are the empty cell and the words in [`MISSING_WORDS`]. Spaces around a value are passed over, except in text.

use crate::table::column::{NumericKind, SECONDS_PER_DAY};
use jiff::civil;

/// Cells that stand for a missing value, in exactly this spelling; the empty cell is one too.
pub(crate) const MISSING_WORDS: [&str; 7] = ["NA", "N/A", "n/a", "NaN", "nan", "null", "NULL"];

/// The meaning of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    /// No value.
    Missing,
    /// A number of some kind.
    Number(f64, NumericKind),
    /// Anything else, as it stands in the file.
    Text(&'a str),
}

/// Whether a cell stands for a missing value.
pub(crate) fn is_missing(cell: &str) -> bool {
    // Only these bytes begin a missing word: most cells are decided by one look.
    matches!(cell.as_bytes().first(), None | Some(b'N' | b'n')) && (cell.is_empty() || MISSING_WORDS.contains(&cell))
}

/// Reads a cell.
pub(crate) fn parse(cell: &str) -> Cell<'_> {
    let trimmed = cell.trim_ascii();
    if is_missing(trimmed) {
        return Cell::Missing;
    }
    match number(trimmed) {
        Some((value, kind)) => Cell::Number(value, kind),
        None => Cell::Text(cell),
    }
}

/// What a person writes where a number, a date or a date with a time is wanted.
pub(crate) fn number_or_moment(text: &str) -> Option<(f64, NumericKind)> {
    match parse(text) {
        Cell::Number(value, kind) => Some((value, kind)),
        Cell::Missing | Cell::Text(_) => None,
    }
}

fn number(cell: &str) -> Option<(f64, NumericKind)> {
    match cell.as_bytes() {
        [b'0'..=b'9' | b'+' | b'-' | b'.', ..] => plain_number(cell).or_else(|| moment(cell)),
        // `inf` and `infinity`; what begins with n is missing or text.
        [b'i' | b'I', ..] => cell.parse().ok().map(|value| (value, NumericKind::Float)),
        [b't' | b'T' | b'f' | b'F', ..] => boolean(cell).map(|value| (f64::from(u8::from(value)), NumericKind::Bool)),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "numeric columns are f64; exact ids are read as ids")]
fn plain_number(cell: &str) -> Option<(f64, NumericKind)> {
    if let Ok(value) = cell.parse::<i64>() {
        return Some((value as f64, NumericKind::Integer));
    }
    // The standard parser also takes "+nan" and the like, which are no numbers.
    cell.parse::<f64>().ok().filter(|value| !value.is_nan()).map(|value| (value, NumericKind::Float))
}

fn boolean(cell: &str) -> Option<bool> {
    match cell {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// ISO 8601: a date as days, or a date with a time as seconds since 1970; without an offset the time is taken as UTC.
fn moment(cell: &str) -> Option<(f64, NumericKind)> {
    let bytes = cell.as_bytes();
    if bytes.len() < 10 || bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    if bytes.len() == 10 {
        let days = civil::Date::strptime("%Y-%m-%d", cell).ok().and_then(|date| days_since_1970(date).ok())?;
        return Some((days, NumericKind::Date));
    }
    let timestamp = match cell.parse::<jiff::Timestamp>() {
        Ok(timestamp) => timestamp,
        Err(_) => cell.parse::<civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp(),
    };
    Some((seconds_since_1970(timestamp), NumericKind::Timestamp))
}

fn days_since_1970(date: civil::Date) -> Result<f64, jiff::Error> {
    Ok(f64::from(civil::date(1970, 1, 1).until(date)?.get_days()))
}

#[expect(clippy::cast_precision_loss, reason = "seconds of years up to 9999 are exact in f64")]
fn seconds_since_1970(timestamp: jiff::Timestamp) -> f64 {
    timestamp.as_second() as f64 + f64::from(timestamp.subsec_nanosecond()) * 1e-9
}

/// How a number is written where it serves as the name of a category: whole numbers without a point, dates in ISO 8601.
pub(crate) fn canonical_text(value: f64, kind: NumericKind) -> String {
    match kind {
        NumericKind::Bool => (value != 0.0).to_string(),
        NumericKind::Date => date_text(value).unwrap_or_else(|| value.to_string()),
        NumericKind::Timestamp => timestamp_text(value).unwrap_or_else(|| value.to_string()),
        // Negative zero is zero to everyone who reads a category.
        NumericKind::Integer | NumericKind::Float => (value + 0.0).to_string(),
    }
}

fn date_text(days: f64) -> Option<String> {
    timestamp_of(days * SECONDS_PER_DAY).map(|timestamp| timestamp.strftime("%Y-%m-%d").to_string())
}

fn timestamp_text(seconds: f64) -> Option<String> {
    timestamp_of(seconds).map(|timestamp| timestamp.to_string())
}

/// To the microsecond: what f64 holds of a present-day time.
fn timestamp_of(seconds: f64) -> Option<jiff::Timestamp> {
    let micros = (seconds * 1e6).round();
    #[expect(clippy::cast_possible_truncation, reason = "jiff refuses what is out of its range, and the cast saturates")]
    jiff::Timestamp::from_microsecond(micros as i64).ok()
}

/// A cell as an exact id, where it is written the only way that number is written: "7", not "07" or "+7", which stay text.
pub(crate) fn canonical_int(cell: &str) -> Option<i64> {
    let is_canonical = matches!(cell.as_bytes(), [b'0'] | [b'1'..=b'9', ..] | [b'-', b'1'..=b'9', ..]);
    is_canonical.then(|| cell.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use NumericKind::{Bool, Date, Float, Integer, Timestamp};

    #[test]
    fn cells_mean_what_a_person_means() {
        for (cell, meaning) in [
            ("", Cell::Missing),
            ("  ", Cell::Missing),
            ("NA", Cell::Missing),
            ("NaN", Cell::Missing),
            ("null", Cell::Missing),
            ("Na", Cell::Text("Na")),
            ("-nan", Cell::Text("-nan")),
            ("7", Cell::Number(7.0, Integer)),
            (" 7 ", Cell::Number(7.0, Integer)),
            ("-7.5", Cell::Number(-7.5, Float)),
            (".5", Cell::Number(0.5, Float)),
            ("1e3", Cell::Number(1000.0, Float)),
            ("-inf", Cell::Number(f64::NEG_INFINITY, Float)),
            ("Infinity", Cell::Number(f64::INFINITY, Float)),
            ("infantry", Cell::Text("infantry")),
            ("99999999999999999999", Cell::Number(1e20, Float)),
            ("true", Cell::Number(1.0, Bool)),
            ("FALSE", Cell::Number(0.0, Bool)),
            ("tRUE", Cell::Text("tRUE")),
            ("1970-01-02", Cell::Number(1.0, Date)),
            ("1969-12-31", Cell::Number(-1.0, Date)),
            ("2013-02-30", Cell::Text("2013-02-30")),
            ("1970-01-01T00:00:02Z", Cell::Number(2.0, Timestamp)),
            ("1970-01-01 00:01:00", Cell::Number(60.0, Timestamp)),
            ("1970-01-01T01:00:00.5+01:00", Cell::Number(0.5, Timestamp)),
            ("1-2", Cell::Text("1-2")),
            ("1,5", Cell::Text("1,5")),
            (" two words ", Cell::Text(" two words ")),
        ] {
            assert_eq!(parse(cell), meaning, "{cell:?}");
        }
    }

    #[test]
    fn categories_are_named_as_they_are_written() {
        for (value, kind, text) in [
            (7.0, Integer, "7"),
            (-0.0, Float, "0"),
            (2.5, Float, "2.5"),
            (1.0, Bool, "true"),
            (15706.0, Date, "2013-01-01"),
            (60.0, Timestamp, "1970-01-01T00:01:00Z"),
        ] {
            assert_eq!(canonical_text(value, kind), text);
        }
    }

    #[test]
    fn only_the_plain_spelling_is_an_id() {
        for (cell, id) in [
            ("0", Some(0)),
            ("9007199254740993", Some(9_007_199_254_740_993)),
            ("-12", Some(-12)),
            ("007", None),
            ("+7", None),
            ("-0", None),
            ("7.0", None),
            ("99999999999999999999", None),
            ("", None),
        ] {
            assert_eq!(canonical_int(cell), id, "{cell:?}");
        }
    }
}
