//! Recognises numbers that are written for a time and are no epoch time.

use crate::time::{parse_time, write_time};

const DAY_MS: f64 = 86_400_000.0;

/// What a number that is no epoch time in seconds, milliseconds or microseconds looks like; `None` if it looks like
/// nothing known. All of these mean times from 2000 to 2100 at most, or a year or a date from 1900 to 2100.
pub(super) fn look_alike(number: f64) -> Option<String> {
    let is_whole = number.fract() == 0.0;
    let alike = match number {
        0.0 => "a time that was never set",
        1900.0..=2100.0 if is_whole => "a year",
        10_957.0..36_526.0 => return Some(format!("days since 1970 ({})", day(number))),
        // Spreadsheets count from 1899-12-30, so that their days of this century begin where those above reach 2070.
        36_526.0..73_051.0 => {
            let day = day(number - 25_569.0);
            return Some(format!("a spreadsheet's number of a day ({day})"));
        }
        126e15..158e15 => "a Windows file time (100 ns since 1601)",
        630e15..663e15 => "ticks of .NET (100 ns since the year 1)",
        946e15..4_102e15 => "an epoch time in nanoseconds",
        _ if is_whole => digits_of_a_date(number)?,
        _ => return None,
    };
    Some(alike.to_owned())
}

/// The date of a day counted from 1970.
fn day(number: f64) -> String {
    write_time((number.floor() * DAY_MS) as i64)[..10].to_owned()
}

/// The pattern of a date, or of a date and a time, that the digits of the number are.
fn digits_of_a_date(number: f64) -> Option<&'static str> {
    let digits = number.to_string();
    let pattern = match digits.len() {
        8 => "a date YYYYMMDD",
        12 => "a date and time YYYYMMDDhhmm",
        14 => "a date and time YYYYMMDDhhmmss",
        17 => "a date and time YYYYMMDDhhmmssSSS",
        _ => return None,
    };
    let (date, clock) = digits.split_at_checked(8)?;
    let clock = clock.get(..clock.len().min(6))?;
    let is_recent = ("19000101"..="21001231").contains(&date);
    let is_time = parse_time(&format!("{date}T{clock:0<6}Z")).is_some();
    (is_recent && is_time).then_some(pattern)
}
