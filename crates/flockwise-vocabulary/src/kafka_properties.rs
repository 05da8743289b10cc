//! librdkafka properties that a user cannot set, since exactly-once processing or the worker loop depends on them.
//!
//! No property that a user can set has an underscore: besides `log_level` and `enabled_events`, only callbacks and binary
//! values have one, which librdkafka does not accept as text. So environment variables can write dots as underscores.

/// Each reserved property, and why it is reserved or what to set instead.
const RESERVED: [(&str, &str); 21] = [
    ("bootstrap.servers", "set bootstrap_servers under [kafka]"),
    (
        "metadata.broker.list",
        "set bootstrap_servers under [kafka]",
    ),
    ("group.id", "set app at the top of the file"),
    (
        "group.instance.id",
        "Flockwise derives it from the instance's identity",
    ),
    (
        "transactional.id",
        "Flockwise derives it from the instance's identity",
    ),
    (
        "enable.idempotence",
        "Flockwise sets it for exactly-once processing",
    ),
    ("acks", "every replica must have a record before it counts"),
    (
        "request.required.acks",
        "every replica must have a record before it counts",
    ),
    ("message.timeout.ms", "set transaction.timeout.ms"),
    ("delivery.timeout.ms", "set transaction.timeout.ms"),
    (
        "enable.auto.commit",
        "Flockwise sets it for exactly-once processing",
    ),
    (
        "enable.auto.offset.store",
        "Flockwise sets it for exactly-once processing",
    ),
    (
        "isolation.level",
        "Flockwise sets it for exactly-once processing",
    ),
    (
        "auto.offset.reset",
        "set start of each [[input]], and lost_records under [kafka] for records that are deleted later",
    ),
    ("enable.partition.eof", "the worker loop does not use it"),
    (
        "delivery.report.only.error",
        "the worker loop depends on it",
    ),
    (
        "partitioner",
        "Flockwise chooses the partition of each record",
    ),
    (
        "log.queue",
        "Flockwise takes librdkafka's logs from the queue",
    ),
    (
        "statistics.interval.ms",
        "metrics and lags depend on statistics every 10 s",
    ),
    ("log_level", "it is the environment variable RUST_LOG"),
    ("enabled_events", "the worker loop depends on it"),
];

/// Why a property cannot be set; `None` if it can.
#[must_use]
pub fn reserved(property: &str) -> Option<&'static str> {
    let found = RESERVED.iter().find(|(name, _)| *name == property);
    found.map(|(_, why)| *why)
}
