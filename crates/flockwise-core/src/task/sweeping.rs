//! The sweep: as time passes, customers are scored as of the instants at which they are due.

use super::{Occasion, Output, Sweeping, Task, Versions};
use crate::aggregate::NEVER_MS;
use crate::decide::Cause;

impl Task {
    /// Advances the task's time to `to_ms`. Customers whose turn it is are sampled for the trainer. Due customers
    /// are scored as of the instant at which they are due, at once or later.
    pub fn advance_time(&mut self, to_ms: i64, versions: Option<&Versions>, output: &mut Output) {
        self.note_version(versions);
        self.position.stream_ms = self.position.stream_ms.max(to_ms);
        let is_first = self.position.passed_ms == NEVER_MS;
        let passes_to_ms = match is_first {
            // The first time starts the schedules; no customer is due yet.
            true => self.position.stream_ms,
            false => self.position.stream_ms.min(self.watermark_ms),
        };
        let samples_to_ms = match self.watermark_ms {
            i64::MAX => self.position.stream_ms,
            _ if self.position.sampled_ms == NEVER_MS => {
                self.position.stream_ms.min(self.watermark_ms)
            }
            watermark_ms => watermark_ms,
        };
        if samples_to_ms > self.position.sampled_ms && self.position.stream_ms > NEVER_MS {
            self.position.sampled_ms = samples_to_ms;
            self.sample_until(samples_to_ms, versions.is_some(), output);
        }
        if passes_to_ms > self.position.passed_ms {
            self.position.passed_ms = passes_to_ms;
            self.note_due(passes_to_ms, versions, output);
        }
        if self.sweeping == Sweeping::AtOnce {
            while self.has_due() && self.sweep_slot(versions, output).is_some() {}
        }
    }

    /// Records which customers become due up to `to_ms`.
    fn note_due(&mut self, to_ms: i64, versions: Option<&Versions>, output: &mut Output) {
        if self.settings.time.sweep_ms.is_none() {
            return;
        }
        while self.calendar.is_overdue(to_ms) {
            self.sweep_slot(versions, output);
        }
        self.calendar.note(to_ms);
    }

    /// Sweeps due slots of the schedule until `rows` rows were visited. Returns `true` if more are due.
    ///
    /// A slot, a thousandth of all customers, is never split, so that one instant says how far the sweep is.
    pub fn sweep_some(
        &mut self,
        rows: usize,
        versions: Option<&Versions>,
        output: &mut Output,
    ) -> bool {
        if !self.has_due() {
            return false;
        }
        self.note_version(versions);
        let mut seen = 0;
        while seen < rows {
            let Some(visited) = self.sweep_slot(versions, output) else {
                return false;
            };
            // An empty slot costs time, too.
            seen += visited.max(1);
        }
        self.has_due()
    }

    /// Whether customers are due that the sweep has not reached.
    #[must_use]
    pub fn has_due(&self) -> bool {
        self.settings.time.sweep_ms.is_some() && self.calendar.is_behind()
    }

    /// Sweeps the next due slot and returns its number of rows; `None` if no slot is due.
    fn sweep_slot(&mut self, versions: Option<&Versions>, output: &mut Output) -> Option<usize> {
        let slot = self.calendar.next_slot()?;
        let due_ms = self.calendar.instant_ms(slot);
        let count = self.calendar.rows(slot).len();
        for place in 0..count {
            let row = self.calendar.rows(slot)[place];
            self.visit(row, due_ms, versions, output);
        }
        Some(count)
    }

    pub(super) fn note_version(&mut self, versions: Option<&Versions>) {
        let version = versions.map_or(0, |versions| versions.current.version());
        if version != self.position.version {
            self.position.version = version;
            self.position.version_since_ms = self.calendar.swept_ms();
        }
    }

    /// Gives customers without a segment the nearest one, as of stream time: for a first model that comes later
    /// than the customers. Visits `most` rows from `row` on. Returns the row to continue with, or `None` at the
    /// end. Does nothing if only events cause scorings.
    pub fn assign_unassigned(
        &mut self,
        row: u32,
        most: u32,
        versions: &Versions,
        output: &mut Output,
    ) -> Option<u32> {
        self.settings.time.sweep_ms?;
        let end = row.saturating_add(most).min(self.rows.end());
        for row in row..end {
            self.place(row, versions, output);
        }
        (end < self.rows.end()).then_some(end)
    }

    fn place(&mut self, row: u32, versions: &Versions, output: &mut Output) {
        if self.is_unassigned(row) {
            // A customer whom the sweep is about to remove must not get a segment before.
            self.visit_before(row, self.position.stream_ms, Some(versions), output);
        }
        if self.is_unassigned(row) {
            let at_ms = self.position.stream_ms.max(self.rows.reference_ms(row));
            let at_ms = at_ms.max(self.rows.standing(row).as_of_ms);
            output.swept += 1;
            self.score(row, at_ms, Occasion::Sweep, Some(versions), output);
        }
    }

    fn is_unassigned(&self, row: u32) -> bool {
        self.rows.is_live(row) && self.rows.standing(row).segment.is_none()
    }

    /// Visits a customer before the sweep does, if the sweep is about to. The row is then written, because it is
    /// ahead of the task position.
    pub(super) fn visit_waiting(
        &mut self,
        row: u32,
        versions: Option<&Versions>,
        output: &mut Output,
    ) {
        if !self.calendar.is_behind() {
            return;
        }
        if let Some(due_ms) = self.calendar.waiting_ms(self.rows.customer_hash(row)) {
            self.visit(row, due_ms, versions, output);
            self.rows.touch(row);
        }
    }

    /// Visits a customer as of the last instant before an event at which the customer is due, if the sweep has
    /// not. This also applies while the sweep waits for the watermark, because the event must not have an effect
    /// before its time.
    pub(super) fn visit_before(
        &mut self,
        row: u32,
        event_ms: i64,
        versions: Option<&Versions>,
        output: &mut Output,
    ) {
        self.visit_waiting(row, versions, output);
        if event_ms <= self.watermark_ms || self.settings.time.sweep_ms.is_none() {
            return;
        }
        let hash = self.rows.customer_hash(row);
        if let Some(due_ms) = self.calendar.due_before_ms(hash, event_ms) {
            self.visit(row, due_ms, versions, output);
            self.rows.touch(row);
        }
    }

    fn visit(&mut self, row: u32, due_ms: i64, versions: Option<&Versions>, output: &mut Output) {
        let is_past = self.rows.reference_ms(row) > due_ms;
        if is_past || !self.rows.is_live(row) || self.rows.standing(row).as_of_ms >= due_ms {
            return;
        }
        if self.is_expired(row, due_ms) {
            self.remove_with_change(row, (due_ms, Cause::Time), versions, output);
            return;
        }
        self.sweep(row, due_ms, versions, output);
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
}
