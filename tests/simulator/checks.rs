//! What must hold once nothing goes wrong any more.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use flockwise_codec::model::decode_publication;
use flockwise_codec::trainer_input::decode_trainer_input;
use flockwise_core::policy::TimePolicy;
use flockwise_core::task::Task;
use flockwise_core::trainer::{Publication, Trainer, TrainerInput};
use flockwise_memory::Committed;
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use super::cluster::Member;
use super::scenario::Scenario;
use super::world::World;
use crate::changelog;
use crate::checks::{self, header};
use crate::events::InputRecord;
use crate::reference;

/// Rounds in which everybody has a turn, until all must be done.
const ROUNDS: usize = 3_000;

/// Records that a poll brings once it is calm.
const PLENTY: usize = 100;

/// Everybody has long been there by then.
const REASSIGNED: usize = 50;

const SAMPLES: TopicPartition = TopicPartition {
    topic: Topic::Samples,
    partition: 0,
};

impl World {
    /// Nothing goes wrong any more: everything that was produced is worked off.
    pub(super) fn calm_down(self: &Rc<Self>) {
        self.is_calm.set(true);
        self.note(None, "it is calm from here on", [0, 0]);
        self.feed().grow(&self.broker);
        self.revive();
        self.roll_all_in();
        // Workers tell each other how far they are, and one record a poll is less than they tell.
        self.broker.limit_poll(PLENTY);
        for round in 0..ROUNDS {
            self.round();
            if round == REASSIGNED && self.scenario.grows() {
                // New partitions are found at the next assignment.
                self.depart(0, Some(self.clock.wall_ms()));
            }
            if self.feed().is_over() && self.is_drained() {
                if self.feed().begin_coda() {
                    self.note(None, "all but a last day is worked off", [0, 0]);
                    continue;
                }
                self.round();
                self.check_readiness();
                (0..self.scenario.instances).for_each(|instance| self.depart(instance, None));
                return;
            }
        }
        panic!(
            "stuck: not everything is worked off; {}",
            self.what_is_left()
        );
    }

    /// Everybody is there, or soon will be.
    fn revive(&self) {
        let now_ms = self.clock.wall_ms();
        let mut cluster = self.cluster();
        for instance in &mut cluster.instances {
            instance.kill_countdown = None;
            if !instance.is_up {
                instance.back_at_ms = Some(now_ms);
            }
        }
        for slot in &mut cluster.slots {
            slot.pause = None;
            slot.refusal = None;
        }
    }

    fn round(self: &Rc<Self>) {
        self.advance(Duration::from_millis(100));
        self.broker.expire_overdue();
        self.start_what_is_due();
        let share = self.random.scale(1, self.scenario.events) as usize;
        self.feed().produce(self, share);
        (0..self.scenario.instances).for_each(|instance| self.keep_warm(instance));
        let superseded = std::mem::take(&mut self.cluster().superseded);
        for (client_id, worker) in superseded {
            self.turn(client_id, worker);
        }
        let slots = self.scenario.instances * self.scenario.shards;
        (0..slots).for_each(|slot| self.turn_at(slot));
    }

    /// Whoever has had its assignment says so.
    fn check_readiness(&self) {
        let cluster = self.cluster();
        for worker in cluster.slots.iter().filter_map(|slot| slot.worker.as_ref()) {
            let tasks = worker.tasks().count();
            assert!(
                worker.is_assigned() || tasks == 0,
                "{tasks} tasks, and not ready"
            );
        }
    }

    fn is_drained(&self) -> bool {
        self.what_is_left().is_empty()
    }

    /// Input partitions, repartition partitions and mini-batches that are not read to their ends.
    fn what_is_left(&self) -> String {
        let unread = self.unread();
        let committed_log = self.committed_log();
        let read = |topic, partition| {
            let source = TopicPartition { topic, partition };
            committed_log.positions.get(&source).copied().unwrap_or(0)
        };
        let mut left = String::new();
        for (input, partition) in unread {
            left += &format!("{:?}/{partition} ", Topic::Input(input));
        }
        let own = [
            (Topic::Repartition, self.pipeline.topics.state_partitions),
            (Topic::Samples, 1),
        ];
        for (topic, partitions) in own {
            for partition in 0..partitions {
                let position = read(topic, partition);
                if !self.broker.read(topic, partition, position).is_empty() {
                    left += &format!("{topic:?}/{partition} ");
                }
            }
        }
        left + &self.what_is_due()
    }

