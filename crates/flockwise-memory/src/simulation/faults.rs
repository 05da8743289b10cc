//! Faults of members and topics in a simulated cluster.

use flockwise_runtime::batch::Batch;
use flockwise_runtime::topics::Topic;

use crate::broker::MemoryBroker;
use crate::client::{OpenPartition, record};
use crate::follower::MemoryFollower;
use crate::simulation::{Conditions, Simulation};
use crate::state::BrokerState;

impl MemoryBroker {
    /// Makes the broker behave like a real cluster. It keeps every record, except those that
    /// [`MemoryBroker::remove`] and [`MemoryBroker::compact`] remove.
    #[must_use]
    pub fn simulated(self, conditions: Conditions) -> Self {
        let mut state = self.shared.lock();
        state.is_retaining = true;
        state.simulation = Some(Box::new(Simulation::new(conditions)));
        drop(state);
        self
    }

    /// Hides all but the first `partitions` of a topic, until the next call for the topic.
    pub fn show_partitions(&self, topic: Topic, partitions: u32) {
        if let Some(simulation) = &mut self.shared.lock().simulation {
            simulation.show_partitions(topic, partitions);
        }
    }

    /// Takes offsets of a partition that have no committed record, as another producer's aborted transaction
    /// does.
    ///
    /// # Panics
    /// If the partition does not exist.
    pub fn skip_offsets(&self, topic: Topic, partition: u32, offsets: u32) {
        let number = self.require(topic, partition);
        self.shared.lock().logs[number].skip(i64::from(offsets));
    }

    /// From now on, a poll returns at most `records` records.
    pub fn limit_poll(&self, records: usize) {
        if let Some(simulation) = &mut self.shared.lock().simulation {
            simulation.conditions.most_records = records;
        }
    }

    /// Deletes a topic and creates it again, with another id. A client gets no records of it until it has asked for
    /// the id and opened the topic again.
    ///
    /// # Panics
    /// If the topic does not exist.
    pub fn recreate(&self, topic: Topic) {
        let count = self.shared.layout.partitions(topic).expect("a topic");
        let numbers = (0..count).map(|partition| self.require(topic, partition));
        let numbers: Vec<usize> = numbers.collect();
        let mut state = self.shared.lock();
        for number in numbers {
            state.logs[number] = state.logs[number].recreated();
        }
    }

    /// Removes the records of a partition below an offset, as retention does.
    ///
    /// # Panics
    /// If the partition does not exist.
    pub fn remove(&self, topic: Topic, partition: u32, below: i64) {
        let number = self.require(topic, partition);
        self.shared.lock().remove(number, below);
    }

    /// Compacts all compacted topics: keeps the last committed record of every key.
    pub fn compact(&self) {
        self.shared.lock().compact_all();
    }

    /// Removes the group's committed offsets.
    pub fn expire_offsets(&self) {
        for log in &mut self.shared.lock().logs {
            log.committed = None;
        }
    }

    /// The last stable offset of a partition: the first one that a reader of committed records cannot read yet.
    ///
    /// # Panics
    /// If the partition does not exist.
    #[must_use]
    pub fn stable(&self, topic: Topic, partition: u32) -> i64 {
        let number = self.require(topic, partition);
        self.shared.lock().logs[number].stable()
    }

    /// Whether an open transaction keeps readers of committed records from the end of a partition.
    ///
    /// # Panics
    /// If the partition does not exist.
    #[must_use]
    pub fn is_held_back(&self, topic: Topic, partition: u32) -> bool {
        let number = self.require(topic, partition);
        let log = &self.shared.lock().logs[number];
        log.stable() < log.end
    }

    /// Ends overdue sessions and transactions, as every call of a client does.
    pub fn expire_overdue(&self) {
        self.shared.lock().expire_overdue();
    }

    /// A reader outside the group.
    #[must_use]
    pub fn follower(&self) -> MemoryFollower {
        MemoryFollower::new(self.shared.clone())
    }
}

