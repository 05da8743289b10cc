//! The outbox: encodes records into reused buffers and sends them.

use std::collections::BTreeMap;
use std::ops::Range;

use flockwise_codec::catch_up::{ANNOUNCED_KEY, caught_up_key, encode_caught_up, encode_mark};
use flockwise_codec::change::ChangeEncoder;
use flockwise_codec::changelog::{TASK_POSITION, encode_row, encode_task_position, row_key};
use flockwise_codec::decode::{Reason, Reject};
use flockwise_codec::forward::{Origin, encode_forward};
use flockwise_codec::lineage::{encode_lineage, encode_shifts};
use flockwise_codec::model::{encode_publication, version_key};
use flockwise_codec::task_summary::{TaskSummary, encode_summary, summary_key};
use flockwise_codec::trainer_input::encode_mini_batch;
use flockwise_codec::watermarks::{Watermarks, encode_sampled, encode_watermarks};
use flockwise_core::change::Change;
use flockwise_core::event::Event;
use flockwise_core::model::ModelVersion;
use flockwise_core::publication::Publication;
use flockwise_core::task::{Task, Versions};
use flockwise_core::trainer::{MiniBatch, Sampled};
use flockwise_vocabulary::task_id::TaskId;

use crate::batch::Record;
use crate::broker::{Failure, ORIGIN_HEADER, Outgoing, Transactions};
use crate::pipeline::Pipeline;
use crate::topics::{Topic, TopicPartition, Topics};
use crate::trainer_host::SAMPLES;

/// Number of versions that the model topic keeps. Older ones are deleted.
const VERSIONS_KEPT: u64 = 100;

