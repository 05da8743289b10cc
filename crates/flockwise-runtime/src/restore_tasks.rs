//! Restores tasks from standbys or checkpoints, and from there on from their changelogs.

use std::collections::BTreeMap;

use flockwise_codec::changelog::{TASK_POSITION, decode_task_position};
use flockwise_core::task::Sweeping;
use flockwise_vocabulary::task_id::TaskId;

use crate::broker::{Broker, Failure, Replayed};
use crate::running_task::RunningTask;
use crate::task_restorer::{TaskRestorer, replay_to_end};
use crate::topics::TopicPartition;
use crate::watermarks::TaskWatermarks;
use crate::worker::Worker;

/// Reads of a partition that an open transaction holds back, before the worker gives up. Each waits a moment, so that
/// together they take longer than a transaction may live.
pub(crate) const MAX_HELD_READS: u32 = 400;

impl<B: Broker> Worker<B> {
    /// Restores tasks. Those with a standby or a checkpoint lack little, and are read together. The others are read
    /// whole, one after the other, so that memory is checked in between.
    pub(crate) fn restore(&mut self, task_ids: &[TaskId]) -> Result<(), Failure> {
        self.meter.tasks_restoring = task_ids.len() as u64;
        self.meter.export(&self.metrics);
        let best_starts = self.best_starts(task_ids)?.into_iter();
        let (started, mut empty): (Vec<_>, Vec<_>) =
            best_starts.partition(|restorer| restorer.next().is_some());
        empty.extend(self.read_to_end(started)?);
        while let Some(restorer) = empty.pop() {
            empty.extend(self.read_to_end(vec![restorer])?);
        }
        if let Some(now_ms) = self.time_mode.now_ms() {
            self.arrival.reference().compare_with_commits(now_ms);
        }
        Ok(())
    }

    /// Reads changelogs to their ends and adds the tasks. Returns empty restorers for the tasks whose next offset is
    /// gone: their changelogs must be read whole.
    fn read_to_end(
        &mut self,
        mut restorers: Vec<TaskRestorer>,
    ) -> Result<Vec<TaskRestorer>, Failure> {
        let (mut held_reads, mut emptied) = (BTreeMap::new(), Vec::new());
        while !restorers.is_empty() {
            let replayed = replay_to_end(&mut restorers, &mut self.broker, &self.pipeline)?;
            // A dead owner leaves one transaction open in many changelogs: end it once, then read again.
            let mut has_ended_one = false;
            for (restorer, replayed) in std::mem::take(&mut restorers).into_iter().zip(replayed) {
                match replayed {
                    Replayed::Whole(_) => self.add_task(restorer)?,
                    Replayed::Held(_) if has_ended_one => restorers.push(restorer),
                    Replayed::Held(next) => {
                        let held_reads = held_reads.entry(restorer.task_id()).or_insert(0);
                        *held_reads += 1;
                        has_ended_one = self.end_open_transaction(&restorer, next, *held_reads)?;
                        restorers.push(restorer);
                    }
                    Replayed::Gone => emptied.push(self.start_over(restorer.task_id())),
                }
            }
        }
        Ok(emptied)
    }

    /// An empty restorer. Sets the task's checkpoint aside.
    fn start_over(&mut self, task_id: TaskId) -> TaskRestorer {
        let reason = "the changelog no longer has the offset where the checkpoint ends";
        self.checkpointer.store().set_aside(task_id, reason);
        TaskRestorer::new(&self.pipeline, task_id)
    }

    /// Completes a restored task and adds it to the worker.
    fn add_task(&mut self, restorer: TaskRestorer) -> Result<(), Failure> {
        let task_id = restorer.task_id();
        self.meter.restored_records += restorer.records();
        self.arrival
            .reference()
            .note_commit(restorer.latest_commit_ms());
        let sweeping = match self.time_mode.is_live() {
            true => Sweeping::Later,
            false => Sweeping::AtOnce,
        };
        let now = self.time_mode.clock().now();
        let task = restorer.finish(&self.pipeline)?;
        let tasks = self.pipeline.topics.state_partitions;
        let others = TaskId::all(tasks).filter(|task| *task != task_id);
        let watermarks = TaskWatermarks::new(others, now);
        let running = RunningTask::new(task, sweeping, watermarks, now);
        self.tasks.insert(task_id, running);
        self.meter.tasks_restoring -= 1;
        self.meter.tasks_running = self.tasks.len() as u64;
        self.meter.export(&self.metrics);
        self.check_memory()
    }

    /// Ends the transaction that a former owner of the task left open, on the first of its `held_reads`. That owner is
    /// dead, or about to find out that it lost the task. Waiting until the transaction times out would take long.
    /// Returns `true` if it was ended.
    fn end_open_transaction(
        &mut self,
        restorer: &TaskRestorer,
        next: i64,
        held_reads: u32,
    ) -> Result<bool, Failure> {
        let task_id = restorer.task_id();
        if held_reads > MAX_HELD_READS {
            return Err(Failure::Fatal(format!(
                "a transaction stays open in the changelog of task {task_id}: find it with \
                 `kafka-transactions.sh find-hanging` and abort it"
            )));
        }
        if held_reads > 1 {
            return Ok(false);
        }
        // The open transaction names its owner, unless it holds no task position yet.
        let writer = self.writer_after(task_id, next)?;
        let owner = writer.as_deref().or_else(|| restorer.owner());
        match owner.filter(|owner| *owner != self.broker.transactional_id()) {
            Some(owner) => {
                tracing::warn!(
                    task = task_id.0,
                    owner,
                    "ending a transaction that the former owner left open"
                );
                self.broker.fence(owner)?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// The transactional id of the worker that wrote the first task position from an offset of a changelog on, committed
    /// or not.
    fn writer_after(&mut self, task_id: TaskId, next: i64) -> Result<Option<String>, Failure> {
        let inputs = &self.pipeline.topics.inputs;
        let mut writer = None;
        self.broker
            .read_uncommitted(TopicPartition::changelog(task_id), next, &mut |record| {
                if let (Some([TASK_POSITION]), Some(value), None) =
                    (record.key, record.value, &writer)
                    && let Ok((_, owner)) = decode_task_position(value, inputs)
                {
                    writer = owner;
                }
            })?;
        Ok(writer)
    }
}
