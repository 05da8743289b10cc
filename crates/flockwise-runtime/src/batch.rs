//! Records on their way in: one arena, reused from poll to poll.

use crate::topics::TopicPartition;

/// Records of one poll, in the order in which they are to be processed.
#[derive(Debug, Default)]
pub struct Batch {
    records: Records,
    /// Those of some sources are kept apart; sorted by source.
    apart: Vec<(TopicPartition, Records)>,
    /// Which of these was the last to get a record: as a rule it gets the next one too.
    latest: usize,
}

/// Copies of records, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    source: TopicPartition,
    offset: i64,
    timestamp_ms: i64,
    /// Where its bytes begin: key, value and origin, one after the other.
    start: usize,
    /// How many bytes each has, if there is one.
    key: Option<u32>,
    value: Option<u32>,
    origin: Option<u32>,
}

/// One record, borrowed from where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it was read.
    pub source: TopicPartition,
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
        self.records.clear();
        let apart = self.apart.iter_mut();
        apart.for_each(|(_, records)| records.clear());
    }

    /// Appends a copy of a record.
    pub fn push(&mut self, record: Record<'_>) {
        let is_latest = |(source, _): &(TopicPartition, Records)| *source == record.source;
        if !self.apart.get(self.latest).is_some_and(is_latest) {
            let found = self
                .apart
                .binary_search_by_key(&record.source, |(source, _)| *source);
            let Ok(found) = found else {
                return self.records.push(record);
            };
            self.latest = found;
        }
        self.apart[self.latest].1.push(record);
    }

    /// The records of these sources, sorted, go here from now on, until they are taken.
    pub(crate) fn set_apart(&mut self, sources: impl Iterator<Item = (TopicPartition, Records)>) {
        self.apart.clear();
        self.apart.extend(sources);
    }

    /// What was set apart, with its records.
    pub(crate) fn take_apart(&mut self) -> impl Iterator<Item = (TopicPartition, Records)> {
        self.apart.drain(..)
    }

    /// Records in it, with those that are set apart.
    #[must_use]
    pub fn len(&self) -> usize {
        let apart = self.apart.iter().map(|(_, records)| records.len());
        self.records.len() + apart.sum::<usize>()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where each record was read, in order.
    pub(crate) fn sources(&self) -> impl Iterator<Item = TopicPartition> {
        self.records.entries.iter().map(|entry| entry.source)
    }

    /// The records in order, but for those that are set apart.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.records.len()).map(|number| self.record(number))
    }

    /// One of the records by its number, below [`Batch::len`] where none are set apart.
    #[must_use]
    pub fn record(&self, number: usize) -> Record<'_> {
        self.records.get(number)
    }
}

impl Records {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    pub(crate) fn push(&mut self, record: Record<'_>) {
        let start = self.bytes.len();
        let mut keep = |part: Option<&[u8]>| {
            let part = part?;
            self.bytes.extend_from_slice(part);
            Some(u32::try_from(part.len()).expect("records of Kafka are smaller than 2 GiB"))
        };
        let [key, value, origin] = [record.key, record.value, record.origin].map(&mut keep);
        self.entries.push(Entry {
            source: record.source,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            start,
            key,
            value,
            origin,
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// One of them by its number, below [`Records::len`].
    pub(crate) fn get(&self, number: usize) -> Record<'_> {
        let entry = &self.entries[number];
        let mut rest = &self.bytes[entry.start..];
        let mut part = |length: Option<u32>| {
            let (part, after) = rest.split_at(length? as usize);
            rest = after;
            Some(part)
        };
        Record {
            source: entry.source,
            offset: entry.offset,
            timestamp_ms: entry.timestamp_ms,
            key: part(entry.key),
            value: part(entry.value),
            origin: part(entry.origin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topics::Topic;

    fn source(partition: u32) -> TopicPartition {
        TopicPartition {
            topic: Topic::Input(0),
            partition,
        }
    }

    fn offsets(records: &Records) -> Vec<i64> {
        records.entries.iter().map(|entry| entry.offset).collect()
    }

    #[test]
    fn a_record_is_given_back_as_it_was_put_in() {
        let parts: [Option<&[u8]>; 3] = [None, Some(b""), Some(b"bytes")];
        let mut records = Vec::new();
        for (number, key) in parts.into_iter().enumerate() {
            for value in parts {
                for origin in parts {
                    records.push(Record {
                        source: source(number as u32),
                        offset: records.len() as i64,
                        timestamp_ms: -1,
                        key,
                        value,
                        origin,
                    });
                }
            }
        }
        let mut batch = Batch::default();
        records.iter().for_each(|record| batch.push(*record));
        assert_eq!(batch.records().collect::<Vec<_>>(), records);
    }

    #[test]
    fn records_of_some_sources_go_to_batches_of_their_own() {
        let mut batch = Batch::default();
        batch.set_apart(
            [1, 3]
                .map(|partition| (source(partition), Records::default()))
                .into_iter(),
        );
        for (offset, partition) in [0, 1, 1, 3, 2, 1, 4].into_iter().enumerate() {
            batch.push(Record {
                source: source(partition),
                offset: offset as i64,
                timestamp_ms: 0,
                key: None,
                value: Some(b"value"),
                origin: None,
            });
        }
        assert_eq!((batch.len(), offsets(&batch.records)), (7, vec![0, 4, 6]));
        let apart: Vec<_> = batch.take_apart().collect();
        let apart: Vec<_> = apart
            .iter()
            .map(|(of, records)| (*of, offsets(records)))
            .collect();
        assert_eq!(apart, [(source(1), vec![1, 2, 5]), (source(3), vec![3])]);
        assert_eq!(batch.len(), 3);
    }
}
