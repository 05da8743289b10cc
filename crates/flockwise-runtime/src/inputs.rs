//! Which input partitions a task reads, also as topics grow.

use std::time::Duration;

use flockwise_core::task::Bookmark;

use crate::broker::{Broker, Failure, Start};
use crate::shard::Shard;
use crate::topics::{Source, Topic};

/// How often input topics are looked at for new partitions.
const LOOK_EVERY: Duration = Duration::from_secs(30);

impl<B: Broker> Shard<B> {
    /// Where a task's inputs and its repartition partition go on.
    pub(crate) fn task_reads(&mut self, number: u32) -> Result<Vec<(Source, Start)>, Failure> {
        let inputs = self.input_sources(number)?;
        let Some(open) = self.tasks.get_mut(&number) else {
            return Ok(Vec::new());
        };
        open.inputs.clone_from(&inputs);
        let bookmark = open.task.bookmark();
        let repartition = Source::repartition(number);
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

    /// Writes down where inputs begin that have not been read before: `latest` must mean the same after
    /// a restart, or what arrived in between would be lost.
    pub(crate) fn note_starts(&mut self) -> Result<(), Failure> {
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

    /// Begins to read partitions that inputs have gained, from their oldest record: all that is in them came
    /// while the pipeline was there.
    pub(crate) fn look_for_inputs(&mut self) -> Result<(), Failure> {
        let clock = self.pace.clock();
        if !self.is_assigned || self.is_pending || clock.since(self.looked) < LOOK_EVERY {
            return Ok(());
        }
        self.looked = clock.now();
        self.meter.stopped = self.broker.stopped().len() as u64;
        self.meter.export(&self.metrics);
        let numbers: Vec<u32> = self.tasks.keys().copied().collect();
        let mut reads = Vec::new();
        for number in numbers {
            let sources = self.input_sources(number)?;
            let Some(open) = self.tasks.get_mut(&number) else {
                continue;
            };
            let known = std::mem::replace(&mut open.inputs, sources);
            let gained = open.inputs.iter().filter(|source| !known.contains(source));
            reads.extend(gained.map(|source| (*source, Start::Earliest)));
        }
        if reads.is_empty() {
            return Ok(());
        }
        for (source, _) in &reads {
            let topic = self.pipeline.topics.name(source.topic);
            tracing::info!(
                topic,
                partition = source.partition,
                "a new input partition is read"
            );
        }
        self.broker.open(&reads)?;
        self.note_starts()
    }
}

/// Has this input been read before, be it from other partitions?
fn is_known(bookmark: &Bookmark, input: u16) -> bool {
    bookmark.inputs.keys().any(|(known, _)| *known == input)
}
