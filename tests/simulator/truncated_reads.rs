//! What was read of an input partition that may lose its latest records, by the positions that were committed.

use std::collections::BTreeMap;

/// How far a partition was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The next offset to read.
    pub(super) next: i64,
    /// Leader epoch of the log that was read.
    pub(super) epoch: i32,
}

/// The leader epochs of one partition, and the positions in it.
///
/// The log of an epoch holds the records of this and of earlier epochs that were not lost by then. A position says
/// that the log of its epoch was read up to there: an offset alone does not, since lost ones are used again.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Where reading begins: no record before it counts.
    start: i64,
    /// Where epochs begin, from epoch 1 on: the earlier records from there on are lost.
    epochs: Vec<i64>,
    /// How far the log of each epoch was read.
    read: BTreeMap<i32, i64>,
    latest: Position,
}

impl Reading {
    /// The partition is to be read from an offset on.
    pub(super) fn begin(&mut self, start: i64) {
        self.start = start;
    }

    /// Is a record at an offset to be read at all?
    pub(super) fn is_wanted(&self, offset: i64) -> bool {
        offset >= self.start
    }

    /// The partition loses its records from an offset on.
    pub(super) fn truncate(&mut self, to: i64) {
        self.epochs.push(to);
    }

    /// A position as it is written down. Without a leader epoch it was never verified: it is one in the log that was
    /// read before.
    pub(super) fn position(&self, next: i64, epoch: Option<i32>) -> Position {
        let epoch = epoch.unwrap_or(self.latest.epoch);
        Position { next, epoch }
    }

    /// A position was committed.
    pub(super) fn reach(&mut self, position: Position) {
        let next = self.read.entry(position.epoch).or_default();
        *next = position.next.max(*next);
        self.latest = position;
    }

    /// The offset up to which what was read is still there.
    pub(super) fn still_there(&self) -> i64 {
        let later = (1..).zip(&self.epochs);
        let later = later.filter(|(epoch, _)| *epoch > self.latest.epoch);
        let starts = later.map(|(_, start)| *start);
        starts.fold(self.latest.next, i64::min)
    }

    /// Was a record of an epoch read?
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

    /// Is a record of an epoch read at this position?
    pub(super) fn includes(&self, position: Position, epoch: i32, offset: i64) -> bool {
        let mut begun = (1..).zip(&self.epochs);
        let is_lost = begun
            .any(|(later, start)| epoch < later && later <= position.epoch && *start <= offset);
        let is_before = epoch <= position.epoch && offset < position.next;
        self.is_wanted(offset) && is_before && !is_lost
    }
}
