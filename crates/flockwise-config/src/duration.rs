//! Durations as a user writes them: `100ms`, `30s`, `10m`, `1h`, `30d`, `2w`.

use std::fmt;

/// A hundred years. With longer durations, sums of event times could overflow.
const LONGEST_MS: u64 = 36_525 * 86_400_000;

const UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is not a whole number with a unit after it.
    #[error("found \"{0}\", expected a whole number and a unit: 100ms, 30s, 10m, 1h, 30d or 2w")]
    Shape(String),
    /// The unit is months or years.
    #[error(
        "found \"{0}\": months and years differ in length; give it in days, such as 30d or 365d"
    )]
    Calendar(String),
    /// The duration is longer than a hundred years.
    #[error("found \"{0}\", expected at most a hundred years (36525d)")]
    TooLong(String),
}

/// Parses a duration to milliseconds, at least 0.
///
/// # Errors
/// If the text is not one whole number and one of the units ms, s, m, h, d, w, or if it is too long.
pub fn parse(text: &str) -> Result<i64, DurationError> {
    let shape = || DurationError::Shape(text.to_owned());
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let Some((_, unit_ms)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(if digits > 0 && is_calendar(unit) {
            DurationError::Calendar(text.to_owned())
        } else {
            shape()
        });
    };
    if number.is_empty() {
        return Err(shape());
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(*unit_ms))
        .filter(|span_ms| *span_ms <= LONGEST_MS)
        .and_then(|span_ms| i64::try_from(span_ms).ok())
        .ok_or_else(|| DurationError::TooLong(text.to_owned()))
}

fn is_calendar(unit: &str) -> bool {
    unit == "M"
        || unit == "y"
        || unit == "Y"
        || ["mo", "year", "yr"]
            .iter()
            .any(|start| unit.starts_with(start))
}

/// Displays milliseconds in the largest unit, up to days, that gives a whole number.
pub struct Readable(
    /// Milliseconds.
    pub i64,
);

impl fmt::Display for Readable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span_ms = self.0.unsigned_abs();
        let days_and_below = &UNITS[..5];
        let (unit, unit_ms) = days_and_below
            .iter()
            .rev()
            .find(|(_, unit_ms)| span_ms > 0 && span_ms.is_multiple_of(*unit_ms))
            .unwrap_or(&UNITS[1]);
        write!(out, "{}{unit}", span_ms / unit_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_written() {
        for (text, expected_ms, readable) in [
            ("0s", 0, "0s"),
            ("100ms", 100, "100ms"),
            ("30s", 30_000, "30s"),
            ("10m", 600_000, "10m"),
            ("1h", 3_600_000, "1h"),
            ("24h", 86_400_000, "1d"),
            ("30 d", 2_592_000_000, "30d"),
            ("2w", 1_209_600_000, "14d"),
        ] {
            let found_ms = parse(text).unwrap();
            assert_eq!(found_ms, expected_ms, "{text}");
            assert_eq!(Readable(found_ms).to_string(), readable);
        }
    }

    #[test]
    fn what_is_not_a_duration_says_why() {
        for text in [
            "", "30", "d", "-1d", "1.5h", "1h30m", "30 days", " 1d", "ms",
        ] {
            assert_eq!(
                parse(text),
                Err(DurationError::Shape(text.to_owned())),
                "{text}"
            );
        }
        for text in ["1M", "1y", "6mo", "3 months", "1 year", "2yrs"] {
            assert_eq!(
                parse(text),
                Err(DurationError::Calendar(text.to_owned())),
                "{text}"
            );
        }
        for text in [
            "36526d",
            "99999999999999999999999d",
            "18446744073709551615w",
        ] {
            assert_eq!(
                parse(text),
                Err(DurationError::TooLong(text.to_owned())),
                "{text}"
            );
        }
    }
}
