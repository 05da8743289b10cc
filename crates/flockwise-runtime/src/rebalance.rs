//! Taking tasks over, and handing them on.

use std::collections::BTreeSet;

use crate::broker::{Broker, Failure};
use crate::metrics::Abort;
use crate::running_task::RunningTask;
use crate::topics::{Topic, TopicPartition};
use crate::trainer_host::SAMPLES;
use crate::worker::Worker;

impl<B: Broker> Worker<B> {
    /// Takes an assignment up, if need be twice: one that is answered by halves would leave tasks, the
    /// trainer or the model unread until the next.
    pub(crate) fn assigned(&mut self, sources: &[TopicPartition]) -> Result<(), Failure> {
        self.close_stale_suspended();
        self.look_at_topic_ids()?;
        self.recreated.clear();
        match self.adopt_assignment(sources) {
            Err(Failure::Abort(reason)) => {
                self.note_abort(&reason);
                self.adopt_assignment_again(sources)
                    .map_err(fatal_if_aborted)
            }
            other => other,
        }
    }

    /// Takes an assignment up after an abort. A cooperative protocol assigns only what is new: tasks that the
    /// worker had before were rolled back as well, and are read again from their positions.
    fn adopt_assignment_again(&mut self, sources: &[TopicPartition]) -> Result<(), Failure> {
        self.broker.abort()?;
        self.undo();
        let mut all = sources.to_vec();
        all.extend(self.tasks.keys().copied().map(TopicPartition::repartition));
        all.extend(self.trainer.is_some().then_some(SAMPLES));
        all.sort_unstable();
        all.dedup();
        let closed = self.forget(&all);
        self.suspended.extend(closed.tasks);
        self.adopt_assignment(&all)
    }

    /// Takes over what was assigned: goes on with tasks that were only resting, restores new ones from
    /// their changelogs, and lets go of those that did not come back.
    fn adopt_assignment(&mut self, sources: &[TopicPartition]) -> Result<(), Failure> {
        let trains = sources.iter().any(|source| source.topic == Topic::Samples);
        self.load_model(trains && self.trainer.is_none())?;
        let taken = self.take_over(sources)?;
        let mut reads = vec![self.model_read()];
        for source in sources {
            match source.topic {
                Topic::Repartition if taken.contains(&source.partition) => {
                    reads.extend(self.task_reads(source.partition)?);
                }
                Topic::Samples if self.trainer.is_none() => {
                    reads.push(self.open_trainer()?);
                }
                _ => {}
            }
        }
        self.close_suspended();
        self.open(&reads)?;
        self.note_starts()?;
        self.is_assigned = true;
        self.watermark_sender.forget();
        let owned: BTreeSet<u32> = self.tasks.keys().copied().collect();
        self.standbys.owned_by(self.number(), owned);
        self.report_standing();
        tracing::info!(tasks = ?self.tasks.keys().collect::<Vec<_>>(), "tasks assigned");
        Ok(())
    }

    /// What rests is good for the very next round alone: where rebalances follow one another fast, a
    /// round may pass before this worker hears of it, and another works on the task meanwhile.
    fn close_stale_suspended(&mut self) {
        let next = self.suspended_generation.take().map(|round| round + 1);
        if next.is_none() || next != self.broker.generation() {
            self.close_suspended();
        }
    }

    /// What did not come back is somebody else's.
    fn close_suspended(&mut self) {
        for number in std::mem::take(&mut self.suspended).into_keys() {
            self.store.release(number);
        }
    }

    /// Takes over what is new of an assignment; which tasks that is.
    fn take_over(&mut self, sources: &[TopicPartition]) -> Result<Vec<u32>, Failure> {
        let tasks = sources.iter().filter(|s| s.topic == Topic::Repartition);
        let numbers = tasks.map(|source| source.partition);
        let taken: Vec<u32> = numbers.filter(|n| !self.tasks.contains_key(n)).collect();
        let mut unknown = Vec::new();
        for number in &taken {
            match self.suspended.remove(number) {
                Some(running) => drop(self.tasks.insert(*number, running)),
                None => unknown.push(*number),
            }
        }
        self.restore(&unknown)?;
        Ok(taken)
    }

    /// Commits and hands tasks over. They go also where the commit comes to nothing, as of the one
    /// before: whoever waits for them must not wait for ever.
    pub(crate) fn revoked(&mut self, sources: &[TopicPartition]) -> Result<(), Failure> {
        match self.commit() {
            Ok(()) => self.suspend(sources),
            Err(Failure::Abort(reason)) => {
                self.note_abort(&reason);
                self.release_tasks(sources)
            }
            Err(failure) => Err(failure),
        }
    }

    fn suspend(&mut self, sources: &[TopicPartition]) -> Result<(), Failure> {
        let closed = self.forget(sources);
        self.suspended.extend(closed.tasks);
        self.suspended_generation = self.broker.generation();
        self.close(&closed.sources)
    }

    /// Lets go of tasks that the group has taken away without asking.
    pub(crate) fn lost(&mut self, sources: &[TopicPartition]) -> Result<(), Failure> {
        tracing::warn!(
            ?sources,
            "tasks lost: the group did not hear of this worker for too long"
        );
        self.count_abort(Abort::Lost);
        self.release_tasks(sources)
    }

    /// Hands over without what is not committed.
    fn release_tasks(&mut self, sources: &[TopicPartition]) -> Result<(), Failure> {
        self.broker.abort()?;
        self.undo();
        self.close_suspended();
        let closed = self.forget(sources);
        for (number, _) in &closed.tasks {
            self.store.release(*number);
        }
        self.close(&closed.sources)?;
        // What is left was in the same transaction.
        self.reopen()
    }

    /// Takes tasks out of the worker, and says what they read besides.
    fn forget(&mut self, sources: &[TopicPartition]) -> RevokedTasks {
        let mut closed = RevokedTasks {
            sources: sources.to_vec(),
            tasks: Vec::new(),
        };
        for source in sources {
            match source.topic {
                Topic::Repartition => {
                    if let Some(running) = self.tasks.remove(&source.partition) {
                        self.forget_lags(&running.inputs);
                        closed.sources.extend(&running.inputs);
                        closed.tasks.push((source.partition, running));
                    }
                }
                Topic::Samples => self.trainer = None,
                _ => {}
            }
        }
        self.is_assigned = false;
        self.meter.tasks_running = self.tasks.len() as u64;
        closed
    }

    fn forget_lags(&self, inputs: &[TopicPartition]) {
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
        self.transaction.roll_back();
        self.watermark_sender.forget();
        self.output = Default::default();
        for running in self.tasks.values_mut() {
            running.roll_back();
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
fn fatal_if_aborted(failure: Failure) -> Failure {
    match failure {
        Failure::Abort(reason) => Failure::Fatal(format!("{reason}, twice in one assignment")),
        other => other,
    }
}

/// What a worker has let go of.
struct RevokedTasks {
    sources: Vec<TopicPartition>,
    tasks: Vec<(u32, RunningTask)>,
}
