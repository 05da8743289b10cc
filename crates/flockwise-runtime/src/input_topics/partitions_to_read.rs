//! Which partitions a task reads, from where, and topics that gain partitions or are recreated.

use super::{LOOK_EVERY, log_recreated};
use crate::broker::{Broker, Failure, Start};
use crate::event_time_alignment::next_offset;
use crate::running_task::RunningTask;
use crate::topics::{Topic, TopicPartition};
use crate::worker::Worker;
use flockwise_vocabulary::task_id::TaskId;

impl<B: Broker> Worker<B> {
    /// The inputs of a task and its repartition partition, and where to read on in each.
    pub(crate) fn task_reads(
        &mut self,
        task_id: TaskId,
    ) -> Result<Vec<(TopicPartition, Start)>, Failure> {
        self.check_topic_ids(task_id);
        let inputs = self.input_topic_partitions(task_id)?;
        let Some(running) = self.tasks.get_mut(task_id) else {
            return Ok(Vec::new());
        };
        running.inputs = inputs;
        let repartition_start = match running.task().repartition_offset() {
            0 => Start::Earliest,
            offset => Start::Offset(offset),
        };
        let mut reads = vec![(TopicPartition::repartition(task_id), repartition_start)];
        let starts = self.tasks.get(task_id).into_iter().flat_map(|running| {
            let topic_partitions = running.inputs.iter();
            topic_partitions
                .map(|topic_partition| (*topic_partition, self.start_of(running, *topic_partition)))
        });
        reads.extend(starts);
        Ok(reads)
    }

    /// The task's position in a partition. Without one, the partition is new to the pipeline, whatever other partitions
    /// of the topic the task has read.
    fn start_of(&self, running: &RunningTask, topic_partition: TopicPartition) -> Start {
        let Topic::Input(input) = topic_partition.topic else {
            return Start::Earliest;
        };
        let input_partition = (input, topic_partition.partition);
        let mut positions = running.task().inputs();
        let position = positions.find(|(known, _)| *known == input_partition);
        position.map_or_else(
            || self.first_start(input, topic_partition.partition),
            |(_, progress)| Start::at(progress.next_offset, progress.leader_epoch),
        )
    }

    /// Where to start in a partition that was never read. The pipeline record holds first offsets of the topic as it
    /// was then; a recreated topic starts at its oldest record.
    fn first_start(&self, input: u16, partition: u32) -> Start {
        let recorded = self.pipeline.start_ids.get(usize::from(input));
        let present = self.inputs.ids.get(usize::from(input));
        match recorded.zip(present) {
            Some((recorded, present)) if recorded != present => Start::Earliest,
            _ => self.pipeline.start(input, partition),
        }
    }

    /// The input partitions that a task reads: those congruent to its number. A partition that the task has a position
    /// of, or has open, is among them even if a broker with stale metadata omits it: one that is not opened again
    /// after an abort would skip the aborted records.
    fn input_topic_partitions(&mut self, task_id: TaskId) -> Result<Vec<TopicPartition>, Failure> {
        let mut topic_partitions = Vec::new();
        for input in 0..self.pipeline.topics.inputs.len() as u16 {
            let topic = Topic::Input(input);
            let found = self.broker.partitions(topic)?;
            let known = self.tasks.get(task_id).into_iter();
            let known = known.flat_map(|running| {
                let positions = running.task().inputs();
                let positions = positions.map(|(input, _)| TopicPartition::from(input));
                positions.chain(running.inputs.iter().copied())
            });
            let known = known.filter(|topic_partition| topic_partition.topic == topic);
            let partitions = known.fold(found, |most, topic_partition| {
                most.max(topic_partition.partition + 1)
            });
            let own =
                (task_id.0..partitions).step_by(self.pipeline.topics.state_partitions as usize);
            topic_partitions.extend(own.map(|partition| TopicPartition { topic, partition }));
        }
        topic_partitions
            .retain(|topic_partition| !self.inputs.recreated.contains(&topic_partition.topic));
        Ok(topic_partitions)
    }

