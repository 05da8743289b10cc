//! Reads and replaces the pipeline record. One instance at a time can replace it.

use std::time::Duration;

use flockwise_runtime::broker::{Failure, PIPELINE_KEY, Start};
use flockwise_runtime::topics::Topic;
use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, Producer};

use crate::classify_error;
use crate::client_context::KafkaContext;
use crate::clients;
use crate::offset_query::known;
use crate::retry::{retry, retry_query};
use crate::topic_client::KafkaTopicClient;

impl KafkaTopicClient {
    /// The committed pipeline record; `None` if there is none yet.
    ///
    /// # Errors
    /// If its topic is missing or cannot be read.
    pub fn pipeline_record(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let (found, _) = self.readable_pipeline_record()?;
        Ok(found)
    }

    /// The record, once no transaction is open on its topic. Behind an open one, such as a worker's, a later record may
    /// be committed but not readable yet.
    fn settled_pipeline_record(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        retry_query(|| match self.readable_pipeline_record()? {
            (found, None) => Ok(found),
            (_, Some(offset)) => Err(Failure::Fatal(format!(
                "a transaction of another instance is open on {} at offset {offset}",
                self.topics.name(Topic::Pipeline)
            ))),
        })
    }

    /// The latest readable record, and the offset of an open transaction, if there is one.
    fn readable_pipeline_record(&mut self) -> Result<(Option<Vec<u8>>, Option<i64>), Failure> {
        let mut found = None;
        let (next, is_held) = self.replay(Topic::Pipeline, None, &mut |record| {
            if record.key == Some(PIPELINE_KEY) {
                found = record.value.map(<[u8]>::to_vec);
            }
        })?;
        Ok((found, is_held.then_some(next)))
    }

    /// Replaces the record if it is still the one that the caller has read. Returns `false` if another
    /// instance was quicker. All instances use one transactional id here, so the brokers admit one at a time.
    ///
    /// # Errors
    /// If the record cannot be read or written.
    pub fn replace_pipeline_record(
        &mut self,
        read: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, Failure> {
        let name = self.topics.name(Topic::Pipeline);
        let id = format!("{name}-writer");
        let producer = clients::producer(
            &self.settings.fencing_producer(&id),
            KafkaContext::new("pipeline"),
        )?;
        let timeout = Duration::from_millis(self.settings.transaction_timeout_ms());
        let doing = format!("writing to {name}");
        // From here on, an instance that took over the id before can no longer commit.
        retry(&doing, || producer.init_transactions(timeout))?;
        if self.settled_pipeline_record()?.as_deref() != read {
            return Ok(false);
        }
        let write = || {
            producer.begin_transaction()?;
            let record = BaseRecord::to(&name).partition(0).key(PIPELINE_KEY);
            producer
                .send(record.payload(new))
                .map_err(|(error, _)| error)?;
            producer.commit_transaction(timeout)
        };
        match write() {
            Ok(()) => Ok(true),
            Err(KafkaError::Transaction(error))
                if error.is_fatal() || error.txn_requires_abort() =>
            {
                tracing::debug!(%error, "another instance writes the pipeline record");
                Ok(false)
            }
            Err(error) => Err(classify_error::plain(&doing, &error)),
        }
    }

    /// The id of an input topic, which tells it from others of the same name.
    ///
    /// # Errors
    /// If the topic is missing or may not be described.
    pub fn topic_id(&self, topic: &str) -> Result<String, Failure> {
        self.replayer.offset_query().topic_id(topic)
    }

    /// The first offset of each partition of an input topic, for a pipeline that starts there now. `None` stands for
    /// the oldest record.
    ///
    /// # Errors
    /// If the topic is missing or cannot be read.
    pub fn first_offsets(&self, topic: &str, start: Start) -> Result<Vec<Option<i64>>, Failure> {
        let count = clients::partitions(self.consumer.client(), topic)?;
        let partitions: Vec<_> = (0..count)
            .map(|number| (topic.to_owned(), number))
            .collect();
        let offset_query = self.replayer.offset_query();
        let ends = || offset_query.end_offsets(&partitions);
        match start {
            Start::Earliest => Ok(vec![None; partitions.len()]),
            Start::Latest => Ok(ends()?.into_iter().map(Some).collect()),
            Start::Offset(offset) | Start::Verified { offset, .. } => {
                Ok(vec![Some(offset); partitions.len()])
            }
            Start::Time(since_ms) => {
                let found = offset_query.lookup(&partitions, Offset::Offset(since_ms))?;
                let offset = |(found, end)| match found {
                    Offset::End => Ok(Some(end)),
                    found => known(found).map(Some),
                };
                found.into_iter().zip(ends()?).map(offset).collect()
            }
        }
    }
}
