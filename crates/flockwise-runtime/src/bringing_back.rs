//! Tasks from what is at hand of them, and from there on from their changelogs.

use std::collections::BTreeMap;

use flockwise_codec::changelog::{BOOKMARK, decode_bookmark};
use flockwise_core::task::Sweeping;

use crate::broker::{Broker, Failure, Replayed};
use crate::open_task::OpenTask;
use crate::pipeline::Pipeline;
use crate::pulse::beat;
use crate::restoring::{Restoring, read_on};
use crate::shard::Shard;
use crate::store::{Load, Wanted};
use crate::topics::Source;
use crate::watermarks::Watermarks;

/// How often a partition that an open transaction holds back is read again, a moment each time, before
/// the shard gives up: longer than a transaction may live.
pub(crate) const HELD: u32 = 400;

/// Copies that are loaded before memory is looked at: by no more than these is a limit on it overstepped.
const LOADED_AT_ONCE: usize = 4;

/// A task kept warm, and how many offsets it has still to read.
struct Warm {
    restoring: Restoring,
    behind: i64,
}

impl<B: Broker> Shard<B> {
    /// Restores tasks. Those of which something is at hand lack little, and are read on together; what has
    /// to be read whole is read one after the other, so that memory is looked at in between.
    pub(crate) fn restore(&mut self, numbers: &[u32]) -> Result<(), Failure> {
        self.meter.tasks_restoring = numbers.len() as u64;
        self.meter.export(&self.metrics);
        let at_hand = self.at_hand(numbers)?.into_iter();
        let (begun, mut bare): (Vec<_>, Vec<_>) = at_hand.partition(|one| one.next().is_some());
        bare.extend(self.read_to_end(begun)?);
        while let Some(one) = bare.pop() {
            bare.extend(self.read_to_end(vec![one])?);
        }
        if let Some(now_ms) = self.pace.now_ms() {
            self.reference.compare_with_commits(now_ms);
        }
        Ok(())
    }

    /// Reads tasks to the ends of their changelogs and opens them; those that must begin anew.
    fn read_to_end(&mut self, mut restoring: Vec<Restoring>) -> Result<Vec<Restoring>, Failure> {
        let (mut held, mut anew) = (BTreeMap::new(), Vec::new());
        while !restoring.is_empty() {
            let replayed = read_on(&mut restoring, &mut self.broker, &self.pipeline)?;
            // Whoever died left the same transaction open in many changelogs.
            let mut has_ended_one = false;
            for (one, replayed) in std::mem::take(&mut restoring).into_iter().zip(replayed) {
                match replayed {
                    Replayed::Whole(_) => self.begin(one)?,
                    Replayed::Held(_) if has_ended_one => restoring.push(one),
                    Replayed::Held(next) => {
                        let held = held.entry(one.number()).or_insert(0);
                        *held += 1;
                        has_ended_one = self.end_what_holds(&one, next, *held)?;
                        restoring.push(one);
                    }
                    Replayed::Gone => anew.push(self.begun_anew(one.number())),
                }
            }
        }
        Ok(anew)
    }

    fn begun_anew(&mut self, number: u32) -> Restoring {
        let reason = "the changelog does not hold its next offset";
        self.store.set_aside(number, reason);
        Restoring::new(&self.pipeline, number)
    }

    fn begin(&mut self, restoring: Restoring) -> Result<(), Failure> {
        let number = restoring.number();
        self.meter.restored_records += restoring.records();
        self.reference.note_commit(restoring.latest_commit_ms());
        let sweeping = match self.pace.is_live() {
            true => Sweeping::Later,
            false => Sweeping::AtOnce,
        };
        let now = self.pace.clock().now();
        let task = restoring.finish(&self.pipeline)?;
        let tasks = self.pipeline.topics.state_partitions;
        let others = (0..tasks).filter(|task| *task != number);
        let watermarks = Watermarks::new(others, now);
        let open = OpenTask::new(task, sweeping, watermarks, now);
        self.tasks.insert(number, open);
        self.meter.tasks_restoring -= 1;
        self.meter.tasks_running = self.tasks.len() as u64;
        self.meter.export(&self.metrics);
        self.weigh()
    }

