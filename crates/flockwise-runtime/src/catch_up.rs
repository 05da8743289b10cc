//! Catching up: the pipeline has read its history, the events from before its first start.

use flockwise_codec::catch_up::Marks;
use flockwise_vocabulary::task_id::TaskId;

use crate::broker::{Broker, Failure};
use crate::running_task::RunningTask;
use crate::topics::{Topic, TopicPartition};
use crate::worker::Worker;

const PIPELINE: TopicPartition = TopicPartition {
    topic: Topic::Pipeline,
    partition: 0,
};

impl<B: Broker> Worker<B> {
    /// Writes a mark for each task that has read all history of its inputs, in the transaction that completes it.
    pub(crate) fn mark_caught_up(&mut self) -> Result<(), Failure> {
        let Some(until_ms) = self.pipeline.task.history.until_ms else {
            return Ok(());
        };
        let behind = self
            .tasks
            .iter()
            .filter(|(_, running)| !running.has_caught_up());
        let caught_up = behind.filter(|(_, running)| self.has_read(running, until_ms));
        let task_ids: Vec<TaskId> = caught_up.map(|(task_id, _)| task_id).collect();
        let at_ms = self.time_mode.clock().latest_ms();
        for task_id in task_ids {
            self.outbox
                .mark_caught_up(&mut self.broker, Some(task_id), at_ms)?;
            if let Some(running) = self.tasks.get_mut(task_id) {
                running.set_caught_up(&mut self.transaction);
            }
        }
        Ok(())
    }

    /// Number of tasks that have not read all history.
    pub(crate) fn tasks_behind(&self) -> u64 {
        if self.pipeline.task.history.until_ms.is_none() {
            return 0;
        }
        let behind = self
            .tasks
            .values()
            .filter(|running| !running.has_caught_up());
        behind.count() as u64
    }

    /// Is every input partition of a task read up to that time, or to its end?
    fn has_read(&self, running: &RunningTask, until_ms: i64) -> bool {
        let has_reached = |topic_partition: &TopicPartition| {
            let mut inputs = running.task().inputs();
            let progress =
                inputs.find(|(input, _)| TopicPartition::from(*input) == *topic_partition);
            progress.is_some_and(|(_, progress)| progress.time_ms >= until_ms)
        };
        let is_at_end = |topic_partition: &TopicPartition| {
            self.broker.lag(*topic_partition) == Some(0)
                && self.alignment.kept(*topic_partition) == 0
        };
        let mut inputs = running.inputs.iter();
        inputs.all(|topic_partition| has_reached(topic_partition) || is_at_end(topic_partition))
    }

    /// Announces on the lineage topic, once, that all tasks have written their marks. The trainer's worker does this.
    pub(crate) fn announce_caught_up(&mut self) -> Result<(), Failure> {
        let Some(until_ms) = self.pipeline.task.history.until_ms else {
            return Ok(());
        };
        if !self.trainer.is_running() || self.trainer.has_announced {
            return Ok(());
        }
        let mut marks = Marks::default();
        self.broker.replay(PIPELINE, None, &mut |record| {
            marks.take(record.key, record.value);
        })?;
        self.trainer.has_announced = marks.is_announced;
        let tasks = self.pipeline.topics.state_partitions;
        if marks.is_announced || !marks.is_complete(tasks) {
            return Ok(());
        }
        let at_ms = self.time_mode.clock().latest_ms();
        let version = self.model.version();
        let app = &self.pipeline.topics.app;
        tracing::info!(
            model_version = version,
            "the pipeline has caught up: all events from before its first start are counted"
        );
        self.outbox
            .caught_up(&mut self.broker, app, (until_ms, at_ms), tasks, version)?;
        self.outbox.mark_caught_up(&mut self.broker, None, at_ms)?;
        // With task positions: a worker that has lost its tasks meanwhile cannot commit this.
        self.transaction.open();
        self.commit_also(&self.tasks.ids())
    }
}