    /// Tasks that nobody has, or whose sweep is not where their time is; records that were read and are held back, of
    /// a topic that is there no more as well.
    fn what_is_due(&self) -> String {
        let cluster = self.cluster();
        let shards = cluster.slots.iter().filter_map(|slot| slot.worker.as_ref());
        if shards.clone().any(Member::is_holding) {
            return "records held back ".to_owned();
        }
        let tasks: BTreeMap<_, _> = shards.flat_map(Member::tasks).collect();
        let waits = |task: &Task| task.has_due() || task.watermark_ms() < task.stream_ms();
        let is_due = |number: &u32| tasks.get(number).copied().is_none_or(waits);
        let due = (0..self.scenario.state_partitions).filter(is_due);
        due.map(|task| format!("sweep/{task} ")).collect()
    }

    /// Holds all that came out against what was put in.
    pub(super) fn judge(&self) {
        self.check_what_is_seen();
        self.check_dead_letters();
        let changes = self.seen(Topic::SegmentChanges);
        checks::chains(&changes);
        let tasks = self.restored();
        checks::standings(&changes, &tasks);
        self.check_positions(&tasks);
        self.check_tallies(&tasks);
        self.check_counters();
        let reference = reference::play(&self.undisturbed(), &self.good());
        checks::same_features(&self.pipeline.task.plan, &tasks, &reference.tasks);
        if self.scenario.is_exact() {
            let expected = checks::values(&reference.changes);
            checks::same_changes(checks::values(&changes), expected);
        }
        self.check_versions();
        self.check_disks();
    }

    fn seen(&self, topic: Topic) -> Vec<Vec<Committed>> {
        let partitions = 0..self.pipeline.topics.partitions(topic);
        partitions
            .map(|partition| self.broker.read(topic, partition, 0))
            .collect()
    }

    /// Exactly what was committed is seen, but for what retention and compaction take away.
    fn check_what_is_seen(&self) {
        let committed_log = self.committed_log();
        for topic in Topics::internal() {
            for (partition, seen) in (0..).zip(self.seen(topic)) {
                let source = TopicPartition { topic, partition };
                let committed = committed_log
                    .records
                    .get(&source)
                    .map_or(&[][..], Vec::as_slice);
                let committed = committed.iter().map(|sent| (&sent.key, &sent.value));
                let seen = seen.iter().map(|record| (&record.key, &record.value));
                if Topics::is_compacted(topic) {
                    let (mut seen, mut committed): (BTreeMap<_, _>, BTreeMap<_, _>) =
                        (seen.collect(), committed.collect());
                    // Tombstones go in the end, with what was before them.
                    seen.retain(|_, value| value.is_some());
                    committed.retain(|_, value| value.is_some());
                    assert_eq!(seen, committed, "{source:?}");
                } else {
                    // Transactions overlap: the order of their records is not that of their ends.
                    let (mut seen, mut committed): (Vec<_>, Vec<_>) =
                        (seen.collect(), committed.collect());
                    seen.sort_unstable();
                    committed.sort_unstable();
                    if topic == Topic::Repartition {
                        // What retention took away is not missed.
                        seen.dedup();
                        committed.retain(|record| seen.binary_search(record).is_ok());
                        committed.dedup();
                    }
                    assert_eq!(seen, committed, "{source:?}");
                }
            }
        }
    }

