//! Exchanges watermarks: sends those of the own tasks, and advances the tasks to what all watermarks allow.

use std::collections::BTreeMap;

use flockwise_codec::watermarks::{Learnt, Watermarks as Message};
use flockwise_core::policy::period_start_ms;
use flockwise_core::task::Period;
use flockwise_core::trainer::{CAUGHT_UP, Sampled};
use flockwise_vocabulary::task_id::TaskId;

use crate::broker::{Broker, Failure};
use crate::clock::Moment;
use crate::event_time_alignment::WorkerAlignment;
use crate::running_task::RunningTask;
use crate::topics::TopicPartition;
use crate::watermarks::{Announcement, SendContext, furthest_behind, latest_request, learnt};
use crate::worker::Worker;

impl<B: Broker> Worker<B> {
    /// Sends the tasks' watermarks if they are due, and lets sweep and sampling advance as far as all watermarks allow.
    /// Returns whether another worker or the trainer waits for the commit.
    pub(crate) fn exchange_watermarks(&mut self) -> Result<bool, Failure> {
        if !self.time_mode.is_live() || !self.tasks.is_assigned() {
            return Ok(false);
        }
        let now = self.time_mode.clock().now();
        let tasks = self.own_watermarks();
        self.note_others(now);
        let sampled = self.advance_to_watermarks(&tasks, now)?;
        let trainer = self.trainer.learnt(now);
        let announcement = Announcement {
            watermarks: Message {
                tasks,
                trainer,
                asks: self.watermarks.sender.is_first(),
            },
            sampled,
        };
        let context = SendContext {
            now,
            alignment: self.pipeline.alignment,
            others_have_backlog: self.watermarks.furthest_behind.is_some()
                || self.watermarks.learnt.is_some(),
            requested: latest_request(self.tasks.values().map(RunningTask::watermarks)),
        };
        let tasks = self.pipeline.topics.state_partitions;
        let learns = self.pipeline.task.learning.learn;
        let has_receivers = tasks > 1 || learns;
        if !has_receivers || !self.watermarks.sender.is_due(&announcement, &context) {
            return Ok(false);
        }
        self.announce(&announcement)?;
        self.watermarks.sender.sent(announcement, now);
        Ok(learns || (self.tasks.len() as u32) < tasks)
    }

    fn announce(&mut self, announcement: &Announcement) -> Result<(), Failure> {
        for task in TaskId::all(self.pipeline.topics.state_partitions) {
            self.outbox
                .watermarks(&mut self.broker, task, &announcement.watermarks)?;
        }
        if self.pipeline.task.learning.learn && !announcement.sampled.is_empty() {
            self.outbox
                .sampled(&mut self.broker, &announcement.sampled)?;
        }
        self.transaction.open();
        Ok(())
    }

    /// The watermark of each task of this worker; [`CAUGHT_UP`] if the task has no backlog: nothing is unread, or the
    /// watermark is within `max_skew` of the present time.
    fn own_watermarks(&mut self) -> BTreeMap<TaskId, i64> {
        let topics = &self.pipeline.topics;
        let context = WorkerAlignment::new(&self.broker, self.time_mode.clock(), None);
        let live_ms = self.time_mode.now_ms().unwrap_or(i64::MAX);
        let live_ms = live_ms.saturating_sub(self.pipeline.alignment.max_skew_ms);
        let mut watermarks = BTreeMap::new();
        for task in self.tasks.ids() {
            let selects =
                |topic_partition: TopicPartition| topics.task_of(topic_partition.partition) == task;
            let watermark_ms = self.alignment.watermark_ms(selects, &context);
            let behind = watermark_ms.filter(|watermark_ms| *watermark_ms < live_ms);
            watermarks.insert(task, behind.unwrap_or(CAUGHT_UP));
        }
        watermarks
    }

    /// After an abort: goes back to what was received up to the last commit, and sends all watermarks again.
    pub(crate) fn roll_back_watermarks(&mut self) {
        self.watermarks.start_over();
        if self.time_mode.is_live() {
            self.watermarks.learnt = None;
            self.note_others(self.time_mode.clock().now());
        }
    }

