//! Taking tasks over, and handing them on.

use std::collections::BTreeSet;

use flockwise_codec::changelog::{BOOKMARK, decode_bookmark};
use flockwise_core::task::Sweeping;

use crate::broker::{Broker, Failure, Replayed};
use crate::keeping::Keeping;
use crate::metrics::Abort;
use crate::restoring::Restoring;
use crate::shard::{OpenTask, Shard};
use crate::store::Wanted;
use crate::topics::{Source, Topic};

/// How often a partition that an open transaction holds back is read again, a moment each time, before
/// the shard gives up: longer than a transaction may live.
pub(crate) const HELD: u32 = 400;

impl<B: Broker> Shard<B> {
    /// Takes an assignment up, if need be twice: one that is answered by halves would leave tasks, the
    /// trainer or the model unread until the next.
    pub(crate) fn assigned(&mut self, sources: &[Source]) -> Result<(), Failure> {
        match self.take_up(sources) {
            Err(Failure::Abort(reason)) => {
                self.note_abort(&reason);
                self.broker.abort()?;
                self.undo();
                self.forget(sources);
                self.take_up(sources).map_err(give_up)
            }
            other => other,
        }
    }

    /// Takes over what was assigned: goes on with tasks that were only resting, restores new ones from
    /// their changelogs, and lets go of those that did not come back.
    fn take_up(&mut self, sources: &[Source]) -> Result<(), Failure> {
        self.wake_no_stale_task();
        let trains = sources.iter().any(|source| source.topic == Topic::Deltas);
        let mini_batches = self.load_model(trains && self.trainer.is_none())?;
        let mut reads = vec![self.model_read()];
        self.meter.tasks_restoring = self.to_be_restored(sources);
        for source in sources {
            match source.topic {
                Topic::Repartition if !self.tasks.contains_key(&source.partition) => {
                    self.take_over(source.partition)?;
                    reads.extend(self.task_reads(source.partition)?);
                }
                Topic::Deltas if self.trainer.is_none() => {
                    reads.push(self.open_trainer(mini_batches.clone())?);
                }
                _ => {}
            }
        }
        self.forget_resting();
        self.broker.open(&reads)?;
        self.note_starts()?;
        self.is_assigned = true;
        let owned: BTreeSet<u32> = self.tasks.keys().copied().collect();
        self.standbys.owned_by(self.number(), owned);
        self.meter.tasks_running = self.tasks.len() as u64;
        self.meter.export(&self.metrics);
        tracing::info!(tasks = ?self.tasks.keys().collect::<Vec<_>>(), "tasks assigned");
        Ok(())
    }

    /// What rests is good for the very next round alone: where rebalances follow one another fast, a
    /// round may pass before this shard hears of it, and another works on the task meanwhile.
    fn wake_no_stale_task(&mut self) {
        let next = self.resting_since.take().map(|round| round + 1);
        if next.is_none() || next != self.broker.round() {
            self.forget_resting();
        }
    }

    /// What did not come back is somebody else's.
    fn forget_resting(&mut self) {
        for number in std::mem::take(&mut self.resting).into_keys() {
            self.store.release(number);
        }
    }

    fn to_be_restored(&self, sources: &[Source]) -> u64 {
        let is_new = |source: &&Source| {
            let number = source.partition;
            source.topic == Topic::Repartition
                && !self.tasks.contains_key(&number)
                && !self.resting.contains_key(&number)
        };
        sources.iter().filter(is_new).count() as u64
    }

    fn take_over(&mut self, number: u32) -> Result<(), Failure> {
        if let Some(open) = self.resting.remove(&number) {
            self.tasks.insert(number, open);
            return Ok(());
        }
        self.meter.export(&self.metrics);
        self.restore(number)?;
        self.meter.tasks_restoring -= 1;
        self.meter.tasks_running = self.tasks.len() as u64;
        Ok(())
    }

    /// Commits and hands tasks over. They go also where the commit comes to nothing, as of the one
    /// before: whoever waits for them must not wait for ever.
    pub(crate) fn hand_over(&mut self, sources: &[Source]) -> Result<(), Failure> {
        match self.commit() {
            Ok(()) => self.rest(sources),
            Err(Failure::Abort(reason)) => {
                self.note_abort(&reason);
                self.let_go(sources)
            }
            Err(failure) => Err(failure),
        }
    }

    fn rest(&mut self, sources: &[Source]) -> Result<(), Failure> {
        let closed = self.forget(sources);
        self.resting.extend(closed.tasks);
        self.resting_since = self.broker.round();
        self.broker.close(&closed.sources)
    }

    /// Lets go of tasks that the group has taken away without asking.
    pub(crate) fn lost(&mut self, sources: &[Source]) -> Result<(), Failure> {
        tracing::warn!(
            ?sources,
            "tasks lost: the group did not hear of this shard for too long"
        );
        self.meter.aborts[Abort::Lost as usize] += 1;
        self.let_go(sources)
    }

    /// Hands over without what is not committed.
    fn let_go(&mut self, sources: &[Source]) -> Result<(), Failure> {
        self.broker.abort()?;
        self.undo();
        self.forget_resting();
        let closed = self.forget(sources);
        for (number, _) in &closed.tasks {
            self.store.release(*number);
        }
        self.broker.close(&closed.sources)?;
        // What is left was in the same transaction.
        self.reopen()
    }

    /// Takes tasks out of the shard, and says what they read besides.
    fn forget(&mut self, sources: &[Source]) -> Closed {
        let mut closed = Closed {
            sources: sources.to_vec(),
            tasks: Vec::new(),
        };
        for source in sources {
            match source.topic {
                Topic::Repartition => {
                    if let Some(open) = self.tasks.remove(&source.partition) {
                        self.forget_lags(&open.inputs);
                        closed.sources.extend(&open.inputs);
                        closed.tasks.push((source.partition, open));
                    }
                }
                Topic::Deltas => self.trainer = None,
                _ => {}
            }
        }
        self.is_assigned = false;
        self.meter.tasks_running = self.tasks.len() as u64;
        closed
    }

