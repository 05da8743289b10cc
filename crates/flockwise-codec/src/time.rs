//! Formats and parses instants as RFC 3339.

mod bad_time;
mod general;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::{Offset, TimeZone};

pub(crate) use self::bad_time::BadTime;

use self::general::{general_time, milliseconds};

/// The end of the calendar, 9999-12-30T22:00:00.999Z, milliseconds since the epoch.
pub(crate) const LATEST_MS: i64 = 253_402_207_200_999;

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

/// Parses RFC 3339, and forms close to it, to milliseconds since the epoch, rounded down; `None` if the text is no
/// time with a zone.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    read_time(text, None).ok()
}

/// Like [`parse_time`], and reads times without a zone in `zone`. A time that the clocks of the zone skip or show twice
/// is read with the offset from before the change.
///
/// # Errors
/// If the text is no time.
pub(crate) fn read_time(text: &str, zone: Option<&TimeZone>) -> Result<i64, BadTime> {
    plain_time(text.as_bytes()).map_or_else(|| general_time(text, zone), Ok)
}

/// The instant at which the clocks of `zone` show what those in UTC show at `local_ms`.
///
/// # Errors
/// If there is no zone, or the time is beyond the calendar.
pub(crate) fn local_time(local_ms: i64, zone: Option<&TimeZone>) -> Result<i64, BadTime> {
    let zone = zone.ok_or(BadTime::NoZone)?;
    Timestamp::from_millisecond(local_ms)
        .map(|shown| Offset::UTC.to_datetime(shown))
        .and_then(|moment| zone.to_ambiguous_timestamp(moment).compatible())
        .map(milliseconds)
        .map_err(|_| BadTime::BeyondCalendar)
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
    // The general parser, which knows the calendar, handles the 31st, the end of February and leap seconds, and the
    // last year, in which the calendar ends.
    let is_usual =
        (1..=12).contains(&month) && (1..=if month == 2 { 28 } else { 30 }).contains(&day);
    if !(1..9999).contains(&year) || !is_usual || hour > 23 || minute > 59 || second > 59 {
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
mod tests;
