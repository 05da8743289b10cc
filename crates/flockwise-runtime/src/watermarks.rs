//! Watermarks: how each task learns how far in event time all tasks have read their inputs.
//!
//! A task sends its watermark to every repartition partition, in the transaction that holds the events it has
//! forwarded. A task that reads the watermark there has read every event before it.

#[cfg(test)]
mod tests;

use flockwise_vocabulary::task_id::TaskId;
use std::collections::BTreeMap;
use std::time::Duration;

use flockwise_codec::watermarks::{Learnt, Watermarks as Message};
use flockwise_core::trainer::{CAUGHT_UP, Sampled};

use crate::clock::Moment;
use crate::event_time_alignment::Alignment;

/// How often watermarks are sent again within one idle timeout, while any task has a backlog.
const RENEWALS: u32 = 3;

/// Time between two sendings of advancing watermarks, at least: each sending is a transaction.
const MIN_INTERVAL: Duration = Duration::from_millis(25);

/// A task whose watermark is unknown holds the others back for this long at most. Each worker sends its watermarks when
/// tasks move, and a worker with new tasks requests those of the others.
pub(crate) const UNKNOWN: Duration = Duration::from_secs(5);

/// A task that was reported as caught up has a backlog once it has had unread records for this long: a live partition
/// has some now and then.
const BACKLOG_AFTER: Duration = Duration::from_secs(1);

/// The watermarks that a task has received from the other tasks and from the trainer.
///
/// Invariant: an abort rolls back the watermarks that its transaction has read, like the forwarded events before them.
#[derive(Clone, Debug)]
pub(crate) struct TaskWatermarks {
    known: ReceivedWatermarks,
    /// As of the last commit; `None`: nothing was received since.
    committed: Option<ReceivedWatermarks>,
}

#[derive(Clone, Debug)]
struct ReceivedWatermarks {
    /// By task, without the receiving task itself.
    received: BTreeMap<TaskId, ReceivedWatermark>,
    trainer: ReceivedWatermark,
    /// The trainer's progress, as last received.
    learnt: Option<Learnt>,
    /// When another worker last requested the watermarks of this worker's tasks.
    requested: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ReceivedWatermark {
    /// Milliseconds since the epoch; `None`: none received yet.
    watermark_ms: Option<i64>,
    /// When it was received; before the first one, when the task started to receive.
    at: Moment,
}

impl ReceivedWatermark {
    /// The watermark, if others must wait for it; `i64::MIN` while it is unknown, `None` if caught up or too old.
    fn holding_ms(&self, now: Moment, idle_timeout: Duration) -> Option<i64> {
        let age = now.since(self.at);
        match self.watermark_ms {
            None => (age < UNKNOWN.min(idle_timeout)).then_some(i64::MIN),
            Some(CAUGHT_UP) => None,
            Some(watermark_ms) => (age < idle_timeout).then_some(watermark_ms),
        }
    }
}

impl TaskWatermarks {
    /// For a task that starts to receive now: the watermarks of these tasks are unknown.
    pub(crate) fn new(tasks: impl Iterator<Item = TaskId>, now: Moment) -> Self {
        let unknown = ReceivedWatermark {
            watermark_ms: None,
            at: now,
        };
        Self {
            known: ReceivedWatermarks {
                received: tasks.map(|task| (task, unknown)).collect(),
                trainer: unknown,
                learnt: None,
                requested: None,
            },
            committed: None,
        }
    }

    /// Takes in the watermarks that a worker has sent for its tasks, and for the trainer if it hosts it.
    pub(crate) fn hear(&mut self, message: &Message, now: Moment) {
        if self.committed.is_none() {
            self.committed = Some(self.known.clone());
        }
        for (task, watermark_ms) in &message.tasks {
            if let Some(received) = self.known.received.get_mut(task) {
                *received = ReceivedWatermark {
                    watermark_ms: Some(*watermark_ms),
                    at: now,
                };
            }
        }
        // A message that contains the receiving task's own number is from its own worker.
        let is_own = |task: &TaskId| !self.known.received.contains_key(task);
        if message.asks && !message.tasks.keys().any(is_own) {
            self.known.requested = Some(now);
        }
        if let Some(learnt) = message.trainer {
            self.known.trainer = ReceivedWatermark {
                watermark_ms: Some(learnt.to_ms),
                at: now,
            };
            self.known.learnt = Some(learnt);
        }
    }

