//! The last events of a simulation, for debugging.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

/// Number of events kept.
const MAX_EVENTS: usize = 60;

/// One event. Plain data, since most events are never printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct TraceEvent {
    pub(super) at_ms: i64,
    /// Number of workers that are paused in the middle of a call.
    pub(super) depth: usize,
    /// The slot of the worker; `None` if the event concerns no worker.
    pub(super) slot: Option<usize>,
    pub(super) what: &'static str,
    pub(super) numbers: [i64; 2],
}

/// The events of a simulation, the latest last.
#[derive(Debug, Default)]
pub(super) struct Trace {
    events: RefCell<VecDeque<TraceEvent>>,
    /// Digest over all events. Two runs of a seed have the same.
    digest: Cell<u64>,
    count: Cell<u64>,
    /// Number of events of each kind.
    counts: RefCell<BTreeMap<&'static str, u64>>,
}

impl Trace {
    pub(super) fn note(&self, event: TraceEvent) {
        let mut digest = self.digest.get();
        let letters = event.what.bytes().map(u64::from);
        let numbers = event.numbers.map(|number| number as u64);
        for number in letters.chain(numbers).chain([event.at_ms as u64]) {
            digest = flockwise_core::event::mix(digest ^ number);
        }
        self.digest.set(digest);
        self.count.set(self.count.get() + 1);
        *self.counts.borrow_mut().entry(event.what).or_default() += 1;
        let mut events = self.events.borrow_mut();
        if events.len() == MAX_EVENTS {
            events.pop_front();
        }
        events.push_back(event);
    }

    /// Number of events of each kind.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.borrow().clone()
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest.get()
    }

    /// Formats the kept events, one per line.
    pub(super) fn format(&self, start_ms: i64, name: impl Fn(usize) -> String) -> String {
        let mut lines = String::new();
        let events = self.events.borrow();
        let skipped = self.count.get() - events.len() as u64;
        for (event, number) in events.iter().zip(skipped + 1..) {
            let who = event.slot.map_or_else(|| "-".to_owned(), &name);
            let [first, second] = event.numbers;
            let _ = writeln!(
                lines,
                "{number:>6} {:>9.3} s {:>width$}{who:<9} {} {first} {second}",
                (event.at_ms - start_ms) as f64 / 1e3,
                "",
                event.what,
                width = 4 * event.depth,
            );
        }
        lines
    }
}
