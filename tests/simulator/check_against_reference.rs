//! Checks the drained simulation against what was committed, and against a reference run without faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flockwise_codec::model::decode_publication;
use flockwise_codec::trainer_input::decode_trainer_input;
use flockwise_core::policy::TimePolicy;
use flockwise_core::publication::Publication;
use flockwise_core::task::Task;
use flockwise_core::trainer::{Trainer, TrainerInput};
use flockwise_memory::CommittedRecord;
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use super::erasures::Erasures;
use super::scenario::Scenario;
use super::simulation::Simulation;
use crate::changelog;
use crate::checks::{self, header};
use crate::events::InputRecord;
use crate::reference;

const SAMPLES: TopicPartition = TopicPartition {
    topic: Topic::Samples,
    partition: 0,
};

impl Simulation {
    /// Compares the output with the input.
    pub(super) fn check_results(&self) {
        self.check_visible_records();
        self.check_dead_letters();
        let changes = self.visible_records(Topic::SegmentChanges);
        checks::sequences(&changes);
        let tasks = self.restored();
        checks::segments(&changes, &tasks);
        self.check_positions(&tasks);
        self.check_lifetime_features(&tasks);
        self.check_counters();
        let reference = reference::run(&self.reference_pipeline(), &self.good());
        checks::same_features(&self.pipeline.task.plan, &tasks, &reference.tasks);
        if self.scenario.is_exact() {
            let expected = checks::values(&reference.changes);
            checks::same_changes(checks::values(&changes), expected);
        }
        self.check_versions();
        self.check_disks();
    }

    fn visible_records(&self, topic: Topic) -> Vec<Vec<CommittedRecord>> {
        let partitions = 0..self.pipeline.topics.partitions(topic);
        partitions
            .map(|partition| self.broker.read(topic, partition, 0))
            .collect()
    }

    /// Checks that the visible records are the committed ones, except those that retention and compaction removed.
    fn check_visible_records(&self) {
        let committed_log = self.committed_log();
        for topic in Topics::internal() {
            for (partition, seen) in (0..).zip(self.visible_records(topic)) {
                let topic_partition = TopicPartition { topic, partition };
                let committed = committed_log
                    .records
                    .get(&topic_partition)
                    .map_or(&[][..], Vec::as_slice);
                let committed = committed.iter().map(|sent| (&sent.key, &sent.value));
                let is_sent = |record: &&CommittedRecord| {
                    topic != Topic::Repartition || !Erasures::holds(record)
                };
                let seen = seen.iter().filter(is_sent);
                let seen = seen.map(|record| (&record.key, &record.value));
                if Topics::is_compacted(topic) {
                    let (mut seen, mut committed): (BTreeMap<_, _>, BTreeMap<_, _>) =
                        (seen.collect(), committed.collect());
                    // Compaction removes tombstones in the end, along with the earlier values.
                    seen.retain(|_, value| value.is_some());
                    committed.retain(|_, value| value.is_some());
                    assert_eq!(seen, committed, "{topic_partition:?}");
                } else {
                    // Transactions overlap, so their records are not in the order of their commits.
                    let (mut seen, mut committed): (Vec<_>, Vec<_>) =
                        (seen.collect(), committed.collect());
                    seen.sort_unstable();
                    committed.sort_unstable();
                    if topic == Topic::Repartition {
                        // Records that retention removed may be absent.
                        seen.dedup();
                        committed.retain(|record| seen.binary_search(record).is_ok());
                        committed.dedup();
                    }
                    assert_eq!(seen, committed, "{topic_partition:?}");
                }
            }
        }
    }

