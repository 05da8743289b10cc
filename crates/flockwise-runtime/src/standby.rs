//! Standbys: copies of other instances' tasks, kept current from their changelogs, so that a takeover takes
//! milliseconds.
//!
//! The group decides who takes a task over. Kafka's `range` assignor gives members, in the order of their names, runs of
//! neighbouring tasks. When a member leaves, the borders of the runs move. So a process replicates the tasks next to its
//! own: for each task that it owns, as many on either side as `standbys` says.

#[cfg(test)]
mod tests;

use flockwise_vocabulary::task_id::TaskId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::batch::{Batch, Record};
use crate::broker::{Failure, Follower};
use crate::clock::Clock;
use crate::memory_budget::MemoryBudget;
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::store::MAX_CHECKPOINT_AGE;
use crate::task_restorer::TaskRestorer;
use crate::topics::{Topic, TopicPartition};

/// How long a poll waits for records. Between polls, the standbys are adjusted to the current assignment.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Records applied under one lock, so that a worker does not wait long for a standby.
const MAX_POLL_RECORDS: usize = 1000;

/// A standby is warm if it has no more than this number of changelog offsets still to read, which takes a moment.
const WARM_WITHIN: i64 = 10_000;

/// The standbys of a process. Clones share them.
#[derive(Clone, Debug)]
pub struct Standbys {
    shared: Arc<Mutex<StandbyState>>,
    /// Standbys on either side for each owned task.
    neighbours: usize,
    /// Number of tasks of the pipeline.
    tasks: u32,
    /// Offsets that a warm standby may still have to read.
    warm_within: i64,
    clock: Clock,
    /// How long a standby is trusted without a record.
    trusted: Duration,
}

/// The tasks that a follower reads, each with the number of the standby that it reads for. Empty at first.
#[derive(Debug, Default)]
pub struct FollowedTasks(BTreeMap<TaskId, u64>);

#[derive(Debug, Default)]
struct StandbyState {
    /// By task.
    standbys: BTreeMap<TaskId, Standby>,
    /// Number of standbys created so far.
    created: u64,
    /// Tasks with a record that cannot be used. They are tried again after the next assignment.
    unusable: BTreeSet<TaskId>,
    /// Tasks that this process owns, by worker.
    owned: BTreeMap<usize, BTreeSet<TaskId>>,
    /// Has a worker adopted an assignment, even an empty one?
    is_assigned: bool,
    /// The standbys did not fit into memory: there are none until the next start.
    is_out_of_memory: bool,
}

#[derive(Debug)]
struct Standby {
    restorer: TaskRestorer,
    /// Tells it from an earlier or later standby of the same task.
    number: u64,
    /// It has read, or will read, everything committed since this time, milliseconds since the epoch: when it was created,
    /// or when its latest record was written. An empty poll does not count: it may have reached no broker.
    known_ms: i64,
}

impl Standbys {
    /// Creates the standbys of a pipeline with this number of tasks: for each owned task, `neighbours` on either side.
    /// With 0 there are none.
    #[must_use]
    pub fn new(neighbours: usize, tasks: u32, clock: Clock) -> Self {
        Self {
            shared: Arc::default(),
            neighbours,
            tasks,
            warm_within: WARM_WITHIN,
            clock,
            trusted: MAX_CHECKPOINT_AGE,
        }
    }

    /// Rebuilds a standby that has received no record for longer than this: if it was cut off, it may hold customers
    /// whose tombstones are gone. The default is [`MAX_CHECKPOINT_AGE`].
    #[must_use]
    pub fn trusted_for(mut self, trusted: Duration) -> Self {
        self.trusted = trusted;
        self
    }

    /// A standby is warm if it has at most this number of changelog offsets still to read. Another one is taken over only
    /// if it has read further than the checkpoint. The default is 10,000.
    #[must_use]
    pub fn warm_within(mut self, offsets: i64) -> Self {
        self.warm_within = offsets;
        self
    }

    /// Is a standby warm that has this number of offsets still to read?
    pub(crate) fn is_warm(&self, behind: i64) -> bool {
        behind <= self.warm_within
    }

    /// Are standbys configured?
    #[must_use]
    pub fn are_wanted(&self) -> bool {
        self.neighbours > 0
    }

