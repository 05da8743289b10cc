//! Decides from what each task is restored: a standby, a checkpoint, or the changelog alone.

use std::collections::BTreeMap;

use flockwise_vocabulary::task_id::TaskId;

use crate::broker::{Broker, Failure};
use crate::heartbeat::beat;
use crate::pipeline::Pipeline;
use crate::store::{ExpectedCheckpoint, Load};
use crate::task_restorer::TaskRestorer;
use crate::topics::TopicPartition;
use crate::worker::Worker;

/// Checkpoints that are loaded between two memory checks: the limit is exceeded by no more than these.
const MAX_LOADED_AT_ONCE: usize = 4;

/// A standby that is taken over, and the number of changelog offsets that it still has to read.
struct TakenStandby {
    restorer: TaskRestorer,
    behind: i64,
}

impl<B: Broker> Worker<B> {
    /// For each task, its standby if that is warm, else its standby or checkpoint, whichever has read further; an empty
    /// restorer if there is neither.
    pub(crate) fn best_starts(
        &mut self,
        task_ids: &[TaskId],
    ) -> Result<Vec<TaskRestorer>, Failure> {
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
        let topic_partitions: Vec<TopicPartition> = started
            .iter()
            .map(|restorer| TopicPartition::changelog(restorer.task_id()))
            .collect();
        let ends = match topic_partitions.is_empty() {
            true => Vec::new(),
            false => self.broker.end_offsets(&topic_partitions)?,
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
}

/// Applies the records of a task's checkpoint to `restorer`. The closure returns `false` if a record cannot be used.
fn checkpoint_receiver(
    pipeline: &Pipeline,
    restorer: &mut TaskRestorer,
) -> impl FnMut(&[u8], &[u8]) -> bool + Send {
    move |key, value| restorer.apply_checkpointed(pipeline, key, value).is_ok()
}
