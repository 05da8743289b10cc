//! The schedule against a naive version that keeps every slot that was swept.

use proptest::prelude::*;

use super::*;

/// Slots of the period.
const PERIOD: i64 = 7;
const SLOT_MS: i64 = 5;

/// What was swept since the first event.
struct Naive {
    /// The slot of the first event. Slots up to it count as swept.
    start: i64,
    /// The slots swept since.
    swept: Vec<i64>,
    /// The last slot swept or skipped.
    position: i64,
    /// The last slot whose instant has come.
    come: i64,
    /// The slots after the first up to the second were skipped last.
    skipped: Option<(i64, i64)>,
}

fn slot(ms: i64) -> i64 {
    ms.div_euclid(SLOT_MS)
}

/// The slot of a customer in each period.
fn own(hash: u64) -> i64 {
    (mix(hash) % PERIOD as u64) as i64
}

fn is_of(slot: i64, own: i64) -> bool {
    slot.rem_euclid(PERIOD) == own
}

/// A customer's last slot up to this one.
fn last(own: i64, until: i64) -> i64 {
    let period = until - PERIOD + 1..=until;
    let mut slots = period.filter(|slot| is_of(*slot, own));
    slots.next().unwrap()
}

impl Naive {
    fn begin(start: i64) -> Self {
        Self {
            start,
            swept: Vec::new(),
            position: start,
            come: start,
            skipped: None,
        }
    }

    fn note(&mut self, to: i64) {
        self.come = self.come.max(to);
        if self.position < self.come - PERIOD {
            self.skipped = Some((self.position, self.come - PERIOD));
            self.position = self.come - PERIOD;
        }
    }

    fn next_slot(&mut self) -> Option<i64> {
        (self.position < self.come).then(|| {
            self.position += 1;
            self.swept.push(self.position);
            self.position
        })
    }

    /// The last of a customer's slots before this one that was swept.
    fn last_swept(&self, own: i64, before: i64) -> i64 {
        let mut swept = self.swept.iter().rev().copied();
        swept
            .find(|slot| *slot < before && is_of(*slot, own))
            .unwrap_or_else(|| last(own, self.start))
    }

    /// The slots that were skipped, until everybody has had a turn since.
    fn leap(&self) -> Option<(i64, i64)> {
        self.skipped.filter(|(_, to)| self.position < to + PERIOD)
    }
}

fn check(schedule: &SweepSchedule, naive: &Naive, now_ms: i64) -> Result<(), TestCaseError> {
    let ms = |slot: i64| slot * SLOT_MS;
    prop_assert_eq!(schedule.swept_ms(), Some(ms(naive.position)));
    prop_assert_eq!(schedule.next_period_ms(), Some(ms(naive.position + PERIOD)));
    prop_assert_eq!(schedule.is_behind(), naive.position < naive.come);
    let leap = naive.leap().map(|(from, to)| SkippedSpan {
        from_ms: ms(from),
        to_ms: ms(to),
    });
    prop_assert_eq!(schedule.leap(), leap);
    for hash in 0..20 {
        let own = own(hash);
        let unswept = |slot: i64| (slot > naive.position).then(|| ms(slot));
        let (swept, due) = (naive.last_swept(own, i64::MAX), last(own, naive.come));
        prop_assert_eq!(schedule.last_swept_ms(hash), Some(ms(swept)));
        prop_assert_eq!(schedule.last_due_ms(hash), Some(ms(due)));
        prop_assert_eq!(schedule.waiting_ms(hash), unswept(due));
        for to_ms in [now_ms - 20, now_ms, now_ms + 100] {
            let to = slot(to_ms);
            prop_assert_eq!(schedule.due_before_ms(hash, to_ms), unswept(last(own, to)));
            let turns = (naive.position + 1..=to).filter(|slot| is_of(*slot, own));
            let turns: Vec<i64> = turns.collect();
            prop_assert!(schedule.turns(hash, to_ms).eq(turns.iter().copied()));
            // Each turn comes after the one before it, and the first after the last one that was swept.
            let mut before = swept;
            for turn in turns {
                prop_assert_eq!(schedule.since_last_turn_ms(turn), ms(turn - before));
                before = turn;
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_schedule_knows_what_was_swept(
        start_ms in -99..99_i64,
        steps in prop::collection::vec(
            (prop_oneof![9 => 0..30_i64, 1 => 0..200_i64], 0..12_usize, any::<bool>()),
            1..60,
        ),
    ) {
        let mut schedule = SweepSchedule::with_slots(PERIOD * SLOT_MS, PERIOD);
        prop_assert_eq!(schedule.swept_ms(), None);
        schedule.note(start_ms);
        let (mut naive, mut now_ms) = (Naive::begin(slot(start_ms)), start_ms);
        for (ahead_ms, slots, is_resumed) in steps {
            let mut to_ms = now_ms + ahead_ms;
            if naive.leap().is_some() {
                // Only the last span that was skipped is kept.
                to_ms = to_ms.min((naive.position + PERIOD) * SLOT_MS);
            }
            let is_behind = naive.position < naive.come;
            let is_overdue = is_behind && naive.position < slot(to_ms) - PERIOD;
            prop_assert_eq!(schedule.is_overdue(to_ms), is_overdue);
            schedule.note(to_ms);
            naive.note(slot(to_ms));
            now_ms = now_ms.max(to_ms);
            for _ in 0..slots {
                let next = schedule.next_slot();
                prop_assert_eq!(next, naive.next_slot());
                let Some(next) = next else { break };
                // At the last slot of a leap the schedule has forgotten it already, and says one period.
                if naive.skipped.is_none_or(|(_, to)| next != to + PERIOD) {
                    let before = naive.last_swept(next.rem_euclid(PERIOD), next);
                    prop_assert_eq!(schedule.since_last_turn_ms(next), (next - before) * SLOT_MS);
                }
            }
            if is_resumed {
                let mut successor = SweepSchedule::with_slots(PERIOD * SLOT_MS, PERIOD);
                successor.resume(schedule.swept_ms(), schedule.leap(), now_ms);
                prop_assert_eq!(successor.position(), schedule.position());
                schedule = successor;
            }
            check(&schedule, &naive, now_ms)?;
        }
    }
}

#[test]
fn a_slot_has_room_for_an_eighth_more() {
    let mut schedule = SweepSchedule::with_slots(PERIOD * SLOT_MS, PERIOD);
    for row in 0..2000 {
        schedule.enter(row, u64::from(row));
        let slots = &schedule.slots;
        assert!(
            slots
                .iter()
                .all(|rows| rows.capacity() <= rows.len() + rows.len() / 8 + 4)
        );
        let entries: usize = slots.iter().map(Vec::capacity).sum();
        let bytes = entries * size_of::<u32>() + slots.capacity() * size_of::<Vec<u32>>();
        assert_eq!(schedule.bytes(), bytes);
    }
}
