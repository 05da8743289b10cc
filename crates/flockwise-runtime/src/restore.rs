//! Restores tasks from standbys or checkpoints, and from there on from their changelogs.

use std::collections::BTreeMap;

use flockwise_codec::changelog::{TASK_POSITION, decode_task_position};
use flockwise_core::task::Sweeping;
use flockwise_vocabulary::task_id::TaskId;

use crate::broker::{Broker, Failure, Replayed};
use crate::heartbeat::beat;
use crate::pipeline::Pipeline;
use crate::running_task::RunningTask;
use crate::store::{ExpectedCheckpoint, Load};
use crate::task_restorer::{TaskRestorer, replay_to_end};
use crate::topics::TopicPartition;
use crate::watermarks::TaskWatermarks;
use crate::worker::Worker;

/// Reads of a partition that an open transaction holds back, before the worker gives up. Each waits a moment, so that
/// together they take longer than a transaction may live.
pub(crate) const MAX_HELD_READS: u32 = 400;

/// Checkpoints that are loaded between two memory checks: the limit is exceeded by no more than these.
const MAX_LOADED_AT_ONCE: usize = 4;

/// A standby that is taken over, and the number of changelog offsets that it still has to read.
struct TakenStandby {
    restorer: TaskRestorer,
    behind: i64,
}

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

    /// For each task, its standby if that is warm, else its standby or checkpoint, whichever has read further; an empty
    /// restorer if there is neither.
    fn best_starts(&mut self, task_ids: &[TaskId]) -> Result<Vec<TaskRestorer>, Failure> {
        let mut standbys = self.take_standbys(task_ids)?;
        let is_warm = |standby: &TakenStandby| self.standbys.is_warm(standby.behind);
        let cold = task_ids.iter().copied();
        let cold: Vec<TaskId> = cold
            .filter(|task_id| !standbys.get(task_id).is_some_and(is_warm))
            .collect();
        let mut checkpoints = self.load(&cold)?;
        let mut best_starts = Vec::new();
        for task_id in task_ids {
            let checkpoint = checkpoints.remove(task_id);
            let is_ahead = |standby: &TakenStandby| {
                checkpoint
                    .as_ref()
                    .is_none_or(|checkpoint| checkpoint.next() < standby.restorer.next())
            };
            let chosen = match standbys.remove(task_id).filter(is_ahead) {
                Some(standby) => Some(self.take_standby(standby)),
                None => checkpoint,
            };
            best_starts.extend(chosen);
        }
        Ok(best_starts)
    }

    /// Takes the standbys of these tasks, and keeps those that have read something.
    fn take_standbys(
        &mut self,
        task_ids: &[TaskId],
    ) -> Result<BTreeMap<TaskId, TakenStandby>, Failure> {
        let take = |task_id: &TaskId| self.standbys.take(self.number(), *task_id);
        let taken = task_ids.iter().filter_map(take);
        let started: Vec<TaskRestorer> =
            taken.filter(|restorer| restorer.next().is_some()).collect();
        let sources: Vec<TopicPartition> = started
            .iter()
            .map(|restorer| TopicPartition::changelog(restorer.task_id()))
            .collect();
        let ends = match sources.is_empty() {
            true => Vec::new(),
            false => self.broker.end_offsets(&sources)?,
        };
        let standby = |(restorer, end): (TaskRestorer, i64)| {
            let behind = end - restorer.next().unwrap_or(0);
            (restorer.task_id(), TakenStandby { restorer, behind })
        };
        Ok(started.into_iter().zip(ends).map(standby).collect())
    }

    fn take_standby(&mut self, standby: TakenStandby) -> TaskRestorer {
        let (task_id, behind) = (standby.restorer.task_id(), standby.behind);
        tracing::info!(task = task_id.0, behind, "task taken over from a standby");
        self.meter.standby_takeovers += 1;
        // The checkpoint may hold customers that were removed since it was written; the standby does not know which.
        self.checkpointer.store().remove(task_id);
        standby.restorer
    }

    /// Loads the checkpoints of these tasks. A task without one gets an empty restorer.
    fn load(&mut self, task_ids: &[TaskId]) -> Result<BTreeMap<TaskId, TaskRestorer>, Failure> {
        let mut loaded = BTreeMap::new();
        if task_ids.is_empty() {
            return Ok(loaded);
        }
        let expected = ExpectedCheckpoint {
            changelog: self.changelog_id()?,
            plan: self.pipeline.task.plan.fingerprint(),
            now_ms: self.time_mode.clock().latest_ms(),
        };
        for chunk in task_ids.chunks(MAX_LOADED_AT_ONCE) {
            beat();
            let restorers = self.load_chunk(chunk, &expected).into_iter();
            loaded.extend(restorers.map(|restorer| (restorer.task_id(), restorer)));
            self.check_memory_with(loaded.values().map(TaskRestorer::bytes).sum())?;
        }
        Ok(loaded)
    }

    fn load_chunk(
        &mut self,
        task_ids: &[TaskId],
        expected: &ExpectedCheckpoint,
    ) -> Vec<TaskRestorer> {
        let pipeline = &*self.pipeline;
        let new = |task_id: &TaskId| TaskRestorer::new(pipeline, *task_id);
        let mut restorers: Vec<TaskRestorer> = task_ids.iter().map(new).collect();
        let receivers = restorers.iter_mut();
        let mut receivers: Vec<_> = receivers
            .map(|restorer| checkpoint_receiver(pipeline, restorer))
            .collect();
        let loads = task_ids.iter().zip(&mut receivers);
        let loads = loads.map(|(task, each)| Load { task: *task, each });
        let offsets = self
            .checkpointer
            .store()
            .load_all(expected, loads.collect());
        drop(receivers);
        for (restorer, offset) in restorers.iter_mut().zip(offsets) {
            match offset {
                Some(offset) => restorer.resume_from(offset),
                None => *restorer = TaskRestorer::new(pipeline, restorer.task_id()),
            }
        }
        restorers
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

/// Applies the records of a task's checkpoint to `restorer`. The closure returns `false` if a record cannot be used.
fn checkpoint_receiver(
    pipeline: &Pipeline,
    restorer: &mut TaskRestorer,
) -> impl FnMut(&[u8], &[u8]) -> bool + Send {
    move |key, value| restorer.apply_checkpointed(pipeline, key, value).is_ok()
}
