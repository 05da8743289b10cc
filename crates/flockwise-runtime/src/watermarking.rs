//! A shard tells the others how far its tasks are in event time, and hears how far theirs are: see
//! [`crate::watermarks`].

use std::collections::BTreeMap;

use crate::aligning::Around;
use crate::broker::{Broker, Failure};
use crate::shard::Shard;
use crate::topics::Source;
use crate::watermarks::{CAUGHT_UP, Occasion, furthest_behind};

impl<B: Broker> Shard<B> {
    /// Sends the tasks' watermarks if that is due, and lets the sweep go on as far as all watermarks allow. `true`
    /// where other shards wait for the commit.
    pub(crate) fn exchange_watermarks(&mut self) -> Result<bool, Failure> {
        if !self.pace.is_live() || !self.is_assigned {
            return Ok(false);
        }
        let watermarks = self.own_watermarks();
        self.note_others();
        self.let_sweep(&watermarks)?;
        let occasion = Occasion {
            now: self.pace.clock().now(),
            max_skew_ms: self.pipeline.alignment.max_skew_ms,
            idle_timeout: self.pipeline.alignment.idle_timeout,
            others_have_backlog: self.furthest_behind.is_some(),
        };
        let tasks = self.pipeline.topics.state_partitions;
        if tasks == 1 || !self.announced.is_due(&watermarks, &occasion) {
            return Ok(false);
        }
        for partition in 0..tasks {
            self.outbox
                .watermarks(&mut self.broker, partition, &watermarks)?;
        }
        self.announced.sent(watermarks, occasion.now);
        self.is_pending = true;
        Ok((self.tasks.len() as u32) < tasks)
    }

    /// The watermark of each task.
    fn own_watermarks(&mut self) -> BTreeMap<u32, i64> {
        let tasks = self.pipeline.topics.state_partitions;
        let around = Around {
            broker: &self.broker,
            others_ms: i64::MAX,
            clock: self.pace.clock(),
        };
        let live_ms = self.pace.now_ms().unwrap_or(i64::MAX);
        let live_ms = live_ms.saturating_sub(self.pipeline.alignment.max_skew_ms);
        let mut watermarks = BTreeMap::new();
        for task in self.tasks.keys() {
            let reads = |source: Source| source.partition % tasks == *task;
            let watermark_ms = self.lanes.watermark_ms(reads, &around);
            let behind = watermark_ms.filter(|watermark_ms| *watermark_ms < live_ms);
            watermarks.insert(*task, behind.unwrap_or(CAUGHT_UP));
        }
        watermarks
    }

    fn note_others(&mut self) {
        let listening = self.tasks.iter();
        let listening = listening.map(|(number, open)| (*number, &open.watermarks));
        self.furthest_behind = furthest_behind(
            listening,
            self.pipeline.topics.state_partitions,
            self.pace.clock().now(),
            self.pipeline.alignment.idle_timeout,
        );
    }

    /// The event time that the tasks of other shards have reached, the last of them; `i64::MAX`: all there is.
    pub(crate) fn others_ms(&self) -> i64 {
        self.furthest_behind.map_or(i64::MAX, |(_, ms)| ms)
    }

    /// The repartition partition of the task that others wait for, where it is none of this shard.
    pub(crate) fn held_back_by_task(&self) -> Option<Source> {
        let (task, _) = self.furthest_behind?;
        Some(Source::repartition(task))
    }

    fn let_sweep(&mut self, own: &BTreeMap<u32, i64>) -> Result<(), Failure> {
        let (now, idle_timeout) = (
            self.pace.clock().now(),
            self.pipeline.alignment.idle_timeout,
        );
        let mut advanced = Vec::new();
        for (number, open) in &mut self.tasks {
            let others = open.watermarks.lowest_ms(now, idle_timeout);
            let own_ms = own.get(number).copied().unwrap_or(CAUGHT_UP);
            let watermark_ms = others.map_or(own_ms, |others_ms| others_ms.min(own_ms));
            if watermark_ms != open.task.watermark_ms() {
                open.task.set_watermark(watermark_ms);
                advanced.push((*number, open.task.stream_ms()));
            }
        }
        advanced
            .into_iter()
            .try_for_each(|(number, stream_ms)| self.pass_time(number, stream_ms))
    }
}
