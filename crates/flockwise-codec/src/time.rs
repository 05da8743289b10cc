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
    text.parse::<Timestamp>()
        .ok()
        .map(Timestamp::as_millisecond)
}
