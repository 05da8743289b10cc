//! What was produced, and which of it was read before its topic was recreated.

use super::counters::{Counts, add};
use super::ledger::Ledger;
use super::world::World;
use crate::events::Put;

/// A partition of an input: how often the input was recreated, its number, and the partition's.
pub(super) type Lane = (u32, u16, u32);

/// A record of an input: its partition and its offset.
pub(super) type Place = (Lane, i64);

/// Where the records of a partition are, by what should become of them.
#[derive(Debug, Default)]
pub(super) struct Produced {
    events: Vec<i64>,
    tombstones: Vec<i64>,
}

impl Produced {
    /// A record was produced.
    pub(super) fn note(&mut self, offset: i64, is_tombstone: bool) {
        match is_tombstone {
            true => self.tombstones.push(offset),
            false => self.events.push(offset),
        }
    }

    /// Adds what is to be counted of records between two offsets.
    pub(super) fn count(&self, from: i64, to: i64, counts: &mut Counts) {
        let within = |offsets: &[i64]| {
            let below = |offset| offsets.partition_point(|known| *known < offset);
            (below(to) - below(from)) as u64
        };
        add(counts, "events_total", within(&self.events));
        add(counts, "tombstones_total", within(&self.tombstones));
    }
}

impl Ledger {
    /// Was a record read and what came of it committed?
    pub(super) fn has_read(&self, (lane, offset): Place) -> bool {
        offset < self.reached(lane)
    }
}

impl World {
    /// Events that count and were read, from the n-th produced on.
    pub(super) fn counted(&self, from: usize) -> Vec<Put> {
        let (ledger, feed) = (self.ledger(), self.feed());
        let good = feed.good[from..].iter();
        let read = good.filter(|(place, _)| ledger.has_read(*place));
        read.map(|(_, put)| put.clone()).collect()
    }
}
