//! When an event happened: from its text, its number or its typed timestamp.

use flockwise_core::event::Event;
use flockwise_json::Number;

use super::look_alike::look_alike;
use super::reject::{Reason, Reject, reject};
use crate::format::Format;
use crate::found_value::IdentityValue;
use crate::time::{BadTime, LATEST_MS, local_time, read_time, write_time};

/// How many characters of a time a detail quotes.
const LONGEST_QUOTE: usize = 40;

const EXPECTED: &str = "RFC 3339 text or an epoch time in seconds, milliseconds or microseconds";

/// A number that means a later time is checked for being something else: the start of the year 2500.
const SUSPICIOUS_MS: f64 = 16_725_225_600_000.0;

/// The event's time, milliseconds since the epoch.
///
/// # Errors
/// If the value is no time, or one before the format's earliest.
#[inline]
pub(super) fn event_time(
    format: &Format,
    event: &Event,
    value: &IdentityValue,
) -> Result<i64, Reject> {
    let zone = format.time_rules.zone.as_ref();
    let read = match value {
        IdentityValue::Text(range) => {
            let text = event.text(range);
            read_time(text, zone).or_else(|bad| quoted(text).map_or(Err(bad), epoch_ms))
        }
        IdentityValue::Number(number) => epoch_ms(number.nearest()),
        IdentityValue::Instant(ms) if *ms > LATEST_MS => Err(BadTime::BeyondCalendar),
        IdentityValue::Instant(ms) => Ok(*ms),
        IdentityValue::Local(ms) => local_time(*ms, zone),
        IdentityValue::Other(kind) => {
            return reject(
                Reason::WrongType,
                format!("time is {kind}: RFC 3339 text or an epoch time was expected"),
            );
        }
    };
    match read {
        Ok(ms) if ms >= format.time_rules.earliest_ms => Ok(ms),
        refused => Err(refusal(format, event, value, refused)),
    }
}

/// Epoch seconds below 1e11, milliseconds below 1e14, microseconds from there on.
fn epoch_ms(number: f64) -> Result<i64, BadTime> {
    let ms = match number.abs() {
        // The f64 may lie just below the fraction that was written; without the correction, `floor` would
        // lose a millisecond.
        size if size < 1e11 && number.fract() != 0.0 => number * 1e3 + size * 1e3 * f64::EPSILON,
        size if size < 1e11 => number * 1e3,
        size if size < 1e14 => number,
        size if size < 1e17 => number / 1e3,
        _ => return Err(BadTime::NotAnEpoch),
    };
    if ms >= SUSPICIOUS_MS && look_alike(number).is_some() {
        return Err(BadTime::NotAnEpoch);
    }
    Ok(ms.floor() as i64)
}

/// The number that a text holds, if it holds one and nothing else.
fn quoted(text: &str) -> Option<f64> {
    let text = text.trim_ascii();
    let is_plain = text.ends_with(|last: char| last.is_ascii_digit());
    let number: f64 = text.parse().ok().filter(|_| is_plain)?;
    number.is_finite().then_some(number)
}

/// Says what is wrong with the time: what it looks like, or which limit it is before.
#[cold]
fn refusal(
    format: &Format,
    event: &Event,
    value: &IdentityValue,
    refused: Result<i64, BadTime>,
) -> Reject {
    let (shown, number) = match value {
        IdentityValue::Text(range) => (quote(event.text(range)), quoted(event.text(range))),
        IdentityValue::Number(number) => (written(*number), Some(number.nearest())),
        IdentityValue::Instant(ms) => (write_time(*ms), None),
        IdentityValue::Local(ms) => (write_time(*ms).replace('Z', ""), None),
        IdentityValue::Other(kind) => ((*kind).to_owned(), None),
    };
    let earliest = write_time(format.time_rules.earliest_ms);
    let detail = match (refused, number.and_then(look_alike)) {
        (Ok(ms), Some(alike)) => format!(
            "looks like {alike}: {EXPECTED} was expected; as an epoch time it is {}, before `time.earliest` ({earliest})",
            write_time(ms)
        ),
        (Err(_), Some(alike)) => format!("looks like {alike}: {EXPECTED} was expected"),
        (Ok(ms), None) if number.is_some() => {
            format!("is {}, before `time.earliest` ({earliest})", write_time(ms))
        }
        (Ok(_), None) => format!("is before `time.earliest` ({earliest})"),
        (Err(BadTime::NoZone), None) => format!("has no zone: {}", how_to_set_a_zone(format)),
        (Err(bad), None) => bad.to_string(),
    };
    Reject {
        reason: Reason::BadTime,
        detail: format!("time {shown} {detail}"),
    }
}

fn how_to_set_a_zone(format: &Format) -> String {
    let name = &format.name;
    let example = "such as \"Europe/Berlin\" or \"UTC\"";
    match Format::builtin(name) {
        Some(_) => format!(
            "the format {name} has none either; declare a [format.NAME] of your own with `time_zone`, {example}"
        ),
        None => format!("set `time_zone` in [format.{name}], {example}"),
    }
}

fn quote(text: &str) -> String {
    let shown: String = text.chars().take(LONGEST_QUOTE).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("`{shown}`{more}")
}

/// The number as it was written, unless that is long.
fn written(number: Number) -> String {
    match number {
        Number::Natural(number) => number.to_string(),
        Number::Negative(number) => number.to_string(),
        Number::Float(number) if number.abs() < 1e17 => number.to_string(),
        Number::Float(number) => format!("{number:e}"),
    }
}
