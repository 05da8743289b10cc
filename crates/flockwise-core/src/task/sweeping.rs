//! Time passes: customers are scored again as of when they are due, and sampled for the trainer.

use flockwise_kmeans::Delta;

use super::{Occasion, Output, Task, Versions};
use crate::event::mix;
use crate::feature::DAY_MS;
use crate::trainer::{Lesson, MiniBatch, SAMPLE_BOUND};

/// Share of all customers that a day's mini-batches hold.
const SAMPLED_A_DAY: f64 = 0.1;

impl Task {
    /// Lets time pass for the task's customers: those due up to `to_ms` are scored as of when they are
    /// due and sampled for the trainer.
    pub fn advance_time(&mut self, to_ms: i64, versions: Option<&Versions>, output: &mut Output) {
        self.note_version(versions);
        if to_ms <= self.bookmark.stream_ms {
            return;
        }
        self.bookmark.stream_ms = to_ms;
        if self.settings.time.sweep_ms.is_none() && !self.settings.learning.learn {
            return;
        }
        while let Some(slot) = self.calendar.next_slot(to_ms) {
            let due_ms = self.calendar.instant_ms(slot);
            for place in 0..self.calendar.rows(slot).len() {
                let row = self.calendar.rows(slot)[place];
                self.visit(row, due_ms, versions, output);
            }
            if self.calendar.hands_over(slot) {
                self.hand_over(due_ms, output);
            }
        }
    }

    pub(super) fn note_version(&mut self, versions: Option<&Versions>) {
        let version = versions.map_or(0, |versions| versions.current.version());
        if version != self.bookmark.version {
            self.bookmark.version = version;
            self.bookmark.version_since_ms = self.calendar.swept_ms();
        }
    }

    /// Gives customers who have no segment yet the nearest one, as of the stream's time: for when the
    /// first model comes after the customers did. Looks at so many rows from `row` on; returns where to
    /// go on, or `None` at the end. Does nothing where only events score.
    pub fn place_unplaced(
        &mut self,
        row: u32,
        most: u32,
        versions: &Versions,
        output: &mut Output,
    ) -> Option<u32> {
        self.settings.time.sweep_ms?;
        let end = row.saturating_add(most).min(self.rows.len() as u32);
        for row in row..end {
            let state = self.rows.row(row);
            if state.standing.segment.is_none() {
                let at_ms = self.bookmark.stream_ms.max(state.reference_ms);
                let at_ms = at_ms.max(state.standing.as_of_ms);
                output.swept += 1;
                self.score(row, at_ms, Occasion::Sweep, Some(versions), output);
            }
        }
        (end < self.rows.len() as u32).then_some(end)
    }

    pub(super) fn visit(
        &mut self,
        row: u32,
        due_ms: i64,
        versions: Option<&Versions>,
        output: &mut Output,
    ) {
        let state = self.rows.row(row);
        if state.reference_ms > due_ms || state.standing.as_of_ms > due_ms {
            return;
        }
        self.sweep(row, due_ms, versions, output);
        let is_scored = self.settings.time.sweep_ms.is_some() && versions.is_some();
        if self.is_sampled(row, due_ms, versions.is_some()) {
            if !is_scored {
                self.evaluate(row, due_ms);
            }
            self.collect(row, versions);
        }
    }

    pub(super) fn sweep(
        &mut self,
        row: u32,
        due_ms: i64,
        versions: Option<&Versions>,
        output: &mut Output,
    ) {
        if self.settings.time.sweep_ms.is_some() {
            output.swept += u64::from(versions.is_some());
            self.score(row, due_ms, Occasion::Sweep, versions, output);
        }
    }

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
        let (_, delta) = match &mut self.collected.delta {
            Some(same) if same.0 == model.version() => same,
            other => other.insert((model.version(), Delta::new(shape.0, shape.1))),
        };
        delta.add(centroid, &self.scaled);
    }

    pub(super) fn hand_over(&mut self, at_ms: i64, output: &mut Output) {
        let sample = std::mem::take(&mut self.collected.sample);
        if !sample.is_empty() {
            output.mini_batches.push(MiniBatch {
                at_ms,
                lesson: Lesson::Sample(sample),
            });
        }
        if let Some((version, delta)) = self.collected.delta.take() {
            output.mini_batches.push(MiniBatch {
                at_ms,
                lesson: Lesson::Delta { version, delta },
            });
        }
    }
}
