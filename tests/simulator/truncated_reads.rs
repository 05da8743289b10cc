//! Which records of an input partition were read, according to the committed positions. The partition may lose its
//! latest records.

use std::collections::BTreeMap;

/// A position up to which a partition was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The next offset to read.
    pub(super) next: i64,
    /// Leader epoch of the log that was read.
    pub(super) epoch: i32,
}

/// The leader epochs of a partition, and the positions that were committed for it.
///
/// The log of an epoch holds the records of this and earlier epochs that were not lost by then. A position says that
/// the log of its epoch was read up to its offset. An offset alone is not enough, since lost offsets are used again.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The start offset. No record before it counts.
    start: i64,
    /// The offset at which each epoch begins, from epoch 1 on. Records of earlier epochs from that offset on are
    /// lost.
    epochs: Vec<i64>,
    /// The next offset to read in the log of each epoch.
    read: BTreeMap<i32, i64>,
    latest: Position,
}

impl Reading {
    /// Sets the start offset.
    pub(super) fn begin(&mut self, start: i64) {
        self.start = start;
    }

    /// True if the record at an offset is to be read.
    pub(super) fn is_wanted(&self, offset: i64) -> bool {
        offset >= self.start
    }

    /// The partition loses its records from an offset on.
    pub(super) fn truncate(&mut self, to: i64) {
        self.epochs.push(to);
    }

    /// A position with its epoch. A position without a leader epoch is in the log of the last committed one.
    pub(super) fn position(&self, next: i64, epoch: Option<i32>) -> Position {
        let epoch = epoch.unwrap_or(self.latest.epoch);
        Position { next, epoch }
    }

    /// Records a committed position.
    pub(super) fn reach(&mut self, position: Position) {
        let next = self.read.entry(position.epoch).or_default();
        *next = position.next.max(*next);
        self.latest = position;
    }

    /// The offset up to which the records that were read still exist.
    pub(super) fn surviving_offset(&self) -> i64 {
        let later = (1..).zip(&self.epochs);
        let later = later.filter(|(epoch, _)| *epoch > self.latest.epoch);
        let starts = later.map(|(_, start)| *start);
        starts.fold(self.latest.next, i64::min)
    }

    /// True if a record of an epoch was read.
    pub(super) fn has_read(&self, epoch: i32, offset: i64) -> bool {
        let mut read = self.read.iter();
        read.any(|(in_epoch, next)| {
            let position = Position {
                next: *next,
                epoch: *in_epoch,
            };
            self.includes(position, epoch, offset)
        })
    }

    /// True if a record of an epoch was read when a reader is at this position.
    pub(super) fn includes(&self, position: Position, epoch: i32, offset: i64) -> bool {
        let mut begun = (1..).zip(&self.epochs);
        let is_lost = begun
            .any(|(later, start)| epoch < later && later <= position.epoch && *start <= offset);
        let is_before = epoch <= position.epoch && offset < position.next;
        self.is_wanted(offset) && is_before && !is_lost
    }
}
