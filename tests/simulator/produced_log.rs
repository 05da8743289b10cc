//! The produced records, and which of them were read before their topic was recreated or their partition truncated.

use super::check_metrics::{Counts, add};
use super::committed_log::CommittedLog;
use super::simulation::Simulation;
use super::truncated_reads::{Position, Reading};
use crate::events::InputRecord;

/// A partition of an input: the input's generation, its number, and the partition's number.
pub(super) type InputKey = (u32, u16, u32);

/// A record of an input: its partition, leader epoch and offset.
pub(super) type RecordId = (InputKey, i32, i64);

#[derive(Clone, Copy, Debug)]
struct Record {
    epoch: i32,
    offset: i64,
    is_tombstone: bool,
    is_lost: bool,
}

/// The records of a partition.
#[derive(Debug, Default)]
pub(super) struct Produced {
    /// Leader epoch of the next record.
    epoch: i32,
    records: Vec<Record>,
}

impl Produced {
    /// Adds a record. Returns its leader epoch.
    pub(super) fn note(&mut self, offset: i64, is_tombstone: bool) -> i32 {
        self.records.push(Record {
            epoch: self.epoch,
            offset,
            is_tombstone,
            is_lost: false,
        });
        self.epoch
    }

    fn surviving(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter().filter(|record| !record.is_lost)
    }

    /// The offset after the last record; `None` if there is none.
    pub(super) fn end(&self) -> Option<i64> {
        self.surviving().next_back().map(|record| record.offset + 1)
    }

    /// Marks up to `records` of the latest records as lost and begins a leader epoch. Returns the offset at which it
    /// begins. `end` is the partition's end offset before.
    pub(super) fn truncate(&mut self, records: usize, end: i64) -> i64 {
        let lost = self.surviving().rev().take(records);
        let to = lost.last().map_or(end, |record| record.offset);
        for record in self.records.iter_mut().filter(|record| record.offset >= to) {
            record.is_lost = true;
        }
        self.epoch += 1;
        to
    }

    /// Adds the counts of the records that are read at a position and were not read before.
    pub(super) fn count(&self, reading: &Reading, position: Position, counts: &mut Counts) {
        let is_new = |record: &&Record| {
            let Record { epoch, offset, .. } = **record;
            reading.includes(position, epoch, offset) && !reading.has_read(epoch, offset)
        };
        for record in self.records.iter().filter(is_new) {
            let name = match record.is_tombstone {
                true => "tombstones_total",
                false => "events_total",
            };
            add(counts, name, 1);
        }
    }

    /// True if a record that is to be read was not read.
    fn has_unread(&self, reading: &Reading) -> bool {
        let mut wanted = self
            .surviving()
            .filter(|record| reading.is_wanted(record.offset));
        wanted.any(|record| !reading.has_read(record.epoch, record.offset))
    }
}

impl CommittedLog {
    /// True if a record was read and its result committed.
    pub(super) fn has_read(&self, (input_key, epoch, offset): RecordId) -> bool {
        let reading = self.readings.get(&input_key);
        reading.is_some_and(|reading| reading.has_read(epoch, offset))
    }
}

impl Simulation {
    /// Valid events that were read, from index `from` on, without those of a customer who was erased afterwards.
    pub(super) fn counted(&self, from: usize) -> Vec<InputRecord> {
        let erasures = self.erasures();
        self.read_events(|index, record| index >= from && !erasures.has_erased(&record.key, index))
    }

    /// Valid events that were read.
    pub(super) fn all_read(&self) -> Vec<InputRecord> {
        self.read_events(|_, _| true)
    }

    fn read_events(&self, selects: impl Fn(usize, &InputRecord) -> bool) -> Vec<InputRecord> {
        let (committed_log, producers) = (self.committed_log(), self.producers());
        let good = producers.good.iter().enumerate();
        let selected = good.filter(|(index, (_, record))| selects(*index, record));
        let read = selected.filter(|(_, (id, _))| committed_log.has_read(*id));
        read.map(|(_, (_, record))| record.clone()).collect()
    }

    /// Current input partitions with a record that is to be read and was not.
    pub(super) fn unread(&self) -> Vec<(u16, u32)> {
        let (committed_log, producers) = (self.committed_log(), self.producers());
        let none = Reading::default();
        let is_unread = |(input, partition): &(u16, u32)| {
            let input_key = producers.input_key(*input, *partition);
            let reading = committed_log.readings.get(&input_key).unwrap_or(&none);
            let produced = producers.produced.get(&input_key);
            produced.is_some_and(|produced| produced.has_unread(reading))
        };
        producers.ends.keys().copied().filter(is_unread).collect()
    }
}
