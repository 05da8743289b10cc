//! Formats and parses instants as RFC 3339.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// Formats milliseconds since the epoch as RFC 3339 in UTC: `2026-01-02T03:04:05.678Z`. An instant outside the
/// calendar's range becomes the nearest one inside it.
#[must_use]
pub fn write_time(time_ms: i64) -> String {
    let mut text = Vec::with_capacity(24);
    put_time(time_ms, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Appends the text of [`write_time`] to `out`.
pub(crate) fn put_time(time_ms: i64, out: &mut Vec<u8>) {
    match plain_text(time_ms) {
        Some(text) => out.extend_from_slice(&text),
        None => out.extend_from_slice(general_text(time_ms).as_bytes()),
    }
}

fn general_text(time_ms: i64) -> String {
    static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    let timestamp = Timestamp::from_millisecond(time_ms).unwrap_or(if time_ms < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    });
    PRINTER.timestamp_to_string(&timestamp)
}

/// Formats instants of the years 1970 to 9998, several times faster than the general printer. `None` outside them.
fn plain_text(time_ms: i64) -> Option<[u8; 24]> {
    const DAY_MS: i64 = 86_400_000;
    const END_MS: i64 = 253_370_764_800_000;
    if !(0..END_MS).contains(&time_ms) {
        return None;
    }
    let (year, month, day) = date(time_ms / DAY_MS);
    let clock_ms = time_ms % DAY_MS;
    let mut text = ZERO;
    let mut put = |place: usize, number: i64| {
        text[place] += (number / 10) as u8;
        text[place + 1] += (number % 10) as u8;
    };
    put(0, year / 100);
    put(2, year % 100);
    put(5, month);
    put(8, day);
    put(11, clock_ms / 3_600_000);
    put(14, clock_ms / 60_000 % 60);
    put(17, clock_ms / 1000 % 60);
    put(20, clock_ms % 1000 / 10);
    text[22] += (clock_ms % 10) as u8;
    Some(text)
}

/// Parses RFC 3339 to milliseconds since the epoch; `None` if the text is not RFC 3339 with a zone.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    plain_time(text.as_bytes()).or_else(|| {
        text.parse::<Timestamp>()
            .ok()
            .map(Timestamp::as_millisecond)
    })
}

/// Parses the form that nearly all events have, `2026-01-02T03:04:05Z` with up to three decimals, many times
/// faster than the general parser. `None` for any other text, which may still be a valid time.
fn plain_time(text: &[u8]) -> Option<i64> {
    let whole = match text.first_chunk() {
        Some(whole) if text.len() == whole.len() => *whole,
        _ => completed(text)?,
    };
    let [date, clock, rest] = digits(&whole)?;
    // Each byte becomes the two-digit number of its digit and the next.
    let pair = |digits: u64, place: u64| {
        let pairs = digits * 10 + (digits >> 8);
        (pairs >> (8 * place) & 0xff) as i64
    };
    let (year, month, day) = (
        pair(date, 0) * 100 + pair(date, 2),
        pair(date, 5),
        pair(clock, 0),
    );
    let (hour, minute, second) = (pair(clock, 3), pair(clock, 6), pair(rest, 1));
    let milli = pair(rest, 4) * 10 + (rest >> 48 & 0xff) as i64;
    // The general parser, which knows the calendar, handles the 31st, the end of February and leap seconds.
    let is_usual =
        (1..=12).contains(&month) && (1..=if month == 2 { 28 } else { 30 }).contains(&day);
    if year < 1 || !is_usual || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1000 + milli)
}

const ZERO: [u8; 24] = *b"0000-00-00T00:00:00.000Z";
const LARGEST: [u8; 24] = *b"9999-99-99T99:99:99.999Z";

/// Eight bytes as one number, the first lowest.
const fn words(bytes: &[u8; 24]) -> [u64; 3] {
    let (words, _) = bytes.as_chunks();
    [
        u64::from_le_bytes(words[0]),
        u64::from_le_bytes(words[1]),
        u64::from_le_bytes(words[2]),
    ]
}

/// The digits of a time with three decimals, each at its byte, and zeros for the separators. `None` if a byte is
/// neither a digit nor the separator that belongs there.
fn digits(whole: &[u8; 24]) -> Option<[u64; 3]> {
    const TOPS: u64 = u64::MAX / 255 * 0x80;
    const ROOM: u64 = u64::MAX / 255 * 0x7f;
    let (mut digits, mut wrong) = ([0; 3], 0);
    for (place, word) in words(whole).into_iter().enumerate() {
        let (zero, largest) = (words(&ZERO)[place], words(&LARGEST)[place]);
        // A byte that is too small borrows; one that is too large carries into its top bit.
        digits[place] = word.wrapping_sub(zero);
        wrong |= word | digits[place] | digits[place].wrapping_add(ROOM - (largest - zero));
    }
    (wrong & TOPS == 0).then_some(digits)
}

/// Fills up a time with fewer than three decimals. `None` for any other text.
fn completed(text: &[u8]) -> Option<[u8; 24]> {
    let mut whole = ZERO;
    let shown = text.strip_suffix(b"Z")?;
    let is_shorter = matches!(shown.len(), 19 | 21 | 22);
    whole[..shown.len().min(22)].copy_from_slice(shown.get(..shown.len().min(22))?);
    is_shorter.then_some(whole)
}

/// Days from 1970-01-01 to a date in the proleptic Gregorian calendar. Years start in March, so that the leap
/// day comes last (Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The year, month and day of a day counted from 1970-01-01: the inverse of [`days`], from the same source.
fn date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * from_march + 2) / 5 + 1)
}

/// Parses the time that a record gives for `of_what`.
///
/// # Errors
/// If it is not RFC 3339.
pub(crate) fn instant(of_what: &str, text: &str) -> Result<i64, String> {
    parse_time(text).ok_or_else(|| format!("{of_what} `{text}` is not RFC 3339"))
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
        fn the_plain_text_is_what_the_general_printer_prints(
            time_ms in prop_oneof![any::<i64>(), -62_135_596_800_000..253_402_300_800_000_i64],
        ) {
            prop_assert_eq!(write_time(time_ms), general_text(time_ms));
        }

        #[test]
        fn what_is_written_is_read(time_ms in -62_135_596_800_000..253_402_207_200_000_i64) {
            prop_assert_eq!(parse_time(&write_time(time_ms)), Some(time_ms));
            let is_plain = plain_time(write_time(time_ms).as_bytes()).is_some();
            prop_assert!(is_plain || ["31", "29"].contains(&&write_time(time_ms)[8..10]));
        }
    }

    #[test]
    fn every_day_is_printed_as_the_general_printer_does() {
        for day in 0..2_932_000_i64 {
            let time_ms = day * 86_400_000 + day % 86_400_000;
            if let Some(text) = plain_text(time_ms) {
                assert_eq!(text, general_text(time_ms).as_bytes());
            }
        }
    }
}