    fn check_dead_letters(&self) {
        let mut found = Vec::new();
        for letter in self.seen(Topic::DeadLetters).iter().flatten() {
            let topic = header(letter, "flockwise.topic");
            let inputs = &self.pipeline.topics.inputs;
            let input = inputs
                .iter()
                .position(|name| *name == topic)
                .expect("an input");
            let number = |name| header(letter, name).parse::<i64>().expect("a number");
            let (partition, offset) = (number("flockwise.partition"), number("flockwise.offset"));
            found.push((input as u16, partition as u32, offset));
        }
        let (committed_log, feed) = (self.committed_log(), self.feed());
        let read = feed
            .dead
            .iter()
            .filter(|place| committed_log.has_read(**place));
        let expected = read.map(|((_, input, partition), _, offset)| (*input, *partition, *offset));
        let mut expected: Vec<_> = expected.collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "dead letters");
    }

    /// Every task as the changelog on the broker has it.
    fn restored(&self) -> Vec<Task> {
        let changelogs = self.seen(Topic::Changelog);
        let tasks = changelogs.into_iter().map(|records| {
            let changelog = changelog::compacted(records);
            changelog::restore(&self.pipeline, &changelog)
        });
        tasks.collect()
    }

    fn check_positions(&self, tasks: &[Task]) {
        let (committed_log, feed) = (self.committed_log(), self.feed());
        let read: BTreeMap<_, _> = tasks.iter().flat_map(Task::inputs).collect();
        // Where nothing is to be read there need not be a position.
        let is_wanted = |((input, partition), end): &(&(u16, u32), &i64)| {
            let reading = committed_log.readings.get(&feed.lane(*input, *partition));
            reading.is_none_or(|reading| reading.is_wanted(**end - 1))
        };
        for (place, end) in feed.ends.iter().filter(is_wanted) {
            let next_offset = read.get(place).map(|progress| progress.next_offset);
            assert!(
                next_offset >= Some(*end),
                "input {place:?} is read up to {next_offset:?} of {end}"
            );
        }
    }

    /// Events that count, each once, in the order of their production; not those of customers who were
    /// let go of.
    fn good(&self) -> Vec<InputRecord> {
        let before_coda = self.feed().before_coda;
        let mut good = self.counted(before_coda);
        if !self.scenario.forgets() {
            let mut known = BTreeSet::new();
            good.retain(|put| known.insert(put.value.clone()));
        }
        good
    }

    /// The pipeline for the reference: what is late was judged where it was produced, and where changes are
    /// not compared, nothing need be decided.
    fn undisturbed(&self) -> flockwise_runtime::pipeline::Pipeline {
        let Scenario { time, .. } = &self.scenario;
        let mut pipeline = (*self.pipeline).clone();
        let task = Arc::make_mut(&mut pipeline.task);
        task.time = TimePolicy {
            lateness_ms: i64::MAX,
            ..*time
        };
        if !self.scenario.is_exact() {
            task.time.sweep_ms = None;
            task.learning.learn = false;
            pipeline.import = None;
        }
        pipeline
    }

    /// The versions are those that one trainer makes of all mini-batches in their order.
    fn check_versions(&self) {
        let plan = &self.pipeline.task.plan;
        let task = &self.pipeline.task;
        let imported = self.scenario.import();
        let mut trainer = Trainer::new(Arc::clone(plan), task.learning, imported.clone())
            .with_margin(task.decision.margin);
        let mut expected: Vec<Publication> = imported.into_iter().map(Publication::live).collect();
        let position = self.committed_log().positions.get(&SAMPLES).copied();
        let lessons = self.broker.read(SAMPLES.topic, SAMPLES.partition, 0);
        // Whoever left last may have said something that nobody was there to hear.
        let is_heard = |lesson: &Committed| Some(lesson.offset) < position;
        for lesson in lessons.into_iter().filter(is_heard) {
            let value = lesson.value.as_deref().unwrap_or_default();
            let is_due = match decode_trainer_input(value, plan).expect("a lesson") {
                TrainerInput::MiniBatch(batch) => trainer.absorb(batch, lesson.offset),
                TrainerInput::Sampled(sampled) => trainer.hear(&sampled, lesson.offset),
                TrainerInput::Command(order) => panic!("nobody gives orders: {order:?}"),
            };
            expected.extend(is_due.then(|| trainer.learn_from_window()).flatten());
        }
        let versions = self.broker.read(Topic::Model, 0, 0);
        let published: Vec<Publication> = versions
            .iter()
            .map(|version| {
                let value = version.value.as_deref().unwrap_or_default();
                decode_publication(value, plan).expect("a version").0
            })
            .collect();
        let numbers = |versions: &[Publication]| -> Vec<u64> {
            versions
                .iter()
                .map(|version| version.model.version)
                .collect()
        };
        assert_eq!(
            numbers(&published),
            numbers(&expected),
            "versions published"
        );
        for (published, expected) in published.iter().zip(&expected) {
            assert_eq!(published, expected, "version {}", expected.model.version);
        }
    }
}
