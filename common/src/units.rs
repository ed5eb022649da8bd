//! Durations, sizes, rates and counts as people write and read them. Parsing refuses with one sentence that shows the right form;
//! display rounds for the eye. This room must not know who asks or where the text goes.

use std::time::Duration;

/// Reads a duration as people write it: `90s`, `5min`, `1h 30m`, `500ms`.
///
/// # Errors
/// One sentence, where the text has no unit or is no duration.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim())
        .map_err(|_| format!("`{text}` is not a duration; write it with units, such as 90s, 5min or 1h 30m"))
}

/// Reads a size in bytes as people write it: `4GiB`, `512 MiB`, `1.5TB` or a plain number of bytes. `K`, `M`, `G`, `T` alone count by
/// 1024, as SLURM's flags do; `KB`, `MB`, `GB`, `TB` count by 1000.
///
/// # Errors
/// One sentence, where the text is no size, or a size of more than 16 EiB.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let refusal = || format!("`{text}` is not a size; write it with a unit, such as 512MiB or 4GiB");
    let trimmed = text.trim();
    let counts_by_1024 = trimmed.ends_with(['k', 'K', 'm', 'M', 'g', 'G', 't', 'T', 'p', 'P']);
    let with_unit = if counts_by_1024 { format!("{trimmed}iB") } else { trimmed.to_owned() };
    let size: bytesize::ByteSize = with_unit.parse().map_err(|_| refusal())?;
    // The parser saturates where the number is too large to be counted in 64 bits.
    if size.0 == u64::MAX { Err(refusal()) } else { Ok(size.0) }
}

/// A size in bytes as people read it: "61.0 GiB".
#[must_use]
pub fn display_size(n_bytes: u64) -> String {
    bytesize::ByteSize::b(n_bytes).display().iec().to_string()
}

/// A count with its thousands apart: "1,234,567".
#[must_use]
pub fn display_count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate as people read it, in the unit of time in which it is not a tiny fraction: "1,234/s", "3.1/s", "12/min", "4.2/h"; "-" for
/// none.
#[must_use]
pub fn display_rate(items_per_second: f64) -> String {
    if !items_per_second.is_finite() || items_per_second <= 0.0 {
        return "-".to_owned();
    }
    let (rate, unit) = match items_per_second {
        r if r >= 1.0 => (r, "s"),
        r if r * 60.0 >= 1.0 => (r * 60.0, "min"),
        r => (r * 3600.0, "h"),
    };
    if rate < 9.95 { format!("{rate:.1}/{unit}") } else { format!("{}/{unit}", display_count(rate.round() as u64)) }
}

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 60 * MINUTE_S;
const DAY_S: u64 = 24 * HOUR_S;

/// A duration as people read it, in its two largest units: "45 ms", "3.2 s", "2m 05s", "1h 30m", "2d 04h".
#[must_use]
pub fn display_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return format!("{millis} ms");
    }
    // Tenths of a second are shown below a minute; 59.96 s counts as a minute, so that "60.0 s" is never read.
    let tenths = (millis + 50) / 100;
    if tenths < 600 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = u64::try_from((millis + 500) / 1000).unwrap_or(u64::MAX);
    match seconds {
        s if s < HOUR_S => format!("{}m {:02}s", s / MINUTE_S, s % MINUTE_S),
        s if s < DAY_S => format!("{}h {:02}m", s / HOUR_S, s % HOUR_S / MINUTE_S),
        s => format!("{}d {:02}h", s / DAY_S, s % DAY_S / HOUR_S),
    }
}

/// The time that is left, in whole seconds and larger units, since an estimate is no more exact than that: "12s", "2m 05s"; "-" where
/// none can be told.
#[must_use]
pub fn display_eta(eta_seconds: Option<f64>) -> String {
    match eta_seconds {
        // A century: what takes longer than that is not known.
        Some(seconds) if (0.0..3.2e9).contains(&seconds) => match seconds.ceil() as u64 {
            whole if whole < MINUTE_S => format!("{whole}s"),
            whole => display_duration(Duration::from_secs(whole)),
        },
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn durations_are_read_with_units_only() {
        assert_eq!(parse_duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration(" 500ms "), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2days"), Ok(Duration::from_secs(172_800)));
        assert_eq!(parse_duration("1.5h"), Ok(Duration::from_secs(5400)));
        for text in ["", "90", "-5s", "fast", "5 parsecs", "99999999999999999999s"] {
            let refusal = parse_duration(text).expect_err(text);
            assert!(refusal.contains(&format!("`{text}`")) && refusal.contains("1h 30m"), "{refusal}");
        }
    }

    #[test]
    fn sizes_count_by_1024_unless_they_say_otherwise() {
        assert_eq!(parse_size("4GiB"), Ok(4 << 30));
        assert_eq!(parse_size("4 GiB"), Ok(4 << 30));
        assert_eq!(parse_size("4G"), Ok(4 << 30));
        assert_eq!(parse_size("1.5k"), Ok(1536));
        assert_eq!(parse_size("4GB"), Ok(4_000_000_000));
        assert_eq!(parse_size("123"), Ok(123));
        assert_eq!(parse_size(" 64MiB "), Ok(64 << 20));
        for text in ["", "-4GiB", "4 apples", "GiB", "1e9", "99999999999999EiB", "NaN", "4GiBs"] {
            let refusal = parse_size(text).expect_err(text);
            assert!(refusal.contains(&format!("`{text}`")) && refusal.contains("4GiB"), "{refusal}");
        }
    }

    #[test]
    fn counts_have_their_thousands_apart() {
        let shown = |n: u64| display_count(n);
        assert_eq!([shown(0), shown(999), shown(1000), shown(1_234_567)], ["0", "999", "1,000", "1,234,567"].map(str::to_owned));
        assert_eq!(shown(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn rates_take_the_unit_in_which_they_are_read_best() {
        let shown = |rate: f64| display_rate(rate);
        assert_eq!(shown(0.0), "-");
        assert_eq!(shown(f64::NAN), "-");
        assert_eq!(shown(f64::INFINITY), "-");
        assert_eq!(shown(123_456.7), "123,457/s");
        assert_eq!(shown(9.97), "10/s");
        assert_eq!(shown(3.12), "3.1/s");
        assert_eq!(shown(0.2), "12/min");
        assert_eq!(shown(0.001), "3.6/h");
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        let shown = |millis: u64| display_duration(Duration::from_millis(millis));
        assert_eq!(shown(0), "0 ms");
        assert_eq!(shown(999), "999 ms");
        assert_eq!(shown(1000), "1.0 s");
        assert_eq!(shown(59_960), "1m 00s");
        assert_eq!(shown(125_000), "2m 05s");
        assert_eq!(shown(3_599_600), "1h 00m");
        assert_eq!(shown(5_400_000), "1h 30m");
        assert_eq!(shown(187_200_000), "2d 04h");
    }

    #[test]
    fn an_estimate_is_no_more_exact_than_a_second() {
        assert_eq!(display_eta(None), "-");
        assert_eq!(display_eta(Some(f64::INFINITY)), "-");
        assert_eq!(display_eta(Some(-1.0)), "-");
        assert_eq!(display_eta(Some(0.2)), "1s");
        assert_eq!(display_eta(Some(59.1)), "1m 00s");
        assert_eq!(display_eta(Some(5400.0)), "1h 30m");
    }
}
