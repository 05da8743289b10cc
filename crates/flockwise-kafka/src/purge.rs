//! Forwarded records are deleted once their effect is committed.
//!
//! Their topic keeps records for ever, since one that is not processed yet must not go; so those that
//! are have to be taken away, now and then, without anybody waiting for it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Source, Topic};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use tracing::{debug, warn};

use crate::admin::admin_client;
use crate::events::Events;
use crate::settings::KafkaSettings;

/// Often enough to keep the topic small, seldom enough to cost nothing.
const EVERY: Duration = Duration::from_secs(30);

type Deletion = Pin<Box<dyn Future<Output = KafkaResult<TopicPartitionList>> + Send>>;

/// Deletes what was processed of one topic.
pub(crate) struct Purger {
    topic: String,
    settings: KafkaSettings,
    client: Option<AdminClient<Events>>,
    /// Where each partition's unprocessed records begin, as far as not deleted yet.
    processed: BTreeMap<u32, i64>,
    due: Instant,
    running: Option<Deletion>,
    /// No permission: said once, then left alone.
    is_refused: bool,
}

impl Purger {
    /// Connects when there is something to delete.
    pub(crate) fn new(topic: String, settings: KafkaSettings) -> Self {
        Self {
            topic,
            settings,
            client: None,
            processed: BTreeMap::new(),
            due: Instant::now() + EVERY,
            running: None,
            is_refused: false,
        }
    }

    /// These positions have been committed.
    pub(crate) fn committed(&mut self, positions: &[(Source, i64)]) {
        for (source, position) in positions {
            if source.topic == Topic::Repartition {
                self.processed.insert(source.partition, *position);
            }
        }
        if self.processed.is_empty() || Instant::now() < self.due {
            return;
        }
        self.due = Instant::now() + EVERY;
        self.look();
        if self.is_refused || self.running.is_some() {
            return;
        }
        match self.start() {
            Ok(deletion) => self.running = Some(deletion),
            Err(error) => warn!(%error, "deleting forwarded records"),
        }
    }

    fn start(&mut self) -> Result<Deletion, Failure> {
        let client = match self.client.take() {
            Some(client) => client,
            None => admin_client(&self.settings)?,
        };
        let mut list = TopicPartitionList::new();
        for (partition, position) in std::mem::take(&mut self.processed) {
            let partition = partition.cast_signed();
            let added = list.add_partition_offset(&self.topic, partition, Offset::Offset(position));
            if let Err(error) = added {
                debug!(%error, "listing forwarded records to delete");
            }
        }
        let deletion = Box::pin(client.delete_records(&list, &AdminOptions::new()));
        self.client = Some(client);
        Ok(deletion)
    }

    /// What became of the last deletion.
    fn look(&mut self) {
        let Some(deletion) = &mut self.running else {
            return;
        };
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(result) = deletion.as_mut().poll(&mut context) else {
            return;
        };
        self.running = None;
        let refused = match &result {
            Ok(list) => list
                .elements()
                .iter()
                .find_map(|element| element.error().err()),
            Err(error) => Some(error.clone()),
        };
        if let Some(error) = refused {
            self.is_refused = true;
            warn!(
                topic = self.topic,
                %error,
                "forwarded records that were processed cannot be deleted, so their topic grows; give the \
                 principal Delete on it, or set its retention.ms"
            );
        }
    }
}
