//! The changes that a program published for the job.

use std::borrow::Cow;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flockwise_core::event::{hash, mix};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use serde::{Deserialize, Serialize};

use crate::bench_broker::{Kafka, TIMEOUT};

/// Number and digest of the changes on a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Outcome {
    pub(crate) changes: u64,
    /// Digest over customer, sequence, `from` and `to` of all changes. Does not depend on their order.
    pub(crate) digest: u64,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow)]
    customer_id: Cow<'a, str>,
    sequence: u32,
    from: Option<ChangeSegment>,
    to: Option<ChangeSegment>,
}

#[derive(Deserialize)]
struct ChangeSegment {
    segment: u32,
}

impl Outcome {
    fn add(&mut self, change: &Change<'_>) {
        let number =
            |segment: &Option<ChangeSegment>| segment.as_ref().map_or(0, |segment| segment.segment);
        let numbers = [change.sequence, number(&change.from), number(&change.to)];
        let customer = hash(change.customer_id.as_bytes());
        let scrambled = |hash: u64, number: &u32| mix(hash ^ u64::from(*number));
        self.changes += 1;
        self.digest = self
            .digest
            .wrapping_add(numbers.iter().fold(customer, scrambled));
    }

    /// Reads all committed changes.
    pub(crate) fn read(kafka: &Kafka, topic: &str) -> Result<Self> {
        let consumer = kafka.reader()?;
        let partitions = kafka.partitions(topic)?;
        consumer.assign(&partitions)?;
        let (mut outcome, mut ended) = (Self::default(), 0);
        while ended < partitions.count() {
            match consumer
                .poll(TIMEOUT)
                .context("reading changes: no record arrives")?
            {
                Ok(record) => {
                    let value = record.payload().context("a change without a value")?;
                    outcome.add(&serde_json::from_slice(value)?);
                }
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => return Err(error).context("reading changes"),
            }
        }
        Ok(outcome)
    }

    /// The same, once there are `expected` changes.
    pub(crate) fn await_changes(kafka: &Kafka, topic: &str, expected: u64) -> Result<Self> {
        let start = Instant::now();
        loop {
            let outcome = Self::read(kafka, topic)?;
            if outcome.changes == expected {
                return Ok(outcome);
            }
            let found = outcome.changes;
            ensure!(
                found < expected && start.elapsed() < TIMEOUT,
                "{found} changes in {topic}, but a replay gives {expected}"
            );
            thread::sleep(Duration::from_millis(500));
        }
    }
}
