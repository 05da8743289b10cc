//! Watermarks: a worker sends its tasks' watermarks to the other tasks and receives theirs; see [`crate::watermarks`].

use std::collections::BTreeMap;

use flockwise_codec::watermarks::{Learnt, Watermarks as Message};
use flockwise_core::policy::period_start_ms;
use flockwise_core::task::Period;
use flockwise_core::trainer::{CAUGHT_UP, Sampled};

use crate::aligned_input::WorkerAlignment;
use crate::broker::{Broker, Failure};
use crate::clock::Moment;
use crate::topics::TopicPartition;
use crate::watermarks::{
    Announcement, SendContext, WatermarkSender, asked, furthest_behind, learnt,
};
use crate::worker::Worker;

/// What a worker has sent of its watermarks, and what it has received from others.
#[derive(Debug)]
pub(crate) struct WatermarkExchange {
    sender: WatermarkSender,
    /// The task of another worker that is furthest behind, and its watermark.
    furthest_behind: Option<(u32, i64)>,
    /// The event time up to which the trainer has learnt, if others wait for it.
    learnt: Option<Learnt>,
}

impl WatermarkExchange {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            sender: WatermarkSender::new(now),
            furthest_behind: None,
            learnt: None,
        }
    }

    /// The task of another worker that this one waits for, and its watermark.
    pub(crate) fn furthest_behind(&self) -> Option<(u32, i64)> {
        self.furthest_behind
    }

    /// Sends all watermarks again, and asks the others for theirs.
    pub(crate) fn start_over(&mut self) {
        self.sender.forget();
    }
}

impl<B: Broker> Worker<B> {
    /// Sends the tasks' watermarks if that is due, and lets sweep and sampling go on as far as all watermarks allow.
    /// `true` where somebody waits for the commit.
    pub(crate) fn exchange_watermarks(&mut self) -> Result<bool, Failure> {
        if !self.time_mode.is_live() || !self.tasks.is_assigned() {
            return Ok(false);
        }
        let now = self.time_mode.clock().now();
        let tasks = self.own_watermarks();
        self.note_others(now);
        let sampled = self.let_sweep(&tasks, now)?;
        let trainer = self.trainer.learnt(now);
        let news = Announcement {
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
            asked: asked(self.tasks.values().map(|running| running.watermarks())),
        };
        let tasks = self.pipeline.topics.state_partitions;
        let learns = self.pipeline.task.learning.learn;
        let is_listened_to = tasks > 1 || learns;
        if !is_listened_to || !self.watermarks.sender.is_due(&news, &context) {
            return Ok(false);
        }
        self.announce(&news)?;
        self.watermarks.sender.sent(news, now);
        Ok(learns || (self.tasks.len() as u32) < tasks)
    }

    fn announce(&mut self, news: &Announcement) -> Result<(), Failure> {
        for task in 0..self.pipeline.topics.state_partitions {
            self.outbox
                .watermarks(&mut self.broker, task, &news.watermarks)?;
        }
        if self.pipeline.task.learning.learn && !news.sampled.is_empty() {
            self.outbox.sampled(&mut self.broker, &news.sampled)?;
        }
        self.transaction.open();
        Ok(())
    }

    /// The watermark of each task.
    fn own_watermarks(&mut self) -> BTreeMap<u32, i64> {
        let topics = &self.pipeline.topics;
        let context = WorkerAlignment::new(&self.broker, self.time_mode.clock(), None);
        let live_ms = self.time_mode.now_ms().unwrap_or(i64::MAX);
        let live_ms = live_ms.saturating_sub(self.pipeline.alignment.max_skew_ms);
        let mut watermarks = BTreeMap::new();
        for task in self.tasks.numbers() {
            let reads = |source: TopicPartition| topics.task_of(source.partition) == task;
            let watermark_ms = self.alignment.watermark_ms(reads, &context);
            let behind = watermark_ms.filter(|watermark_ms| *watermark_ms < live_ms);
            watermarks.insert(task, behind.unwrap_or(CAUGHT_UP));
        }
        watermarks
    }

    /// After an abort: other workers and the trainer are where they were at the last commit, and what was sent in the
    /// transaction is sent again.
    pub(crate) fn roll_back_watermarks(&mut self) {
        self.watermarks.start_over();
        if self.time_mode.is_live() {
            self.watermarks.learnt = None;
            self.note_others(self.time_mode.clock().now());
        }
    }

