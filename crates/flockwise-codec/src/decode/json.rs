//! Walks the projection through a JSON document.

use flockwise_core::event::Event;
use flockwise_json::{explain, scan};

use super::reject::{Reason, Reject, reject};
use crate::event_sink::Sink;
use crate::projection::Node;

/// How many characters of each end of a long error a detail quotes.
const LONGEST_QUOTE: usize = 100;

/// Stores the wanted values of a JSON object in the event. Returns the sink, which holds the fields that were found.
///
/// # Errors
/// If the bytes are not exactly one JSON object in UTF-8.
#[inline]
pub(super) fn fill_from_json<'e>(
    root: &Node,
    bytes: &[u8],
    event: &'e mut Event,
) -> Result<Sink<'e>, Reject> {
    // Checking the whole document at once is several times cheaper than checking each text.
    let document = std::str::from_utf8(bytes)
        .or_else(|error| reject(Reason::NotJson, format!("not UTF-8: {error}")))?;
    let mut sink = Sink::new(event, document);
    scan(root, document, &mut sink).or_else(|_| reject_json(root, document))?;
    Ok(sink)
}

/// Makes a [`Reject`] of the scan's refusal. Shortens the error, which may quote a long text: the detail goes
/// into a header.
#[cold]
fn reject_json(root: &Node, text: &str) -> Result<(), Reject> {
    let error = explain(root, text).map_or_else(|error| error.to_string(), |()| String::new());
    if error.starts_with("number out of range") {
        return reject(
            Reason::NumberOutOfRange,
            format!("a {error}: it does not fit into a 64-bit float"),
        );
    }
    let count = error.chars().count();
    let mut shown: String = error.chars().take(LONGEST_QUOTE).collect();
    if count > LONGEST_QUOTE {
        let end: String = error.chars().skip(count - LONGEST_QUOTE).collect();
        shown = format!("{shown} … {end}");
    }
    reject(Reason::NotJson, format!("not one JSON object: {shown}"))
}
