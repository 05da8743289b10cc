use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;
use crate::clock::Clock;
use crate::topics::Topic;

const SKEW_MS: i64 = 1_000;
/// Records of a run that are processed before the next partition has its turn, at most.
const DECODED_AT_ONCE: usize = 3;
const IDLE: Duration = Duration::from_secs(30);

fn topic_partition(partition: u32) -> TopicPartition {
    TopicPartition {
        topic: Topic::Input(0),
        partition,
    }
}

/// Partitions whose records have their event times as timestamps, and how far each was polled and processed.
struct World {
    times: Vec<Vec<i64>>,
    polled_to: Vec<usize>,
    /// Partition and offset of the processed records, in order.
    processed: Vec<(usize, usize)>,
    clock: Clock,
    others_ms: i64,
    /// Number of calls of `has_unread`.
    unread_queries: Cell<usize>,
}

impl AlignmentContext for World {
    fn has_unread(&self, topic_partition: TopicPartition) -> bool {
        self.unread_queries.set(self.unread_queries.get() + 1);
        let partition = topic_partition.partition as usize;
        self.polled_to[partition] < self.times[partition].len()
    }

    fn others_ms(&self) -> i64 {
        self.others_ms
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }
}

impl World {
    fn new(times: Vec<Vec<i64>>) -> Self {
        Self {
            polled_to: vec![0; times.len()],
            times,
            processed: Vec::new(),
            clock: Clock::simulated(0),
            others_ms: i64::MAX,
            unread_queries: Cell::new(0),
        }
    }

    fn aligned(&self) -> AlignedPartitions {
        let mut aligned = AlignedPartitions::new(Alignment {
            max_skew_ms: SKEW_MS,
            idle_timeout: IDLE,
        });
        (0..self.times.len())
            .for_each(|partition| aligned.open(topic_partition(partition as u32), i64::MIN));
        aligned
    }

    /// Appends the next records of a partition to the batch, `limit` at most.
    fn poll(&mut self, partition: usize, limit: usize, batch: &mut Batch) {
        let first = self.polled_to[partition];
        let end = self.times[partition].len().min(first + limit);
        for offset in first..end {
            batch.push(Record {
                topic_partition: topic_partition(partition as u32),
                offset: offset as i64,
                timestamp_ms: self.times[partition][offset],
                key: None,
                value: None,
                origin: None,
            });
        }
        self.polled_to[partition] = end;
    }

    fn process(&mut self, aligned: &mut AlignedPartitions, record: &Record<'_>) {
        let partition = record.topic_partition.partition as usize;
        self.processed.push((partition, record.offset as usize));
        aligned.reach(record.topic_partition, record.timestamp_ms);
    }

    /// Processes a batch as the worker does.
    fn process_batch(&mut self, aligned: &mut AlignedPartitions, batch: &Batch) {
        aligned.polled();
        aligned.begin(batch);
        for (position, record) in batch.records().enumerate() {
            if aligned.is_holding(record.topic_partition) {
                aligned.hold(record, None);
                continue;
            }
            let next = (record.topic_partition, record.timestamp_ms);
            let limits = aligned.limits(Some(next), position, self);
            if aligned.admits(record.timestamp_ms, limits) {
                self.process(aligned, &record);
            } else {
                aligned.hold(record, Some(record.timestamp_ms));
            }
        }
        aligned.end();
    }

    /// Releases held records as the worker does.
    fn release(&mut self, aligned: &mut AlignedPartitions) {
        let mut limits = aligned.limits(None, usize::MAX, self);
        while let Some(topic_partition) = aligned.releasable(limits, self.now()) {
            let (mut run, mut head_ms) = (aligned.take(topic_partition).unwrap(), None);
            let end = run.records.len().min(run.next + DECODED_AT_ONCE);
            while run.next < end {
                let record = run.records.get(run.next);
                let next = (topic_partition, record.timestamp_ms);
                limits = aligned.limits(Some(next), usize::MAX, self);
                if !aligned.admits(record.timestamp_ms, limits) {
                    head_ms = Some(record.timestamp_ms);
                    break;
                }
                self.process(aligned, &record);
                run.next += 1;
            }
            aligned.put_back(topic_partition, run, head_ms);
            limits = aligned.limits(None, usize::MAX, self);
        }
    }

    /// Checks the definition of alignment, without limits: whenever an event was processed, the next event of every
    /// partition was earlier by the skew at most.
    fn check(&self) {
        let mut next = BTreeMap::from_iter((0..self.times.len()).map(|partition| (partition, 0)));
        for &(partition, offset) in &self.processed {
            assert_eq!(
                next[&partition], offset,
                "records must be processed in order, each once"
            );
            let time_ms = self.times[partition][offset];
            for (other, position) in &next {
                if let Some(waiting_ms) = self.times[*other].get(*position) {
                    let skew_ms = time_ms - waiting_ms;
                    assert!(
                        skew_ms <= SKEW_MS,
                        "partition {partition} is {skew_ms} ms ahead of partition {other}"
                    );
                }
            }
            *next.entry(partition).or_default() += 1;
        }
    }
}

/// Pseudo-random numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// Ascending event times of a partition, with a random density.
    fn times(&mut self) -> Vec<i64> {
        let (count, step) = (self.below(60), [1, 30, 700, 5_000][self.below(4) as usize]);
        let mut time_ms = self.below(20_000) as i64;
        let mut next = |_| {
            time_ms += self.below(step) as i64;
            time_ms
        };
        (0..count).map(&mut next).collect()
    }
}

