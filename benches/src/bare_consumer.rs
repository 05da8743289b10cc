//! The least that any program on Kafka must do: read and parse every event.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use serde::{Deserialize, Serialize};

use crate::bench_broker::all_partitions;
use crate::process_figures::Memory;
use crate::progress_trace::Trace;

/// The fields of an event that the job needs, borrowed unless they contain escapes.
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
    /// Uses every field, so that the compiler cannot skip parsing it.
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

/// Its result, printed as JSON.
#[derive(Serialize, Deserialize)]
pub(crate) struct Done {
    /// Samples at the first event, half way and at the last event.
    pub(crate) trace: Trace,
    pub(crate) memory: Memory,
    letters: usize,
}

/// Reads and parses `events` events, and prints the cost to stdout.
pub(crate) fn consume(servers: &str, topic: &str, events: u64) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        // The default of 1 s stalls a consumer that parses.
        .set("fetch.queue.backoff.ms", "5")
        .create()?;
    consumer.assign(&all_partitions(&consumer, topic)?)?;
    let (mut seen, mut letters) = (0, 0);
    let (mut trace, start, process) = (Trace::new(), Instant::now(), std::process::id());
    while seen < events {
        let Some(message) = consumer.poll(Duration::from_millis(500)) else {
            continue;
        };
        let message = message?;
        let value = message.payload().context("an event without a value")?;
        letters += serde_json::from_slice::<Event<'_>>(value)?.letters();
        seen += 1;
        if [1, events.div_ceil(2), events].contains(&seen) {
            trace.note(process, start, seen)?;
        }
    }
    let memory = Memory::of(process)?;
    let done = Done {
        trace,
        memory,
        letters,
    };
    println!("{}", serde_json::to_string(&done)?);
    Ok(())
}
