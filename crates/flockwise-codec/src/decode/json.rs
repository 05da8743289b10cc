//! Walks the projection through a JSON document.

use std::ops::Range;

use flockwise_json::{Invalid, JsonScalar, JsonSink, RawText, explain, scan, unescape};

use super::appearance::{Appearance, hint};
use super::reject::{Reason, Reject, reject};
use crate::event_sink::EventSink;
use crate::found_value::FoundValue;
use crate::projection::Node;

/// How many characters of each end of a long error a detail quotes.
const LONGEST_QUOTE: usize = 100;

/// Takes the values of a document that the event keeps whole, so that a text without escapes is just a range of it.
struct DocumentSink<'e> {
    values: EventSink<'e>,
    /// The end of the document in the event's text buffer.
    end: usize,
}

/// Stores the wanted values of a JSON object in the event. Returns the sink, which holds the fields that were found.
///
/// # Errors
/// If the bytes are not exactly one JSON object in UTF-8.
#[inline]
pub(super) fn fill_from_json<'e>(
    bytes: &[u8],
    values: EventSink<'e>,
) -> Result<EventSink<'e>, Reject> {
    if bytes.trim_ascii().is_empty() {
        return reject(
            Reason::Empty,
            "the record has no value, expected one JSON object",
        );
    }
    // Checking the whole document at once is several times cheaper than checking each text.
    let document = std::str::from_utf8(bytes).or_else(|error| {
        reject(
            Reason::NotJson,
            not_json(bytes, &format!("not UTF-8: {error}")),
        )
    })?;
    let root = &values.projection.root;
    let end = values.event.keep(document).end as usize;
    let mut sink = DocumentSink { values, end };
    scan(root, document, &mut sink).or_else(|_| reject_json(root, document))?;
    Ok(sink.values)
}

impl DocumentSink<'_> {
    /// Unescapes a text into the event's text buffer, once for all its targets.
    #[cold]
    fn keep(&mut self, raw: &[u8]) -> Result<Range<u32>, Invalid> {
        let text = str::from_utf8(raw).map_err(|_| Invalid)?;
        let mut kept = self.values.event.keep("");
        // Pieces that are kept one after the other are adjacent.
        unescape(text, |piece| kept.end = self.values.event.keep(piece).end)?;
        Ok(kept)
    }
}

impl JsonSink<Node> for DocumentSink<'_> {
    #[inline(always)]
    fn scalar(&mut self, place: &Node, value: JsonScalar) {
        let found = match value {
            JsonScalar::Null => FoundValue::Null,
            JsonScalar::Bool(value) => FoundValue::Bool(value),
            JsonScalar::Number(number) => FoundValue::Number(number),
            JsonScalar::Composite => FoundValue::Composite,
        };
        self.values.take(&place.targets, &found);
    }

    #[inline(always)]
    fn text(&mut self, place: &Node, text: &RawText<'_>) -> Result<(), Invalid> {
        let range = match text.has_escapes() {
            true => self.keep(text.bytes())?,
            false => text.range(self.end),
        };
        self.values.take(&place.targets, &FoundValue::Text(range));
        Ok(())
    }
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
    let what = format!("not one JSON object: {shown}");
    reject(Reason::NotJson, not_json(text.as_bytes(), &what))
}

/// A detail, and what the bytes look like.
fn not_json(bytes: &[u8], what: &str) -> String {
    format!("{what}{}", hint(bytes, Some(Appearance::Json)))
}
