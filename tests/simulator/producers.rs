//! The producers, and the expected outcome of each record.

use std::collections::{BTreeMap, BTreeSet};

use flockwise_codec::decode::Decoder;
use flockwise_codec::format::Format;
use flockwise_codec::partitioner::Partitioner;
use flockwise_core::event::Event;
use flockwise_core::plan::Plan;
use flockwise_runtime::task_id::TaskId;
use flockwise_runtime::topics::Topic;
use flockwise_simulation::SimulatedBroker;

use super::customers::{final_day, main_lines};
use super::produced_log::{InputKey, Produced, RecordId};
use super::scenario::{Keying, Scenario};
use super::seeded_random::SeededRandom;
use super::simulation::Simulation;
use crate::events::{InputRecord, native};

/// Values that are not a valid event in any format. `None` is a tombstone.
const BAD: [Option<&[u8]>; 6] = [
    None,
    Some(b""),
    Some(b"{"),
    Some(b"[1,2,3]"),
    Some(br#"{"event":"x","time":"2026-02-01T00:00:00Z","timestamp":"2026-02-01T00:00:00Z"}"#),
    Some(br#"{"event":"x","userId":"anna","customer_id":"anna","time":"yesterday","timestamp":"yesterday"}"#),
];

/// A record that is not produced yet.
struct PlannedRecord {
    record: InputRecord,
    /// Event time, ms since the epoch; `None` if it is not a valid event.
    time_ms: Option<i64>,
    /// True if it must stay in order with the customer's other records of this kind: orders and their reversals.
    keeps_order: bool,
}

/// The records still to be produced, and the expected outcome of those that were.
pub(super) struct Producers {
    upcoming: Vec<PlannedRecord>,
    /// If customers expire: the records that are produced after everything else is processed. All earlier customers
    /// have expired by then.
    final_day: Vec<PlannedRecord>,
    /// Number of events in `good` before the final day.
    pub(super) before_final_day: usize,
    keying: Keying,
    lateness_ms: i64,
    /// Number of partitions of each input, now and at the end.
    partitions: Vec<(u32, u32)>,
    first: Vec<u32>,
    latest_ms: BTreeMap<(u16, u32), i64>,
    partitioner: Partitioner,
    tasks: u32,
    /// For each task, the most that an event's time was ahead of the clock. Stream time is never further ahead.
    ahead_ms: BTreeMap<TaskId, i64>,
    /// The records produced to each partition.
    pub(super) produced: BTreeMap<InputKey, Produced>,
    /// How often each input was recreated.
    pub(super) generations: Vec<u32>,
    /// The offset after the last record of each partition.
    pub(super) ends: BTreeMap<(u16, u32), i64>,
    /// Events that are valid and not late, in the order of production. They count if they are read.
    pub(super) good: Vec<(RecordId, InputRecord)>,
    /// The records that must become dead letters if they are read.
    pub(super) dead: BTreeSet<RecordId>,
    pub(super) produced_count: usize,
}

impl Producers {
    pub(super) fn new(
        scenario: &Scenario,
        partitioner: Partitioner,
        random: &SeededRandom,
    ) -> Self {
        let mut producers = Self {
            upcoming: Vec::new(),
            final_day: Vec::new(),
            before_final_day: 0,
            keying: scenario.keying,
            lateness_ms: scenario.time.lateness_ms,
            partitions: scenario.input_partitions.clone(),
            first: scenario
                .input_partitions
                .iter()
                .map(|(first, _)| *first)
                .collect(),
            latest_ms: BTreeMap::new(),
            partitioner,
            tasks: scenario.state_partitions,
            ahead_ms: BTreeMap::new(),
            produced: BTreeMap::new(),
            generations: vec![0; scenario.input_partitions.len()],
            ends: BTreeMap::new(),
            good: Vec::new(),
            dead: BTreeSet::new(),
            produced_count: 0,
        };
        let main_records = main_lines(scenario);
        let main_records = producers.plan_lines(main_records, scenario, random);
        if scenario.has_expiry() {
            producers.final_day =
                producers.plan_lines(final_day(scenario, partitioner), scenario, random);
        }
        producers.upcoming = main_records;
        producers
    }

    /// Plans the records of these lines, in reverse order.
    fn plan_lines(
        &mut self,
        lines: Vec<String>,
        scenario: &Scenario,
        random: &SeededRandom,
    ) -> Vec<PlannedRecord> {
        let (plan, mut event) = (Plan::compile(&[]), Event::default());
        let format = Format::builtin("segment").expect("a built-in format");
        let decoder = Decoder::new(&format, &plan);
        for line in lines {
            let value = line.into_bytes();
            decoder
                .decode(&plan, Some(&value), &mut event)
                .expect("an event");
            let next = PlannedRecord {
                record: InputRecord {
                    input: 0,
                    partition: 0,
                    key: event.customer_id().as_bytes().to_vec(),
                    value: Some(value),
                    timestamp_ms: event.time_ms,
                },
                time_ms: Some(event.time_ms),
                keeps_order: event.order.is_some(),
            };
            self.plan(next, scenario, random);
        }
        let mut plan_lines = std::mem::take(&mut self.upcoming);
        plan_lines.reverse();
        plan_lines
    }

    fn plan(&mut self, mut next: PlannedRecord, scenario: &Scenario, random: &SeededRandom) {
        if scenario.input_partitions.len() > 1 && !next.keeps_order {
            let value = next.record.value.as_deref().unwrap_or_default();
            next.record = InputRecord {
                input: 1,
                value: Some(native(value)),
                ..next.record
            };
        }
        if random.percent(scenario.bad_percent) {
            let bad = BAD[random.index(BAD.len())];
            self.upcoming.push(PlannedRecord {
                record: InputRecord {
                    value: bad.map(<[u8]>::to_vec),
                    ..next.record.clone()
                },
                time_ms: None,
                keeps_order: false,
            });
        }
        if random.percent(scenario.repeats_percent) && !self.upcoming.is_empty() {
            let back = random.scale(1, 8.min(self.upcoming.len() as u64)) as usize;
            let again = &self.upcoming[self.upcoming.len() - back];
            let again = PlannedRecord {
                record: again.record.clone(),
                ..*again
            };
            self.upcoming.push(again);
        }
        self.upcoming.push(next);
    }

    pub(super) fn is_done(&self) -> bool {
        self.upcoming.is_empty()
    }

    /// Starts to produce the final day. Returns false if there is none.
    pub(super) fn begin_final_day(&mut self) -> bool {
        if self.final_day.is_empty() {
            return false;
        }
        self.upcoming = std::mem::take(&mut self.final_day);
        self.before_final_day = self.good.len();
        true
    }

    /// Produces up to `count` records.
    pub(super) fn produce(&mut self, simulation: &Simulation, count: usize) {
        let now_ms = simulation.clock.wall_ms();
        for _ in 0..count {
            let Some(next) = self.upcoming.pop() else {
                return;
            };
            self.note_time(&next, now_ms);
            self.append(next, &simulation.broker, &simulation.random);
        }
    }

    fn note_time(&mut self, next: &PlannedRecord, now_ms: i64) {
        let Some(time_ms) = next.time_ms else { return };
        let task = self.partitioner.partition(&next.record.key, self.tasks);
        let ahead_ms = self.ahead_ms.entry(TaskId(task)).or_insert(i64::MIN);
        *ahead_ms = (time_ms - now_ms).max(*ahead_ms);
    }

    /// The latest that a task's stream time may be: an event's time plus the time that has passed since it was
    /// produced.
    pub(super) fn latest_stream_ms(&self, task: TaskId, now_ms: i64) -> i64 {
        let ahead_ms = self.ahead_ms.get(&task).copied();
        ahead_ms.map_or(i64::MIN, |ahead_ms| now_ms.saturating_add(ahead_ms))
    }

    fn append(&mut self, next: PlannedRecord, broker: &SimulatedBroker, random: &SeededRandom) {
        let partition = self.partition(&next, random);
        let record = next.record.at_partition(partition);
        let offset = broker.append(
            Topic::Input(record.input),
            partition,
            record.timestamp_ms,
            Some(&record.key),
            record.value.as_deref(),
        );
        self.produced_count += 1;
        let partition_id = (record.input, partition);
        self.ends.insert(partition_id, offset + 1);
        let input_key = self.input_key(record.input, partition);
        let produced = self.produced.entry(input_key).or_default();
        let epoch = produced.note(offset, record.value.is_none());
        let latest_ms = self.latest_ms.entry(partition_id).or_insert(i64::MIN);
        let in_time = |time_ms: &i64| *time_ms >= latest_ms.saturating_sub(self.lateness_ms);
        match next.time_ms.filter(in_time) {
            Some(time_ms) => {
                *latest_ms = time_ms.max(*latest_ms);
                self.good.push(((input_key, epoch, offset), record));
            }
            // Tombstones are not events.
            None if record.value.is_none() => {}
            None => {
                self.dead.insert((input_key, epoch, offset));
            }
        }
    }

    fn partition(&self, next: &PlannedRecord, random: &SeededRandom) -> u32 {
        let (mut partitions, _) = self.partitions[usize::from(next.record.input)];
        if next.keeps_order {
            // A reversal must not overtake its order, so both use the initial number of partitions.
            partitions = self.first[usize::from(next.record.input)];
        }
        let key = &next.record.key;
        match self.keying {
            Keying::Matching => Partitioner::Murmur2.partition(key, partitions),
            Keying::Scattered if !next.keeps_order => random.below(u64::from(partitions)) as u32,
            _ => Partitioner::Crc32.partition(key, partitions),
        }
    }

    /// Gives the inputs their final number of partitions.
    pub(super) fn grow(&mut self, broker: &SimulatedBroker) {
        for (input, (now, last)) in (0..).zip(&mut self.partitions) {
            *now = *last;
            broker.show_partitions(Topic::Input(input), *last);
        }
    }

    /// Deletes and recreates an input.
    pub(super) fn recreate(&mut self, input: u16, broker: &SimulatedBroker) {
        self.generations[usize::from(input)] += 1;
        self.ends.retain(|(known, _), _| *known != input);
        self.latest_ms.retain(|(known, _), _| *known != input);
        broker.recreate(Topic::Input(input));
    }

    /// The key of an input partition in the input's current generation.
    pub(super) fn input_key(&self, input: u16, partition: u32) -> InputKey {
        (self.generations[usize::from(input)], input, partition)
    }

    /// Truncates a partition by up to `records` records. Returns the offset at which its next leader epoch begins.
    pub(super) fn truncate(
        &mut self,
        partition_id: (u16, u32),
        records: usize,
        broker: &SimulatedBroker,
    ) -> i64 {
        let (input, partition) = partition_id;
        let topic = Topic::Input(input);
        let end = broker.stable(topic, partition);
        let input_key = self.input_key(input, partition);
        let produced = self.produced.entry(input_key).or_default();
        let to = produced.truncate(records, end);
        match produced.end() {
            Some(end) => self.ends.insert(partition_id, end),
            None => self.ends.remove(&partition_id),
        };
        broker.truncate(topic, partition, to);
        to
    }

    /// A partition is read from its current end on, so only later events decide which event is late.
    pub(super) fn forget_time(&mut self, input: u16, partition: u32) {
        self.latest_ms.remove(&(input, partition));
    }

    /// The current partitions of all inputs.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (u16, u32)> {
        (0..)
            .zip(&self.partitions)
            .flat_map(|(input, (now, _))| (0..*now).map(move |p| (input, p)))
    }
}

impl InputRecord {
    fn at_partition(self, partition: u32) -> Self {
        Self { partition, ..self }
    }
}
