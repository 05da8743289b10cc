//! Why a text or a number is no time.

use std::ops::RangeInclusive;

use thiserror::Error;

/// Why a text or a number is no time. The texts continue "time `...`".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum BadTime {
    #[error(
        "is not a time: RFC 3339 text, as in 2026-01-02T03:04:05Z, or an epoch time was expected"
    )]
    NotATime,
    #[error("is a date without a time of day: a time as in 2026-01-02T03:04:05Z was expected")]
    DateAlone,
    #[error("is an ISO week date: year, month and day were expected, as in 2026-01-02T03:04:05Z")]
    WeekDate,
    #[error("has {} {found}: {} to {} was expected", part.name(), part.range().start(), part.range().end())]
    OutOfRange { part: TimePart, found: u8 },
    #[error("names a day that does not exist: month {month} of {year} has no day {day}")]
    NoSuchDay { year: i16, month: u8, day: u8 },
    #[error("has no zone")]
    NoZone,
    #[error(
        "does not end in a known zone: Z, UTC, GMT or an offset such as +01:00 was expected after the time of day"
    )]
    NotAZone,
    #[error("is beyond the calendar, which ends at 9999-12-30T22:00:00Z")]
    BeyondCalendar,
    #[error("is no epoch time in seconds, milliseconds or microseconds")]
    NotAnEpoch,
}

/// A part of a time that has two digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimePart {
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

impl TimePart {
    fn name(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
        }
    }

    fn range(self) -> RangeInclusive<u8> {
        match self {
            Self::Month => 1..=12,
            Self::Day => 1..=31,
            Self::Hour => 0..=23,
            Self::Minute => 0..=59,
            // Of a leap second.
            Self::Second => 0..=60,
        }
    }

    /// # Errors
    /// If the part has no such value.
    pub(super) fn check(self, found: u8) -> Result<(), BadTime> {
        if self.range().contains(&found) {
            return Ok(());
        }
        Err(BadTime::OutOfRange { part: self, found })
    }
}