#[test]
fn partitions_of_any_density_are_processed_whole_in_order_and_within_the_skew() {
    for seed in 1..=500_u64 {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let partitions = 1 + dice.below(6);
        let mut world = World::new((0..partitions).map(|_| dice.times()).collect());
        let total: usize = world.times.iter().map(Vec::len).sum();
        let mut aligned = world.aligned();
        for _ in 0..20_000 {
            let mut batch = Batch::default();
            aligned.divert(&mut batch);
            for partition in 0..world.times.len() {
                if dice.below(3) > 0 && aligned.held(topic_partition(partition as u32)) == 0 {
                    world.poll(partition, 1 + dice.below(25) as usize, &mut batch);
                }
            }
            aligned.hold_diverted(&mut batch);
            world.process_batch(&mut aligned, &batch);
            world.release(&mut aligned);
            if world.processed.len() == total {
                break;
            }
        }
        assert_eq!(
            world.processed.len(),
            total,
            "seed {seed}: no record may be held for ever"
        );
        world.check();
    }
}

#[test]
fn a_partition_that_gives_nothing_holds_others_back_until_the_timeout() {
    let mut world = World::new(vec![vec![5], vec![9_000]]);
    let mut aligned = world.aligned();
    let mut batch = Batch::default();
    world.poll(1, 1, &mut batch);
    world.process_batch(&mut aligned, &batch);
    world.release(&mut aligned);
    assert!(
        world.processed.is_empty(),
        "the next event time of partition 0 is unknown"
    );
    assert_eq!(aligned.held_back_by(&world), Some(topic_partition(0)));
    world.clock.advance(IDLE);
    world.release(&mut aligned);
    assert_eq!(world.processed, [(1, 0)]);
}

#[test]
fn a_partition_that_is_read_to_its_end_holds_nobody_back() {
    let mut world = World::new(vec![vec![5], vec![9_000]]);
    let mut aligned = world.aligned();
    let mut batch = Batch::default();
    world.poll(0, 1, &mut batch);
    world.poll(1, 1, &mut batch);
    world.process_batch(&mut aligned, &batch);
    world.release(&mut aligned);
    assert_eq!(world.processed, [(0, 0), (1, 0)]);
    let watermark = aligned.watermark_ms(|_| true, &world);
    assert_eq!(watermark, None, "other workers must not wait either");
}

#[test]
fn others_that_are_behind_hold_a_shard_back_but_for_a_number_of_events() {
    let mut times = vec![5; AHEAD_OF_OTHERS - 1];
    times.extend([9_000, 9_001, 9_002]);
    let mut world = World::new(vec![times]);
    world.others_ms = 4_000;
    let mut aligned = world.aligned();
    let mut batch = Batch::default();
    world.poll(0, AHEAD_OF_OTHERS + 2, &mut batch);
    world.process_batch(&mut aligned, &batch);
    world.release(&mut aligned);
    let processed = AHEAD_OF_OTHERS + 2;
    assert_eq!(
        world.processed.len(),
        processed,
        "few events are over the limit"
    );

    let mut world = World::new(vec![(0..1_000).map(|step| 9_000 + step).collect()]);
    world.others_ms = 4_000;
    let mut aligned = world.aligned();
    let mut batch = Batch::default();
    world.poll(0, 1_000, &mut batch);
    world.process_batch(&mut aligned, &batch);
    world.release(&mut aligned);
    assert_eq!(
        world.processed.len(),
        AHEAD_OF_OTHERS,
        "no more may be over the limit"
    );
    let next_ms = aligned.watermark_ms(|_| true, &world);
    assert_eq!(next_ms, Some(9_000 + AHEAD_OF_OTHERS as i64));
    world.others_ms = 8_500;
    world.release(&mut aligned);
    assert_eq!(world.processed.len(), 501 + AHEAD_OF_OTHERS);
}

#[test]
fn what_is_unread_is_asked_once_a_poll() {
    let mut world = World::new(vec![vec![5], vec![6], vec![9_000; 9]]);
    let mut aligned = world.aligned();
    let mut batch = Batch::default();
    world.poll(2, 9, &mut batch);
    world.process_batch(&mut aligned, &batch);
    (0..5).for_each(|_| world.release(&mut aligned));
    assert_eq!(
        world.unread_queries.get(),
        2,
        "once for each of the two that returned nothing"
    );
    world.poll(0, 1, &mut Batch::default());
    world.poll(1, 1, &mut Batch::default());
    world.release(&mut aligned);
    assert_eq!(
        world.processed,
        [],
        "the answers of the last poll still count"
    );
    aligned.polled();
    world.release(&mut aligned);
    assert_eq!(world.processed.len(), 9);
}

#[test]
fn what_is_opened_again_is_read_again() {
    let mut world = World::new(vec![vec![5], vec![9_000]]);
    let mut aligned = world.aligned();
    let mut batch = Batch::default();
    world.poll(1, 1, &mut batch);
    world.process_batch(&mut aligned, &batch);
    assert_eq!(aligned.held(topic_partition(1)), 1);
    aligned.open(topic_partition(1), 3);
    assert_eq!(
        (
            aligned.held(topic_partition(1)),
            aligned.reached_ms(topic_partition(1))
        ),
        (0, 3)
    );
    aligned.close(&[topic_partition(0), topic_partition(1)]);
    assert_eq!(aligned.limits(None, 0, &world).own_ms, i64::MAX);
}
