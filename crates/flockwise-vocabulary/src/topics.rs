//! The topics a pipeline reads and writes.

use crate::task_id::TaskId;

/// A partition of an input topic: the input's number in the configuration and the partition's, both from 0.
pub type InputPartition = (u16, u32);

/// A topic by its role in the pipeline. [`Topics::name`] is its name on the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// The configured input with this number, from 0.
    Input(u16),
    /// Forwarded events and watermarks, by receiving task. The group subscribes to it.
    Repartition,
    /// Mini-batches and commands for the trainer; one partition. The group subscribes to it.
    Samples,
    /// Model versions; one partition, compacted.
    Model,
    /// How segments were born, split, merged and retired; one partition.
    Lineage,
    /// Rows and positions of every task, by task; compacted.
    Changelog,
    /// The published segment changes, for promotion engines.
    SegmentChanges,
    /// Rejected events, with reason and origin.
    DeadLetters,
    /// The sizes of the segments, by task; one partition, compacted. For dashboards.
    Summaries,
    /// The pipeline record, which says what the state was made with; one partition, compacted.
    Pipeline,
}

/// One partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic, by its role.
    pub topic: Topic,
    /// The partition's number, from 0.
    pub partition: u32,
}

impl TopicPartition {
    /// The changelog partition that holds a task's state.
    #[must_use]
    pub fn changelog(task: TaskId) -> Self {
        Self {
            topic: Topic::Changelog,
            partition: task.0,
        }
    }

    /// The repartition partition of a task: the worker that is assigned it owns the task.
    #[must_use]
    pub fn repartition(task: TaskId) -> Self {
        Self {
            topic: Topic::Repartition,
            partition: task.0,
        }
    }
}

impl From<InputPartition> for TopicPartition {
    fn from((input, partition): InputPartition) -> Self {
        Self {
            topic: Topic::Input(input),
            partition,
        }
    }
}

/// Names and sizes of a pipeline's topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// The consumer group, and the prefix of every internal topic's name.
    pub app: String,
    /// Names of the input topics, in the order of the configuration.
    pub inputs: Vec<String>,
    /// Number of partitions of the repartition, changelog, segment-changes and dead-letters topics.
    pub state_partitions: u32,
}

impl Topics {
    /// The task that reads the input partitions with this number.
    #[must_use]
    pub fn task_of(&self, partition: u32) -> TaskId {
        TaskId(partition % self.state_partitions)
    }

    /// The topic's name on the brokers.
    #[must_use]
    pub fn name(&self, topic: Topic) -> String {
        let part = match topic {
            Topic::Input(input) => return self.inputs[usize::from(input)].clone(),
            Topic::Repartition => "repartition",
            Topic::Samples => "samples",
            Topic::Model => "model",
            Topic::Lineage => "lineage",
            Topic::Changelog => "changelog",
            Topic::SegmentChanges => "segment-changes",
            Topic::DeadLetters => "dead-letters",
            Topic::Summaries => "summaries",
            Topic::Pipeline => "pipeline",
        };
        format!("{}-{part}", self.app)
    }

    /// Is `name` an internal topic of the pipeline `app`? The pipeline writes it, so it cannot be an input.
    #[must_use]
    pub fn is_internal(app: &str, name: &str) -> bool {
        let topics = Self {
            app: app.to_owned(),
            inputs: Vec::new(),
            state_partitions: 0,
        };
        Self::internal()
            .into_iter()
            .any(|topic| topics.name(topic) == name)
    }

    /// The topics that Flockwise creates and writes.
    #[must_use]
    pub fn internal() -> [Topic; 9] {
        [
            Topic::Repartition,
            Topic::Samples,
            Topic::Model,
            Topic::Lineage,
            Topic::Changelog,
            Topic::SegmentChanges,
            Topic::DeadLetters,
            Topic::Pipeline,
            Topic::Summaries,
        ]
    }

    /// Number of partitions of an internal topic.
    #[must_use]
    pub fn partitions(&self, topic: Topic) -> u32 {
        match topic {
            Topic::Samples | Topic::Model | Topic::Lineage | Topic::Summaries | Topic::Pipeline => {
                1
            }
            _ => self.state_partitions,
        }
    }

    /// Is an internal topic compacted? Then it keeps the last record of each key for ever.
    #[must_use]
    pub fn is_compacted(topic: Topic) -> bool {
        matches!(
            topic,
            Topic::Model | Topic::Changelog | Topic::Summaries | Topic::Pipeline
        )
    }
}

/// Whether Kafka accepts `name` in a topic's name, with at most `longest` characters.
#[must_use]
pub fn is_kafka_name(name: &str, longest: usize) -> bool {
    let is_legal =
        |letter: char| letter.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&letter);
    (1..=longest).contains(&name.len()) && name.chars().all(is_legal)
}
