//! The least that any program over Kafka must do: read every event and parse it.

use std::borrow::Cow;
use std::io::{Read, stdin};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use flockwise_benches::events::EVENTS;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use serde::{Deserialize, Serialize};

use crate::broker::all_partitions;

/// What the job needs of an event, borrowed where nothing is escaped.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    #[serde(borrow)]
    user_id: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow, default)]
    properties: Properties<'a>,
}

#[derive(Deserialize, Default)]
struct Properties<'a> {
    #[serde(default)]
    revenue: f64,
    #[serde(borrow, default)]
    category: Cow<'a, str>,
}

impl Event<'_> {
    /// So that nothing of it is optimised away.
    fn letters(&self) -> usize {
        let texts = [
            &self.kind,
            &self.event,
            &self.message_id,
            &self.user_id,
            &self.timestamp,
            &self.properties.category,
        ];
        let letters: usize = texts.iter().map(|text| text.len()).sum();
        letters + self.properties.revenue as usize
    }
}

/// What it says when it is done.
#[derive(Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) seconds: f64,
    letters: usize,
}

/// Reads and parses every event, says so on stdout, and stays until stdin ends, so that it can be
/// looked at.
pub(crate) fn consume(servers: &str, topic: &str) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        // The default of a second stalls a consumer that parses.
        .set("fetch.queue.backoff.ms", "5")
        .create()?;
    consumer.assign(&all_partitions(&consumer, topic)?)?;
    let (mut seen, mut letters) = (0, 0);
    let mut first = Instant::now();
    while seen < EVENTS {
        let Some(message) = consumer.poll(Duration::from_millis(500)) else {
            continue;
        };
        if seen == 0 {
            first = Instant::now();
        }
        let message = message?;
        let value = message.payload().context("an event without a value")?;
        let event: Event<'_> = serde_json::from_slice(value)?;
        letters += event.letters();
        seen += 1;
    }
    let seconds = first.elapsed().as_secs_f64();
    println!("{}", serde_json::to_string(&Done { seconds, letters })?);
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
