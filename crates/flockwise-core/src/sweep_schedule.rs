//! When customers are scored without an event: each at a fixed instant of every period, spread evenly.
//!
//! The instants depend only on the customer's id. A sweep therefore has the same result for any batches and
//! workers, and a slice of it is always small.

use crate::event::mix;

/// Approximate number of slots of a sweep's period.
const SLOTS: i64 = 1000;
/// The same for sampling. The customers drawn in a slot are one record, so few slots mean few records.
const SAMPLING_SLOTS: i64 = 64;

/// The rows due in each slot of a period.
#[derive(Clone, Debug)]
pub struct SweepSchedule {
    slot_ms: i64,
    slots: Vec<Vec<u32>>,
    /// Number of entries that the slots have room for.
    room: usize,
    position: Position,
}

/// How far a schedule is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The last slot swept, counted from the epoch; `None` before the first event.
    swept: Option<i64>,
    /// The last slot whose instant has come.
    come: i64,
    /// The slots after the first up to the second were skipped.
    leap: Option<(i64, i64)>,
}

/// A span of time that the sweep skipped, because it was more than one period behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedSpan {
    /// The last instant swept before the span, milliseconds since the epoch.
    pub from_ms: i64,
    /// The last instant skipped, milliseconds since the epoch.
    pub to_ms: i64,
}

impl SweepSchedule {
    /// The schedule of a sweep with a period in milliseconds, at least 1.
    #[must_use]
    pub fn new(period_ms: i64) -> Self {
        Self::with_slots(period_ms, SLOTS)
    }

    /// The schedule of sampling with a period in milliseconds, at least 1.
    #[must_use]
    pub fn for_sampling(period_ms: i64) -> Self {
        Self::with_slots(period_ms, SAMPLING_SLOTS)
    }

    fn with_slots(period_ms: i64, slots: i64) -> Self {
        let slot_ms = (period_ms / slots).max(1);
        let slots = (period_ms / slot_ms).max(1) as usize;
        Self {
            slot_ms,
            slots: vec![Vec::new(); slots],
            room: 0,
            position: Position::default(),
        }
    }

    /// Adds a customer's row, by the hash of the id.
    pub fn enter(&mut self, row: u32, customer_hash: u64) {
        let slot = self.slot_of(customer_hash);
        let rows = &mut self.slots[slot];
        if rows.len() == rows.capacity() {
            // By an eighth only, since there are many slots, each with spare room.
            let before = rows.capacity();
            rows.reserve_exact(before / 8 + 4);
            self.room += rows.capacity() - before;
        }
        rows.push(row);
    }

    /// Removes a customer's row. The others keep their order.
    pub fn leave(&mut self, row: u32, customer_hash: u64) {
        let slot = self.slot_of(customer_hash);
        let rows = &mut self.slots[slot];
        if let Some(place) = rows.iter().rposition(|known| *known == row) {
            rows.remove(place);
        }
    }

    fn slot_of(&self, customer_hash: u64) -> usize {
        (mix(customer_hash) % self.slots.len() as u64) as usize
    }

    fn period(&self) -> i64 {
        self.slots.len() as i64
    }

    /// Memory used, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.room * size_of::<u32>() + self.slots.capacity() * size_of::<Vec<u32>>()
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    pub(crate) fn go_back(&mut self, position: Position) {
        self.position = position;
    }

    /// The instant of the last slot swept, milliseconds since the epoch; `None` before the first event.
    #[must_use]
    pub fn swept_ms(&self) -> Option<i64> {
        self.position.swept.map(|slot| self.instant_ms(slot))
    }

    /// The span that was skipped less than a period ago, if there is one.
    #[must_use]
    pub fn leap(&self) -> Option<SkippedSpan> {
        self.position.leap.map(|(from, to)| SkippedSpan {
            from_ms: self.instant_ms(from),
            to_ms: self.instant_ms(to),
        })
    }

    /// Continues where a former owner stopped, possibly with another period. The owner had swept up to `swept_ms`
    /// when time had reached `now_ms`.
    pub fn resume(&mut self, swept_ms: Option<i64>, leap: Option<SkippedSpan>, now_ms: i64) {
        let slot = |ms: i64| ms.div_euclid(self.slot_ms);
        let Some(swept) = swept_ms.map(slot) else {
            self.position = Position::default();
            return;
        };
        self.position = Position {
            swept: Some(swept),
            come: swept,
            leap: leap.map(|leap| (slot(leap.from_ms), slot(leap.to_ms))),
        };
        self.note(now_ms);
    }