    /// Computes which other task is furthest behind and how far the trainer has learnt.
    fn note_others(&mut self, now: Moment) {
        let tasks = self.pipeline.topics.state_partitions;
        let idle_timeout = self.pipeline.alignment.idle_timeout;
        let receiving = self.tasks.iter();
        let receiving = receiving.map(|(task_id, running)| (task_id, running.watermarks()));
        self.watermarks.furthest_behind =
            furthest_behind(receiving.clone(), tasks, now, idle_timeout);
        let learnt = match self.pipeline.task.learning.learn {
            true => learnt(receiving.map(|(_, received)| received), now, idle_timeout),
            false => None,
        };
        // A worker does not start a period before it has the version that scores it.
        let version = self.model.version();
        self.watermarks.learnt = match (learnt, self.watermarks.learnt) {
            (Some(next), before) if next.version > version => Some(before.unwrap_or(Learnt {
                to_ms: i64::MIN,
                ..next
            })),
            (next, _) => next,
        };
    }

    /// Event time after which all tasks wait for the trainer, milliseconds. The trainer's half-life decides: an
    /// instance with another half-life would wait for the end of another period, and the trainer for that instance.
    fn period_ms(&self) -> i64 {
        let period_ms = self
            .watermarks
            .learnt
            .map(|learnt| learnt.period_ms.cast_signed());
        period_ms.filter(|ms| *ms > 0).unwrap_or_else(|| {
            let has_model = self.model.versions().is_some();
            self.pipeline.task.learning.period_ms(has_model)
        })
    }

    /// The end of the present period, milliseconds of event time: events from then on wait until the trainer has learnt
    /// more. `None` if no task waits for the trainer.
    pub(crate) fn period_end_ms(&self) -> Option<i64> {
        let period_ms = self.period_ms();
        let learnt = self.watermarks.learnt?;
        Some(period_start_ms(learnt.to_ms, period_ms).saturating_add(period_ms))
    }

    /// In a replay, which knows the order of all events: sets the watermark of all tasks, before which no event can
    /// come, and their learning period.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn set_watermark(
        &mut self,
        watermark_ms: i64,
        period: Option<Period>,
    ) -> Result<(), Failure> {
        let mut tasks = Vec::new();
        for (task_id, running) in self.tasks.iter_mut() {
            running.beside_transaction().set_period(period);
            running.beside_transaction().set_watermark(watermark_ms);
            tasks.push((task_id, running.task().stream_ms()));
        }
        tasks
            .into_iter()
            .try_for_each(|(task_id, stream_ms)| self.advance_task(task_id, stream_ms))
    }

    /// In a replay: reports to the trainer that all tasks have sampled up to `to_ms`, milliseconds since the epoch.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn tell_sampled(&mut self, to_ms: i64) -> Result<(), Failure> {
        let tasks = self.tasks.iter_mut();
        let sampled = tasks.map(|(task_id, running)| (task_id, running.sampled_to(to_ms)));
        self.outbox.sampled(&mut self.broker, &sampled.collect())?;
        self.transaction.open();
        Ok(())
    }

    /// Lets sweep and sampling of each task advance to its watermark. Returns how far each has
    /// sampled, in whole periods.
    fn advance_to_watermarks(
        &mut self,
        own: &BTreeMap<TaskId, i64>,
        now: Moment,
    ) -> Result<BTreeMap<TaskId, Sampled>, Failure> {
        let idle_timeout = self.pipeline.alignment.idle_timeout;
        let (period_ms, end_ms) = (self.period_ms(), self.period_end_ms());
        let known = self
            .watermarks
            .learnt
            .filter(|learnt| learnt.to_ms > i64::MIN);
        let period = end_ms.zip(known).map(|(end_ms, learnt)| Period {
            end_ms,
            customers: learnt.customers,
        });
        let (mut advanced, mut sampled) = (Vec::new(), BTreeMap::new());
        for (task_id, running) in self.tasks.iter_mut() {
            let others = running.watermarks().lowest_ms(now, idle_timeout);
            let own_ms = own.get(&task_id).copied().unwrap_or(CAUGHT_UP);
            let mut watermark_ms = others.map_or(own_ms, |others_ms| others_ms.min(own_ms));
            let period_start_ms = period_start_ms(watermark_ms, period_ms);
            if end_ms.is_some_and(|end_ms| watermark_ms >= end_ms) {
                // Later events belong to the next period.
                watermark_ms = period_start_ms;
            }
            running.beside_transaction().set_period(period);
            if watermark_ms != running.task().watermark_ms() {
                running.beside_transaction().set_watermark(watermark_ms);
                advanced.push((task_id, running.task().stream_ms()));
            }
            sampled.insert(task_id, running.sampled_to(period_start_ms));
        }
        for (task_id, stream_ms) in advanced {
            self.advance_task(task_id, stream_ms)?;
        }
        Ok(sampled)
    }
}
