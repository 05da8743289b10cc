//! Events of a made-up shop, and where they are put.

use flockwise_codec::decode::Decoder;
use flockwise_codec::format::Format;
use flockwise_codec::partitioner::Partitioner;
use flockwise_core::event::Event;
use flockwise_core::plan::Plan;
use serde_json::{Value, json};
use xtask::data::generate::{Generator, Load};

/// A record of an input topic.
#[derive(Clone, Debug)]
pub struct InputRecord {
    /// Number of the input.
    pub input: u16,
    /// Its partition.
    pub partition: u32,
    /// The record's key.
    pub key: Vec<u8>,
    /// The record's value; `None`: a tombstone.
    pub value: Option<Vec<u8>>,
    /// The record's timestamp, milliseconds since the epoch.
    pub timestamp_ms: i64,
}

impl InputRecord {
    /// The same record elsewhere.
    #[must_use]
    pub fn at(self, input: u16, partition: u32) -> Self {
        Self {
            input,
            partition,
            ..self
        }
    }

    /// The same record in the partition that a producer with this partitioner gives its key.
    #[must_use]
    pub fn keyed(self, partitioner: Partitioner, partitions: u32) -> Self {
        let partition = partitioner.partition(&self.key, partitions);
        Self { partition, ..self }
    }
}

/// Puts every other customer's events into a second input of this number of partitions: the order of each customer's
/// events stays known.
#[must_use]
pub fn spread(puts: Vec<InputRecord>, partitions: u32) -> Vec<InputRecord> {
    let place = |put: InputRecord| match put.key.last() {
        Some(last) if last % 2 == 1 => {
            InputRecord { input: 1, ..put }.keyed(Partitioner::Crc32, partitions)
        }
        _ => put,
    };
    puts.into_iter().map(place).collect()
}

/// Lines of the made-up shop, in the order in which they arrive.
#[must_use]
pub fn lines(events: u64, customers: u32, seed: u64) -> Vec<String> {
    lines_over(60, events, customers, seed)
}

/// The same over so many days from 2026-01-01 on; refunds come later.
#[must_use]
pub fn lines_over(days: u32, events: u64, customers: u32, seed: u64) -> Vec<String> {
    let load = Load {
        events,
        customers,
        seed,
        days,
    };
    Generator::new(&load).collect()
}

/// The lines as records of the first input, without a partition yet.
#[must_use]
pub fn generated(events: u64, customers: u32, seed: u64) -> Vec<InputRecord> {
    lines(events, customers, seed)
        .iter()
        .map(|line| put("segment", line))
        .collect()
}

/// A line of a format that comes with Flockwise as a record, keyed by its customer.
///
/// # Panics
/// Where it is no event.
#[must_use]
pub fn put(format: &str, line: &str) -> InputRecord {
    let format = Format::builtin(format).expect("a format that comes with Flockwise");
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

/// A Segment-spec line in the native format.
///
/// # Panics
/// Where it is no JSON.
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
