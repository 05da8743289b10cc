//! Which input partitions a task reads, from where, and what happens as topics change.

use std::time::Duration;

use crate::aligned_input::next_offset;
use crate::broker::{Broker, Failure, Start};
use crate::topics::{Topic, TopicPartition};
use crate::worker::Worker;

/// How often input topics are looked at for new partitions, and for being recreated.
const LOOK_EVERY: Duration = Duration::from_secs(30);

impl<B: Broker> Worker<B> {
    /// Where a task's inputs and its repartition partition go on.
    pub(crate) fn task_reads(
        &mut self,
        number: u32,
    ) -> Result<Vec<(TopicPartition, Start)>, Failure> {
        self.check_topic_ids(number);
        let inputs = self.input_sources(number)?;
        let Some(running) = self.tasks.get_mut(&number) else {
            return Ok(Vec::new());
        };
        running.inputs = inputs;
        let repartition_start = match running.task().repartition_offset() {
            0 => Start::Earliest,
            offset => Start::Offset(offset),
        };
        let mut reads = vec![(TopicPartition::repartition(number), repartition_start)];
        let sources = self.tasks[&number].inputs.iter();
        reads.extend(sources.map(|source| (*source, self.start_of(number, *source))));
        Ok(reads)
    }

    /// A partition is read on from the task's position in it. Where there is none, it is one that the topic
    /// had when the pipeline first read the topic, or has gained since: whether some other partition of it
    /// was read by this very task says nothing.
    fn start_of(&self, number: u32, source: TopicPartition) -> Start {
        let Topic::Input(input) = source.topic else {
            return Start::Earliest;
        };
        let place = (input, source.partition);
        let mut positions = self.tasks[&number].task().inputs();
        positions.find(|(known, _)| *known == place).map_or_else(
            || self.pinned_start(input, source.partition),
            |(_, progress)| Start::at(progress.next_offset, progress.leader_epoch),
        )
    }

    /// Where a partition begins that was never read: the offset that was settled is one of the topic as it was then.
    fn pinned_start(&self, input: u16, partition: u32) -> Start {
        let place = usize::from(input);
        let settled = self.pipeline.start_ids.get(place);
        let present = self.input_ids.get(place);
        match settled.zip(present) {
            Some((settled, present)) if settled != present => Start::Earliest,
            _ => self.pipeline.start(input, partition),
        }
    }

    /// The input partitions that a task reads: those congruent to its number. One that it has a position of, or
    /// has open, is among them, even if a broker with old metadata leaves it out: an open one that is not opened
    /// again after an abort would go on behind what was aborted.
    fn input_sources(&mut self, number: u32) -> Result<Vec<TopicPartition>, Failure> {
        let mut sources = Vec::new();
        for input in 0..self.pipeline.topics.inputs.len() as u16 {
            let topic = Topic::Input(input);
            let found = self.broker.partitions(topic)?;
            let known = self.tasks.get(&number).into_iter();
            let known = known.flat_map(|running| {
                let positions = running
                    .task()
                    .inputs()
                    .map(|(place, _)| TopicPartition::from(place));
                positions.chain(running.inputs.iter().copied())
            });
            let known = known.filter(|source| source.topic == topic);
            let partitions = known.fold(found, |most, source| most.max(source.partition + 1));
            let own = (number..partitions).step_by(self.pipeline.topics.state_partitions as usize);
            sources.extend(own.map(|partition| TopicPartition { topic, partition }));
        }
        sources.retain(|source| !self.recreated.contains(&source.topic));
        Ok(sources)
    }

