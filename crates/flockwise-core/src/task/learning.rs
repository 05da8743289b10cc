//! Customers who are due are sampled for the trainer.

use flockwise_kmeans::Delta;

use super::{Output, Task, Versions};
use crate::event::mix;
use crate::feature::DAY_MS;
use crate::trainer::{Lesson, MiniBatch, SAMPLE_BOUND};

/// Share of all customers that a day's mini-batches hold.
const SAMPLED_A_DAY: f64 = 0.1;

/// Customers sampled since the last hand-over.
#[derive(Clone, Debug, Default)]
pub(super) struct Collected {
    sample: Sample,
    delta: Option<(u64, Delta)>,
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
    /// The delta, where it is another since.
    delta: Option<Option<(u64, Delta)>>,
}

impl Collected {
    pub(super) fn settle(&mut self) {
        self.undo = Undo {
            sampled: self.sample.len(),
            ..Undo::default()
        };
    }

    pub(super) fn roll_back(&mut self) {
        match self.undo.handed_over.take() {
            Some(sample) => self.sample = sample,
            None => self.sample.truncate(self.undo.sampled),
        }
        if let Some(delta) = self.undo.delta.take() {
            self.delta = delta;
        }
    }

    /// Memory taken, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let handed_over = self.undo.handed_over.as_ref();
        let before = self.undo.delta.iter().flatten();
        let deltas = self.delta.iter().chain(before);
        of_sample(&self.sample)
            + handed_over.map_or(0, of_sample)
            + deltas.map(|(_, delta)| of_delta(delta)).sum::<usize>()
    }

    fn log_delta(&mut self) {
        self.undo.delta.get_or_insert_with(|| self.delta.clone());
    }

    fn take_sample(&mut self) -> Sample {
        let sample = std::mem::take(&mut self.sample);
        let sampled = self.undo.sampled;
        self.undo
            .handed_over
            .get_or_insert_with(|| sample[..sampled].to_vec());
        sample
    }

    fn take_delta(&mut self) -> Option<(u64, Delta)> {
        self.log_delta();
        self.delta.take()
    }
}

fn of_sample(sample: &Sample) -> usize {
    let vectors = sample.len() * sample.first().map_or(0, |(_, vector)| vector.capacity());
    sample.capacity() * size_of::<(u64, Vec<f64>)>() + vectors * size_of::<f64>()
}

fn of_delta(delta: &Delta) -> usize {
    (delta.counts.len() + delta.sums.len() + delta.squares.len()) * size_of::<f64>()
}

impl Task {
    pub(super) fn is_sampled(&self, row: u32, due_ms: i64, has_model: bool) -> bool {
        let learning = &self.settings.learning;
        if !learning.learn {
            return false;
        }
        let share = if has_model {
            SAMPLED_A_DAY * self.settings.period_ms() as f64 / DAY_MS
        } else {
            // Enough of everybody for a warm-up several times over.
            let everybody = self.rows.len() as f64 * f64::from(self.settings.tasks);
            4.0 * learning.warm_up_customers.min(SAMPLE_BOUND) as f64 / everybody
        };
        let draw = mix(self.rows.customer_hash(row) ^ mix(due_ms as u64 ^ learning.seed));
        (draw >> 11) as f64 / ((1_u64 << 53) as f64) < share
    }

    pub(super) fn collect(&mut self, row: u32, versions: Option<&Versions>) {
        let Some(versions) = versions else {
            self.collected
                .sample
                .push((self.rows.customer_hash(row), self.vector.clone()));
            return;
        };
        let model = &versions.current;
        model.scaled(&self.vector, &mut self.scaled);
        let (centroid, _) = model.score(&self.scaled, &mut self.scratch);
        model.tamed(&self.vector, &mut self.scaled);
        let shape = (model.segments().len(), self.vector.len());
        self.collected.log_delta();
        let (_, delta) = match &mut self.collected.delta {
            Some(same) if same.0 == model.version() => same,
            other => other.insert((model.version(), Delta::new(shape.0, shape.1))),
        };
        delta.add(centroid, &self.scaled);
    }

    pub(super) fn hand_over(&mut self, at_ms: i64, output: &mut Output) {
        if !self.collected.sample.is_empty() {
            output.mini_batches.push(MiniBatch {
                at_ms,
                lesson: Lesson::Sample(self.collected.take_sample()),
            });
        }
        if self.collected.delta.is_none() {
            return;
        }
        if let Some((version, delta)) = self.collected.take_delta() {
            output.mini_batches.push(MiniBatch {
                at_ms,
                lesson: Lesson::Delta { version, delta },
            });
        }
    }
}
