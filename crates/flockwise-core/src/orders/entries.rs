//! What is remembered of the orders that one event is about.

use crate::plan::KeptSums;

/// The sums that an event adds to a feature: Σ or numerator, and denominator.
pub(crate) type Sums = (f64, f64);

/// What is remembered of the order that an event is about: copied from the row, changed, and copied back.
#[derive(Clone, Debug, Default)]
pub struct OrderEntries {
    entries: Vec<OrderEntry>,
    /// What each entry added to features and what reversals took back of it, entry after entry.
    sums: Vec<f64>,
}

/// One event about the order.
#[derive(Clone, Debug)]
struct OrderEntry {
    name: u16,
    index: usize,
    time_ms: i64,
    start: usize,
    is_changed: bool,
}

impl OrderEntries {
    /// Removes all entries, before those of the next event.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.sums.clear();
    }

    /// Adds an entry, which is newer than those before: the number of the event's name in the plan, the entry's
    /// index in the dedup memory, its time (milliseconds since the epoch), and its sums.
    pub fn push(&mut self, name: u16, index: usize, time_ms: i64, sums: impl Iterator<Item = f64>) {
        self.entries.push(OrderEntry {
            name,
            index,
            time_ms,
            start: self.sums.len(),
            is_changed: false,
        });
        self.sums.extend(sums);
    }

    /// Whether nothing is remembered that features need.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries that were changed: index, time and sums.
    pub fn changed(&self) -> impl Iterator<Item = (usize, i64, &[f64])> {
        let ends = self.entries.iter().skip(1).map(|entry| entry.start);
        let ends = ends.chain([self.sums.len()]);
        self.entries
            .iter()
            .zip(ends)
            .filter(|(entry, _)| entry.is_changed)
            .map(|(entry, end)| (entry.index, entry.time_ms, &self.sums[entry.start..end]))
    }

    /// The places of the entries with these event names, newest first.
    pub(super) fn named<'a>(&'a self, names: &'a [u16]) -> impl Iterator<Item = usize> + 'a {
        let is_named = |place: &usize| names.contains(&self.entries[*place].name);
        (0..self.entries.len()).rev().filter(is_named)
    }

    pub(super) fn name(&self, place: usize) -> u16 {
        self.entries[place].name
    }

    pub(super) fn time_ms(&self, place: usize) -> i64 {
        self.entries[place].time_ms
    }

    /// Sets the time as of which an entry's sums count.
    pub(crate) fn set_time(&mut self, place: usize, time_ms: i64) {
        let entry = &mut self.entries[place];
        entry.is_changed |= entry.time_ms != time_ms;
        entry.time_ms = time_ms;
    }

    /// The newest entry with this event name.
    pub(crate) fn newest(&self, name: u16) -> Option<usize> {
        self.named(&[name]).next()
    }

    /// What the entry added to a feature. [`f64::NAN`]: this is not known any more.
    pub(super) fn added(&self, place: usize, kept: &KeptSums) -> Sums {
        self.pair(place, kept, 0)
    }

    /// What reversals took back of it.
    pub(super) fn taken(&self, place: usize, kept: &KeptSums) -> Sums {
        match kept.is_reversible {
            true => self.pair(place, kept, kept.sums),
            false => (0.0, 0.0),
        }
    }

    fn pair(&self, place: usize, kept: &KeptSums, from: usize) -> Sums {
        let at = self.entries[place].start + kept.at + from;
        let second = if kept.sums == 2 {
            self.sums[at + 1]
        } else {
            0.0
        };
        (self.sums[at], second)
    }

    pub(super) fn set(&mut self, place: usize, kept: &KeptSums, added: Sums, taken: Sums) {
        let entry = &mut self.entries[place];
        entry.is_changed = true;
        let at = entry.start + kept.at;
        for (from, sums) in [(0, added), (kept.sums, taken)] {
            if from == 0 || kept.is_reversible {
                self.sums[at + from] = sums.0;
                if kept.sums == 2 {
                    self.sums[at + from + 1] = sums.1;
                }
            }
        }
    }
}

/// What is left of what an order added, after what was taken back of it: at least nothing.
pub(crate) fn left_of(added: f64, taken: f64) -> f64 {
    let left = added - taken;
    if left * added > 0.0 { left } else { 0.0 }
}
