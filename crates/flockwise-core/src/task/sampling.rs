//! Samples customers for the trainer on a separate schedule. Neither the sweep's period nor the number of events
//! changes how much is learnt.

use super::{Output, Task};
use crate::event::mix;
use crate::feature::DAY_MS;
use crate::trainer::MiniBatch;

/// Before the first version, this many times the customers that it needs are drawn within the warm-up time, or a
/// day if that is less. Chance leaves some customers out.
const WARM_UP_DRAWS: f64 = 4.0;

/// If there are more customers than this many times those at the beginning of the period, as in the first one,
/// each task uses its own count. Otherwise all of a million new customers would be drawn.
const GROWTH: u64 = 3;

impl Task {
    /// Samples the customers whose turn comes up to `to_ms`, each as of the instant of the turn. The customers
    /// drawn at one instant are one mini-batch. Call it before an event of that time is counted.
    ///
    /// No customer is sampled later than `to_ms`: to learn only up to a time, pass that time.
    pub(super) fn sample_until(&mut self, to_ms: i64, has_model: bool, output: &mut Output) {
        if !self.settings.learning.learn {
            return;
        }
        // No turn in a period is skipped, however far the watermark jumps: all tasks draw the same share.
        let end_ms = self.period.map_or(i64::MIN, |period| period.end_ms);
        while let Some(step_ms) = self
            .sampling
            .next_period_ms()
            .filter(|ms| *ms < end_ms.min(to_ms))
        {
            self.sample_slots(step_ms, has_model, output);
        }
        if end_ms < to_ms && end_ms > i64::MIN {
            self.sample_slots(end_ms, has_model, output);
        }
        self.sample_slots(to_ms, has_model, output);
    }

    fn sample_slots(&mut self, to_ms: i64, has_model: bool, output: &mut Output) {
        self.sampling.note(to_ms);
        while let Some(slot) = self.sampling.next_slot() {
            self.sample_slot(slot, has_model, output);
        }
    }

    fn sample_slot(&mut self, slot: i64, has_model: bool, output: &mut Output) {
        let at_ms = self.sampling.instant_ms(slot);
        let share = self.sampled_share(self.sampling.since_last_turn_ms(slot), has_model);
        let mut sample = Vec::new();
        for place in 0..self.sampling.rows(slot).len() {
            let row = self.sampling.rows(slot)[place];
            // If a later event was counted, the turn came before it.
            if self.rows.reference_ms(row) < at_ms {
                sample.extend(self.drawn(row, at_ms, share));
            }
        }
        if !sample.is_empty() {
            // The order of rows is another one after a restore.
            sample.sort_unstable_by_key(|(customer, _)| *customer);
            output.mini_batches.push(MiniBatch { at_ms, sample });
        }
    }

    /// Samples a customer at the turns before an event that is ahead of the watermark: see [`Task::sample_until`].
    pub(super) fn sample_before(
        &mut self,
        row: u32,
        event_ms: i64,
        has_model: bool,
        output: &mut Output,
    ) {
        if event_ms <= self.watermark_ms || !self.settings.learning.learn {
            return;
        }
        let customer = self.rows.customer_hash(row);
        let from_ms = self.rows.reference_ms(row);
        for slot in self.sampling.turns(customer, event_ms) {
            let at_ms = self.sampling.instant_ms(slot);
            let share = self.sampled_share(self.sampling.since_last_turn_ms(slot), has_model);
            if from_ms < at_ms {
                let sample: Vec<_> = self.drawn(row, at_ms, share).into_iter().collect();
                if !sample.is_empty() {
                    output.mini_batches.push(MiniBatch { at_ms, sample });
                }
            }
        }
    }

    /// The hash of a customer and the feature vector as of an instant; `None` if not drawn then.
    fn drawn(&mut self, row: u32, at_ms: i64, share: f64) -> Option<(u64, Vec<f64>)> {
        let customer = self.rows.customer_hash(row);
        if self.draw(customer, at_ms) >= share || !self.is_there(row, at_ms) {
            return None;
        }
        self.evaluate(row, at_ms);
        Some((customer, self.vector.clone()))
    }

    /// The share of all customers to draw if their previous turn was `elapsed_ms` ago. After many periods without
    /// an event, the task thus makes up for them.
    fn sampled_share(&self, elapsed_ms: i64, has_model: bool) -> f64 {
        let learning = &self.settings.learning;
        let elapsed_ms = elapsed_ms as f64;
        let wanted = if has_model {
            learning.sampled_in(elapsed_ms)
        } else {
            let span_ms = (learning.warm_up_ms as f64).min(DAY_MS);
            let span_ms = span_ms.max(learning.sampling_ms() as f64);
            WARM_UP_DRAWS * learning.warm_up_customers as f64 * elapsed_ms / span_ms
        };
        wanted / self.everybody() as f64
    }

    /// Number of customers of all tasks. It is that at the beginning of the period, so that all tasks draw the
    /// same share, unless there are many more by now.
    fn everybody(&self) -> u64 {
        let own = self.rows.len() as u64 * u64::from(self.settings.tasks);
        let known = self.period.map(|period| period.customers);
        known.filter(|known| own <= GROWTH * known).unwrap_or(own)
    }

    /// A number from 0 to below 1, the same for the same customer, instant and seed.
    fn draw(&self, customer: u64, at_ms: i64) -> f64 {
        let draw = mix(customer ^ mix(at_ms as u64 ^ self.settings.learning.seed));
        (draw >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A customer whom the sweep has removed, or will remove as soon as it gets there, is not sampled.
    fn is_there(&self, row: u32, at_ms: i64) -> bool {
        self.rows.is_live(row) && !self.is_expired(row, at_ms)
    }
}