    /// Asks for the ids of the input topics.
    ///
    /// # Errors
    /// If the brokers do not answer.
    pub(crate) fn look_at_topic_ids(&mut self) -> Result<(), Failure> {
        let inputs = 0..self.pipeline.topics.inputs.len() as u16;
        let ids = inputs.map(|input| self.broker.topic_id(Topic::Input(input)));
        self.inputs.ids = ids.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// As [`Worker::look_at_topic_ids`], for a worker that runs: no answer does not mean that a topic is gone. If one is,
    /// its reader reports that.
    pub(crate) fn look_at_topic_ids_if_told(&mut self) {
        if let Err(error) = self.look_at_topic_ids() {
            tracing::debug!(%error, "cannot get the ids of the input topics");
        }
    }

    /// Compares the ids of topics with those that the task's positions belong to. Positions in a recreated topic are
    /// void. As for other lost records, `lost_records` decides whether to read the new topic from its oldest record or
    /// not at all.
    fn check_topic_ids(&mut self, task_id: TaskId) {
        let skips = self.broker.skips_lost_records();
        let Some(running) = self.tasks.get_mut(task_id) else {
            return;
        };
        let names = &self.pipeline.topics.inputs;
        for (input, (topic, id)) in names.iter().zip(&self.inputs.ids).enumerate() {
            let is_same = running.task().topic_id(topic).map(|known| known == id);
            if is_same == Some(false) && !skips {
                log_recreated(topic);
                self.inputs.recreated.insert(Topic::Input(input as u16));
                continue;
            }
            if is_same == Some(false) {
                tracing::warn!(
                    topic,
                    task = task_id.0,
                    "the topic was recreated: unread records of the earlier topic are lost, and the new topic is read from \
                     its oldest record"
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

    /// Commits where newly read partitions start. Otherwise `latest` would skip, after a restart, whatever arrived in
    /// between.
    pub(crate) fn note_starts(&mut self) -> Result<(), Failure> {
        for (_, running) in self.tasks.iter_mut() {
            let known: Vec<_> = running.task().inputs().map(|(input, _)| input).collect();
            for topic_partition in running.inputs.clone() {
                let Topic::Input(input) = topic_partition.topic else {
                    continue;
                };
                let input = (input, topic_partition.partition);
                let start = next_offset(&self.broker, &self.alignment, topic_partition);
                if let Some(start) = start.filter(|_| !known.contains(&input)) {
                    running
                        .change(&mut self.transaction)
                        .advance_input(input, start);
                }
            }
        }
        self.commit()
    }

    /// Starts to read partitions that inputs have gained, and notices recreated topics.
    pub(crate) fn look_for_inputs(&mut self) -> Result<(), Failure> {
        let clock = self.time_mode.clock();
        let is_idle = self.tasks.is_assigned() && !self.transaction.is_open();
        if !is_idle || clock.since(self.inputs.looked) < LOOK_EVERY {
            return Ok(());
        }
        self.inputs.looked = clock.now();
        self.check_changelog_id()?;
        self.meter.halted = self.halted();
        self.meter.export(&self.metrics);
        self.notice_recreated()?;
        self.announce_caught_up()?;
        let reads = self.gained()?;
        if reads.is_empty() {
            return Ok(());
        }
        for (topic_partition, _) in &reads {
            let topic = self.pipeline.topics.name(topic_partition.topic);
            tracing::info!(
                topic,
                partition = topic_partition.partition,
                "the input topic has gained a partition: reading it"
            );
        }
        self.open(&reads)?;
        self.note_starts()
    }

    /// Partitions that inputs have gained, and where each starts.
    fn gained(&mut self) -> Result<Vec<(TopicPartition, Start)>, Failure> {
        let mut reads = Vec::new();
        for task_id in self.tasks.ids() {
            let mut topic_partitions = self.input_topic_partitions(task_id)?;
            let Some(running) = self.tasks.get_mut(task_id) else {
                continue;
            };
            topic_partitions.retain(|topic_partition| !running.inputs.contains(topic_partition));
            running.inputs.extend(&topic_partitions);
            let running = self.tasks.get(task_id).into_iter();
            reads.extend(running.flat_map(|running| {
                let topic_partitions = topic_partitions.iter();
                topic_partitions.map(|topic_partition| {
                    (*topic_partition, self.start_of(running, *topic_partition))
                })
            }));
        }
        Ok(reads)
    }

    /// Ends the worker if a topic was recreated while it was read. The next worker compares positions.
    fn notice_recreated(&mut self) -> Result<(), Failure> {
        for topic in &self.inputs.recreated {
            log_recreated(&self.pipeline.topics.name(*topic));
        }
        let before = self.inputs.ids.clone();
        self.look_at_topic_ids_if_told();
        let names = &self.pipeline.topics.inputs;
        let mut looked = names.iter().zip(before.iter().zip(&self.inputs.ids));
        match looked.find(|(_, (before, now))| before != now) {
            Some((topic, _)) => Err(Failure::Fatal(format!(
                "topic {topic} was recreated while it was read"
            ))),
            None => Ok(()),
        }
    }

    /// Number of input partitions that are not read on because their next record is lost or damaged.
    pub(crate) fn halted(&self) -> u64 {
        let positions = self
            .tasks
            .values()
            .flat_map(|running| running.task().inputs());
        let of_recreated = |input: u16| self.inputs.recreated.contains(&Topic::Input(input));
        let recreated = positions.filter(|((input, _), _)| of_recreated(*input));
        (self.broker.halted().len() + recreated.count()) as u64
    }
}
