//! A log of everything that was committed, kept independently of the broker, with checks on each commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flockwise_codec::changelog::{TASK_POSITION, decode_task_position};
use flockwise_codec::model::decode_publication;
use flockwise_codec::task_summary::{TaskSummary, decode_summary, summary_key};
use flockwise_core::segment_sizes::SegmentSizes;
use flockwise_core::task::{InputPartition, Output, Progress, Task, TaskPosition, Versions};
use flockwise_runtime::pipeline::Pipeline;
use flockwise_runtime::task_id::TaskId;
use flockwise_runtime::topics::{Topic, TopicPartition};

use super::check_metrics::Counts;
use super::produced_log::InputKey;
use super::task_comparison;
use super::truncated_reads::{Position, Reading};

/// A record as a client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) topic: Topic,
    pub(super) partition: u32,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
}

pub(super) use crate::changelog::Changelog;

/// Identifies a client. Unique in a simulation.
pub(super) type Client = u64;

/// Everything that was ever committed.
pub(super) struct CommittedLog {
    pipeline: Arc<Pipeline>,
    /// Keys and values by topic and partition, in the order of commits.
    pub(super) records: BTreeMap<TopicPartition, Vec<Sent>>,
    pub(super) changelogs: BTreeMap<TaskId, Changelog>,
    pub(super) task_positions: BTreeMap<TaskId, TaskPosition>,
    /// Number of commits to each changelog.
    commits: BTreeMap<TaskId, u64>,
    /// For each client and task, the number of commits that the client's state includes.
    known: BTreeMap<(Client, TaskId), u64>,
    /// The committed positions of the group. Unlike the broker's, they never expire.
    pub(super) positions: BTreeMap<TopicPartition, i64>,
    /// What was read of each input partition, according to the task positions.
    pub(super) readings: BTreeMap<InputKey, Reading>,
    pub(super) versions: BTreeSet<u64>,
    /// Counts of the commits whose clients got the answer.
    pub(super) acknowledged: Counts,
    /// Number of commits whose clients died before they got the answer.
    pub(super) unacknowledged: u64,
    /// The held versions.
    held: BTreeSet<u64>,
    /// Tasks that were committed after their last summary.
    unsummarised: BTreeSet<TaskId>,
}

impl CommittedLog {
    pub(super) fn new(pipeline: Arc<Pipeline>) -> Self {
        let imported = pipeline.import.as_ref().map(|model| model.version);
        Self {
            pipeline,
            records: BTreeMap::new(),
            changelogs: BTreeMap::new(),
            task_positions: BTreeMap::new(),
            commits: BTreeMap::new(),
            known: BTreeMap::new(),
            positions: BTreeMap::new(),
            readings: BTreeMap::new(),
            versions: imported.into_iter().collect(),
            acknowledged: Counts::new(),
            unacknowledged: 0,
            held: BTreeSet::new(),
            unsummarised: BTreeSet::new(),
        }
    }

    fn commits_of(&self, task: TaskId) -> u64 {
        self.commits.get(&task).copied().unwrap_or(0)
    }

    /// A client has read a changelog to its end.
    pub(super) fn read(&mut self, client: Client, task: TaskId) {
        self.known.insert((client, task), self.commits_of(task));
    }

    /// True if a client knows the latest commit of a task.
    pub(super) fn is_current(&self, client: Client, task: TaskId) -> bool {
        self.known.get(&(client, task)) == Some(&self.commits_of(task))
    }

    /// Adds a committed transaction of a client that reads these inputs. Returns the tasks whose state it contains.
    pub(super) fn commit(
        &mut self,
        client: Client,
        sent: Vec<Sent>,
        positions: &[(TopicPartition, i64)],
        inputs: &[u16],
    ) -> Vec<TaskId> {
        let written: BTreeSet<TaskId> = sent
            .iter()
            .filter(|sent| sent.topic == Topic::Changelog)
            .map(|sent| TaskId(sent.partition))
            .collect();
        for task in &written {
            assert!(
                self.is_current(client, *task),
                "task {task} is committed by a client that does not know its last commit"
            );
            *self.commits.entry(*task).or_default() += 1;
            self.read(client, *task);
        }
        let summaries = sent.iter().filter(|sent| sent.topic == Topic::Summaries);
        let summaries: Vec<TaskSummary> = summaries.map(summary).collect();
        for sent in sent {
            self.note(sent);
        }
        self.unsummarised.extend(&written);
        for summary in &summaries {
            self.check_summary(summary);
            self.unsummarised.remove(&summary.task);
        }
        self.take_positions(positions, &written, inputs);
        written.into_iter().collect()
    }

    /// Tasks that were committed after their last summary.
    pub(super) fn unsummarised(&self) -> &BTreeSet<TaskId> {
        &self.unsummarised
    }

