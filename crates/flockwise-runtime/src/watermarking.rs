//! A shard tells the others how far its tasks are in event time, and hears how far theirs are: see
//! [`crate::watermarks`].

use std::collections::BTreeMap;

use crate::aligning::Around;
use crate::broker::{Broker, Failure};
use crate::clock::Moment;
use crate::shard::Shard;
use crate::topics::{Source, Topic};
use crate::watermarks::{Announcement, CAUGHT_UP, Occasion, furthest_behind, trainer_ms};

impl<B: Broker> Shard<B> {
    /// Sends the tasks' watermarks if that is due, and lets sweep and sampling go on as far as all watermarks allow.
    /// `true` where somebody waits for the commit.
    pub(crate) fn exchange_watermarks(&mut self) -> Result<bool, Failure> {
        if !self.pace.is_live() || !self.is_assigned {
            return Ok(false);
        }
        let now = self.pace.clock().now();
        let mut watermarks = self.own_watermarks();
        self.note_others(now);
        let sampled = self.let_sweep(&watermarks, now)?;
        let tasks = self.pipeline.topics.state_partitions;
        watermarks.extend(self.learnt_to_ms(now).map(|learnt_ms| (tasks, learnt_ms)));
        let news = Announcement {
            watermarks,
            sampled,
        };
        let occasion = Occasion {
            now,
            alignment: self.pipeline.alignment,
            others_have_backlog: self.furthest_behind.is_some() || self.trainer_ms.is_some(),
        };
        let learns = self.pipeline.task.learning.learn;
        let is_listened_to = tasks > 1 || learns;
        if !is_listened_to || !self.announced.is_due(&news, &occasion) {
            return Ok(false);
        }
        self.announce(&news)?;
        self.announced.sent(news, now);
        Ok(learns || (self.tasks.len() as u32) < tasks)
    }

    fn announce(&mut self, news: &Announcement) -> Result<(), Failure> {
        let tasks = 0..self.pipeline.topics.state_partitions;
        let listeners = tasks.map(|task| (Topic::Repartition, task, &news.watermarks));
        let learns = self.pipeline.task.learning.learn && !news.sampled.is_empty();
        let trainer = learns.then_some((Topic::Deltas, 0, &news.sampled));
        for (topic, partition, watermarks) in listeners.chain(trainer) {
            self.outbox
                .watermarks(&mut self.broker, topic, partition, watermarks)?;
        }
        self.is_pending = true;
        Ok(())
    }

    /// The watermark of each task.
    fn own_watermarks(&mut self) -> BTreeMap<u32, i64> {
        let topics = &self.pipeline.topics;
        let around = Around::new(&self.broker, self.pace.clock(), None);
        let live_ms = self.pace.now_ms().unwrap_or(i64::MAX);
        let live_ms = live_ms.saturating_sub(self.pipeline.alignment.max_skew_ms);
        let mut watermarks = BTreeMap::new();
        for task in self.tasks.keys() {
            let reads = |source: Source| topics.task_of(source.partition) == *task;
            let watermark_ms = self.lanes.watermark_ms(reads, &around);
            let behind = watermark_ms.filter(|watermark_ms| *watermark_ms < live_ms);
            watermarks.insert(*task, behind.unwrap_or(CAUGHT_UP));
        }
        watermarks
    }

    fn note_others(&mut self, now: Moment) {
        let tasks = self.pipeline.topics.state_partitions;
        let idle_timeout = self.pipeline.alignment.idle_timeout;
        let listening = self.tasks.iter();
        let listening = listening.map(|(number, open)| (*number, &open.watermarks));
        self.furthest_behind = furthest_behind(listening.clone(), tasks, now, idle_timeout);
        self.trainer_ms = trainer_ms(listening, tasks, now, idle_timeout);
    }

    /// Event time up to which records may be processed before the trainer has learnt more: to the end of the period
    /// in which it is. It considers a version once a period.
    pub(crate) fn learnable_ms(&self) -> i64 {
        let period_ms = self.pipeline.task.learning.look_ms();
        self.trainer_ms.map_or(i64::MAX, |learnt_ms| {
            period_start_ms(learnt_ms, period_ms).saturating_add(period_ms - 1)
        })
    }

    /// Where this shard is the trainer: the event time up to which it has learnt from every sample, to the period.
    fn learnt_to_ms(&mut self, now: Moment) -> Option<i64> {
        let idle_timeout = self.pipeline.alignment.idle_timeout;
        let period_ms = self.pipeline.task.learning.look_ms();
        let tasks = self.pipeline.topics.state_partitions;
        let open = self.trainer.as_mut()?;
        if !open.is_busy() {
            let lowest_ms = open.sampled.lowest_ms(tasks, now, idle_timeout);
            open.learnt_to_ms = period_start_ms(lowest_ms.unwrap_or(CAUGHT_UP), period_ms);
        }
        Some(open.learnt_to_ms)
    }

    /// Lets the sweep and sampling of each task go on to its watermark; how far each has sampled, to the period.
    fn let_sweep(
        &mut self,
        own: &BTreeMap<u32, i64>,
        now: Moment,
    ) -> Result<BTreeMap<u32, i64>, Failure> {
        let idle_timeout = self.pipeline.alignment.idle_timeout;
        let tasks = self.pipeline.topics.state_partitions;
        let period_ms = self.pipeline.task.learning.look_ms();
        let (mut advanced, mut sampled) = (Vec::new(), BTreeMap::new());
        for (number, open) in &mut self.tasks {
            let others = open.watermarks.lowest_ms(tasks, now, idle_timeout);
            let own_ms = own.get(number).copied().unwrap_or(CAUGHT_UP);
            let watermark_ms = others.map_or(own_ms, |others_ms| others_ms.min(own_ms));
            sampled.insert(*number, period_start_ms(watermark_ms, period_ms));
            if watermark_ms != open.task.watermark_ms() {
                open.task.set_watermark(watermark_ms);
                advanced.push((*number, open.task.stream_ms()));
            }
        }
        for (number, stream_ms) in advanced {
            self.pass_time(number, stream_ms)?;
        }
        Ok(sampled)
    }
}

/// Where the period that a time is in begins.
fn period_start_ms(time_ms: i64, period_ms: i64) -> i64 {
    match time_ms {
        i64::MIN | CAUGHT_UP => time_ms,
        _ => time_ms.div_euclid(period_ms) * period_ms,
    }
}