    fn note_others(&mut self, now: Moment) {
        let tasks = self.pipeline.topics.state_partitions;
        let idle_timeout = self.pipeline.alignment.idle_timeout;
        let listening = self.tasks.iter();
        let listening = listening.map(|(number, running)| (number, running.watermarks()));
        self.watermarks.furthest_behind =
            furthest_behind(listening.clone(), tasks, now, idle_timeout);
        let learnt = match self.pipeline.task.learning.learn {
            true => learnt(listening.map(|(_, heard)| heard), now, idle_timeout),
            false => None,
        };
        // Nobody begins a period before having the version that it is to be scored with.
        let version = self.model.version();
        self.watermarks.learnt = match (learnt, self.watermarks.learnt) {
            (Some(next), before) if next.version > version => Some(before.unwrap_or(Learnt {
                to_ms: i64::MIN,
                ..next
            })),
            (next, _) => next,
        };
    }

    /// How often in event time everybody waits for the trainer, by its own half-life: instances that are configured
    /// otherwise would wait for the end of another period, and the trainer for them.
    fn period_ms(&self) -> i64 {
        let told = self
            .watermarks
            .learnt
            .map(|learnt| learnt.period_ms.cast_signed());
        told.filter(|told| *told > 0).unwrap_or_else(|| {
            let has_model = self.model.versions().is_some();
            self.pipeline.task.learning.period_ms(has_model)
        })
    }

    /// The end of the period that all tasks are in: events from there on wait until the trainer has learnt more;
    /// `None` where nobody waits for it.
    pub(crate) fn period_end_ms(&self) -> Option<i64> {
        let period_ms = self.period_ms();
        let learnt = self.watermarks.learnt?;
        Some(period_start_ms(learnt.to_ms, period_ms).saturating_add(period_ms))
    }

    /// In a replay, which knows the order of all events: no event before the watermark is to come, and all tasks are
    /// in this period of learning.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn set_watermark(
        &mut self,
        watermark_ms: i64,
        period: Option<Period>,
    ) -> Result<(), Failure> {
        let mut tasks = Vec::new();
        for (number, running) in self.tasks.iter_mut() {
            running.beside_transaction().set_period(period);
            running.beside_transaction().set_watermark(watermark_ms);
            tasks.push((number, running.task().stream_ms()));
        }
        tasks
            .into_iter()
            .try_for_each(|(number, stream_ms)| self.advance_task(number, stream_ms))
    }

    /// In a replay: tells the trainer that all tasks have sampled up to this instant.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn tell_sampled(&mut self, to_ms: i64) -> Result<(), Failure> {
        let tasks = self.tasks.iter_mut();
        let sampled = tasks.map(|(number, running)| (number, running.sampled_to(to_ms)));
        self.outbox.sampled(&mut self.broker, &sampled.collect())?;
        self.transaction.open();
        Ok(())
    }

    /// Lets the sweep and sampling of each task go on to its watermark; how far each has sampled, to the period.
    fn let_sweep(
        &mut self,
        own: &BTreeMap<u32, i64>,
        now: Moment,
    ) -> Result<BTreeMap<u32, Sampled>, Failure> {
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
        for (number, running) in self.tasks.iter_mut() {
            let others = running.watermarks().lowest_ms(now, idle_timeout);
            let own_ms = own.get(&number).copied().unwrap_or(CAUGHT_UP);
            let mut watermark_ms = others.map_or(own_ms, |others_ms| others_ms.min(own_ms));
            let period_start_ms = period_start_ms(watermark_ms, period_ms);
            if end_ms.is_some_and(|end_ms| watermark_ms >= end_ms) {
                // What comes then belongs to the next period.
                watermark_ms = period_start_ms;
            }
            running.beside_transaction().set_period(period);
            if watermark_ms != running.task().watermark_ms() {
                running.beside_transaction().set_watermark(watermark_ms);
                advanced.push((number, running.task().stream_ms()));
            }
            sampled.insert(number, running.sampled_to(period_start_ms));
        }
        for (number, stream_ms) in advanced {
            self.advance_task(number, stream_ms)?;
        }
        Ok(sampled)
    }
}
