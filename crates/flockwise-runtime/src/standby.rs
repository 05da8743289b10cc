//! Warm standbys: tasks of other processes, kept up to date from their changelogs, so that taking one
//! over costs milliseconds.
//!
//! Who takes a task over is the group's decision, and the assignor is Kafka's `range`: members in order
//! of their names get runs of neighbouring tasks, and where one goes the borders move. So a process keeps
//! the tasks next to its own, for each of its own so many on either side as `standbys` says.

#[cfg(test)]
mod tests;

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

/// How long the follower waits for records before it looks whether it is to follow others.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Records taken in under one lock, so that nobody waits long for a task.
const MAX_POLL_RECORDS: usize = 1000;

/// A standby is warm that has so many offsets of its changelog still to read at most: a moment's work.
const WARM_WITHIN: i64 = 10_000;

/// The standbys of a process; clones are the same ones.
#[derive(Clone, Debug)]
pub struct Standbys {
    shared: Arc<Mutex<Shared>>,
    /// How many tasks on either side for each of its own.
    reach: usize,
    tasks: u32,
    near: i64,
    clock: Clock,
    trusted: Duration,
}

/// What a follower reads: each task, and which of its standbys the records are for. Nothing at first.
#[derive(Debug, Default)]
pub struct Followed(BTreeMap<u32, u64>);

#[derive(Debug, Default)]
struct Shared {
    warm: BTreeMap<u32, Standby>,
    /// Standbys begun so far.
    begun: u64,
    /// Tasks with records that this process cannot use; with the next assignment it may.
    unfit: BTreeSet<u32>,
    /// Tasks of this process, by worker.
    owned: BTreeMap<usize, BTreeSet<u32>>,
    /// Was a worker given its tasks, even if none?
    is_assigned: bool,
    /// There was no room for them.
    is_out_of_memory: bool,
}

#[derive(Debug)]
struct Standby {
    restorer: TaskRestorer,
    /// What tells it from another of the same task, before or after.
    number: u64,
    /// It has, or will read, all that was committed since then: when it was begun or its latest
    /// record was written. That a poll brings nothing tells nothing: so it is where no broker is reached.
    known_ms: i64,
}

impl Standbys {
    /// Standbys of a pipeline with so many tasks; with `reach` 0 there are none.
    #[must_use]
    pub fn new(reach: usize, tasks: u32, clock: Clock) -> Self {
        Self {
            shared: Arc::default(),
            reach,
            tasks,
            near: WARM_WITHIN,
            clock,
            trusted: MAX_CHECKPOINT_AGE,
        }
    }

    /// Begins a standby anew that has had no record for so long: one that was cut off may hold customers
    /// whose tombstones are gone.
    #[must_use]
    pub fn trusted_for(mut self, trusted: Duration) -> Self {
        self.trusted = trusted;
        self
    }

    /// Calls a standby warm that has no more than so many offsets still to read; the others are held
    /// against local state.
    #[must_use]
    pub fn warm_within(mut self, offsets: i64) -> Self {
        self.near = offsets;
        self
    }

    /// Is a standby warm that has so many offsets still to read?
    pub(crate) fn is_warm(&self, behind: i64) -> bool {
        behind <= self.near
    }

    /// Is anything to be kept warm?
    #[must_use]
    pub fn are_wanted(&self) -> bool {
        self.reach > 0
    }

    /// A task that is kept warm, from here on the worker's.
    pub(crate) fn take(&self, worker: usize, number: u32) -> Option<TaskRestorer> {
        let mut shared = self.lock();
        shared.drop_stale(self.clock.latest_ms(), self.trusted);
        // Lest it be begun anew before the worker says what it has.
        shared.owned.entry(worker).or_default().insert(number);
        shared.warm.remove(&number).map(|standby| standby.restorer)
    }

    /// A worker has these tasks from here on.
    pub(crate) fn owned_by(&self, worker: usize, tasks: BTreeSet<u32>) {
        let mut shared = self.lock();
        shared.owned.insert(worker, tasks);
        shared.unfit.clear();
        shared.is_assigned = true;
    }

    /// Follows the changelogs until told to stop.
    ///
    /// # Errors
    /// Where the follower fails. Another may go on: what is warm stays so, unless the records to go on at are
    /// gone, which is [`Failure::Fatal`].
    pub fn follow(
        &self,
        follower: &mut impl Follower,
        pipeline: &Pipeline,
        metrics: &Metrics,
        stop: &AtomicBool,
    ) -> Result<(), Failure> {
        let mut batch = Batch::default();
        let mut followed = Followed::default();
        while !stop.load(Ordering::Relaxed) {
            self.follow_on(follower, pipeline, &mut followed, &mut batch)?;
            let mut shared = self.lock();
            shared.drop_above_limit(&pipeline.memory);
            metrics.standbys(shared.warm.len(), shared.bytes());
        }
        Ok(())
    }

    /// One step: sees what is to be kept warm, waits for records, takes them in.
    ///
    /// # Errors
    /// See [`Standbys::follow`].
    pub fn follow_on(
        &self,
        follower: &mut impl Follower,
        pipeline: &Pipeline,
        followed: &mut Followed,
        batch: &mut Batch,
    ) -> Result<(), Failure> {
        let reads = self.update_wanted(pipeline);
        followed.set_followed(&reads, follower)?;
        let polled = follower.poll(POLL_TIMEOUT, MAX_POLL_RECORDS, batch);
        let mut shared = self.lock();
        if let Err(failure @ (Failure::Fatal(_) | Failure::Fenced(_))) = polled {
            // The records to go on at are gone.
            shared.warm.clear();
            return Err(failure);
        }
        polled?;
        // Between the tombstones that are gone and these records nothing else would tell.
        let now_ms = self.clock.latest_ms();
        shared.drop_stale(now_ms, self.trusted);
        for record in batch.records() {
            shared.apply(pipeline, &record, now_ms);
        }
        Ok(())
    }

