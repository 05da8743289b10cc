//! The records of a poll, in one arena that is reused from poll to poll.

use crate::topics::TopicPartition;

/// The records of one poll, in the order of processing.
#[derive(Debug, Default)]
pub struct Batch {
    records: Records,
    /// Diverted partitions and their records; sorted by partition.
    diverted: Vec<(TopicPartition, Records)>,
    /// Index of the diverted partition that got the last record: usually it gets the next one, too.
    latest: usize,
}

/// Copies of records, in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    entries: Vec<RecordEntry>,
}

#[derive(Debug)]
struct RecordEntry {
    topic_partition: TopicPartition,
    offset: i64,
    timestamp_ms: i64,
    /// Where its bytes start: key, value and origin follow each other.
    start: usize,
    /// Length in bytes; `None`: absent.
    key: Option<u32>,
    value: Option<u32>,
    origin: Option<u32>,
}

/// One record, borrowed from the buffer that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The partition that it was read from.
    pub topic_partition: TopicPartition,
    /// Its offset in the partition.
    pub offset: i64,
    /// Set by the producer or, with `LogAppendTime`, by the broker; milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// `None` if it has no key.
    pub key: Option<&'a [u8]>,
    /// `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// The value of its header [`crate::broker::ORIGIN_HEADER`]; `None` if it has none.
    pub origin: Option<&'a [u8]>,
}

impl Batch {
    /// Removes all records, and keeps the memory for the next poll.
    pub fn clear(&mut self) {
        self.records.clear();
        let diverted = self.diverted.iter_mut();
        diverted.for_each(|(_, records)| records.clear());
    }

    /// Appends a copy of a record.
    pub fn push(&mut self, record: Record<'_>) {
        let is_latest = |(topic_partition, _): &(TopicPartition, Records)| {
            *topic_partition == record.topic_partition
        };
        if !self.diverted.get(self.latest).is_some_and(is_latest) {
            let found = self
                .diverted
                .binary_search_by_key(&record.topic_partition, |(topic_partition, _)| {
                    *topic_partition
                });
            let Ok(found) = found else {
                return self.records.push(record);
            };
            self.latest = found;
        }
        self.diverted[self.latest].1.push(record);
    }

    /// Diverts the records of these partitions, which must be sorted, into these buffers until they are taken.
    pub(crate) fn divert(
        &mut self,
        topic_partitions: impl Iterator<Item = (TopicPartition, Records)>,
    ) {
        self.diverted.clear();
        self.diverted.extend(topic_partitions);
    }

    /// Takes the diverted partitions and their records.
    pub(crate) fn take_diverted(&mut self) -> impl Iterator<Item = (TopicPartition, Records)> {
        self.diverted.drain(..)
    }

    /// Number of records, including diverted ones.
    #[must_use]
    pub fn len(&self) -> usize {
        let diverted = self.diverted.iter().map(|(_, records)| records.len());
        self.records.len() + diverted.sum::<usize>()
    }

    /// Is there no record, not even a diverted one?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The partition of each record that is not diverted, in order.
    pub(crate) fn topic_partitions(&self) -> impl Iterator<Item = TopicPartition> {
        self.records
            .entries
            .iter()
            .map(|entry| entry.topic_partition)
    }

    /// The records that are not diverted, in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.records.len()).map(|index| self.record(index))
    }

    /// The record at this index of [`Batch::records`].
    ///
    /// # Panics
    /// If there are not that many.
    #[must_use]
    pub fn record(&self, index: usize) -> Record<'_> {
        self.records.get(index)
    }
}

impl Records {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    pub(crate) fn push(&mut self, record: Record<'_>) {
        let start = self.bytes.len();
        let mut append = |part: Option<&[u8]>| {
            let part = part?;
            self.bytes.extend_from_slice(part);
            Some(u32::try_from(part.len()).expect("Kafka records are smaller than 2 GiB"))
        };
        let [key, value, origin] = [record.key, record.value, record.origin].map(&mut append);
        self.entries.push(RecordEntry {
            topic_partition: record.topic_partition,
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

    /// The record at this index, which must be below [`Records::len`].
    pub(crate) fn get(&self, index: usize) -> Record<'_> {
        let entry = &self.entries[index];
        let mut remaining = &self.bytes[entry.start..];
        let mut part = |length: Option<u32>| {
            let (part, after) = remaining.split_at(length? as usize);
            remaining = after;
            Some(part)
        };
        Record {
            topic_partition: entry.topic_partition,
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

    fn topic_partition(partition: u32) -> TopicPartition {
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
                        topic_partition: topic_partition(number as u32),
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
        batch.divert(
            [1, 3]
                .map(|partition| (topic_partition(partition), Records::default()))
                .into_iter(),
        );
        for (offset, partition) in [0, 1, 1, 3, 2, 1, 4].into_iter().enumerate() {
            batch.push(Record {
                topic_partition: topic_partition(partition),
                offset: offset as i64,
                timestamp_ms: 0,
                key: None,
                value: Some(b"value"),
                origin: None,
            });
        }
        assert_eq!((batch.len(), offsets(&batch.records)), (7, vec![0, 4, 6]));
        let diverted: Vec<_> = batch.take_diverted().collect();
        let diverted: Vec<_> = diverted
            .iter()
            .map(|(partition, records)| (*partition, offsets(records)))
            .collect();
        assert_eq!(
            diverted,
            [
                (topic_partition(1), vec![1, 2, 5]),
                (topic_partition(3), vec![3])
            ]
        );
        assert_eq!(batch.len(), 3);
    }
}
