//! When a task publishes its summary.

use std::time::Duration;

use crate::clock::Moment;

/// A task publishes its summary at most this often.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// When a task last published its summary, and whether it has changed since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SummaryClock {
    /// When the last committed summary was sent; `None` before the first.
    published: Option<Moment>,
    /// When a summary was sent in the open transaction.
    sent: Option<Moment>,
    /// A commit came after the last summary.
    is_outdated: bool,
}

impl Default for SummaryClock {
    /// Of a task that has just been assigned: its former owner may have ended between a commit and its summary.
    fn default() -> Self {
        Self {
            published: None,
            sent: None,
            is_outdated: true,
        }
    }
}

impl SummaryClock {
    /// Should the next commit contain a summary?
    pub(crate) fn is_due(&self, now: Moment) -> bool {
        let is_recent = |published| now.since(published) < PUBLISH_EVERY;
        !self.published.is_some_and(is_recent)
    }

    /// Is a summary due although nothing else is left to commit?
    pub(crate) fn is_overdue(&self, now: Moment) -> bool {
        self.is_outdated && self.is_due(now)
    }

    /// A summary was sent in the open transaction.
    pub(crate) fn sent(&mut self, now: Moment) {
        self.sent = Some(now);
    }

    /// The transaction, in which the task changed, is committed.
    pub(crate) fn commit(&mut self) {
        let sent = self.sent.take();
        self.is_outdated = sent.is_none();
        self.published = sent.or(self.published);
    }

    /// The transaction is aborted, and a summary in it was never published.
    pub(crate) fn roll_back(&mut self) {
        self.sent = None;
    }
}