    /// Takes the standby of a task that the worker now owns; `None` if there is none that can be trusted.
    pub(crate) fn take(&self, worker: usize, task_id: TaskId) -> Option<TaskRestorer> {
        let mut shared = self.lock();
        shared.drop_stale(self.clock.latest_ms(), self.trusted);
        // Otherwise the follower might create a new standby before the worker reports its tasks.
        shared.owned.entry(worker).or_default().insert(task_id);
        let standby = shared.standbys.remove(&task_id);
        standby.map(|standby| standby.restorer)
    }

    /// Sets the tasks that a worker owns. Tries unusable tasks again.
    pub(crate) fn owned_by(&self, worker: usize, tasks: BTreeSet<TaskId>) {
        let mut shared = self.lock();
        shared.owned.insert(worker, tasks);
        shared.unusable.clear();
        shared.is_assigned = true;
    }

    /// Follows the changelogs until told to stop.
    ///
    /// # Errors
    /// If the follower fails: call this again with a new one. The standbys are kept, except after [`Failure::Fatal`] and
    /// [`Failure::Fenced`]: the next records are gone, and all standbys are rebuilt.
    pub fn follow(
        &self,
        follower: &mut impl Follower,
        pipeline: &Pipeline,
        metrics: &Metrics,
        stop: &AtomicBool,
    ) -> Result<(), Failure> {
        let mut batch = Batch::default();
        let mut followed = FollowedTasks::default();
        while !stop.load(Ordering::Relaxed) {
            self.follow_on(follower, pipeline, &mut followed, &mut batch)?;
            let mut shared = self.lock();
            shared.drop_above_limit(&pipeline.memory);
            metrics.standbys(shared.standbys.len(), shared.bytes());
        }
        Ok(())
    }

    /// One step: adjusts the standbys to the current assignment, waits for records and applies them.
    ///
    /// # Errors
    /// See [`Standbys::follow`].
    pub fn follow_on(
        &self,
        follower: &mut impl Follower,
        pipeline: &Pipeline,
        followed: &mut FollowedTasks,
        batch: &mut Batch,
    ) -> Result<(), Failure> {
        let reads = self.update_wanted(pipeline);
        followed.set_followed(&reads, follower)?;
        let polled = follower.poll(POLL_TIMEOUT, MAX_POLL_RECORDS, batch);
        let mut shared = self.lock();
        if let Err(failure @ (Failure::Fatal(_) | Failure::Fenced(_))) = polled {
            // The next records are gone.
            shared.standbys.clear();
            return Err(failure);
        }
        polled?;
        // Before these records are applied: they would make a standby that has missed tombstones look current.
        let now_ms = self.clock.latest_ms();
        shared.drop_stale(now_ms, self.trusted);
        for record in batch.records() {
            shared.apply(pipeline, &record, now_ms);
        }
        Ok(())
    }

    /// Drops standbys that are no longer wanted, creates missing ones, and returns what to read for each.
    fn update_wanted(&self, pipeline: &Pipeline) -> Vec<FollowedTask> {
        let shared = &mut *self.lock();
        let wanted = shared.wanted(self.neighbours, self.tasks);
        let now_ms = self.clock.latest_ms();
        shared
            .standbys
            .retain(|task_id, _| wanted.contains(task_id));
        shared.drop_stale(now_ms, self.trusted);
        for task in wanted.difference(&shared.unusable) {
            shared.standbys.entry(*task).or_insert_with(|| {
                shared.created += 1;
                Standby {
                    restorer: TaskRestorer::new(pipeline, *task),
                    number: shared.created,
                    known_ms: now_ms,
                }
            });
        }
        let read = |(task, standby): (&TaskId, &Standby)| FollowedTask {
            task: *task,
            standby: standby.number,
            from: standby.restorer.next(),
        };
        shared.standbys.iter().map(read).collect()
    }

