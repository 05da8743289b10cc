//! Instants as people and other programs read them.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// RFC 3339 in UTC with milliseconds: `2026-01-02T03:04:05.678Z`. An instant outside the years 1 to
/// 9999 becomes the nearest inside.
#[must_use]
pub fn write_time(time_ms: i64) -> String {
    let mut text = String::with_capacity(24);
    print_time(time_ms, &mut text);
    text
}

/// As [`write_time`], at the end of a text.
pub fn print_time(time_ms: i64, out: &mut String) {
    static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    let timestamp = Timestamp::from_millisecond(time_ms).unwrap_or(if time_ms < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    });
    // Printing to a String cannot fail.
    let _ = PRINTER.print_timestamp(&timestamp, out);
}

/// Reads RFC 3339, to milliseconds since the epoch.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    plain_time(text.as_bytes()).or_else(|| {
        text.parse::<Timestamp>()
            .ok()
            .map(Timestamp::as_millisecond)
    })
}

/// The form that nearly all events have, `2026-01-02T03:04:05Z` with up to three decimals, several times
/// faster than the general parser. `None` for anything else, be it a time or not.
fn plain_time(text: &[u8]) -> Option<i64> {
    let (fixed, rest) = text.split_first_chunk::<19>()?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(place, mark)| fixed[*place] != *mark) {
        return None;
    }
    let year = digits(&fixed[0..4])?;
    let (month, day) = (digits(&fixed[5..7])?, digits(&fixed[8..10])?);
    let (hour, minute) = (digits(&fixed[11..13])?, digits(&fixed[14..16])?);
    let (second, milli) = (digits(&fixed[17..19])?, decimals(rest)?);
    // The 31st, the end of February and leap seconds are left to the parser that knows the calendar.
    let is_usual =
        (1..=12).contains(&month) && (1..=if month == 2 { 28 } else { 30 }).contains(&day);
    if year < 1 || !is_usual || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1000 + milli)
}

/// Milliseconds of `Z`, `.6Z`, `.67Z` or `.678Z`.
fn decimals(rest: &[u8]) -> Option<i64> {
    let fraction = rest.strip_suffix(b"Z")?;
    match fraction {
        [] => Some(0),
        [b'.', places @ ..] if (1..=3).contains(&places.len()) => {
            Some(digits(places)? * [100, 10, 1][places.len() - 1])
        }
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i64::from(digit - b'0'))
    })
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, counting years from March so that the leap
/// day comes last (Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn general(text: &str) -> Option<i64> {
        text.parse::<Timestamp>()
            .ok()
            .map(Timestamp::as_millisecond)
    }

    proptest! {
        #[test]
        fn the_plain_form_is_read_as_the_general_parser_reads_it(
            (year, month, day) in (0..=9999_i64, 0..=13_i64, 0..=32_i64),
            (hour, minute, second) in (0..=24_i64, 0..=60_i64, 0..=60_i64),
            fraction in prop_oneof![Just(String::new()), "[.][0-9]{0,4}"],
            end in prop_oneof![8 => Just("Z"), 1 => Just("z"), 1 => Just("+01:00"), 1 => Just("")],
        ) {
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{end}");
            if let Some(time_ms) = plain_time(text.as_bytes()) {
                prop_assert_eq!(Some(time_ms), general(&text), "{}", text);
            }
            prop_assert_eq!(parse_time(&text), general(&text), "{}", text);
        }

        #[test]
        fn what_is_written_is_read(time_ms in -62_135_596_800_000..253_402_207_200_000_i64) {
            prop_assert_eq!(parse_time(&write_time(time_ms)), Some(time_ms));
            let is_plain = plain_time(write_time(time_ms).as_bytes()).is_some();
            prop_assert!(is_plain || ["31", "29"].contains(&&write_time(time_ms)[8..10]));
        }
    }
}
