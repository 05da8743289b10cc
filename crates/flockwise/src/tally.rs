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

/// What is counted of a change.
#[derive(Deserialize)]
struct SeenChange<'a> {
    from: Option<SeenPlace>,
    to: SeenPlace,
    cause: &'a str,
}

#[derive(Deserialize)]
struct SeenPlace {
    segment: u32,
}

impl Tally {
    /// Counts a record of the changes topic.
    pub(crate) fn change(&mut self, record: &Committed) {
        let value = record.value.as_deref().unwrap_or_default();
        let Ok(change) = serde_json::from_slice::<SeenChange<'_>>(value) else { return };
        self.changes += 1;
        match self.by_cause.get_mut(change.cause) {
            Some(count) => *count += 1,
            None => drop(self.by_cause.insert(change.cause.to_owned(), 1)),
        }
        if let Some(from) = &change.from {
            self.moves.entry(from.segment).or_default().1 += 1;
            self.moves.entry(change.to.segment).or_default().0 += 1;
        }
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