    /// A client has got the answer to its commit, or never will.
    pub(super) fn acknowledge(&mut self, counts: Counts, is_acknowledged: bool) {
        if !is_acknowledged {
            self.unacknowledged += 1;
            return;
        }
        for (name, count) in counts {
            *self.acknowledged.entry(name).or_default() += count;
        }
    }

    /// Checks that a summary describes the task as of the transaction that contains it.
    fn check_summary(&self, summary: &TaskSummary) {
        let none = Changelog::new();
        let changelog = self.changelogs.get(&summary.task).unwrap_or(&none);
        let task = task_comparison::restore(&self.pipeline, changelog);
        let counted = SegmentSizes::count(task.rows());
        let (customers, segments) = (task.rows().len() as u64, counted.sizes());
        assert_eq!(
            (summary.customers, &summary.segments),
            (customers, segments),
            "summary of task {}",
            summary.task
        );
    }

    fn note(&mut self, sent: Sent) {
        let topic_partition = TopicPartition {
            topic: sent.topic,
            partition: sent.partition,
        };
        match sent.topic {
            Topic::Changelog => self.note_changelog(&sent),
            Topic::Model => self.note_version(&sent),
            _ => {}
        }
        self.records.entry(topic_partition).or_default().push(sent);
    }

    fn note_changelog(&mut self, sent: &Sent) {
        let key = sent.key.clone().expect("a key");
        let Some(value) = sent.value.clone() else {
            self.changelog(TaskId(sent.partition)).remove(&key);
            return;
        };
        if key == [TASK_POSITION] {
            let topics = &self.pipeline.topics.inputs;
            let (position, _) = decode_task_position(&value, topics).expect("a task position");
            self.check_task_position(TaskId(sent.partition), &position);
            for (input_key, position) in self.read_positions(&position) {
                self.readings.entry(input_key).or_default().reach(position);
            }
            self.task_positions.insert(TaskId(sent.partition), position);
        }
        self.changelog(TaskId(sent.partition)).insert(key, value);
    }

    fn changelog(&mut self, task: TaskId) -> &mut Changelog {
        self.changelogs.entry(task).or_default()
    }

    /// The positions in input partitions that a transaction with these records commits.
    pub(super) fn read_positions_of(&self, sent: &[Sent]) -> Vec<(InputKey, Position)> {
        let positions = self.task_positions_of(sent);
        positions
            .flat_map(|(_, position)| self.read_positions(&position))
            .collect()
    }

    /// What a transaction with these records reads of the repartition topic: task, first offset, and the one after the
    /// last.
    pub(super) fn repartition_reads_of(&self, sent: &[Sent]) -> Vec<(u32, i64, i64)> {
        let reads = self.task_positions_of(sent).map(|(task, position)| {
            let before = self.task_positions.get(&TaskId(task));
            let from = before.map_or(0, |before| before.repartition_offset);
            (task, from, position.repartition_offset)
        });
        reads.collect()
    }

    fn task_positions_of(&self, sent: &[Sent]) -> impl Iterator<Item = (u32, TaskPosition)> {
        let is_task_position = |sent: &&Sent| sent.key.as_deref() == Some(&[TASK_POSITION]);
        let task_positions = sent.iter().filter(|sent| sent.topic == Topic::Changelog);
        task_positions.filter(is_task_position).map(|sent| {
            let value = sent.value.as_deref().unwrap_or_default();
            let topics = &self.pipeline.topics.inputs;
            let (position, _) = decode_task_position(value, topics).expect("a task position");
            (sent.partition, position)
        })
    }

    fn read_positions(&self, position: &TaskPosition) -> Vec<(InputKey, Position)> {
        let none = Reading::default();
        let inputs = position.inputs.iter();
        let read_positions = inputs.map(|((input, partition), progress)| {
            let input_key = (self.generation_of(position, *input), *input, *partition);
            let reading = self.readings.get(&input_key).unwrap_or(&none);
            let position = reading.position(progress.next_offset, progress.leader_epoch);
            (input_key, position)
        });
        read_positions.collect()
    }

    /// The generation of an input that a task position refers to.
    pub(super) fn generation_of(&self, position: &TaskPosition, input: u16) -> u32 {
        let topic = &self.pipeline.topics.inputs[usize::from(input)];
        let id = position.topic_ids.get(topic);
        let number = id.and_then(|id| id.split_once('#'));
        number.map_or(0, |(_, number)| number.parse().expect("a number"))
    }