    /// Each task's standby if it is warm, else whichever is further, the standby or local state; nothing
    /// where there is neither.
    fn at_hand(&mut self, numbers: &[u32]) -> Result<Vec<Restoring>, Failure> {
        let mut standbys = self.take_standbys(numbers)?;
        let is_warm = |warm: &Warm| self.standbys.is_warm(warm.behind);
        let cold = numbers.iter().copied();
        let cold: Vec<u32> = cold
            .filter(|number| !standbys.get(number).is_some_and(is_warm))
            .collect();
        let mut kept = self.load(&cold)?;
        let mut at_hand = Vec::new();
        for number in numbers {
            let kept = kept.remove(number);
            let is_ahead = |warm: &Warm| {
                kept.as_ref()
                    .is_none_or(|k| k.next() < warm.restoring.next())
            };
            let chosen = match standbys.remove(number).filter(is_ahead) {
                Some(warm) => Some(self.taken_warm(warm)),
                None => kept,
            };
            at_hand.extend(chosen);
        }
        Ok(at_hand)
    }

    /// What is kept warm of these tasks, and has been begun.
    fn take_standbys(&mut self, numbers: &[u32]) -> Result<BTreeMap<u32, Warm>, Failure> {
        let take = |number: &u32| self.standbys.take(self.number(), *number);
        let taken = numbers.iter().filter_map(take);
        let begun: Vec<Restoring> = taken.filter(|one| one.next().is_some()).collect();
        let sources: Vec<Source> = begun
            .iter()
            .map(|one| Source::changelog(one.number()))
            .collect();
        let ends = match sources.is_empty() {
            true => Vec::new(),
            false => self.broker.ends(&sources)?,
        };
        let warm = |(restoring, end): (Restoring, i64)| {
            let behind = end - restoring.next().unwrap_or(0);
            (restoring.number(), Warm { restoring, behind })
        };
        Ok(begun.into_iter().zip(ends).map(warm).collect())
    }

    fn taken_warm(&mut self, warm: Warm) -> Restoring {
        let (number, behind) = (warm.restoring.number(), warm.behind);
        tracing::info!(task = number, behind, "taken over from a standby");
        self.meter.standbys_taken += 1;
        // What is gone from the task since the copy was written is not known.
        self.store.remove(number);
        warm.restoring
    }

    /// These tasks as far as there is local state of them.
    fn load(&mut self, numbers: &[u32]) -> Result<BTreeMap<u32, Restoring>, Failure> {
        let mut loaded = BTreeMap::new();
        if numbers.is_empty() {
            return Ok(loaded);
        }
        let wanted = Wanted {
            changelog: self.changelog_identity()?,
            plan: self.pipeline.task.plan.fingerprint(),
            now_ms: self.pace.clock().latest_ms(),
        };
        for some in numbers.chunks(LOADED_AT_ONCE) {
            beat();
            let some = self.load_some(some, &wanted);
            loaded.extend(some.into_iter().map(|one| (one.number(), one)));
            self.weigh_with(loaded.values().map(Restoring::bytes).sum())?;
        }
        Ok(loaded)
    }

    fn load_some(&mut self, numbers: &[u32], wanted: &Wanted) -> Vec<Restoring> {
        let pipeline = &*self.pipeline;
        let new = |number: &u32| Restoring::new(pipeline, *number);
        let mut restoring: Vec<Restoring> = numbers.iter().map(new).collect();
        let takers = restoring.iter_mut().map(|one| taker(pipeline, one));
        let mut takers: Vec<_> = takers.collect();
        let loads = numbers.iter().zip(&mut takers);
        let loads = loads.map(|(task, each)| Load { task: *task, each });
        let offsets = self.store.load_all(wanted, loads.collect());
        drop(takers);
        for (one, offset) in restoring.iter_mut().zip(offsets) {
            match offset {
                Some(offset) => one.go_on_from(offset),
                None => *one = Restoring::new(pipeline, one.number()),
            }
        }
        restoring
    }

    /// The task's former owner left a transaction open, and whoever it is no longer owns the task: dead, or
    /// about to find out. Waiting for the transaction to time out would take long.
    /// `true` where one was ended.
    fn end_what_holds(
        &mut self,
        restoring: &Restoring,
        next: i64,
        held: u32,
    ) -> Result<bool, Failure> {
        let number = restoring.number();
        if held > HELD {
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
        let owner = written.as_deref().or_else(|| restoring.owner());
        match owner.filter(|owner| *owner != self.broker.name()) {
            Some(owner) => {
                tracing::warn!(
                    task = number,
                    owner,
                    "the former owner left a transaction open; it is ended"
                );
                self.broker.evict(owner)?;
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
            .peek(Source::changelog(number), next, &mut |record| {
                if let (Some([BOOKMARK]), Some(value), None) = (record.key, record.value, &writer)
                    && let Ok((_, owner)) = decode_bookmark(value, inputs)
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
    restoring: &mut Restoring,
) -> impl FnMut(&[u8], &[u8]) -> bool + Send {
    move |key, value| restoring.take_kept(pipeline, key, value).is_ok()
}