/// Encodes and sends the records that a worker produces.
#[derive(Debug)]
pub(crate) struct Outbox {
    changes: ChangeEncoder,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Outbox {
    /// An outbox for the records of a pipeline.
    pub(crate) fn new(pipeline: &Pipeline) -> Self {
        let topics = &pipeline.topics;
        Self {
            changes: ChangeEncoder::new(&topics.app, &topics.inputs, &pipeline.task.plan),
            key: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Sends a customer's change.
    pub(crate) fn change(
        &mut self,
        broker: &mut impl Transactions,
        versions: &Versions,
        owner: TaskId,
        customer_id: &str,
        change: &Change,
    ) -> Result<(), Failure> {
        self.value.clear();
        self.changes
            .encode(versions, customer_id, change, &mut self.value);
        broker.send(Outgoing {
            topic: Topic::SegmentChanges,
            partition: owner.0,
            key: Some(customer_id.as_bytes()),
            value: Some(&self.value),
            headers: &[],
        })
    }

    /// Sends the uncommitted state of a task: tombstones of expired customers, touched rows and the task position.
    pub(crate) fn state(
        &mut self,
        broker: &mut impl Transactions,
        pipeline: &Pipeline,
        task_id: TaskId,
        task: &Task,
    ) -> Result<(), Failure> {
        let fingerprint = pipeline.task.plan.fingerprint();
        // Tombstones come first: a customer that expired may have returned already.
        for customer_id in task.expired() {
            self.key.clear();
            row_key(customer_id, &mut self.key);
            broker.send(changelog(task_id, &self.key, None))?;
        }
        for row in task.rows().touched() {
            let row = task.rows().row(*row);
            self.key.clear();
            row_key(row.customer_id, &mut self.key);
            self.value.clear();
            encode_row(&row, fingerprint, &mut self.value);
            broker.send(changelog(task_id, &self.key, Some(&self.value)))?;
        }
        self.value.clear();
        let (inputs, owner) = (&pipeline.topics.inputs, Some(broker.transactional_id()));
        encode_task_position(&task.position(), inputs, owner, &mut self.value);
        broker.send(changelog(task_id, &[TASK_POSITION], Some(&self.value)))
    }

    /// Sends the summary of a task as of the end of the open transaction.
    pub(crate) fn summary(
        &mut self,
        broker: &mut impl Transactions,
        task_id: TaskId,
        task: &Task,
    ) -> Result<(), Failure> {
        self.value.clear();
        encode_summary(&TaskSummary::of(task_id, task), &mut self.value);
        broker.send(Outgoing {
            topic: Topic::Summaries,
            partition: 0,
            key: Some(summary_key(task_id).as_bytes()),
            value: Some(&self.value),
            headers: &[],
        })
    }

    /// Sends a mini-batch to the trainer.
    pub(crate) fn mini_batch(
        &mut self,
        broker: &mut impl Transactions,
        batch: &MiniBatch,
    ) -> Result<(), Failure> {
        self.value.clear();
        encode_mini_batch(batch, &mut self.value);
        broker.send(Outgoing {
            topic: Topic::Samples,
            partition: 0,
            key: None,
            value: Some(&self.value),
            headers: &[],
        })
    }

    /// Sends a model version with the offsets of the mini-batches that it was learnt from. Deletes the version that is
    /// [`VERSIONS_KEPT`] older, unless it is the one in use.
    pub(crate) fn model(
        &mut self,
        broker: &mut impl Transactions,
        publication: &Publication,
        mini_batches: Range<i64>,
        in_use: u64,
    ) -> Result<(), Failure> {
        let version = publication.model.version;
        let key = version_key(version);
        let trainer = broker.transactional_id().to_owned();
        broker.send(Outgoing {
            topic: Topic::Model,
            partition: 0,
            key: Some(key.as_bytes()),
            value: Some(&encode_publication(publication, Some(mini_batches))),
            headers: &[(ORIGIN_HEADER, trainer.as_bytes())],
        })?;
        let Some(old) = version.checked_sub(VERSIONS_KEPT).filter(|old| *old > 0) else {
            return Ok(());
        };
        if old == in_use {
            return Ok(());
        }
        broker.send(Outgoing {
            topic: Topic::Model,
            partition: 0,
            key: Some(version_key(old).as_bytes()),
            value: None,
            headers: &[],
        })
    }

    /// Sends the mark that a task has read all history of its inputs; if `task` is `None`, the mark that the lineage
    /// topic announces this of all tasks. `at_ms` is now, milliseconds since the epoch.
    pub(crate) fn mark_caught_up(
        &mut self,
        broker: &mut impl Transactions,
        task: Option<TaskId>,
        at_ms: i64,
    ) -> Result<(), Failure> {
        let key = task.map_or_else(|| ANNOUNCED_KEY.to_vec(), caught_up_key);
        broker.send(Outgoing {
            topic: Topic::Pipeline,
            partition: 0,
            key: Some(&key),
            value: Some(&encode_mark(at_ms)),
            headers: &[],
        })
    }

    /// Announces that the pipeline has read all events from before `until_ms`. `at_ms` is now. Both are milliseconds
    /// since the epoch.
    pub(crate) fn caught_up(
        &mut self,
        broker: &mut impl Transactions,
        app: &str,
        (until_ms, at_ms): (i64, i64),
        tasks: u32,
        model_version: u64,
    ) -> Result<(), Failure> {
        broker.send(Outgoing {
            topic: Topic::Lineage,
            partition: 0,
            key: None,
            value: Some(&encode_caught_up(
                app,
                until_ms,
                at_ms,
                tasks,
                model_version,
            )),
            headers: &[],
        })
    }

    /// Sends the lineage of a version's segments to the lineage topic and, if changes of its time are published, to each
    /// partition of the change topic: a consumer reads it there before the first change under that version.
    pub(crate) fn lineage(
        &mut self,
        broker: &mut impl Transactions,
        pipeline: &Pipeline,
        model: &ModelVersion,
        before: Option<&ModelVersion>,
    ) -> Result<(), Failure> {
        let topics = &pipeline.topics;
        let targets = std::iter::once((Topic::Lineage, 0));
        let changes = match pipeline.task.history.withholds(model.trained_ms) {
            true => 0..0,
            false => 0..topics.partitions(Topic::SegmentChanges),
        };
        let targets = targets.chain(changes.map(|partition| (Topic::SegmentChanges, partition)));
        let steps = encode_lineage(&topics.app, model, before);
        for (topic, partition) in targets {
            for step in &steps {
                broker.send(Outgoing {
                    topic,
                    partition,
                    key: None,
                    value: Some(step),
                    headers: &[],
                })?;
            }
        }
        Ok(())
    }

    /// Sends the drift alarms of a version to the lineage topic.
    pub(crate) fn shifts(
        &mut self,
        broker: &mut impl Transactions,
        topics: &Topics,
        publication: &Publication,
    ) -> Result<(), Failure> {
        for shift in encode_shifts(&topics.app, publication) {
            broker.send(Outgoing {
                topic: Topic::Lineage,
                partition: 0,
                key: None,
                value: Some(&shift),
                headers: &[],
            })?;
        }
        Ok(())
    }

    /// Forwards an event to the task that owns its customer, with all that this task needs to count it. Returns a reject
    /// if the repartition topic does not accept a record of that size; nothing is sent then.
    pub(crate) fn forward(
        &mut self,
        broker: &mut impl Transactions,
        pipeline: &Pipeline,
        owner: TaskId,
        event: &Event,
        record: &Record<'_>,
    ) -> Result<Option<Reject>, Failure> {
        let origin = Origin {
            topic: &pipeline.topics.name(record.topic_partition.topic),
            partition: record.topic_partition.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
        };
        self.value.clear();
        encode_forward(&pipeline.task.plan, event, &origin, &mut self.value);
        let key = event.customer_id().as_bytes();
        let (bytes, limit) = (
            key.len() + self.value.len(),
            broker.max_record_bytes(Topic::Repartition),
        );
        if bytes > limit {
            return Ok(Some(Reject {
                reason: Reason::TooLarge,
                detail: format!(
                    "the forwarded event takes {bytes} bytes, expected at most {limit}: raise max.message.bytes of \
                     topic {}, or message.max.bytes in kafka.properties",
                    pipeline.topics.name(Topic::Repartition)
                ),
            }));
        }
        broker.send(Outgoing {
            topic: Topic::Repartition,
            partition: owner.0,
            key: Some(key),
            value: Some(&self.value),
            headers: &[],
        })?;
        Ok(None)
    }

    /// Sends watermarks to a task.
    pub(crate) fn watermarks(
        &mut self,
        broker: &mut impl Transactions,
        task: TaskId,
        watermarks: &Watermarks,
    ) -> Result<(), Failure> {
        self.value.clear();
        encode_watermarks(watermarks, &mut self.value);
        self.send_value(broker, TopicPartition::repartition(task))
    }

    /// Tells the trainer how far tasks have sampled.
    pub(crate) fn sampled(
        &mut self,
        broker: &mut impl Transactions,
        sampled: &BTreeMap<TaskId, Sampled>,
    ) -> Result<(), Failure> {
        self.value.clear();
        encode_sampled(sampled, &mut self.value);
        self.send_value(broker, SAMPLES)
    }

    fn send_value(
        &self,
        broker: &mut impl Transactions,
        to: TopicPartition,
    ) -> Result<(), Failure> {
        broker.send(Outgoing {
            topic: to.topic,
            partition: to.partition,
            key: None,
            value: Some(&self.value),
            headers: &[],
        })
    }

    /// The number of this input topic in [`Trigger::input`](flockwise_core::change::Trigger).
    pub(crate) fn input(&mut self, topic: &str) -> u16 {
        self.changes.input(topic)
    }
}

fn changelog<'a>(task: TaskId, key: &'a [u8], value: Option<&'a [u8]>) -> Outgoing<'a> {
    Outgoing {
        topic: Topic::Changelog,
        partition: task.0,
        key: Some(key),
        value,
        headers: &[],
    }
}
