//! The pipeline record on its topic: read, and replaced by one instance at a time.

use std::time::Duration;

use flockwise_runtime::broker::{Failure, PIPELINE_KEY, Start};
use flockwise_runtime::topics::Topic;
use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, Producer};

use crate::clients;
use crate::context::KafkaContext;
use crate::errors;
use crate::offset_query::known;
use crate::retry::{retry, retry_query};
use crate::topic_client::KafkaTopicClient;

impl KafkaTopicClient {
    /// The record as it is committed; `None` where there is none yet.
    ///
    /// # Errors
    /// Where its topic is not there or cannot be read.
    pub fn pipeline_record(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let (found, _) = self.readable_pipeline_record()?;
        Ok(found)
    }

    /// The record, once no transaction is open on its topic: behind one, as that of a worker, a later record may be
    /// committed and not be readable yet.
    fn settled_pipeline_record(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        retry_query(|| match self.readable_pipeline_record()? {
            (found, None) => Ok(found),
            (_, Some(offset)) => Err(Failure::Fatal(format!(
                "a transaction of another instance has been open on {} since offset {offset}",
                self.topics.name(Topic::Pipeline)
            ))),
        })
    }

    /// The record as far as the topic can be read, and where a transaction is open, if there is one.
    fn readable_pipeline_record(&mut self) -> Result<(Option<Vec<u8>>, Option<i64>), Failure> {
        let mut found = None;
        let (next, is_held) = self.replay(Topic::Pipeline, None, &mut |record| {
            if record.key == Some(PIPELINE_KEY) {
                found = record.value.map(<[u8]>::to_vec);
            }
        })?;
        Ok((found, is_held.then_some(next)))
    }

    /// Replaces the record, if it still is what the caller has read; `false` where another instance was
    /// quicker. All instances do this under one transactional id, so the brokers let one at a time.
    ///
    /// # Errors
    /// Where it can be neither read nor written.
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
        let patience = Duration::from_millis(self.settings.transaction_timeout_ms());
        let doing = format!("writing to {name}");
        // From here on an instance that took the id over before can no longer commit.
        retry(&doing, || producer.init_transactions(patience))?;
        if self.settled_pipeline_record()?.as_deref() != read {
            return Ok(false);
        }
        let write = || {
            producer.begin_transaction()?;
            let record = BaseRecord::to(&name).partition(0).key(PIPELINE_KEY);
            producer
                .send(record.payload(new))
                .map_err(|(error, _)| error)?;
            producer.commit_transaction(patience)
        };
        match write() {
            Ok(()) => Ok(true),
            Err(KafkaError::Transaction(error))
                if error.is_fatal() || error.txn_requires_abort() =>
            {
                tracing::debug!(%error, "another instance writes the pipeline record");
                Ok(false)
            }
            Err(error) => Err(errors::plain(&doing, &error)),
        }
    }

    /// The id that tells an input topic from others of its name.
    ///
    /// # Errors
    /// Where the topic is not there or may not be described.
    pub fn topic_id(&self, topic: &str) -> Result<String, Failure> {
        self.replayer.offset_query().topic_id(topic)
    }

    /// Where each partition of an input topic begins for a pipeline that starts there now; `None`: at its oldest
    /// record.
    ///
    /// # Errors
    /// Where the topic is not there or cannot be read.
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
