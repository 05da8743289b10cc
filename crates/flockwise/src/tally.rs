//! What a session came to, counted as its records come out.

use std::collections::BTreeMap;

use flockwise_memory::Committed;
use serde::Deserialize;

/// Changes and dead letters so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Changes of segment.
    pub(crate) changes: u64,
    /// Changes by cause.
    pub(crate) by_cause: BTreeMap<String, u64>,
    /// Changes by segment: in, out. The first segment of a customer is neither.
    pub(crate) moves: BTreeMap<u32, (u64, u64)>,
    /// Dead letters by reason.
    pub(crate) dead_letters: BTreeMap<String, u64>,
}

/// What is read of a change.
#[derive(Debug, Deserialize)]
pub(crate) struct SeenChange {
    pub(crate) customer_id: String,
    pub(crate) occurred_at: String,
    pub(crate) from: Option<SeenPlace>,
    pub(crate) to: SeenPlace,
    pub(crate) cause: String,
    pub(crate) drivers: Vec<SeenDriver>,
}

/// A segment as a change names it.
#[derive(Debug, Deserialize)]
pub(crate) struct SeenPlace {
    pub(crate) segment: u32,
    pub(crate) name: Option<String>,
}

/// A driver of a change.
#[derive(Debug, Deserialize)]
pub(crate) struct SeenDriver {
    pub(crate) feature: String,
    pub(crate) value: f64,
    pub(crate) typical: f64,
}

impl Tally {
    /// Counts a record of the changes topic.
    pub(crate) fn change(&mut self, record: &Committed) -> Option<SeenChange> {
        let change: SeenChange = serde_json::from_slice(record.value.as_deref()?).ok()?;
        self.changes += 1;
        *self.by_cause.entry(change.cause.clone()).or_default() += 1;
        if let Some(from) = &change.from {
            self.moves.entry(from.segment).or_default().1 += 1;
            self.moves.entry(change.to.segment).or_default().0 += 1;
        }
        Some(change)
    }

    /// Counts a record of the dead letters' topic.
    pub(crate) fn dead_letter(&mut self, record: &Committed) {
        *self
            .dead_letters
            .entry(header(record, "flockwise.reason"))
            .or_default() += 1;
    }
}

/// A header's text; empty where it is not there.
pub(crate) fn header(record: &Committed, name: &str) -> String {
    let found = record.headers.iter().find(|(known, _)| known == name);
    found
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}