    /// Whether a slot must be swept before time may advance to `to_ms`: no customer may fall behind by more than a
    /// period.
    pub(crate) fn is_overdue(&self, to_ms: i64) -> bool {
        let last = to_ms.div_euclid(self.slot_ms);
        let is_behind = |swept: i64| swept < self.position.come && swept < last - self.period();
        self.position.swept.is_some_and(is_behind)
    }

    /// Advances time to `to_ms`. The first call only starts the schedule. A jump of more than a period skips to
    /// the last period, so that one event far ahead costs no more than one round.
    pub fn note(&mut self, to_ms: i64) {
        let last = to_ms.div_euclid(self.slot_ms);
        let position = &mut self.position;
        let Some(swept) = position.swept else {
            (position.swept, position.come) = (Some(last), last);
            return;
        };
        if last <= position.come {
            return;
        }
        position.come = last;
        let first = last - self.slots.len() as i64;
        if swept < first {
            position.leap = Some((swept, first));
            position.swept = Some(first);
        }
    }

    /// Advances to the next slot whose instant has come, and returns it; `None` if there is none.
    pub fn next_slot(&mut self) -> Option<i64> {
        let next = self
            .position
            .swept
            .filter(|swept| *swept < self.position.come)?
            + 1;
        self.position.swept = Some(next);
        // By then every customer has had a turn since the skipped span.
        let period = self.period();
        self.position.leap = self.position.leap.filter(|(_, to)| next < to + period);
        Some(next)
    }

    /// The instant one period after the last slot swept, milliseconds since the epoch; `None` before the first.
    pub(crate) fn next_period_ms(&self) -> Option<i64> {
        let swept = self.position.swept?;
        Some(self.instant_ms(swept + self.period()))
    }

    /// A customer's slots up to a time that were not swept, whether their instants have come or not.
    pub(crate) fn turns(
        &self,
        customer_hash: u64,
        to_ms: i64,
    ) -> impl Iterator<Item = i64> + use<> {
        let last = to_ms.div_euclid(self.slot_ms);
        let swept = self.position.swept.unwrap_or(last);
        let first = self.last_slot(swept, customer_hash) + self.period();
        (first..=last).step_by(self.period() as usize)
    }

    /// Whether slots are due that were not swept.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.position
            .swept
            .is_some_and(|swept| swept < self.position.come)
    }

    /// The instant of a slot, milliseconds since the epoch.
    #[must_use]
    pub fn instant_ms(&self, slot: i64) -> i64 {
        slot * self.slot_ms
    }

    /// Rows due in a slot.
    #[must_use]
    pub fn rows(&self, slot: i64) -> &[u32] {
        &self.slots[slot.rem_euclid(self.period()) as usize]
    }

    /// Milliseconds since the previous turn of the rows in this slot: a period, or more if turns were skipped. The
    /// slot must be the one that [`SweepSchedule::next_slot`] returned last.
    #[must_use]
    pub fn since_last_turn_ms(&self, slot: i64) -> i64 {
        let before = slot - self.period();
        let last = match self.position.leap {
            Some((from, to)) if from < before && before <= to => {
                from - (from - before).rem_euclid(self.period())
            }
            _ => before,
        };
        (slot - last) * self.slot_ms
    }

    /// The last instant at which a customer was due and swept; `None` before the first event.
    #[must_use]
    pub fn last_swept_ms(&self, customer_hash: u64) -> Option<i64> {
        let slot = self.last_slot(self.position.swept?, customer_hash);
        let slot = match self.position.leap {
            Some((from, to)) if from < slot && slot <= to => self.last_slot(from, customer_hash),
            _ => slot,
        };
        Some(self.instant_ms(slot))
    }

    /// The last instant up to now at which a customer was due, swept or not; `None` before the first event.
    #[must_use]
    pub fn last_due_ms(&self, customer_hash: u64) -> Option<i64> {
        self.position.swept?;
        Some(self.instant_ms(self.last_slot(self.position.come, customer_hash)))
    }

    /// The instant at which a customer is due, if it has come but was not swept yet.
    #[must_use]
    pub fn waiting_ms(&self, customer_hash: u64) -> Option<i64> {
        let slot = self.last_slot(self.position.come, customer_hash);
        (slot > self.position.swept?).then(|| self.instant_ms(slot))
    }

    /// The last instant up to this time at which a customer is due, even if it has not come; `None` if it was
    /// swept.
    #[must_use]
    pub fn due_before_ms(&self, customer_hash: u64, time_ms: i64) -> Option<i64> {
        let slot = self.last_slot(time_ms.div_euclid(self.slot_ms), customer_hash);
        (slot > self.position.swept?).then(|| self.instant_ms(slot))
    }

    fn last_slot(&self, until: i64, customer_hash: u64) -> i64 {
        until - (until - self.slot_of(customer_hash) as i64).rem_euclid(self.period())
    }
}

