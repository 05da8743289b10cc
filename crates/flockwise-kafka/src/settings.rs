//! The configuration of clients: our defaults, then the user's properties, then what is required.

use std::collections::BTreeMap;
use std::time::Duration;

use flockwise_runtime::broker::Failure;
use flockwise_vocabulary::kafka_properties::reserved;
use flockwise_vocabulary::lost_records::LostRecords;
use rdkafka::ClientConfig;

use crate::classify_error;

/// One worker's settings for Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `host:port` of one or more brokers, comma separated.
    pub bootstrap_servers: String,
    /// librdkafka properties from the configuration. They override our defaults.
    pub properties: BTreeMap<String, String>,
    /// Name of the consumer group.
    pub group: String,
    /// Transactional id: the same across restarts of a worker, and different for every worker.
    pub transactional_id: String,
    /// `group.instance.id`: a member that returns with it within the session timeout causes no rebalance.
    /// `None` without static membership.
    pub member_id: Option<String>,
    /// How far input partitions may be apart in event time, milliseconds.
    pub max_skew_ms: i64,
    /// How long a broker may take to answer at start, milliseconds.
    pub start_timeout_ms: u64,
    /// What to do if records of a partition are lost.
    pub lost_records: LostRecords,
    /// How often a worker's clients report statistics about connections and ends of partitions. The cost grows with
    /// the number of partitions.
    pub statistics_interval: Duration,
    /// How long another producer's transaction may hold an input partition back before it is logged.
    pub long_transaction: Duration,
}

/// The largest record that is produced and that the internal topics accept, bytes.
pub(crate) const MAX_MESSAGE_BYTES: u32 = 4 << 20;

/// Queued records and bytes per fetch, over all partitions.
const QUEUED_RECORDS: u32 = 100_000;
const FETCHED_BYTES: u32 = 4 << 20;

/// The brokers' default of `group.consumer.session.timeout.ms`.
const NEXT_PROTOCOL_SESSION_MS: u64 = 45_000;

/// Most producers commit every minute or sooner. Those that commit with their checkpoints take a few minutes.
const LONG_TRANSACTION: Duration = Duration::from_secs(300);

const STATISTICS_INTERVAL: Duration = Duration::from_secs(10);

const DEFAULT_TRANSACTION_TIMEOUT_MS: u64 = 10_000;

