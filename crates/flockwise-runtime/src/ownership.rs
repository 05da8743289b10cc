//! Taking tasks over, and handing them on.

use std::sync::Arc;

use flockwise_codec::changelog::{BOOKMARK, ChangelogError, ROW, decode_bookmark, decode_row};
use flockwise_core::task::{Bookmark, Task};

use crate::batch::Record;
use crate::broker::{Broker, Failure, Start};
use crate::metrics::Abort;
use crate::pipeline::Pipeline;
use crate::shard::{OpenTask, Shard};
use crate::topics::{Source, Topic};

impl<B: Broker> Shard<B> {
    /// Takes an assignment up, if need be twice: one that is answered by halves would leave tasks, the
    /// trainer or the model unread until the next.
    pub(crate) fn assigned(&mut self, sources: &[Source]) -> Result<(), Failure> {
        match self.take_up(sources) {
            Err(Failure::Abort(reason)) => {
                self.note_abort(&reason);
                self.broker.abort()?;
                self.forget_uncommitted();
                self.forget(sources);
                self.take_up(sources)
            }
            other => other,
        }
    }

    /// Takes over what was assigned: goes on with tasks that were only resting, restores new ones from
    /// their changelogs, and lets go of those that did not come back.
    fn take_up(&mut self, sources: &[Source]) -> Result<(), Failure> {
        self.wake_no_stale_task();
        let deltas_offset = self.load_model()?;
        let mut reads = vec![self.model_read()];
        self.meter.tasks_restoring = self.to_be_restored(sources);
        for source in sources {
            match source.topic {
                Topic::Repartition if !self.tasks.contains_key(&source.partition) => {
                    self.take_over(source.partition)?;
                    reads.extend(self.task_reads(source.partition)?);
                }
                Topic::Deltas if self.trainer.is_none() => {
                    reads.push(self.open_trainer(deltas_offset)?);
                }
                _ => {}
            }
        }
        self.resting.clear();
        self.broker.open(&reads)?;
        self.note_starts()?;
        self.is_assigned = true;
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
            self.resting.clear();
        }
    }

    /// Writes down where inputs begin that have not been read before: `latest` must mean the same after
    /// a restart, or what arrived in between would be lost.
    fn note_starts(&mut self) -> Result<(), Failure> {
        for open in self.tasks.values_mut() {
            let known: Vec<_> = open.task.inputs().map(|(input, _)| input).collect();
            for source in &open.inputs {
                let Topic::Input(input) = source.topic else {
                    continue;
                };
                let input = (input, source.partition);
                if let Some(position) = self
                    .broker
                    .position(*source)
                    .filter(|_| !known.contains(&input))
                {
                    open.task.advance_input(input, position);
                    open.is_dirty = true;
                    self.is_pending = true;
                }
            }
        }
        self.commit()
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
        self.forget_uncommitted();
        self.resting.clear();
        let closed = self.forget(sources);
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
        self.forget_uncommitted();
        self.reopen()
    }

    fn forget_uncommitted(&mut self) {
        self.is_pending = false;
        self.deltas_offset = None;
        self.received_ms.clear();
        self.output = Default::default();
    }

    /// Restores every task and the trainer as of the last commit and reads on from there.
    fn reopen(&mut self) -> Result<(), Failure> {
        let numbers: Vec<u32> = self.tasks.keys().copied().collect();
        let mut reads = Vec::new();
        for number in numbers {
            self.restore(number)?;
            reads.extend(self.task_reads(number)?);
        }
        if self.trainer.take().is_some() {
            let deltas_offset = self.load_model()?;
            reads.push(self.open_trainer(deltas_offset)?);
        }
        // Versions that were polled with what was aborted are read again.
        reads.push(self.model_read());
        self.broker.open(&reads)
    }

    fn restore(&mut self, number: u32) -> Result<(), Failure> {
        let task = restore(&mut self.broker, &self.pipeline, number)?;
        let stream_ms = task.stream_ms();
        self.tasks.insert(
            number,
            OpenTask {
                task,
                stream_ms,
                last_event: self.pace.clock().now(),
                is_dirty: false,
                inputs: Vec::new(),
                unplaced: Some(0),
            },
        );
        Ok(())
    }

    /// Where a task's inputs and its repartition partition go on.
    fn task_reads(&mut self, number: u32) -> Result<Vec<(Source, Start)>, Failure> {
        let inputs = self.input_sources(number)?;
        let Some(open) = self.tasks.get_mut(&number) else {
            return Ok(Vec::new());
        };
        open.inputs.clone_from(&inputs);
        let bookmark = open.task.bookmark();
        let repartition = Source {
            topic: Topic::Repartition,
            partition: number,
        };
        let repartition_start = match bookmark.repartition_offset {
            0 => Start::Earliest,
            offset => Start::Offset(offset),
        };
        let mut reads = vec![(repartition, repartition_start)];
        for source in inputs {
            let Topic::Input(input) = source.topic else {
                continue;
            };
            let start = match bookmark.inputs.get(&(input, source.partition)) {
                Some(progress) => Start::Offset(progress.next_offset),
                // One that was added since, and has nothing but events that are new.
                None if is_known(&bookmark, input) => Start::Earliest,
                None => self.pipeline.starts[usize::from(input)],
            };
            reads.push((source, start));
        }
        Ok(reads)
    }

    /// The input partitions that a task reads: those congruent to its number.
    fn input_sources(&mut self, number: u32) -> Result<Vec<Source>, Failure> {
        let mut sources = Vec::new();
        for input in 0..self.pipeline.topics.inputs.len() as u16 {
            let topic = Topic::Input(input);
            let partitions = self.broker.partitions(topic)?;
            let own = (number..partitions).step_by(self.pipeline.topics.state_partitions as usize);
            sources.extend(own.map(|partition| Source { topic, partition }));
        }
        Ok(sources)
    }
}