    /// What was received is committed.
    pub(crate) fn commit(&mut self) {
        self.committed = None;
    }

    /// Forgets what was received since the last commit: it is read again.
    pub(crate) fn roll_back(&mut self) {
        if let Some(committed) = self.committed.take() {
            self.known = committed;
        }
    }

    /// The lowest watermark that others must wait for; `None` if all tasks have caught up or are silent.
    pub(crate) fn lowest_ms(&self, now: Moment, idle_timeout: Duration) -> Option<i64> {
        let received = self.known.received.values();
        received
            .filter_map(|received| received.holding_ms(now, idle_timeout))
            .min()
    }
}

/// The task of another worker that is furthest behind, and its watermark; `None` if this worker need not wait. `all` is
/// what each task of this worker has received: of each watermark, the latest one counts.
pub(crate) fn furthest_behind<'a>(
    all: impl Iterator<Item = (TaskId, &'a TaskWatermarks)> + Clone,
    tasks: u32,
    now: Moment,
    idle_timeout: Duration,
) -> Option<(TaskId, i64)> {
    let others = TaskId::all(tasks).filter(|task| all.clone().all(|(own, _)| own != *task));
    let holding = others.filter_map(|task| {
        let received = latest_of(all.clone(), task)?;
        Some((task, received.holding_ms(now, idle_timeout)?))
    });
    holding.min_by_key(|(_, watermark_ms)| *watermark_ms)
}

/// How far in event time the trainer has learnt; `None` if the tasks need not wait for it. `Learnt::to_ms` is
/// `i64::MIN` while that is unknown.
pub(crate) fn learnt<'a>(
    all: impl Iterator<Item = &'a TaskWatermarks>,
    now: Moment,
    idle_timeout: Duration,
) -> Option<Learnt> {
    let known = all.map(|watermarks| &watermarks.known);
    let last = known.max_by_key(|known| recency(&known.trainer))?;
    let to_ms = last.trainer.holding_ms(now, idle_timeout)?;
    Some(Learnt {
        to_ms,
        version: last.learnt.map_or(0, |learnt| learnt.version),
        customers: last.learnt.map_or(0, |learnt| learnt.customers),
        period_ms: last.learnt.map_or(0, |learnt| learnt.period_ms),
    })
}

/// When another worker or the trainer last requested watermarks because it does not know them; `None` if all know them.
pub(crate) fn latest_request<'a>(
    all: impl Iterator<Item = &'a TaskWatermarks> + Clone,
) -> Option<Moment> {
    let by_workers = all
        .clone()
        .filter_map(|watermarks| watermarks.known.requested);
    let trainers = all.map(|watermarks| &watermarks.known.trainer);
    let trainer = trainers.max_by_key(|received| recency(received));
    let by_trainer = trainer.filter(|last| last.watermark_ms == Some(i64::MIN));
    by_workers.max().max(by_trainer.map(|last| last.at))
}

fn latest_of<'a>(
    all: impl Iterator<Item = (TaskId, &'a TaskWatermarks)>,
    task: TaskId,
) -> Option<&'a ReceivedWatermark> {
    let received = all.filter_map(|(_, watermarks)| watermarks.known.received.get(&task));
    received.max_by_key(|received| recency(received))
}

fn recency(received: &ReceivedWatermark) -> (bool, Moment) {
    (received.watermark_ms.is_some(), received.at)
}

/// What a worker has sent of its tasks' watermarks, and when.
#[derive(Clone, Debug)]
pub(crate) struct WatermarkSender {
    sent: Announcement,
    at: Moment,
    /// Since when a task that was reported as caught up has had unread records.
    behind_since: Option<Moment>,
}

/// What a worker sends about its tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// How far each task has read its inputs, and how far the trainer has learnt.
    pub(crate) watermarks: Message,
    /// How far each task has sampled its customers.
    pub(crate) sampled: BTreeMap<TaskId, Sampled>,
}