impl BrokerState {
    /// Ends overdue sessions and transactions.
    pub(crate) fn expire_overdue(&mut self) {
        self.end_overdue_transactions();
        self.expel_the_silent();
    }

    fn expel_the_silent(&mut self) {
        let Some(simulation) = &mut self.simulation else {
            return;
        };
        let Conditions { clock, session, .. } = &simulation.conditions;
        for name in self.group.names() {
            if self.group.is_lost(&name) {
                continue;
            }
            let heard = *simulation
                .heard
                .entry(name.clone())
                .or_insert_with(|| clock.now());
            if clock.since(heard) > *session {
                simulation.heard.insert(name.clone(), clock.now());
                self.group.expel(&name);
                if !self.group.is_lost(&name) {
                    // It had no partitions, so there is nothing to tell it.
                    self.group.remove(&name);
                }
            }
        }
    }

    /// Notes that a member has polled. A member that was removed without partitions joins again.
    pub(crate) fn hear(&mut self, member: &str) {
        let Some(simulation) = &mut self.simulation else {
            return;
        };
        let now = simulation.conditions.clock.now();
        simulation.heard.insert(member.to_owned(), now);
        if !self.group.has(member) {
            self.group.join(member);
        }
    }

    /// Joins as a client of this name. Aborts the open transaction of the previous client of the name.
    pub(crate) fn take_over(&mut self, member: &str) -> u64 {
        let epoch = self.fence(member);
        if let Some(simulation) = &mut self.simulation {
            let now = simulation.conditions.clock.now();
            simulation.heard.insert(member.to_owned(), now);
            match simulation.conditions.is_static {
                true => self.group.rejoin(member),
                false => self.group.join(member),
            }
        }
        epoch
    }

    /// Fills a batch from partitions in random order. The records of each partition stay in order.
    pub(crate) fn fill(&mut self, reads: &mut [OpenPartition], limit: usize, batch: &mut Batch) {
        let Some(simulation) = &mut self.simulation else {
            return;
        };
        if simulation.is_slow() {
            return;
        }
        let random = &mut simulation.random;
        let limit = limit.min(1 + random.place(simulation.conditions.most_records));
        let logs = &self.logs;
        let is_there = |read: &OpenPartition| logs[read.number].generation == read.generation;
        let is_given = |read: &OpenPartition| read.is_given() && is_there(read);
        let mut drawn: Vec<usize> = (0..reads.len())
            .filter(|number| random.below(3) > 0 && is_given(&reads[*number]))
            .collect();
        while batch.len() < limit && !drawn.is_empty() {
            let place = random.place(drawn.len());
            let read = &mut reads[drawn[place]];
            let log = &self.logs[read.number];
            match log.record(log.place(read.next)) {
                Some((entry, parts)) => {
                    batch.push(record(read.source, entry, parts));
                    read.advance(log, entry.offset);
                }
                None => {
                    drawn.swap_remove(place);
                }
            }
        }
    }

    /// The position of a partition, past offsets that have no readable record; `None` at random, as when a client does
    /// not know it. A client always knows where it continues after lost records, and a position never moves past
    /// records that were not verified.
    pub(crate) fn position(&mut self, read: &OpenPartition) -> Option<i64> {
        let is_known = self.simulation.as_mut()?.random.below(4) > 0 || read.is_rewound;
        let log = &self.logs[read.number];
        let is_there = log.generation == read.generation;
        let position = match read.is_cut(log) {
            true => read.next,
            false => log.next_readable(read.next),
        };
        (is_known && is_there).then_some(position)
    }

    /// Number of visible partitions of a topic that has `partitions`.
    pub(crate) fn seen(&self, topic: Topic, partitions: u32) -> u32 {
        let simulation = self.simulation.as_ref();
        simulation.map_or(partitions, |simulation| simulation.seen(topic, partitions))
    }

    fn remove(&mut self, number: usize, below: i64) {
        let log = &mut self.logs[number];
        log.start = below.clamp(log.start, log.stable());
        let start = log.start;
        log.retain(&mut self.pool, |entry| entry.offset >= start);
    }
}