#[cfg(test)]
mod naive;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::hash;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn everybody_is_due_once_a_period_and_where_it_was_last() {
        let mut calendar = SweepSchedule::new(HOUR_MS);
        let hashes: Vec<u64> = (0..500_u32).map(|row| hash(&row.to_le_bytes())).collect();
        for (row, hash) in hashes.iter().enumerate() {
            calendar.enter(row as u32, *hash);
        }
        calendar.note(HOUR_MS);
        assert_eq!(
            calendar.next_slot(),
            None,
            "the first instant starts the schedule"
        );
        let mut due = vec![0; hashes.len()];
        calendar.note(3 * HOUR_MS);
        while let Some(slot) = calendar.next_slot() {
            for row in calendar.rows(slot).to_vec() {
                due[row as usize] += 1;
                let last = calendar.last_swept_ms(hashes[row as usize]);
                assert_eq!(last, Some(calendar.instant_ms(slot)));
            }
        }
        for hash in &hashes {
            assert_eq!(calendar.last_swept_ms(*hash), calendar.last_due_ms(*hash));
            assert_eq!(calendar.waiting_ms(*hash), None);
        }
        assert!(
            due.iter().all(|times| *times == 1),
            "a jump of two periods is one round"
        );
    }

    #[test]
    fn steps_of_any_size_visit_the_same_slots() {
        let visit = |steps: &[i64]| {
            let mut calendar = SweepSchedule::new(HOUR_MS);
            calendar.note(0);
            let mut slots = Vec::new();
            for to_ms in steps {
                calendar.note(*to_ms);
                while let Some(slot) = calendar.next_slot() {
                    slots.push(slot);
                }
            }
            slots
        };
        assert_eq!(
            visit(&[HOUR_MS / 2]),
            visit(&[10, 4000, 4000, 4001, HOUR_MS / 2])
        );
    }

    #[test]
    fn who_was_left_out_by_a_jump_was_swept_before_it() {
        let mut calendar = SweepSchedule::new(HOUR_MS);
        calendar.note(0);
        calendar.note(10 * HOUR_MS);
        let leap = SkippedSpan {
            from_ms: 0,
            to_ms: 9 * HOUR_MS,
        };
        assert_eq!(calendar.leap(), Some(leap));
        let hashes: Vec<u64> = (0..500_u32).map(|row| hash(&row.to_le_bytes())).collect();
        for _ in 0..SLOTS / 2 {
            calendar.next_slot();
        }
        let swept_ms = calendar.swept_ms().unwrap();
        let mut resumed = SweepSchedule::new(HOUR_MS);
        resumed.resume(Some(swept_ms), calendar.leap(), 10 * HOUR_MS);
        for hash in hashes {
            let last_ms = calendar.last_swept_ms(hash).unwrap();
            match calendar.waiting_ms(hash) {
                Some(due_ms) => assert!(last_ms <= 0 && due_ms > swept_ms),
                None => assert!(9 * HOUR_MS < last_ms && last_ms <= swept_ms),
            }
            assert_eq!(resumed.last_swept_ms(hash), Some(last_ms));
            assert_eq!(resumed.waiting_ms(hash), calendar.waiting_ms(hash));
        }
        while calendar.next_slot().is_some() {}
        assert_eq!((calendar.leap(), calendar.is_behind()), (None, false));
    }
}