    /// Asks which topics the inputs are at present.
    ///
    /// # Errors
    /// Where the brokers do not say.
    pub(crate) fn look_at_topic_ids(&mut self) -> Result<(), Failure> {
        let inputs = 0..self.pipeline.topics.inputs.len() as u16;
        let ids = inputs.map(|input| self.broker.topic_id(Topic::Input(input)));
        self.input_ids = ids.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The same where a working worker asks: a topic is not gone because no broker answers; its own reader says more.
    pub(crate) fn look_at_topic_ids_if_told(&mut self) {
        if let Err(error) = self.look_at_topic_ids() {
            tracing::debug!(%error, "the ids of the input topics are not known at present");
        }
    }

    /// Positions in a topic that has been recreated say nothing about the new one. As for other lost records,
    /// the configuration decides whether the new one is read from its oldest record, or not at all.
    fn check_topic_ids(&mut self, number: u32) {
        let skips = self.broker.skips_lost_records();
        let Some(running) = self.tasks.get_mut(&number) else {
            return;
        };
        let names = &self.pipeline.topics.inputs;
        for (input, (topic, id)) in names.iter().zip(&self.input_ids).enumerate() {
            let is_same = running.task().topic_id(topic).map(|known| known == id);
            if is_same == Some(false) && !skips {
                say_halted(topic);
                self.recreated.insert(Topic::Input(input as u16));
                continue;
            }
            if is_same == Some(false) {
                tracing::warn!(
                    topic,
                    task = number,
                    "the topic was recreated; what was not read of the earlier one is lost, and the new one is read \
                     from its oldest record"
                );
                running
                    .change(&mut self.transaction)
                    .restart_input(input as u16);
            }
            if is_same != Some(true) {
                running
                    .change(&mut self.transaction)
                    .set_topic_id(topic, id);
            }
        }
    }

    /// Writes down where inputs begin that have not been read before: `latest` must mean the same after
    /// a restart, or what arrived in between would be lost.
    pub(crate) fn note_starts(&mut self) -> Result<(), Failure> {
        for running in self.tasks.values_mut() {
            let known: Vec<_> = running.task().inputs().map(|(input, _)| input).collect();
            for source in running.inputs.clone() {
                let Topic::Input(input) = source.topic else {
                    continue;
                };
                let input = (input, source.partition);
                let start = next_offset(&self.broker, &self.input_alignment, source);
                if let Some(start) = start.filter(|_| !known.contains(&input)) {
                    running
                        .change(&mut self.transaction)
                        .advance_input(input, start);
                }
            }
        }
        self.commit()
    }

    /// Begins to read partitions that inputs have gained, and notices topics that were recreated.
    pub(crate) fn look_for_inputs(&mut self) -> Result<(), Failure> {
        let clock = self.time_mode.clock();
        if !self.is_assigned || self.transaction.is_open() || clock.since(self.looked) < LOOK_EVERY
        {
            return Ok(());
        }
        self.looked = clock.now();
        self.check_changelog_id()?;
        self.meter.stopped = self.stopped();
        self.meter.export(&self.metrics);
        self.notice_recreated()?;
        self.announce_caught_up()?;
        let reads = self.gained()?;
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
        self.open(&reads)?;
        self.note_starts()
    }

    /// Partitions that are there and not read yet, and where they begin.
    fn gained(&mut self) -> Result<Vec<(TopicPartition, Start)>, Failure> {
        let numbers: Vec<u32> = self.tasks.keys().copied().collect();
        let mut reads = Vec::new();
        for number in numbers {
            let mut sources = self.input_sources(number)?;
            let running = self.tasks.get_mut(&number);
            let Some(running) = running else { continue };
            sources.retain(|source| !running.inputs.contains(source));
            running.inputs.extend(&sources);
            reads.extend(
                sources
                    .into_iter()
                    .map(|source| (source, self.start_of(number, source))),
            );
        }
        Ok(reads)
    }

    /// A topic that was recreated while it was read: the worker starts again, and compares positions.
    fn notice_recreated(&mut self) -> Result<(), Failure> {
        for topic in &self.recreated {
            say_halted(&self.pipeline.topics.name(*topic));
        }
        let before = self.input_ids.clone();
        self.look_at_topic_ids_if_told();
        let names = &self.pipeline.topics.inputs;
        let mut looked = names.iter().zip(before.iter().zip(&self.input_ids));
        match looked.find(|(_, (before, now))| before != now) {
            Some((topic, _)) => Err(Failure::Fatal(format!(
                "topic {topic} was recreated while it was read"
            ))),
            None => Ok(()),
        }
    }

    /// Input partitions that are not read, since their next record is gone.
    pub(crate) fn stopped(&self) -> u64 {
        let positions = self
            .tasks
            .values()
            .flat_map(|running| running.task().inputs());
        let halted =
            positions.filter(|((input, _), _)| self.recreated.contains(&Topic::Input(*input)));
        (self.broker.halted().len() + halted.count()) as u64
    }
}

fn say_halted(topic: &str) {
    tracing::error!(
        topic,
        "the topic was recreated, and the positions in it are those of the earlier one: it is not read. To read the new \
         one from its oldest record, set lost_records = \"skip\" under [kafka] and start again"
    );
}
