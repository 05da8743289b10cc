//! When everybody is scored again: each customer at a fixed instant of every period, spread evenly.
//!
//! The instants depend on the customer's id alone, so a sweep gives the same whatever the batches and
//! shards, and a slice of it is always small.

use crate::event::mix;

/// Slots that a period is cut into, about.
const SLOTS: i64 = 1000;
/// Slots after which a task's mini-batch goes to the trainer, as a share of a period: 1/16.
const HAND_OVERS: i64 = 16;

/// The rows due in each slot of a period.
#[derive(Clone, Debug)]
pub struct Calendar {
    slot_ms: i64,
    slots: Vec<Vec<u32>>,
    /// The last slot swept, counted from the epoch; `None` before the first event.
    swept: Option<i64>,
}

impl Calendar {
    /// A calendar with a period in milliseconds, at least 1.
    #[must_use]
    pub fn new(period_ms: i64) -> Self {
        let slot_ms = (period_ms / SLOTS).max(1);
        let slots = (period_ms / slot_ms).max(1) as usize;
        Self {
            slot_ms,
            slots: vec![Vec::new(); slots],
            swept: None,
        }
    }

    /// Enters a customer by the hash of the id.
    pub fn enter(&mut self, row: u32, customer_hash: u64) {
        let slot = self.slot_of(customer_hash);
        self.slots[slot].push(row);
    }

    fn slot_of(&self, customer_hash: u64) -> usize {
        (mix(customer_hash) % self.slots.len() as u64) as usize
    }

    /// The instant of the last slot swept, milliseconds since the epoch.
    #[must_use]
    pub fn swept_ms(&self) -> Option<i64> {
        self.swept.map(|slot| self.instant_ms(slot))
    }

    /// Goes on where a former owner stopped, be it with another period.
    pub fn resume(&mut self, swept_ms: Option<i64>) {
        self.swept = swept_ms.map(|swept_ms| swept_ms.div_euclid(self.slot_ms));
    }

    /// Moves on to the next slot whose instant is not after `to_ms` and returns it, or `None` when
    /// there is none. The first call only starts the calendar; a jump of more than a period skips to
    /// the last period, so that one far event costs no more than one round.
    pub fn next_slot(&mut self, to_ms: i64) -> Option<i64> {
        let last = to_ms.div_euclid(self.slot_ms);
        let Some(swept) = self.swept else {
            self.swept = Some(last);
            return None;
        };
        if last <= swept {
            return None;
        }
        let next = (swept + 1).max(last - self.slots.len() as i64 + 1);
        self.swept = Some(next);
        Some(next)
    }

    /// The instant of a slot, milliseconds since the epoch.
    #[must_use]
    pub fn instant_ms(&self, slot: i64) -> i64 {
        slot * self.slot_ms
    }

    /// Rows due in a slot.
    #[must_use]
    pub fn rows(&self, slot: i64) -> &[u32] {
        &self.slots[slot.rem_euclid(self.slots.len() as i64) as usize]
    }

    /// Does a task's mini-batch go to the trainer after this slot?
    #[must_use]
    pub fn hands_over(&self, slot: i64) -> bool {
        slot.rem_euclid((self.slots.len() as i64 / HAND_OVERS).max(1)) == 0
    }

    /// The last instant up to now at which a customer was due.
    #[must_use]
    pub fn last_due_ms(&self, customer_hash: u64) -> Option<i64> {
        let count = self.slots.len() as i64;
        let swept = self.swept?;
        let behind = (swept - self.slot_of(customer_hash) as i64).rem_euclid(count);
        Some(self.instant_ms(swept - behind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::hash;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn everybody_is_due_once_a_period_and_where_it_was_last() {
        let mut calendar = Calendar::new(HOUR_MS);
        let hashes: Vec<u64> = (0..500_u32).map(|row| hash(&row.to_le_bytes())).collect();
        for (row, hash) in hashes.iter().enumerate() {
            calendar.enter(row as u32, *hash);
        }
        assert_eq!(
            calendar.next_slot(HOUR_MS),
            None,
            "the first instant starts the calendar"
        );
        let mut due = vec![0; hashes.len()];
        while let Some(slot) = calendar.next_slot(3 * HOUR_MS) {
            for row in calendar.rows(slot).to_vec() {
                due[row as usize] += 1;
                let last = calendar.last_due_ms(hashes[row as usize]);
                assert_eq!(last, Some(calendar.instant_ms(slot)));
            }
        }
        assert!(
            due.iter().all(|times| *times == 1),
            "a jump of two periods is one round"
        );
    }

    #[test]
    fn steps_of_any_size_visit_the_same_slots() {
        let visit = |steps: &[i64]| {
            let mut calendar = Calendar::new(HOUR_MS);
            calendar.next_slot(0);
            let mut slots = Vec::new();
            for to_ms in steps {
                while let Some(slot) = calendar.next_slot(*to_ms) {
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
}