    /// Lets go of what is no longer wanted, begins with what is, and says where to read on.
    fn update_wanted(&self, pipeline: &Pipeline) -> Vec<FollowedTask> {
        let shared = &mut *self.lock();
        let wanted = shared.wanted(self.reach, self.tasks);
        let now_ms = self.clock.latest_ms();
        shared.warm.retain(|number, _| wanted.contains(number));
        shared.drop_stale(now_ms, self.trusted);
        for task in wanted.difference(&shared.unfit) {
            shared.warm.entry(*task).or_insert_with(|| {
                shared.begun += 1;
                Standby {
                    restorer: TaskRestorer::new(pipeline, *task),
                    number: shared.begun,
                    known_ms: now_ms,
                }
            });
        }
        let read = |(task, standby): (&u32, &Standby)| FollowedTask {
            task: *task,
            standby: standby.number,
            from: standby.restorer.next(),
        };
        shared.warm.iter().map(read).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a standby needs to be read.
#[derive(Clone, Copy, Debug)]
struct FollowedTask {
    task: u32,
    standby: u64,
    from: Option<i64>,
}

impl FollowedTask {
    fn of_follower(&self) -> (TopicPartition, Option<i64>) {
        (TopicPartition::changelog(self.task), self.from)
    }
}

impl Followed {
    /// Sees to it that these are read, each from where its standby is.
    fn set_followed(
        &mut self,
        reads: &[FollowedTask],
        follower: &mut impl Follower,
    ) -> Result<(), Failure> {
        let wanted: BTreeMap<u32, u64> = reads.iter().map(|r| (r.task, r.standby)).collect();
        if self.0 == wanted {
            return Ok(());
        }
        // A follower goes on where it is with what it reads already: one that began anew would lack
        // everything before.
        let goes_on = |read: &&FollowedTask| self.0.get(&read.task) == Some(&read.standby);
        let going_on = reads.iter().filter(goes_on).map(FollowedTask::of_follower);
        follower.follow(&going_on.collect::<Vec<_>>())?;
        let all = reads.iter().map(FollowedTask::of_follower);
        follower.follow(&all.collect::<Vec<_>>())?;
        self.0 = wanted;
        Ok(())
    }
}

impl Shared {
    fn wanted(&self, reach: usize, tasks: u32) -> BTreeSet<u32> {
        let owned: BTreeSet<u32> = self.owned.values().flatten().copied().collect();
        if reach == 0 || !self.is_assigned || self.is_out_of_memory {
            return BTreeSet::new();
        }
        if owned.is_empty() {
            // A spare, which may come to own any.
            return (0..tasks).collect();
        }
        let reach = (reach * owned.len()).min(tasks as usize) as i64;
        let count = i64::from(tasks);
        let near = |number: &u32| {
            let number = i64::from(*number);
            (-reach..=reach).map(move |step| (number + step).rem_euclid(count) as u32)
        };
        // From the borders of a run its inner tasks reach no further.
        let borders = owned.iter().filter(|number| {
            let before = (i64::from(**number) - 1).rem_euclid(count) as u32;
            let after = (**number + 1) % tasks;
            !(owned.contains(&before) && owned.contains(&after))
        });
        borders
            .flat_map(near)
            .filter(|number| !owned.contains(number))
            .collect()
    }

    fn bytes(&self) -> usize {
        let bytes = |standby: &Standby| standby.restorer.bytes();
        self.warm.values().map(bytes).sum()
    }

    /// A process's own tasks come first.
    fn drop_above_limit(&mut self, memory: &MemoryBudget) {
        let bytes = self.bytes() as u64;
        if memory.left().is_some_and(|left| bytes > left) {
            tracing::error!(
                mebibytes = bytes >> 20,
                tasks = self.warm.len(),
                "no room to keep tasks of others warm beside the own: given up until the next start; \
                 allow more with `memory` under [state], or start more instances"
            );
            self.is_out_of_memory = true;
            self.warm.clear();
        }
    }

    /// Lets go of standbys that may lack tombstones which the changelog has no more; those that are wanted
    /// are begun anew.
    fn drop_stale(&mut self, now_ms: i64, trusted: Duration) {
        self.warm.retain(|task, standby| {
            let is_trusted = now_ms.abs_diff(standby.known_ms) <= trusted.as_millis() as u64;
            if !is_trusted {
                tracing::info!(
                    task,
                    known_ms = standby.known_ms,
                    "a standby has had no record for so long that removals may be gone from the \
                     changelog: it is begun anew"
                );
            }
            is_trusted
        });
    }

    fn apply(&mut self, pipeline: &Pipeline, record: &Record<'_>, now_ms: i64) {
        let number = record.source.partition;
        if record.source.topic != Topic::Changelog {
            return;
        }
        let Some(standby) = self.warm.get_mut(&number) else {
            return;
        };
        let restorer = &mut standby.restorer;
        // Behind what was taken in already where the follower began anew.
        if restorer.next().is_some_and(|next| record.offset < next) {
            return;
        }
        // A clock that is ahead does not make it any younger.
        standby.known_ms = standby.known_ms.max(record.timestamp_ms.min(now_ms));
        if let Err(error) = restorer.take(pipeline, record) {
            tracing::error!(
                task = number,
                %error,
                "a task cannot be kept warm; that is tried again with the next assignment"
            );
            self.warm.remove(&number);
            self.unfit.insert(number);
        }
    }
}