/// Has this input been read before, be it from other partitions?
fn is_known(bookmark: &Bookmark, input: u16) -> bool {
    bookmark.inputs.keys().any(|(known, _)| *known == input)
}

/// What a shard has let go of.
struct Closed {
    sources: Vec<Source>,
    tasks: Vec<(u32, OpenTask)>,
}

/// Builds a task from its changelog, as of the last commit.
///
/// # Errors
/// Where the changelog cannot be read, or was written by a later version or under another plan.
pub fn restore<B: Broker>(
    broker: &mut B,
    pipeline: &Pipeline,
    number: u32,
) -> Result<Task, Failure> {
    let mut task = Task::new(Arc::clone(&pipeline.task));
    let source = Source {
        topic: Topic::Changelog,
        partition: number,
    };
    let (mut bookmark, mut records, mut error) = (None, 0_u64, None);
    broker.replay(source, None, &mut |record| {
        records += 1;
        let applied = apply(pipeline, &mut task, &mut bookmark, &record);
        error = error.take().or(applied.err());
    })?;
    if let Some(error) = error {
        let topic = pipeline.topics.name(Topic::Changelog);
        return Err(Failure::Config(format!(
            "{topic}, partition {number}: {error}"
        )));
    }
    if let Some(bookmark) = bookmark {
        task.restore_bookmark(bookmark);
    }
    tracing::debug!(
        task = number,
        records,
        customers = task.rows().len(),
        "task restored"
    );
    Ok(task)
}

fn apply(
    pipeline: &Pipeline,
    task: &mut Task,
    bookmark: &mut Option<Bookmark>,
    record: &Record<'_>,
) -> Result<(), ChangelogError> {
    let (Some((kind, id)), Some(value)) = (record.key.and_then(<[u8]>::split_first), record.value)
    else {
        return Ok(());
    };
    match *kind {
        BOOKMARK => *bookmark = Some(decode_bookmark(value, &pipeline.topics.inputs)?),
        ROW => {
            let row = decode_row(id, value, pipeline.task.plan.fingerprint())?;
            task.restore_row(&row.as_row());
        }
        other => {
            return Err(ChangelogError::Malformed(format!(
                "unknown kind of key {other}"
            )));
        }
    }
    Ok(())
}
