//! The last steps of a world, for whoever has to understand what went wrong.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

/// Steps that are kept.
const KEPT: usize = 60;

/// One thing that happened. Plain data: thousands are noted for each that is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct TraceEvent {
    pub(super) at_ms: i64,
    /// How many workers stand still in the middle of a call meanwhile.
    pub(super) depth: usize,
    /// Whom it concerns; `None`: the world.
    pub(super) slot: Option<usize>,
    pub(super) what: &'static str,
    pub(super) numbers: [i64; 2],
}

/// What happened, the latest last.
#[derive(Debug, Default)]
pub(super) struct Trace {
    beats: RefCell<VecDeque<TraceEvent>>,
    /// Over everything that ever happened: two plays of one seed come to the same.
    digest: Cell<u64>,
    count: Cell<u64>,
    /// How often each thing happened.
    counts: RefCell<BTreeMap<&'static str, u64>>,
}

impl Trace {
    pub(super) fn note(&self, record_event: TraceEvent) {
        let mut digest = self.digest.get();
        let letters = record_event.what.bytes().map(u64::from);
        let numbers = record_event.numbers.map(|number| number as u64);
        for number in letters.chain(numbers).chain([record_event.at_ms as u64]) {
            digest = flockwise_core::event::mix(digest ^ number);
        }
        self.digest.set(digest);
        self.count.set(self.count.get() + 1);
        *self
            .counts
            .borrow_mut()
            .entry(record_event.what)
            .or_default() += 1;
        let mut beats = self.beats.borrow_mut();
        if beats.len() == KEPT {
            beats.pop_front();
        }
        beats.push_back(record_event);
    }

    /// How often each thing happened.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.borrow().clone()
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest.get()
    }

    /// A line for each of the last steps.
    pub(super) fn tell(&self, start_ms: i64, name: impl Fn(usize) -> String) -> String {
        let mut lines = String::new();
        let beats = self.beats.borrow();
        let skipped = self.count.get() - beats.len() as u64;
        for (record_event, number) in beats.iter().zip(skipped + 1..) {
            let who = record_event.slot.map_or_else(|| "-".to_owned(), &name);
            let [first, second] = record_event.numbers;
            let _ = writeln!(
                lines,
                "{number:>6} {:>9.3} s {:>width$}{who:<9} {} {first} {second}",
                (record_event.at_ms - start_ms) as f64 / 1e3,
                "",
                record_event.what,
                width = 4 * record_event.depth,
            );
        }
        lines
    }
}