    fn lock(&self) -> MutexGuard<'_, StandbyState> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of a standby, the number of the standby, and the next changelog offset (`None`: the oldest).
#[derive(Clone, Copy, Debug)]
struct FollowedTask {
    task: TaskId,
    standby: u64,
    from: Option<i64>,
}

impl FollowedTask {
    fn read(&self) -> (TopicPartition, Option<i64>) {
        (TopicPartition::changelog(self.task), self.from)
    }
}

impl FollowedTasks {
    /// Makes the follower read exactly these tasks, each from its standby's next offset.
    fn set_followed(
        &mut self,
        reads: &[FollowedTask],
        follower: &mut impl Follower,
    ) -> Result<(), Failure> {
        let wanted: BTreeMap<TaskId, u64> = reads.iter().map(|r| (r.task, r.standby)).collect();
        if self.0 == wanted {
            return Ok(());
        }
        // A follower keeps its position in what it reads already, and a rebuilt standby would miss everything before
        // that. So it first stops reading for standbys that are gone.
        let goes_on = |read: &&FollowedTask| self.0.get(&read.task) == Some(&read.standby);
        let going_on = reads.iter().filter(goes_on).map(FollowedTask::read);
        follower.follow(&going_on.collect::<Vec<_>>())?;
        let all = reads.iter().map(FollowedTask::read);
        follower.follow(&all.collect::<Vec<_>>())?;
        self.0 = wanted;
        Ok(())
    }
}

impl StandbyState {
    /// The tasks to replicate.
    fn wanted(&self, neighbours: usize, tasks: u32) -> BTreeSet<TaskId> {
        let owned: BTreeSet<TaskId> = self.owned.values().flatten().copied().collect();
        if neighbours == 0 || !self.is_assigned || self.is_out_of_memory {
            return BTreeSet::new();
        }
        if owned.is_empty() {
            // A spare instance, which may be assigned any task.
            return TaskId::all(tasks).collect();
        }
        let farthest = (neighbours * owned.len()).min(tasks as usize) as i64;
        let count = i64::from(tasks);
        let neighbour = move |task: TaskId, step: i64| {
            TaskId((i64::from(task.0) + step).rem_euclid(count) as u32)
        };
        let near = |task: &TaskId| {
            let task = *task;
            (-farthest..=farthest).map(move |step| neighbour(task, step))
        };
        // The inner tasks of a run reach no further than those at its borders.
        let borders = owned.iter().filter(|task| {
            ![-1, 1]
                .into_iter()
                .all(|step| owned.contains(&neighbour(**task, step)))
        });
        borders
            .flat_map(near)
            .filter(|task| !owned.contains(task))
            .collect()
    }

    fn bytes(&self) -> usize {
        let bytes = |standby: &Standby| standby.restorer.bytes();
        self.standbys.values().map(bytes).sum()
    }

    /// Drops all standbys if they do not fit beside the tasks that the process owns, which take precedence.
    fn drop_above_limit(&mut self, memory: &MemoryBudget) {
        let bytes = self.bytes() as u64;
        if memory.left().is_some_and(|left| bytes > left) {
            tracing::error!(
                mebibytes = bytes >> 20,
                tasks = self.standbys.len(),
                "standbys dropped until the next start: together with the owned tasks they exceed `memory` under \
                 [state]; raise `memory`, or start more instances"
            );
            self.is_out_of_memory = true;
            self.standbys.clear();
        }
    }

    /// Drops standbys that may have missed tombstones which the changelog no longer has. The next update rebuilds those
    /// that are wanted.
    fn drop_stale(&mut self, now_ms: i64, trusted: Duration) {
        self.standbys.retain(|task, standby| {
            let is_trusted = now_ms.abs_diff(standby.known_ms) <= trusted.as_millis() as u64;
            if !is_trusted {
                tracing::info!(
                    task = task.0,
                    known_ms = standby.known_ms,
                    "rebuilding a standby: it received no record for so long that tombstones may be gone from the \
                     changelog"
                );
            }
            is_trusted
        });
    }

    /// Applies a record to its standby. Drops the standby if the record cannot be used.
    fn apply(&mut self, pipeline: &Pipeline, record: &Record<'_>, now_ms: i64) {
        let task_id = TaskId(record.topic_partition.partition);
        if record.topic_partition.topic != Topic::Changelog {
            return;
        }
        let Some(standby) = self.standbys.get_mut(&task_id) else {
            return;
        };
        let restorer = &mut standby.restorer;
        // A new follower repeats records that are applied already.
        if restorer.next().is_some_and(|next| record.offset < next) {
            return;
        }
        // A timestamp ahead of the clock does not make the standby more current than now.
        standby.known_ms = standby.known_ms.max(record.timestamp_ms.min(now_ms));
        if let Err(error) = restorer.apply(pipeline, record) {
            tracing::error!(
                task = task_id.0,
                %error,
                "standby dropped: it cannot apply a record of its changelog; a new standby starts after the next assignment"
            );
            self.standbys.remove(&task_id);
            self.unusable.insert(task_id);
        }
    }
}