    fn forget_lags(&self, inputs: &[Source]) {
        for source in inputs {
            self.metrics
                .forget_input(&self.pipeline.topics.name(source.topic), source.partition);
        }
    }

    /// Takes back everything since the last commit, after an abort.
    pub(crate) fn roll_back(&mut self) -> Result<(), Failure> {
        self.broker.abort()?;
        self.undo();
        self.reopen()
    }

    /// Every task as of the last commit, which the broker no longer holds anything beyond.
    fn undo(&mut self) {
        self.is_pending = false;
        self.deltas_offset = None;
        self.received_ms.clear();
        self.output = Default::default();
        for open in self.tasks.values_mut() {
            open.task.roll_back();
            open.is_dirty = false;
            open.stream_ms = open.task.stream_ms();
            open.unplaced = Some(0);
        }
    }

    /// Reads on from where the tasks stand, with the trainer as of the last version.
    fn reopen(&mut self) -> Result<(), Failure> {
        let numbers: Vec<u32> = self.tasks.keys().copied().collect();
        let mut reads = Vec::new();
        for number in numbers {
            reads.extend(self.task_reads(number)?);
        }
        if self.trainer.take().is_some() {
            let mini_batches = self.load_model(false)?;
            reads.push(self.open_trainer(mini_batches)?);
        }
        // Versions that were polled with what was aborted are read again.
        reads.push(self.model_read());
        self.broker.open(&reads)
    }

    fn restore(&mut self, number: u32) -> Result<(), Failure> {
        let mut task = self.bring_back(number)?.finish();
        task.set_sweeping(if self.pace.is_live() {
            Sweeping::Later
        } else {
            Sweeping::AtOnce
        });
        let now = self.pace.clock().now();
        let stream_ms = task.stream_ms();
        self.tasks.insert(
            number,
            OpenTask {
                task,
                stream_ms,
                last_event: now,
                is_dirty: false,
                inputs: Vec::new(),
                unplaced: Some(0),
                is_ahead: false,
                keeping: Keeping::new(now),
            },
        );
        self.weigh()
    }

    /// A task from what is at hand of it, and from there on from its changelog.
    fn bring_back(&mut self, number: u32) -> Result<Restoring, Failure> {
        let mut restoring = self.at_hand(number)?;
        let mut held = 0;
        loop {
            match restoring.read_on(&mut self.broker, &self.pipeline)? {
                Replayed::Whole(_) => return Ok(restoring),
                Replayed::Held(next) => {
                    held += 1;
                    self.end_what_holds(&restoring, next, held)?;
                }
                Replayed::Gone => {
                    self.store
                        .set_aside(number, "the changelog does not hold its next offset");
                    restoring = Restoring::new(&self.pipeline, number);
                }
            }
        }
    }

    /// A task's standby if it is warm, else whichever is further, the standby or local state; nothing
    /// where there is neither.
    fn at_hand(&mut self, number: u32) -> Result<Restoring, Failure> {
        let Some(standby) = self.standbys.take(self.number(), number) else {
            return self.load(number);
        };
        let ends = self.broker.ends(&[Source::changelog(number)])?;
        let end = ends.first().copied().unwrap_or(0);
        let behind = end - standby.next().unwrap_or(0);
        if standby.next().is_none() || !self.standbys.is_warm(behind) {
            let kept = self.load(number)?;
            if kept.next() >= standby.next() {
                return Ok(kept);
            }
        }
        tracing::info!(task = number, behind, "taken over from a standby");
        self.meter.standbys_taken += 1;
        // What is gone from the task since the copy was written is not known.
        self.store.remove(number);
        Ok(standby)
    }

    fn load(&mut self, number: u32) -> Result<Restoring, Failure> {
        let wanted = Wanted {
            changelog: self.changelog_identity()?,
            plan: self.pipeline.task.plan.fingerprint(),
            now_ms: self.pace.clock().wall_ms(),
        };
        let pipeline = &self.pipeline;
        let mut restoring = Restoring::new(pipeline, number);
        let offset = self.store.load(number, &wanted, &mut |key, value| {
            restoring.take_kept(pipeline, key, value).is_ok()
        });
        Ok(match offset {
            Some(offset) => {
                restoring.go_on_from(offset);
                restoring
            }
            None => Restoring::new(pipeline, number),
        })
    }

    /// The task's former owner left a transaction open, and whoever it is no longer owns the task: dead, or
    /// about to find out. Waiting for the transaction to time out would take long.
    fn end_what_holds(
        &mut self,
        restoring: &Restoring,
        next: i64,
        held: u32,
    ) -> Result<(), Failure> {
        let number = restoring.number();
        if held > HELD {
            return Err(Failure::Fatal(format!(
                "a transaction is open in the changelog of task {number} and does not end; find it with \
                 `kafka-transactions.sh find-hanging` and abort it"
            )));
        }
        if held > 1 {
            return Ok(());
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
                self.broker.evict(owner)
            }
            None => Ok(()),
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

/// An assignment answered by halves would leave the trainer out until the next: better to start anew.
fn give_up(failure: Failure) -> Failure {
    match failure {
        Failure::Abort(reason) => Failure::Fatal(format!("{reason}, twice in one assignment")),
        other => other,
    }
}

/// What a shard has let go of.
struct Closed {
    sources: Vec<Source>,
    tasks: Vec<(u32, OpenTask)>,
}
