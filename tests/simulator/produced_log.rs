//! What was produced, and which of it was read before its topic was recreated or its partition truncated.

use super::committed_log::CommittedLog;
use super::counters::{Counts, add};
use super::truncated_reads::{Position, Reading};
use super::world::World;
use crate::events::InputRecord;

/// A partition of an input: how often the input was recreated, its number, and the partition's.
pub(super) type InputKey = (u32, u16, u32);

/// A record of an input: its partition, its leader epoch and its offset.
pub(super) type Place = (InputKey, i32, i64);

#[derive(Clone, Copy, Debug)]
struct Record {
    epoch: i32,
    offset: i64,
    is_tombstone: bool,
    is_lost: bool,
}

/// The records of a partition, and what should become of them.
#[derive(Debug, Default)]
pub(super) struct Produced {
    /// Leader epoch of the records to come.
    epoch: i32,
    records: Vec<Record>,
}

impl Produced {
    /// A record was produced; returns its leader epoch.
    pub(super) fn note(&mut self, offset: i64, is_tombstone: bool) -> i32 {
        self.records.push(Record {
            epoch: self.epoch,
            offset,
            is_tombstone,
            is_lost: false,
        });
        self.epoch
    }

    fn there(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter().filter(|record| !record.is_lost)
    }

    /// The offset behind the last record.
    pub(super) fn end(&self) -> Option<i64> {
        self.there().next_back().map(|record| record.offset + 1)
    }

    /// Loses its latest records, at most so many, and begins a leader epoch at the offset that is returned; `end` is
    /// where the partition ended.
    pub(super) fn truncate(&mut self, records: usize, end: i64) -> i64 {
        let lost = self.there().rev().take(records);
        let to = lost.last().map_or(end, |record| record.offset);
        for record in self.records.iter_mut().filter(|record| record.offset >= to) {
            record.is_lost = true;
        }
        self.epoch += 1;
        to
    }

    /// Adds what is to be counted of the records that are read at a position and were not before.
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

    /// Is there a record that is to be read and was not?
    fn has_unread(&self, reading: &Reading) -> bool {
        let mut wanted = self
            .there()
            .filter(|record| reading.is_wanted(record.offset));
        wanted.any(|record| !reading.has_read(record.epoch, record.offset))
    }
}

impl CommittedLog {
    /// Was a record read and what came of it committed?
    pub(super) fn has_read(&self, (lane, epoch, offset): Place) -> bool {
        let reading = self.readings.get(&lane);
        reading.is_some_and(|reading| reading.has_read(epoch, offset))
    }
}

impl World {
    /// Events that count and were read, from the n-th produced on.
    pub(super) fn counted(&self, from: usize) -> Vec<InputRecord> {
        let (committed_log, feed) = (self.committed_log(), self.feed());
        let good = feed.good[from..].iter();
        let read = good.filter(|(place, _)| committed_log.has_read(*place));
        read.map(|(_, put)| put.clone()).collect()
    }

    /// Input partitions, as they are now, of which a record is to be read and was not.
    pub(super) fn unread(&self) -> Vec<(u16, u32)> {
        let (committed_log, feed) = (self.committed_log(), self.feed());
        let none = Reading::default();
        let is_unread = |(input, partition): &(u16, u32)| {
            let lane = feed.lane(*input, *partition);
            let reading = committed_log.readings.get(&lane).unwrap_or(&none);
            let produced = feed.produced.get(&lane);
            produced.is_some_and(|produced| produced.has_unread(reading))
        };
        feed.ends.keys().copied().filter(is_unread).collect()
    }
}