impl KafkaSettings {
    /// Default settings, without static membership.
    #[must_use]
    pub fn new(bootstrap_servers: &str, group: &str, transactional_id: &str) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.to_owned(),
            properties: BTreeMap::new(),
            group: group.to_owned(),
            transactional_id: transactional_id.to_owned(),
            member_id: None,
            max_skew_ms: 600_000,
            start_timeout_ms: 10_000,
            lost_records: LostRecords::Stop,
            statistics_interval: STATISTICS_INTERVAL,
            long_transaction: LONG_TRANSACTION,
        }
    }

    /// Refuses settings that cannot work, before any client is created.
    ///
    /// # Errors
    /// [`Failure::Config`] names the key, says why it is refused and what to set instead.
    pub fn check(&self) -> Result<(), Failure> {
        if self.bootstrap_servers.trim().is_empty() {
            return Err(Failure::Config(
                "kafka.bootstrap_servers is empty; set it to host:port of at least one broker"
                    .into(),
            ));
        }
        for key in self.properties.keys() {
            if let Some(why) = reserved(key) {
                return Err(Failure::Config(format!(
                    "kafka.properties must not set \"{key}\": {why}; remove it"
                )));
            }
        }
        self.client()
            .create_native_config()
            .map(drop)
            .map_err(|error| classify_error::plain("reading kafka.properties", &error))
    }

    /// How long a transaction may stay open, and a record undelivered, milliseconds.
    pub(crate) fn transaction_timeout_ms(&self) -> u64 {
        self.properties
            .get("transaction.timeout.ms")
            .and_then(|value| value.parse().ok())
            .unwrap_or(DEFAULT_TRANSACTION_TIMEOUT_MS)
    }

    /// The largest record that the producer accepts, bytes.
    pub(crate) fn message_max_bytes(&self) -> usize {
        self.properties
            .get("message.max.bytes")
            .and_then(|value| value.parse().ok())
            .unwrap_or(MAX_MESSAGE_BYTES as usize)
    }

    /// The longest that one call into a healthy client may take: a commit waits for undelivered records, and
    /// then for the coordinator.
    #[must_use]
    pub fn longest_call(&self) -> Duration {
        Duration::from_millis(self.transaction_timeout_ms() * 2)
    }

    /// How long a dead member stays in the group. Under the next group protocol the brokers decide; this is then their
    /// default.
    #[must_use]
    pub fn session_timeout(&self) -> Duration {
        let config = self.member(1);
        let configured = config.get("session.timeout.ms");
        let timeout_ms = configured.and_then(|value| value.parse().ok());
        Duration::from_millis(timeout_ms.unwrap_or(NEXT_PROTOCOL_SESSION_MS))
    }

    /// The worker's consumer, a member of the group, that may read up to this many partitions.
    pub(crate) fn member(&self, partitions: u32) -> ClientConfig {
        let mut config = self.consumer("read_committed");
        // Every partition has its own queue, so the partitions share the room for all.
        // Fetched data is compressed, and may be many times as large in memory.
        let records = (QUEUED_RECORDS / partitions.max(1)).clamp(1_000, 20_000);
        let bytes = (FETCHED_BYTES / partitions.max(1)).clamp(64 << 10, 1 << 20);
        self.enable_statistics(&mut config);
        self.default(
            &mut config,
            &[
                ("queued.min.messages", &records.to_string()),
                ("fetch.message.max.bytes", &bytes.to_string()),
            ],
        );
        if let Some(member_id) = &self.member_id {
            config.set("group.instance.id", member_id);
        }
        if self.properties.get("group.protocol").map(String::as_str) != Some("consumer") {
            self.default(
                &mut config,
                &[
                    ("partition.assignment.strategy", "range"),
                    // A dead member is noticed after this. Brokers allow no less, unless
                    // group.min.session.timeout.ms is lowered.
                    ("session.timeout.ms", "6000"),
                    ("heartbeat.interval.ms", "1000"),
                ],
            );
        }
        config
    }

    /// A consumer that reads given partitions without joining the group. It has the group's name, so
    /// that it needs no further permission.
    pub(crate) fn replayer(&self) -> ClientConfig {
        let mut config = self.consumer("read_committed");
        config.set("enable.partition.eof", "true");
        self.default(
            &mut config,
            &[
                ("queued.min.messages", "50000"),
                // The next partition to restore waits until the fetch of the last one returns.
                ("fetch.wait.max.ms", "2"),
            ],
        );
        config
    }

    /// A consumer that follows many partitions at little cost, half a second behind.
    pub(crate) fn follower(&self) -> ClientConfig {
        let mut config = self.consumer("read_committed");
        self.default(
            &mut config,
            &[
                // One answer every half second instead of one for every commit.
                ("fetch.min.bytes", "65536"),
                ("fetch.wait.max.ms", "500"),
                // For each partition, of which there may be hundreds.
                ("queued.min.messages", "2000"),
                ("fetch.message.max.bytes", "262144"),
            ],
        );
        config
    }

    /// A consumer for queries about partitions, uncommitted records included.
    pub(crate) fn offset_query(&self) -> ClientConfig {
        self.consumer("read_uncommitted")
    }

    /// The worker's transactional producer.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.transactional(&self.transactional_id);
        self.enable_statistics(&mut config);
        config
    }

    fn enable_statistics(&self, config: &mut ClientConfig) {
        let interval_ms = self.statistics_interval.as_millis().to_string();
        config.set("statistics.interval.ms", interval_ms);
    }

    /// A producer that takes over this transactional id.
    pub(crate) fn fencing_producer(&self, name: &str) -> ClientConfig {
        self.transactional(name)
    }

    fn transactional(&self, name: &str) -> ClientConfig {
        let mut config = self.any_producer();
        let timeout_ms = self.transaction_timeout_ms().to_string();
        config
            .set("transactional.id", name)
            .set("transaction.timeout.ms", timeout_ms);
        // If the group's coordinator goes away, librdkafka may wait forever to send it offsets, whatever the
        // timeout (its issues 5456 and 5511): it looks for the new coordinator only when a connection opens or
        // closes. The connection to the transaction coordinator is idle meanwhile, so this closes it soon.
        self.default(&mut config, &[("connections.max.idle.ms", "3000")]);
        config
    }

    /// A producer without transactions: each record is stored once, on every replica.
    pub(crate) fn idempotent(&self) -> ClientConfig {
        let mut config = self.any_producer();
        config.remove("transaction.timeout.ms");
        config.set("enable.idempotence", "true").set(
            "message.timeout.ms",
            self.transaction_timeout_ms().to_string(),
        );
        config
    }

    fn any_producer(&self) -> ClientConfig {
        let mut config = self.client();
        // Successes need no report: librdkafka counts them itself, and a report costs as much as
        // the record.
        config.set("delivery.report.only.error", "true");
        self.default(
            &mut config,
            &[
                // A flush, and so a commit, does not wait for it. Without it, every record wakes the
                // producer's thread, for half a microsecond each.
                ("linger.ms", "20"),
                ("queue.buffering.max.messages", "1000000"),
                ("queue.buffering.max.kbytes", "1048576"),
                ("message.max.bytes", &MAX_MESSAGE_BYTES.to_string()),
            ],
        );
        config
    }

    /// A client for admin requests and metadata.
    pub(crate) fn admin(&self) -> ClientConfig {
        self.client()
    }

    fn consumer(&self, isolation_level: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", &self.group)
            .set("isolation.level", isolation_level)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error");
        self.default(
            &mut config,
            &[
                // The default of a second stalls a consumer that is faster than one fetch.
                ("fetch.queue.backoff.ms", "5"),
                // A batch that a disk or a network has damaged must be noticed, not counted.
                ("check.crcs", "true"),
                // A newly assigned partition waits until the fetch without it returns.
                ("fetch.wait.max.ms", "100"),
            ],
        );
        config
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config.set("bootstrap.servers", &self.bootstrap_servers);
        self.default(
            &mut config,
            &[
                ("client.id", &self.transactional_id),
                // A starting broker refuses connections for seconds. With the default of up to ten
                // seconds, it could be up for as long before the client tries again.
                ("reconnect.backoff.ms", "50"),
                ("reconnect.backoff.max.ms", "500"),
            ],
        );
        config
    }

    /// Sets the defaults that the user has not overridden.
    fn default(&self, config: &mut ClientConfig, defaults: &[(&str, &str)]) {
        for (key, value) in defaults {
            if !self.properties.contains_key(*key) {
                config.set(*key, *value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(properties: &[(&str, &str)]) -> KafkaSettings {
        let mut settings = KafkaSettings::new("localhost:9092", "shop", "shop-a-0");
        settings.properties = properties
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        settings
    }

    #[test]
    fn what_exactly_once_depends_on_cannot_be_changed() {
        let error = settings(&[("isolation.level", "read_uncommitted")])
            .check()
            .expect_err("refused")
            .to_string();
        assert!(error.contains("isolation.level"), "{error}");
        assert!(settings(&[("sasl.mechanism", "PLAIN")]).check().is_ok());
    }

    #[test]
    fn a_property_with_an_underscore_cannot_be_set() {
        for key in [
            "log_level",
            "enabled_events",
            "error_cb",
            "ssl_ca",
            "default_topic_conf",
        ] {
            let error = settings(&[(key, "1")]).check().expect_err(key).to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn every_consumer_checks_what_it_reads() {
        let settings = settings(&[]);
        let consumers = [
            settings.member(1),
            settings.replayer(),
            settings.follower(),
            settings.offset_query(),
        ];
        for config in consumers {
            assert_eq!(config.get("check.crcs"), Some("true"));
        }
    }

    #[test]
    fn what_librdkafka_does_not_know_is_named() {
        let refused = |key, value| {
            settings(&[(key, value)])
                .check()
                .expect_err("refused")
                .to_string()
        };
        let error = refused("linger.mss", "5");
        assert!(error.contains("\"linger.mss\" = \"5\": No such"), "{error}");
        let error = refused("linger.ms", "soon");
        assert!(error.contains("\"linger.ms\" = \"soon\""), "{error}");
    }

    #[test]
    fn the_users_properties_win_over_our_defaults() {
        let settings = settings(&[
            ("linger.ms", "5"),
            ("session.timeout.ms", "30000"),
            ("transaction.timeout.ms", "25000"),
        ]);
        assert_eq!(settings.producer().get("linger.ms"), Some("5"));
        assert_eq!(settings.member(1).get("session.timeout.ms"), Some("30000"));
        assert_eq!(
            settings.producer().get("transaction.timeout.ms"),
            Some("25000")
        );
        assert_eq!(
            settings.member(1).get("isolation.level"),
            Some("read_committed")
        );
    }

    #[test]
    fn partitions_share_the_room_for_records_that_wait() {
        let settings = settings(&[]);
        let queued = |partitions| {
            let config = settings.member(partitions);
            config.get("queued.min.messages").map(str::to_owned)
        };
        assert_eq!(queued(1).as_deref(), Some("20000"));
        assert_eq!(queued(25).as_deref(), Some("4000"));
        assert_eq!(queued(10_000).as_deref(), Some("1000"));
    }

    #[test]
    fn the_next_group_protocol_has_no_assignor_of_ours() {
        let config = settings(&[("group.protocol", "consumer")]).member(1);
        assert_eq!(config.get("partition.assignment.strategy"), None);
        assert_eq!(config.get("session.timeout.ms"), None);
    }
}
