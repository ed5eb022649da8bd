//! Log lines as people read them. It must not page through them.

use super::job::short_id;
use super::table::plain;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use paceline_common::view::StoredLogLine;

/// "13:44:05 n01 1.2 warn [trees 5-9] text": time and node first, so that lines of one node can be picked out by eye.
#[must_use]
pub fn line(stored: &StoredLogLine, zone: &TimeZone) -> String {
    let line = &stored.line;
    let moment = i64::try_from(line.at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let time = moment.map_or_else(|| "?".to_owned(), |t| t.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string());
    let place = stored.place.as_ref().map_or(String::new(), |place| format!(" [{}]", plain(place)));
    format!("{time} {} {} {}{place} {}", plain(&stored.host), short_id(stored.agent.0), plain(&line.level), plain(&line.text))
}

/// The same beside the progress of a job that runs here: the text, and where it is no mere news what it is about.
#[must_use]
pub fn note(stored: &StoredLogLine) -> String {
    let line = &stored.line;
    if line.level == "info" {
        return plain(&line.text).into_owned();
    }
    let place = stored.place.as_ref().map_or(String::new(), |place| format!(" [{}]", plain(place)));
    format!("{}{place}: {}", plain(&line.level), plain(&line.text))
}

/// What is said of lines that never arrived.
#[must_use]
pub fn dropped(n_dropped: u64) -> Option<String> {
    (n_dropped > 0).then(|| format!("{n_dropped} log lines were dropped because they came faster than they could be sent"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;
    use paceline_common::ids::AgentId;
    use paceline_common::message::LogLine;

    #[test]
    fn a_line_tells_when_where_and_what() {
        let line = LogLine { at_ms: 3_723_000, job: None, lease: None, level: "warn".to_owned(), text: "slow\tdisk".to_owned() };
        let stored = StoredLogLine { host: "n01".to_owned(), agent: AgentId(4), place: Some("trees 5-9".to_owned()), line };
        assert_eq!(super::line(&stored, &TimeZone::UTC), "01:02:03 n01 0.4 warn [trees 5-9] slow\u{fffd}disk");
        assert_eq!(note(&stored), "warn [trees 5-9]: slow\u{fffd}disk");
        let news = LogLine { level: "info".to_owned(), ..stored.line.clone() };
        assert_eq!(note(&StoredLogLine { line: news, ..stored.clone() }), "slow\u{fffd}disk");
        assert_eq!(dropped(0), None);
        assert!(dropped(7).is_some_and(|d| d.starts_with("7 ")));
    }
}
