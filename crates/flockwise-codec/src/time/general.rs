//! Reads the times that the fast path leaves: the rest of RFC 3339, and what databases and languages write.
//!
//! A time is a date, `T` or a blank, a time of day, and a zone. Date and time of day may stand without separators
//! (ISO 8601, basic format). Minutes and seconds may be missing. The zone is `Z`, `UTC`, `GMT` or an offset of hours,
//! with or without minutes; a blank may stand before it, and a zone's name in brackets behind it, which adds nothing.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};

use super::bad_time::{BadTime, TimePart};

/// Milliseconds since the epoch, rounded down. `zone` is that of times that are written without one.
///
/// # Errors
/// If the text is no time.
pub(super) fn general_time(text: &str, zone: Option<&TimeZone>) -> Result<i64, BadTime> {
    let mut rest = Rest(text.as_bytes().trim_ascii());
    let date = rest.date()?;
    if rest.0.is_empty() {
        return Err(BadTime::DateAlone);
    }
    if !rest.skip(b"Tt ") {
        return Err(BadTime::NotATime);
    }
    let moment = date.to_datetime(rest.time_of_day()?);
    let instant = match rest.offset()? {
        Some(offset) => offset.to_timestamp(moment),
        None => {
            let zone = zone.ok_or(BadTime::NoZone)?;
            zone.to_ambiguous_timestamp(moment).compatible()
        }
    };
    instant
        .map(milliseconds)
        .map_err(|_| BadTime::BeyondCalendar)
}

/// Milliseconds since the epoch, rounded down.
pub(super) fn milliseconds(instant: Timestamp) -> i64 {
    instant.as_second() * 1000 + i64::from(instant.subsec_nanosecond()).div_euclid(1_000_000)
}

/// What has not been read yet.
struct Rest<'t>(&'t [u8]);

impl Rest<'_> {
    fn date(&mut self) -> Result<Date, BadTime> {
        let year = self.year().ok_or(BadTime::NotATime)?;
        let is_separated = self.skip(b"-");
        if self.skip(b"Ww") {
            return Err(BadTime::WeekDate);
        }
        let month = self.pair().ok_or(BadTime::NotATime)?;
        if is_separated && !self.skip(b"-") {
            return Err(BadTime::NotATime);
        }
        let day = self.pair().ok_or(BadTime::NotATime)?;
        TimePart::Month.check(month)?;
        TimePart::Day.check(day)?;
        let year = i16::try_from(year).map_err(|_| BadTime::BeyondCalendar)?;
        if !(-9999..=9999).contains(&year) {
            return Err(BadTime::BeyondCalendar);
        }
        Date::new(year, month as i8, day as i8).map_err(|_| BadTime::NoSuchDay { year, month, day })
    }

    /// Four digits, or a sign and six.
    fn year(&mut self) -> Option<i32> {
        let is_negative = self.0.first() == Some(&b'-');
        let count = if self.skip(b"+-") { 6 } else { 4 };
        let year = self.digits(count)?;
        Some(if is_negative { -year } else { year })
    }

    fn time_of_day(&mut self) -> Result<Time, BadTime> {
        let hour = self.pair().ok_or(BadTime::NotATime)?;
        let is_separated = self.0.first() == Some(&b':');
        let minute = self.next_of_clock(is_separated)?;
        let second = match minute {
            Some(_) => self.next_of_clock(is_separated)?,
            None => None,
        };
        let nanosecond = match second {
            Some(_) if self.skip(b".,") => self.fraction().ok_or(BadTime::NotATime)?,
            _ => 0,
        };
        let (minute, second) = (minute.unwrap_or(0), second.unwrap_or(0));
        TimePart::Hour.check(hour)?;
        TimePart::Minute.check(minute)?;
        TimePart::Second.check(second)?;
        // A leap second counts as the second before it: epoch time has no leap seconds.
        let second = second.min(59);
        Time::new(hour as i8, minute as i8, second as i8, nanosecond).map_err(|_| BadTime::NotATime)
    }

    /// The minute or the second, if it is there.
    fn next_of_clock(&mut self, is_separated: bool) -> Result<Option<u8>, BadTime> {
        let is_there = match is_separated {
            true => self.skip(b":"),
            false => self.0.first().is_some_and(u8::is_ascii_digit),
        };
        if !is_there {
            return Ok(None);
        }
        self.pair().map(Some).ok_or(BadTime::NotATime)
    }

    /// Any number of decimals, at least one, as nanoseconds. Those after the ninth are dropped.
    fn fraction(&mut self) -> Option<i32> {
        let count = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (decimals, rest) = self.0.split_at(count);
        self.0 = rest;
        let nine = decimals.iter().chain(std::iter::repeat(&b'0')).take(9);
        (count > 0).then(|| nine.fold(0, |nanos, digit| nanos * 10 + i32::from(digit - b'0')))
    }

    /// The rest as an offset from UTC; `None` if nothing is left.
    fn offset(&mut self) -> Result<Option<Offset>, BadTime> {
        let text = self.0.trim_ascii();
        let text = match text.iter().position(|byte| *byte == b'[') {
            Some(0) => return Err(BadTime::NotAZone),
            Some(bracket) if text.ends_with(b"]") => &text[..bracket],
            _ => text,
        };
        let is_utc = |name: &&[u8]| text.eq_ignore_ascii_case(name);
        match text {
            b"" => Ok(None),
            _ if [&b"Z"[..], b"UTC", b"GMT"].iter().any(is_utc) => Ok(Some(Offset::UTC)),
            _ => Rest(text)
                .signed_offset()
                .map(Some)
                .ok_or(BadTime::NotAZone),
        }
    }

    /// A sign and hours, or also minutes, or also seconds: `+01`, `-0330`, `+05:53:28`.
    fn signed_offset(&mut self) -> Option<Offset> {
        let is_west = self.0.first() == Some(&b'-');
        let hours = self.skip(b"+-").then(|| self.pair())??;
        let is_separated = self.0.first() == Some(&b':');
        let minutes = self.next_of_clock(is_separated).ok()?.unwrap_or(0);
        let seconds = self.next_of_clock(is_separated).ok()?.unwrap_or(0);
        let is_valid = hours <= 23 && minutes <= 59 && seconds <= 59 && self.0.is_empty();
        let minutes_in_all = i32::from(hours) * 60 + i32::from(minutes);
        let total = minutes_in_all * 60 + i32::from(seconds);
        let total = if is_west { -total } else { total };
        is_valid.then(|| Offset::from_seconds(total).ok())?
    }

    /// Takes the next byte if it is one of these.
    fn skip(&mut self, any: &[u8]) -> bool {
        match self.0 {
            [first, rest @ ..] if any.contains(first) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// A number of two digits.
    fn pair(&mut self) -> Option<u8> {
        self.digits(2).map(|number| number as u8)
    }

    /// A number of exactly this many digits, at most nine.
    fn digits(&mut self, count: usize) -> Option<i32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = rest;
        let value = |digit: &u8| i32::from(digit - b'0');
        Some(
            digits
                .iter()
                .fold(0, |number, digit| number * 10 + value(digit)),
        )
    }
}
