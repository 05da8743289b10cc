//! Taking tasks over, and handing them on.

use std::collections::BTreeSet;

use crate::broker::{Broker, Failure};
use crate::metrics::Abort;
use crate::open_task::OpenTask;
use crate::shard::Shard;
use crate::topics::{Source, Topic};
use crate::training::DELTAS;

impl<B: Broker> Shard<B> {
    /// Takes an assignment up, if need be twice: one that is answered by halves would leave tasks, the
    /// trainer or the model unread until the next.
    pub(crate) fn assigned(&mut self, sources: &[Source]) -> Result<(), Failure> {
        self.wake_no_stale_task();
        self.look_at_topic_ids()?;
        self.recreated.clear();
        match self.take_up(sources) {
            Err(Failure::Abort(reason)) => {
                self.note_abort(&reason);
                self.take_up_again(sources).map_err(give_up)
            }
            other => other,
        }
    }

    /// Takes an assignment up after an abort. A cooperative protocol assigns only what is new: tasks that the
    /// shard had before were rolled back as well, and are read again from their positions.
    fn take_up_again(&mut self, sources: &[Source]) -> Result<(), Failure> {
        self.broker.abort()?;
        self.undo();
        let mut all = sources.to_vec();
        all.extend(self.tasks.keys().copied().map(Source::repartition));
        all.extend(self.trainer.is_some().then_some(DELTAS));
        all.sort_unstable();
        all.dedup();
        let closed = self.forget(&all);
        self.resting.extend(closed.tasks);
        self.take_up(&all)
    }

    /// Takes over what was assigned: goes on with tasks that were only resting, restores new ones from
    /// their changelogs, and lets go of those that did not come back.
    fn take_up(&mut self, sources: &[Source]) -> Result<(), Failure> {
        let trains = sources.iter().any(|source| source.topic == Topic::Deltas);
        self.load_model(trains && self.trainer.is_none())?;
        let taken = self.take_over(sources)?;
        let mut reads = vec![self.model_read()];
        for source in sources {
            match source.topic {
                Topic::Repartition if taken.contains(&source.partition) => {
                    reads.extend(self.task_reads(source.partition)?);
                }
                Topic::Deltas if self.trainer.is_none() => {
                    reads.push(self.open_trainer()?);
                }
                _ => {}
            }
        }
        self.forget_resting();
        self.open(&reads)?;
        self.note_starts()?;
        self.is_assigned = true;
        self.announced.forget();
        let owned: BTreeSet<u32> = self.tasks.keys().copied().collect();
        self.standbys.owned_by(self.number(), owned);
        self.report_standing();
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

    /// Takes over what is new of an assignment; which tasks that is.
    fn take_over(&mut self, sources: &[Source]) -> Result<Vec<u32>, Failure> {
        let tasks = sources.iter().filter(|s| s.topic == Topic::Repartition);
        let numbers = tasks.map(|source| source.partition);
        let taken: Vec<u32> = numbers.filter(|n| !self.tasks.contains_key(n)).collect();
        let mut unknown = Vec::new();
        for number in &taken {
            match self.resting.remove(number) {
                Some(open) => drop(self.tasks.insert(*number, open)),
                None => unknown.push(*number),
            }
        }
        self.restore(&unknown)?;
        Ok(taken)
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
        self.close(&closed.sources)
    }

    /// Lets go of tasks that the group has taken away without asking.
    pub(crate) fn lost(&mut self, sources: &[Source]) -> Result<(), Failure> {
        tracing::warn!(
            ?sources,
            "tasks lost: the group did not hear of this shard for too long"
        );
        self.count_abort(Abort::Lost);
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
        self.close(&closed.sources)?;
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
                .lags
                .forget(&self.pipeline.topics.name(source.topic), source.partition);
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
        self.announced.forget();
        self.deltas_offset = None;
        self.meter.roll_back();
        self.output = Default::default();
        for open in self.tasks.values_mut() {
            open.roll_back();
        }
        self.forget_others();
    }

    /// Reads on from where the tasks stand, with the trainer as of the last version. What looks like a truncated input may
    /// be another topic under its name.
    fn reopen(&mut self) -> Result<(), Failure> {
        self.look_at_topic_ids_if_told();
        let numbers: Vec<u32> = self.tasks.keys().copied().collect();
        let mut reads = Vec::new();
        for number in numbers {
            reads.extend(self.task_reads(number)?);
        }
        if self.trainer.take().is_some() {
            self.load_model(false)?;
            reads.push(self.open_trainer()?);
        }
        // Versions that were polled with what was aborted are read again.
        reads.push(self.model_read());
        self.open(&reads)
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