impl Announcement {
    /// Does a task of the worker, or the trainer, have a backlog?
    fn has_backlog(&self) -> bool {
        let Message { tasks, trainer, .. } = &self.watermarks;
        tasks.values().any(|ms| *ms != CAUGHT_UP)
            || trainer.is_some_and(|learnt| learnt.to_ms != CAUGHT_UP)
    }
}

/// What decides, besides the watermarks, whether they are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendContext {
    pub(crate) now: Moment,
    pub(crate) alignment: Alignment,
    /// A task of another worker, or the trainer, has a backlog.
    pub(crate) others_have_backlog: bool,
    /// When another worker or the trainer last requested the watermarks.
    pub(crate) requested: Option<Moment>,
}

impl WatermarkSender {
    /// Nothing has been sent: everything is due.
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            sent: Announcement::default(),
            at: now,
            behind_since: None,
        }
    }

    /// Has nothing been sent to the present receivers?
    pub(crate) fn is_first(&self) -> bool {
        self.sent == Announcement::default()
    }

    /// Must this announcement be sent now?
    pub(crate) fn is_due(&mut self, announcement: &Announcement, context: &SendContext) -> bool {
        let since = context.now.since(self.at);
        let advance_ms = (context.alignment.max_skew_ms / 2).max(1);
        let (sent, tasks) = (&self.sent, &announcement.watermarks.tasks);
        let is_read_on =
            advances(&sent.watermarks.tasks, tasks, advance_ms) && since >= MIN_INTERVAL;
        // All tasks wait for the end of a period.
        let is_next_period = sent.sampled.iter().any(|(task, sent)| {
            let sampled = announcement.sampled.get(task);
            sent.to_ms != CAUGHT_UP && sampled.is_some_and(|sampled| sampled.to_ms > sent.to_ms)
        });
        let is_learnt_on = sent.watermarks.trainer != announcement.watermarks.trainer;
        let mut numbers = tasks.keys();
        let is_unknown = numbers.any(|task| !sent.watermarks.tasks.contains_key(task));
        let is_stale = since >= context.alignment.idle_timeout / RENEWALS
            && (sent.has_backlog() || context.others_have_backlog);
        let falls_behind = self.falls_behind(tasks, context.now);
        let is_requested = context
            .requested
            .is_some_and(|requested| requested > self.at);
        is_requested
            || is_read_on
            || is_next_period
            || is_learnt_on
            || is_unknown
            || is_stale
            || falls_behind
    }

    /// Has a task that was reported as caught up had unread records for [`BACKLOG_AFTER`]?
    fn falls_behind(&mut self, tasks: &BTreeMap<TaskId, i64>, now: Moment) -> bool {
        let sent = &self.sent.watermarks.tasks;
        let falls_behind = tasks.iter().any(|(task, watermark_ms)| {
            *watermark_ms != CAUGHT_UP && sent.get(task) == Some(&CAUGHT_UP)
        });
        if !falls_behind {
            self.behind_since = None;
            return false;
        }
        now.since(*self.behind_since.get_or_insert(now)) >= BACKLOG_AFTER
    }

    /// Notes that this announcement was sent.
    pub(crate) fn sent(&mut self, sent: Announcement, now: Moment) {
        *self = Self {
            sent,
            at: now,
            behind_since: None,
        };
    }

    /// Forgets what was sent: it may not have arrived, or there are new receivers. Everything is due again.
    pub(crate) fn forget(&mut self) {
        self.sent = Announcement::default();
    }
}

/// Has a task advanced by at least `by_ms` since it was sent? A task that had caught up has not.
fn advances(sent: &BTreeMap<TaskId, i64>, now: &BTreeMap<TaskId, i64>, by_ms: i64) -> bool {
    now.iter().any(|(task, watermark_ms)| {
        let sent = sent.get(task).filter(|sent| **sent != CAUGHT_UP);
        sent.is_some_and(|sent| watermark_ms.saturating_sub(*sent) >= by_ms)
    })
}