    fn check_dead_letters(&self) {
        let mut found = Vec::new();
        for dead_letter in self.visible_records(Topic::DeadLetters).iter().flatten() {
            let topic = header(dead_letter, "flockwise.topic");
            let inputs = &self.pipeline.topics.inputs;
            let input = inputs
                .iter()
                .position(|name| *name == topic)
                .expect("an input");
            let number = |name| header(dead_letter, name).parse::<i64>().expect("a number");
            let (partition, offset) = (number("flockwise.partition"), number("flockwise.offset"));
            found.push((input as u16, partition as u32, offset));
        }
        let (committed_log, producers) = (self.committed_log(), self.producers());
        let read = producers
            .dead
            .iter()
            .filter(|id| committed_log.has_read(**id));
        let expected = read.map(|((_, input, partition), _, offset)| (*input, *partition, *offset));
        let mut expected: Vec<_> = expected.collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "dead letters");
    }

    /// Every task, restored from the changelog on the broker.
    fn restored(&self) -> Vec<Task> {
        let changelogs = self.visible_records(Topic::Changelog);
        let tasks = changelogs.into_iter().map(|records| {
            let changelog = changelog::compacted(records);
            changelog::restore(&self.pipeline, &changelog)
        });
        tasks.collect()
    }

    fn check_positions(&self, tasks: &[Task]) {
        let (committed_log, producers) = (self.committed_log(), self.producers());
        let read: BTreeMap<_, _> = tasks.iter().flat_map(Task::inputs).collect();
        // A partition without a record to read need not have a position.
        let is_wanted = |((input, partition), end): &(&(u16, u32), &i64)| {
            let reading = committed_log
                .readings
                .get(&producers.input_key(*input, *partition));
            reading.is_none_or(|reading| reading.is_wanted(**end - 1))
        };
        for (partition, end) in producers.ends.iter().filter(is_wanted) {
            let next_offset = read.get(partition).map(|progress| progress.next_offset);
            assert!(
                next_offset >= Some(*end),
                "input {partition:?} is read up to {next_offset:?} of {end}"
            );
        }
    }

    /// The valid events, each once, in the order of production. Without those of expired customers.
    fn good(&self) -> Vec<InputRecord> {
        let before_final_day = self.producers().before_final_day;
        let mut good = self.counted(before_final_day);
        if !self.scenario.dedup_forgets() {
            let mut known = BTreeSet::new();
            good.retain(|record| known.insert(record.value.clone()));
        }
        good
    }

    /// The pipeline of the reference. It accepts any lateness, since late events were removed when they were
    /// produced. If changes are not compared, it has no model.
    fn reference_pipeline(&self) -> flockwise_runtime::pipeline::Pipeline {
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

    /// Checks that the published versions are those that one trainer learns from all mini-batches in order.
    fn check_versions(&self) {
        let plan = &self.pipeline.task.plan;
        let task = &self.pipeline.task;
        let imported = self.scenario.import();
        let mut trainer = Trainer::new(Arc::clone(plan), task.learning, imported.clone())
            .with_margin(task.decision.margin);
        let mut expected: Vec<Publication> = imported.into_iter().map(Publication::live).collect();
        let position = self.committed_log().positions.get(&SAMPLES).copied();
        let inputs = self.broker.read(SAMPLES.topic, SAMPLES.partition, 0);
        // The last worker that left may have written records that no trainer has read.
        let is_read = |input: &CommittedRecord| Some(input.offset) < position;
        for input in inputs.into_iter().filter(is_read) {
            let value = input.value.as_deref().unwrap_or_default();
            let is_due = match decode_trainer_input(value, plan).expect("a trainer input") {
                TrainerInput::MiniBatch(batch) => trainer.absorb(batch, input.offset),
                TrainerInput::Sampled(sampled) => trainer.hear(&sampled, input.offset),
                TrainerInput::Command(command) => panic!("unexpected command: {command:?}"),
            };
            expected.extend(is_due.then(|| trainer.learn_from_window()).flatten());
        }
        let (published, deleted) = self.published_versions();
        expected.retain(|version| !deleted.contains(&version.model.version));
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

    /// The versions on the model topic, and the numbers of those that were deleted there because many followed.
    fn published_versions(&self) -> (Vec<Publication>, BTreeSet<u64>) {
        let plan = &self.pipeline.task.plan;
        let (mut published, mut deleted) = (Vec::<Publication>::new(), BTreeSet::new());
        for record in self.broker.read(Topic::Model, 0, 0) {
            if let Some(value) = &record.value {
                published.push(decode_publication(value, plan).expect("a version").0);
                continue;
            }
            let key = String::from_utf8(record.key.unwrap_or_default()).expect("UTF-8");
            deleted.insert(key.parse().expect("a version"));
        }
        let newest = published.last().map_or(0, |newest| newest.model.version);
        let is_old = |number: &u64| number + 100 <= newest;
        assert!(
            deleted.iter().all(is_old),
            "{deleted:?} of {newest} deleted"
        );
        published.retain(|version| !deleted.contains(&version.model.version));
        (published, deleted)
    }
}
