//! The producers, and what should become of each record.

use std::collections::{BTreeMap, BTreeSet};

use flockwise_codec::decode::Decoder;
use flockwise_codec::format::Format;
use flockwise_codec::partitioner::Partitioner;
use flockwise_core::event::Event;
use flockwise_core::plan::Plan;
use flockwise_memory::MemoryBroker;
use flockwise_runtime::topics::Topic;

use super::customers::{final_day, life};
use super::produced_log::{InputKey, Place, Produced};
use super::scenario::{Keying, Scenario};
use super::seeded_random::SeededRandom;
use super::world::World;
use crate::events::{InputRecord, native};

/// No event, whatever the format.
const BAD: [Option<&[u8]>; 6] = [
    None,
    Some(b""),
    Some(b"{"),
    Some(b"[1,2,3]"),
    Some(br#"{"event":"x","time":"2026-02-01T00:00:00Z","timestamp":"2026-02-01T00:00:00Z"}"#),
    Some(br#"{"event":"x","userId":"anna","customer_id":"anna","time":"yesterday","timestamp":"yesterday"}"#),
];

/// A record to come.
struct Next {
    put: InputRecord,
    /// When it happened; `None` where it is no event.
    time_ms: Option<i64>,
    /// Wherever it is put, it must be in order with the customer's others.
    is_bound: bool,
}

/// What is still to be produced, and what should come of what was.
pub(super) struct Producers {
    to_come: Vec<Next>,
    /// What comes once all else is worked off, where customers are let go of: whoever was there before is
    /// not any more.
    final_day: Vec<Next>,
    /// Of the events that count, so many come before.
    pub(super) before_coda: usize,
    keying: Keying,
    lateness_ms: i64,
    /// Partitions of each input now, and in the end.
    partitions: Vec<(u32, u32)>,
    first: Vec<u32>,
    latest_ms: BTreeMap<(u16, u32), i64>,
    partitioner: Partitioner,
    tasks: u32,
    /// By how much the events of each task's customers are ahead of the clock, at most: stream time is
    /// never further ahead of it.
    ahead_ms: BTreeMap<u32, i64>,
    /// What was produced to each partition.
    pub(super) produced: BTreeMap<InputKey, Produced>,
    /// How often each input was recreated.
    pub(super) generations: Vec<u32>,
    /// The offset behind the last record of each partition.
    pub(super) ends: BTreeMap<(u16, u32), i64>,
    /// Events that count if they are read, in the order in which they were produced.
    pub(super) good: Vec<(Place, InputRecord)>,
    /// Where dead letters come from.
    pub(super) dead: BTreeSet<Place>,
    pub(super) put: usize,
}

impl Producers {
    pub(super) fn new(
        scenario: &Scenario,
        partitioner: Partitioner,
        random: &SeededRandom,
    ) -> Self {
        let mut feed = Self {
            to_come: Vec::new(),
            final_day: Vec::new(),
            before_coda: 0,
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
            put: 0,
        };
        let life = life(scenario);
        let life = feed.planned(life, scenario, random);
        if scenario.lets_go() {
            feed.final_day = feed.planned(final_day(scenario, partitioner), scenario, random);
        }
        feed.to_come = life;
        feed
    }

    /// What is to be produced of lines, the first last.
    fn planned(
        &mut self,
        lines: Vec<String>,
        scenario: &Scenario,
        random: &SeededRandom,
    ) -> Vec<Next> {
        let (plan, mut event) = (Plan::compile(&[]), Event::default());
        let format = Format::builtin("segment").expect("a format that comes with Flockwise");
        let decoder = Decoder::new(&format, &plan);
        for line in lines {
            let value = line.into_bytes();
            decoder
                .decode(&plan, Some(&value), &mut event)
                .expect("an event");
            let next = Next {
                put: InputRecord {
                    input: 0,
                    partition: 0,
                    key: event.customer_id().as_bytes().to_vec(),
                    value: Some(value),
                    timestamp_ms: event.time_ms,
                },
                time_ms: Some(event.time_ms),
                is_bound: event.order.is_some(),
            };
            self.plan(next, scenario, random);
        }
        let mut planned = std::mem::take(&mut self.to_come);
        planned.reverse();
        planned
    }

    fn plan(&mut self, mut next: Next, scenario: &Scenario, random: &SeededRandom) {
        if scenario.input_partitions.len() > 1 && !next.is_bound {
            let value = next.put.value.as_deref().unwrap_or_default();
            next.put = InputRecord {
                input: 1,
                value: Some(native(value)),
                ..next.put
            };
        }
        if random.percent(scenario.bad_percent) {
            let bad = BAD[random.place(BAD.len())];
            self.to_come.push(Next {
                put: InputRecord {
                    value: bad.map(<[u8]>::to_vec),
                    ..next.put.clone()
                },
                time_ms: None,
                is_bound: false,
            });
        }
        if random.percent(scenario.repeats_percent) && !self.to_come.is_empty() {
            let back = random.scale(1, 8.min(self.to_come.len() as u64)) as usize;
            let again = &self.to_come[self.to_come.len() - back];
            let again = Next {
                put: again.put.clone(),
                ..*again
            };
            self.to_come.push(again);
        }
        self.to_come.push(next);
    }

    pub(super) fn is_over(&self) -> bool {
        self.to_come.is_empty()
    }

    /// Goes on with what comes after all else; `false`: there is nothing more.
    pub(super) fn begin_coda(&mut self) -> bool {
        if self.final_day.is_empty() {
            return false;
        }
        self.to_come = std::mem::take(&mut self.final_day);
        self.before_coda = self.good.len();
        true
    }

    /// Produces so many records.
    pub(super) fn produce(&mut self, world: &World, count: usize) {
        let now_ms = world.clock.wall_ms();
        for _ in 0..count {
            let Some(next) = self.to_come.pop() else {
                return;
            };
            self.note_time(&next, now_ms);
            self.append(next, &world.broker, &world.random);
        }
    }

    fn note_time(&mut self, next: &Next, now_ms: i64) {
        let Some(time_ms) = next.time_ms else { return };
        let task = self.partitioner.partition(&next.put.key, self.tasks);
        let ahead_ms = self.ahead_ms.entry(task).or_insert(i64::MIN);
        *ahead_ms = (time_ms - now_ms).max(*ahead_ms);
    }

    /// The latest that a task's stream time may be: that of an event, and what the clock has moved on since
    /// the event was produced.
    pub(super) fn latest_stream_ms(&self, task: u32, now_ms: i64) -> i64 {
        let ahead_ms = self.ahead_ms.get(&task).copied();
        ahead_ms.map_or(i64::MIN, |ahead_ms| now_ms.saturating_add(ahead_ms))
    }

    fn append(&mut self, next: Next, broker: &MemoryBroker, random: &SeededRandom) {
        let partition = self.partition(&next, random);
        let put = next.put.at_partition(partition);
        let offset = broker.append(
            Topic::Input(put.input),
            partition,
            put.timestamp_ms,
            Some(&put.key),
            put.value.as_deref(),
        );
        self.put += 1;
        let place = (put.input, partition);
        self.ends.insert(place, offset + 1);
        let lane = self.lane(put.input, partition);
        let produced = self.produced.entry(lane).or_default();
        let epoch = produced.note(offset, put.value.is_none());
        let latest_ms = self.latest_ms.entry(place).or_insert(i64::MIN);
        let in_time = |time_ms: &i64| *time_ms >= latest_ms.saturating_sub(self.lateness_ms);
        match next.time_ms.filter(in_time) {
            Some(time_ms) => {
                *latest_ms = time_ms.max(*latest_ms);
                self.good.push(((lane, epoch, offset), put));
            }
            // Tombstones are no events.
            None if put.value.is_none() => {}
            None => {
                self.dead.insert((lane, epoch, offset));
            }
        }
    }

    fn partition(&self, next: &Next, random: &SeededRandom) -> u32 {
        let (mut partitions, _) = self.partitions[usize::from(next.put.input)];
        if next.is_bound {
            // What takes an order back must not overtake it.
            partitions = self.first[usize::from(next.put.input)];
        }
        let key = &next.put.key;
        match self.keying {
            Keying::Well => Partitioner::Murmur2.partition(key, partitions),
            Keying::Scattered if !next.is_bound => random.below(u64::from(partitions)) as u32,
            _ => Partitioner::Crc32.partition(key, partitions),
        }
    }

    /// Adds to the inputs the partitions that they have in the end.
    pub(super) fn grow(&mut self, broker: &MemoryBroker) {
        for (input, (now, last)) in (0..).zip(&mut self.partitions) {
            *now = *last;
            broker.show_partitions(Topic::Input(input), *last);
        }
    }

    /// An input is deleted and made again.
    pub(super) fn recreate(&mut self, input: u16, broker: &MemoryBroker) {
        self.generations[usize::from(input)] += 1;
        self.ends.retain(|(known, _), _| *known != input);
        self.latest_ms.retain(|(known, _), _| *known != input);
        broker.recreate(Topic::Input(input));
    }

    /// A partition of an input as it is now.
    pub(super) fn lane(&self, input: u16, partition: u32) -> InputKey {
        (self.generations[usize::from(input)], input, partition)
    }

    /// A partition loses its latest records, at most so many; returns the offset at which its next leader epoch begins.
    pub(super) fn truncate(
        &mut self,
        place: (u16, u32),
        records: usize,
        broker: &MemoryBroker,
    ) -> i64 {
        let (input, partition) = place;
        let topic = Topic::Input(input);
        let end = broker.stable(topic, partition);
        let lane = self.lane(input, partition);
        let produced = self.produced.entry(lane).or_default();
        let to = produced.truncate(records, end);
        match produced.end() {
            Some(end) => self.ends.insert(place, end),
            None => self.ends.remove(&place),
        };
        broker.truncate(topic, partition, to);
        to
    }

    /// A partition is read from here on: whether an event is late goes by those to come.
    pub(super) fn forget_time(&mut self, input: u16, partition: u32) {
        self.latest_ms.remove(&(input, partition));
    }

    /// Partitions of an input as of now.
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
