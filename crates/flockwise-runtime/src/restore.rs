//! Tasks from what is at hand of them, and from there on from their changelogs.

use std::collections::BTreeMap;

use flockwise_codec::changelog::{TASK_POSITION, decode_task_position};
use flockwise_core::task::Sweeping;

use crate::broker::{Broker, Failure, Replayed};
use crate::heartbeat::beat;
use crate::pipeline::Pipeline;
use crate::running_task::RunningTask;
use crate::store::{ExpectedCheckpoint, Load};
use crate::task_restorer::{TaskRestorer, replay_to_end};
use crate::topics::TopicPartition;
use crate::watermarks::Watermarks;
use crate::worker::Worker;

/// How often a partition that an open transaction holds back is read again, a moment each time, before
/// the worker gives up: longer than a transaction may live.
pub(crate) const MAX_HELD_READS: u32 = 400;

/// Copies that are loaded before memory is looked at: by no more than these is a limit on it overstepped.
const LOADED_AT_ONCE: usize = 4;

/// A task kept warm, and how many offsets it has still to read.
struct WarmStandby {
    restorer: TaskRestorer,
    behind: i64,
}

impl<B: Broker> Worker<B> {
    /// Restores tasks. Those of which something is at hand lack little, and are read on together; what has
    /// to be read whole is read one after the other, so that memory is looked at in between.
    pub(crate) fn restore(&mut self, numbers: &[u32]) -> Result<(), Failure> {
        self.meter.tasks_restoring = numbers.len() as u64;
        self.meter.export(&self.metrics);
        let best_starts = self.best_starts(numbers)?.into_iter();
        let (begun, mut bare): (Vec<_>, Vec<_>) = best_starts.partition(|one| one.next().is_some());
        bare.extend(self.read_to_end(begun)?);
        while let Some(one) = bare.pop() {
            bare.extend(self.read_to_end(vec![one])?);
        }
        if let Some(now_ms) = self.time_mode.now_ms() {
            self.arrival.reference().compare_with_commits(now_ms);
        }
        Ok(())
    }

    /// Reads tasks to the ends of their changelogs and opens them; those that must begin anew.
    fn read_to_end(
        &mut self,
        mut restorer: Vec<TaskRestorer>,
    ) -> Result<Vec<TaskRestorer>, Failure> {
        let (mut held, mut anew) = (BTreeMap::new(), Vec::new());
        while !restorer.is_empty() {
            let replayed = replay_to_end(&mut restorer, &mut self.broker, &self.pipeline)?;
            // Whoever died left the same transaction open in many changelogs.
            let mut has_ended_one = false;
            for (one, replayed) in std::mem::take(&mut restorer).into_iter().zip(replayed) {
                match replayed {
                    Replayed::Whole(_) => self.begin(one)?,
                    Replayed::Held(_) if has_ended_one => restorer.push(one),
                    Replayed::Held(next) => {
                        let held = held.entry(one.number()).or_insert(0);
                        *held += 1;
                        has_ended_one = self.end_open_transaction(&one, next, *held)?;
                        restorer.push(one);
                    }
                    Replayed::Gone => anew.push(self.restart(one.number())),
                }
            }
        }
        Ok(anew)
    }

    fn restart(&mut self, number: u32) -> TaskRestorer {
        let reason = "the changelog does not hold its next offset";
        self.checkpointer.store().set_aside(number, reason);
        TaskRestorer::new(&self.pipeline, number)
    }

    fn begin(&mut self, restorer: TaskRestorer) -> Result<(), Failure> {
        let number = restorer.number();
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
        let others = (0..tasks).filter(|task| *task != number);
        let watermarks = Watermarks::new(others, now);
        let running = RunningTask::new(task, sweeping, watermarks, now);
        self.tasks.insert(number, running);
        self.meter.tasks_restoring -= 1;
        self.meter.tasks_running = self.tasks.len() as u64;
        self.meter.export(&self.metrics);
        self.check_memory()
    }

    /// Each task's standby if it is warm, else whichever is further, the standby or local state; nothing
    /// where there is neither.
    fn best_starts(&mut self, numbers: &[u32]) -> Result<Vec<TaskRestorer>, Failure> {
        let mut standbys = self.take_standbys(numbers)?;
        let is_warm = |warm: &WarmStandby| self.standbys.is_warm(warm.behind);
        let cold = numbers.iter().copied();
        let cold: Vec<u32> = cold
            .filter(|number| !standbys.get(number).is_some_and(is_warm))
            .collect();
        let mut kept = self.load(&cold)?;
        let mut best_starts = Vec::new();
        for number in numbers {
            let kept = kept.remove(number);
            let is_ahead = |warm: &WarmStandby| {
                kept.as_ref()
                    .is_none_or(|k| k.next() < warm.restorer.next())
            };
            let chosen = match standbys.remove(number).filter(is_ahead) {
                Some(warm) => Some(self.take_standby(warm)),
                None => kept,
            };
            best_starts.extend(chosen);
        }
        Ok(best_starts)
    }

