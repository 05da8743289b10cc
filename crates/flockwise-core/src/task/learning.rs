//! Customers who are due are sampled for the trainer.

use super::{Output, Task};
use crate::event::mix;
use crate::feature::DAY_MS;
use crate::trainer::MiniBatch;

/// Customers sampled since the last hand-over.
#[derive(Clone, Debug, Default)]
pub(super) struct Collected {
    sample: Sample,
    undo: Undo,
}

/// Vectors of customers by the hash of their ids.
type Sample = Vec<(u64, Vec<f64>)>;

/// What it takes to go back to where the task was last settled.
#[derive(Clone, Debug, Default)]
struct Undo {
    /// So many of the sample were there.
    sampled: usize,
    /// Those, where they were handed over since.
    handed_over: Option<Sample>,
}

impl Collected {
    pub(super) fn settle(&mut self) {
        self.undo = Undo {
            sampled: self.sample.len(),
            handed_over: None,
        };
    }

    pub(super) fn roll_back(&mut self) {
        match self.undo.handed_over.take() {
            Some(sample) => self.sample = sample,
            None => self.sample.truncate(self.undo.sampled),
        }
    }

    /// Memory taken, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let handed_over = self.undo.handed_over.as_ref();
        of_sample(&self.sample) + handed_over.map_or(0, of_sample)
    }

    fn take(&mut self) -> Sample {
        let sample = std::mem::take(&mut self.sample);
        let sampled = self.undo.sampled;
        self.undo
            .handed_over
            .get_or_insert_with(|| sample[..sampled].to_vec());
        sample
    }
}

fn of_sample(sample: &Sample) -> usize {
    let vectors = sample.len() * sample.first().map_or(0, |(_, vector)| vector.capacity());
    sample.capacity() * size_of::<(u64, Vec<f64>)>() + vectors * size_of::<f64>()
}

impl Task {
    pub(super) fn is_sampled(&self, row: u32, due_ms: i64, has_model: bool) -> bool {
        let learning = &self.settings.learning;
        if !learning.learn {
            return false;
        }
        let period_ms = self.settings.period_ms() as f64;
        let wanted = if has_model {
            learning.sampled_in(period_ms)
        } else {
            // Enough of everybody for a warm-up several times over, each day.
            let warm_up_ms = (learning.warm_up_ms as f64).min(DAY_MS);
            4.0 * learning.warm_up_customers as f64 * (period_ms / warm_up_ms.max(period_ms))
        };
        let everybody = self.rows.len() as f64 * f64::from(self.settings.tasks);
        let draw = mix(self.rows.customer_hash(row) ^ mix(due_ms as u64 ^ learning.seed));
        (draw >> 11) as f64 / ((1_u64 << 53) as f64) < wanted / everybody
    }

    pub(super) fn collect(&mut self, row: u32) {
        let customer = self.rows.customer_hash(row);
        self.collected.sample.push((customer, self.vector.clone()));
    }

    pub(super) fn hand_over(&mut self, at_ms: i64, output: &mut Output) {
        if !self.collected.sample.is_empty() {
            output.mini_batches.push(MiniBatch {
                at_ms,
                sample: self.collected.take(),
            });
        }
    }
}
