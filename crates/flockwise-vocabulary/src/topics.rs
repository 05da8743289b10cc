//! The topics a pipeline reads and writes.

/// A partition of an input: the input's number and the partition's.
pub type InputPartition = (u16, u32);

/// A topic by its part in the pipeline. Brokers map it to a name with [`Topics::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// The n-th configured input.
    Input(u16),
    /// Events on their way to the task that owns their customer; the group subscribes to it.
    Repartition,
    /// Mini-batches on their way to the trainer, one partition; the group subscribes to it.
    Samples,
    /// Model versions, one partition, compacted.
    Model,
    /// How segments came to be and went, one partition.
    Lineage,
    /// Rows and positions of every task, compacted.
    Changelog,
    /// What promotion engines subscribe to.
    SegmentChanges,
    /// What could not be processed.
    DeadLetters,
    /// What the state was made with, one record, compacted.
    Pipeline,
}

/// A partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Topic,
    /// From zero.
    pub partition: u32,
}

impl TopicPartition {
    /// Partition of the changelog that holds a task's state.
    #[must_use]
    pub fn changelog(task: u32) -> Self {
        Self {
            topic: Topic::Changelog,
            partition: task,
        }
    }

    /// Partition of the repartition topic whose owner owns a task.
    #[must_use]
    pub fn repartition(task: u32) -> Self {
        Self {
            topic: Topic::Repartition,
            partition: task,
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
    /// Consumer group and prefix of every internal topic.
    pub app: String,
    /// Input topics' names, in the order of the configuration.
    pub inputs: Vec<String>,
    /// Partitions of the repartition topic, the changelog, the changes and the dead letters.
    pub state_partitions: u32,
}

impl Topics {
    /// The task that reads an input partition of this number.
    #[must_use]
    pub fn task_of(&self, partition: u32) -> u32 {
        partition % self.state_partitions
    }

    /// The topic's name on the broker.
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
            Topic::Pipeline => "pipeline",
        };
        format!("{}-{part}", self.app)
    }

    /// Is this the name of a topic that the pipeline `app` writes itself, and so never an input of it?
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

    /// The topics that Flockwise makes for itself.
    #[must_use]
    pub fn internal() -> [Topic; 8] {
        [
            Topic::Repartition,
            Topic::Samples,
            Topic::Model,
            Topic::Lineage,
            Topic::Changelog,
            Topic::SegmentChanges,
            Topic::DeadLetters,
            Topic::Pipeline,
        ]
    }

    /// Partitions of an internal topic.
    #[must_use]
    pub fn partitions(&self, topic: Topic) -> u32 {
        match topic {
            Topic::Samples | Topic::Model | Topic::Lineage | Topic::Pipeline => 1,
            _ => self.state_partitions,
        }
    }

    /// Is an internal topic compacted (the last record of a key is kept for ever)?
    #[must_use]
    pub fn is_compacted(topic: Topic) -> bool {
        matches!(topic, Topic::Model | Topic::Changelog | Topic::Pipeline)
    }
}