    /// What is kept warm of these tasks, and has been begun.
    fn take_standbys(&mut self, numbers: &[u32]) -> Result<BTreeMap<u32, WarmStandby>, Failure> {
        let take = |number: &u32| self.standbys.take(self.number(), *number);
        let taken = numbers.iter().filter_map(take);
        let begun: Vec<TaskRestorer> = taken.filter(|one| one.next().is_some()).collect();
        let sources: Vec<TopicPartition> = begun
            .iter()
            .map(|one| TopicPartition::changelog(one.number()))
            .collect();
        let ends = match sources.is_empty() {
            true => Vec::new(),
            false => self.broker.end_offsets(&sources)?,
        };
        let warm = |(restorer, end): (TaskRestorer, i64)| {
            let behind = end - restorer.next().unwrap_or(0);
            (restorer.number(), WarmStandby { restorer, behind })
        };
        Ok(begun.into_iter().zip(ends).map(warm).collect())
    }

    fn take_standby(&mut self, warm: WarmStandby) -> TaskRestorer {
        let (number, behind) = (warm.restorer.number(), warm.behind);
        tracing::info!(task = number, behind, "taken over from a standby");
        self.meter.standby_takeovers += 1;
        // What is gone from the task since the copy was written is not known.
        self.checkpointer.store().remove(number);
        warm.restorer
    }

    /// These tasks as far as there is local state of them.
    fn load(&mut self, numbers: &[u32]) -> Result<BTreeMap<u32, TaskRestorer>, Failure> {
        let mut loaded = BTreeMap::new();
        if numbers.is_empty() {
            return Ok(loaded);
        }
        let wanted = ExpectedCheckpoint {
            changelog: self.changelog_id()?,
            plan: self.pipeline.task.plan.fingerprint(),
            now_ms: self.time_mode.clock().latest_ms(),
        };
        for some in numbers.chunks(LOADED_AT_ONCE) {
            beat();
            let some = self.load_some(some, &wanted);
            loaded.extend(some.into_iter().map(|one| (one.number(), one)));
            self.check_memory_with(loaded.values().map(TaskRestorer::bytes).sum())?;
        }
        Ok(loaded)
    }

    fn load_some(&mut self, numbers: &[u32], wanted: &ExpectedCheckpoint) -> Vec<TaskRestorer> {
        let pipeline = &*self.pipeline;
        let new = |number: &u32| TaskRestorer::new(pipeline, *number);
        let mut restorer: Vec<TaskRestorer> = numbers.iter().map(new).collect();
        let takers = restorer.iter_mut().map(|one| taker(pipeline, one));
        let mut takers: Vec<_> = takers.collect();
        let loads = numbers.iter().zip(&mut takers);
        let loads = loads.map(|(task, each)| Load { task: *task, each });
        let offsets = self.checkpointer.store().load_all(wanted, loads.collect());
        drop(takers);
        for (one, offset) in restorer.iter_mut().zip(offsets) {
            match offset {
                Some(offset) => one.resume_from(offset),
                None => *one = TaskRestorer::new(pipeline, one.number()),
            }
        }
        restorer
    }

    /// The task's former owner left a transaction open, and whoever it is no longer owns the task: dead, or
    /// about to find out. Waiting for the transaction to time out would take long.
    /// `true` where one was ended.
    fn end_open_transaction(
        &mut self,
        restorer: &TaskRestorer,
        next: i64,
        held: u32,
    ) -> Result<bool, Failure> {
        let number = restorer.number();
        if held > MAX_HELD_READS {
            return Err(Failure::Fatal(format!(
                "a transaction is open in the changelog of task {number} and does not end; find it with \
                 `kafka-transactions.sh find-hanging` and abort it"
            )));
        }
        if held > 1 {
            return Ok(false);
        }
        // Who left it open is written in it, unless it did not get so far.
        let written = self.writer_behind(number, next)?;
        let owner = written.as_deref().or_else(|| restorer.owner());
        match owner.filter(|owner| *owner != self.broker.transactional_id()) {
            Some(owner) => {
                tracing::warn!(
                    task = number,
                    owner,
                    "the former owner left a transaction open; it is ended"
                );
                self.broker.fence(owner)?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Whose bookmark is the next behind an offset of a changelog, committed or not.
    fn writer_behind(&mut self, number: u32, next: i64) -> Result<Option<String>, Failure> {
        let inputs = &self.pipeline.topics.inputs;
        let mut writer = None;
        self.broker
            .read_uncommitted(TopicPartition::changelog(number), next, &mut |record| {
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

/// Takes in what is kept of a task, as long as it can be used.
fn taker(
    pipeline: &Pipeline,
    restorer: &mut TaskRestorer,
) -> impl FnMut(&[u8], &[u8]) -> bool + Send {
    move |key, value| restorer.take_checkpointed(pipeline, key, value).is_ok()
}
