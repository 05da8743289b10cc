//! Events of a generated shop as records of input topics.

use flockwise_codec::decode::Decoder;
use flockwise_codec::format::Format;
use flockwise_codec::partitioner::Partitioner;
use flockwise_core::event::Event;
use flockwise_core::plan::Plan;
use serde_json::{Value, json};
use xtask::data::generate::{GeneratedLoad, Generator};

/// A record of an input topic.
#[derive(Clone, Debug)]
pub struct InputRecord {
    /// Index of the input topic.
    pub input: u16,
    /// Partition of the input topic.
    pub partition: u32,
    /// The record's key.
    pub key: Vec<u8>,
    /// The record's value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The record's timestamp, milliseconds since the epoch.
    pub timestamp_ms: i64,
}

impl InputRecord {
    /// The same record in another partition of this input.
    #[must_use]
    pub fn at(self, input: u16, partition: u32) -> Self {
        Self {
            input,
            partition,
            ..self
        }
    }

    /// The same record in the partition that `partitioner` assigns to its key.
    #[must_use]
    pub fn keyed(self, partitioner: Partitioner, partitions: u32) -> Self {
        let partition = partitioner.partition(&self.key, partitions);
        Self { partition, ..self }
    }
}

/// Moves every second customer's events to a second input with this number of partitions. All events of a customer
/// stay in one partition, so their order is still known.
#[must_use]
pub fn spread(records: Vec<InputRecord>, partitions: u32) -> Vec<InputRecord> {
    let place = |record: InputRecord| match record.key.last() {
        Some(last) if last % 2 == 1 => {
            InputRecord { input: 1, ..record }.keyed(Partitioner::Crc32, partitions)
        }
        _ => record,
    };
    records.into_iter().map(place).collect()
}

/// Event lines of the generated shop, in order of arrival, over 60 days from 2026-01-01.
#[must_use]
pub fn lines(events: u64, customers: u32, seed: u64) -> Vec<String> {
    lines_over(60, events, customers, seed)
}

/// The same over `days` days from 2026-01-01. Refunds may come after the last day.
#[must_use]
pub fn lines_over(days: u32, events: u64, customers: u32, seed: u64) -> Vec<String> {
    let load = GeneratedLoad {
        events,
        customers,
        seed,
        days,
    };
    Generator::new(&load).collect()
}

/// The same lines as [`lines`], as records of partition 0 of the first input.
#[must_use]
pub fn generated(events: u64, customers: u32, seed: u64) -> Vec<InputRecord> {
    lines(events, customers, seed)
        .iter()
        .map(|line| record("segment", line))
        .collect()
}

/// A line in a built-in format as a record of partition 0 of the first input, keyed by its customer id.
///
/// # Panics
/// If the line is not a valid event.
#[must_use]
pub fn record(format: &str, line: &str) -> InputRecord {
    let format = Format::builtin(format).expect("a built-in format");
    let (plan, mut event) = (Plan::compile(&[]), Event::default());
    let decoder = Decoder::new(&format, &plan);
    decoder
        .decode(&plan, Some(line.as_bytes()), &mut event)
        .unwrap_or_else(|reject| panic!("{reject}: {line}"));
    InputRecord {
        input: 0,
        partition: 0,
        key: event.customer_id().as_bytes().to_vec(),
        value: Some(line.as_bytes().to_vec()),
        timestamp_ms: event.time_ms,
    }
}

/// Converts a Segment-spec line to the native format.
///
/// # Panics
/// If the line is not JSON.
#[must_use]
pub fn native(line: &[u8]) -> Vec<u8> {
    let line: Value = serde_json::from_slice(line).expect("JSON");
    let event = line.get("event").unwrap_or(&line["type"]);
    let native = json!({
        "customer_id": line["userId"],
        "event": event,
        "time": line["timestamp"],
        "event_id": line["messageId"],
        "properties": line["properties"],
    });
    native.to_string().into_bytes()
}