    /// Checks that nothing in a task position goes back, except if a topic was recreated or a partition lost records
    /// that were read.
    fn check_task_position(&self, task: TaskId, position: &TaskPosition) {
        let version = position.version;
        assert!(
            version == 0 || self.versions.contains(&version),
            "task {task} uses version {version}, which is not on the model topic"
        );
        assert!(
            !self.held.contains(&version),
            "task {task} uses version {version}, which is held"
        );
        let Some(known) = self.task_positions.get(&task) else {
            return;
        };
        let before = known;
        let pairs = [
            (before.repartition_offset, position.repartition_offset),
            (before.stream_ms, position.stream_ms),
            (before.version as i64, version as i64),
        ];
        for (before, after) in pairs {
            assert!(
                before <= after,
                "task {task} goes back from {before} to {after}"
            );
        }
        for (input, before) in &before.inputs {
            let generation = self.generation_of(known, input.0);
            if self.generation_of(position, input.0) > generation {
                continue;
            }
            let reading = self.readings.get(&(generation, input.0, input.1));
            let least = reading.map_or(before.next_offset, Reading::surviving_offset);
            let after = position.inputs.get(input);
            let goes_on = after
                .is_some_and(|after| after.next_offset >= least && after.time_ms >= before.time_ms);
            assert!(
                goes_on,
                "task {task}, input {input:?}: {before:?} then {after:?}"
            );
        }
    }

    fn note_version(&mut self, sent: &Sent) {
        let Some(value) = &sent.value else { return };
        let key = sent.key.as_deref().unwrap_or_default();
        let version = String::from_utf8_lossy(key).parse().expect("a version");
        let topic_partition = TopicPartition {
            topic: Topic::Model,
            partition: 0,
        };
        let published = self.records.get(&topic_partition).map_or(0, Vec::len);
        let is_new = self.versions.insert(version) || published == 0;
        assert!(is_new, "version {version} is published twice");
        let plan = &self.pipeline.task.plan;
        let (publication, _) = decode_publication(value, plan).expect("a version");
        if publication.is_held {
            self.held.insert(version);
        }
        let newest = self.versions.last().copied();
        assert_eq!(Some(version), newest, "an old version is published");
    }

    /// Checks that the committed offsets equal those in the task positions.
    fn take_positions(
        &mut self,
        positions: &[(TopicPartition, i64)],
        written: &BTreeSet<TaskId>,
        inputs: &[u16],
    ) {
        let mut expected = BTreeMap::new();
        for task in written {
            let Some(position) = self.task_positions.get(task) else {
                panic!("task {task} is committed without a task position");
            };
            let repartition = TopicPartition {
                topic: Topic::Repartition,
                partition: task.0,
            };
            expected.insert(repartition, position.repartition_offset);
            let reads = |((input, _), _): &(&InputPartition, &Progress)| inputs.contains(input);
            for ((input, partition), progress) in position.inputs.iter().filter(reads) {
                let input = TopicPartition {
                    topic: Topic::Input(*input),
                    partition: *partition,
                };
                expected.insert(input, progress.next_offset);
            }
        }
        let found: BTreeMap<TopicPartition, i64> = positions
            .iter()
            .copied()
            .filter(|(topic_partition, _)| topic_partition.topic != Topic::Samples)
            .collect();
        assert_eq!(
            found, expected,
            "committed offsets, and those in the task positions"
        );
        self.positions.extend(positions.iter().copied());
    }

    /// Compares a task right after its commit with its changelog. First both are brought to the same uncommitted
    /// state: time that passed without a change, and a topic that was found recreated.
    pub(super) fn check_live(
        &self,
        pipeline: &Pipeline,
        task_id: TaskId,
        live: &Task,
        versions: Option<&Versions>,
    ) {
        let none = Changelog::new();
        let changelog = self.changelogs.get(&task_id).unwrap_or(&none);
        let mut restored = task_comparison::restore(pipeline, changelog);
        for (input, topic) in (0..).zip(&pipeline.topics.inputs) {
            if let (Some(before), Some(id)) = (restored.topic_id(topic), live.topic_id(topic))
                && before != id
            {
                restored.restart_input(input);
                restored.set_topic_id(topic, id);
            }
        }
        let caught_up = |task: &Task| {
            let (mut task, mut output) = (task.clone(), Output::default());
            task.set_watermark(i64::MAX);
            task.advance_time(live.stream_ms(), versions, &mut output);
            while task.sweep_some(usize::MAX, versions, &mut output) {}
            task
        };
        task_comparison::same(&caught_up(&restored), &caught_up(live), task_id);
    }
}

fn summary(sent: &Sent) -> TaskSummary {
    let value = sent.value.as_deref().expect("a value");
    let summary = decode_summary(value).expect("a summary");
    let key = summary_key(summary.task);
    assert_eq!(sent.key.as_deref(), Some(key.as_bytes()));
    summary
}
