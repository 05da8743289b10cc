//! Records on their way in: one arena, reused from poll to poll.

use std::ops::Range;

use crate::topics::Source;

/// Records of one poll, in the order in which they are to be processed.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    source: Source,
    offset: i64,
    timestamp_ms: i64,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    origin: Option<Range<usize>>,
}

/// One record, borrowed from where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it was read.
    pub source: Source,
    /// Its offset there.
    pub offset: i64,
    /// The broker's or the producer's, milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// `None` where it has no key.
    pub key: Option<&'a [u8]>,
    /// `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// The header [`crate::broker::ORIGIN_HEADER`] of a forwarded event.
    pub origin: Option<&'a [u8]>,
}

impl Batch {
    /// Makes room for the next poll; keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Appends a copy of a record.
    pub fn push(&mut self, record: Record<'_>) {
        let key = record.key.map(|bytes| self.keep(bytes));
        let value = record.value.map(|bytes| self.keep(bytes));
        let origin = record.origin.map(|bytes| self.keep(bytes));
        self.entries.push(Entry {
            source: record.source,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key,
            value,
            origin,
        });
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// Records in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where each record was read, in order.
    pub(crate) fn sources(&self) -> impl Iterator<Item = Source> {
        self.entries.iter().map(|entry| entry.source)
    }

    /// Where all of the records were read, if that is one source.
    pub(crate) fn only_source(&self) -> Option<Source> {
        let mut sources = self.sources();
        let first = sources.next()?;
        sources.all(|source| source == first).then_some(first)
    }

    /// The records in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|number| self.record(number))
    }

    /// One of the records by its number, below [`Batch::len`].
    #[must_use]
    pub fn record(&self, number: usize) -> Record<'_> {
        let entry = &self.entries[number];
        Record {
            source: entry.source,
            offset: entry.offset,
            timestamp_ms: entry.timestamp_ms,
            key: entry.key.clone().map(|range| &self.bytes[range]),
            value: entry.value.clone().map(|range| &self.bytes[range]),
            origin: entry.origin.clone().map(|range| &self.bytes[range]),
        }
    }
}
