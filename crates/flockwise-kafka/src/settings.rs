//! What a client is made with: our defaults, then the user's properties, then what must hold.

use std::collections::BTreeMap;
use std::time::Duration;

use flockwise_runtime::broker::Failure;
use flockwise_vocabulary::kafka_properties::reserved;
use flockwise_vocabulary::lost_records::LostRecords;
use rdkafka::ClientConfig;

use crate::errors;

/// How one worker reaches Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `host:port` of one or more brokers, comma separated.
    pub bootstrap_servers: String,
    /// librdkafka's own properties as the user gave them; they win over our defaults.
    pub properties: BTreeMap<String, String>,
    /// Consumer group.
    pub group: String,
    /// Stable across restarts of the same worker, different for every worker.
    pub transactional_id: String,
    /// `group.instance.id`: a member that comes back under it within the session timeout causes no
    /// rebalance.
    pub member_id: Option<String>,
    /// Input partitions are read in step to within this, event time.
    pub max_skew_ms: i64,
    /// How long a broker may take to answer at start.
    pub start_timeout_ms: u64,
    /// What to do where records of a partition are lost.
    pub lost_records: LostRecords,
    /// How often a worker's clients tell of their connections and of the ends of partitions. It costs the more the
    /// more partitions there are.
    pub statistics_interval: Duration,
    /// How long another producer's transaction may hold an input partition back before the log tells of it.
    pub long_transaction: Duration,
}

/// The largest record that is produced, and that the internal topics take.
pub(crate) const MAX_MESSAGE_BYTES: u32 = 4 << 20;

/// Records that wait to be polled, and bytes that are asked for at a time, over all partitions.
const QUEUED_RECORDS: u32 = 100_000;
const FETCHED_BYTES: u32 = 4 << 20;

/// `group.consumer.session.timeout.ms` of brokers, unless it is changed there.
const NEXT_PROTOCOL_SESSION_MS: u64 = 45_000;

/// Most producers commit every minute or sooner; those that do so with their checkpoints take a few.
const LONG_TRANSACTION: Duration = Duration::from_secs(300);

const STATISTICS_INTERVAL: Duration = Duration::from_secs(10);

const DEFAULT_TRANSACTION_TIMEOUT_MS: u64 = 10_000;

impl KafkaSettings {
    /// Settings with nothing but defaults, exactly once, without static membership.
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

    /// Refuses what cannot work before any client is made.
    ///
    /// # Errors
    /// [`Failure::Config`] names the key, says why it is refused and what to set instead.
    pub fn check(&self) -> Result<(), Failure> {
        if self.bootstrap_servers.trim().is_empty() {
            return Err(Failure::Config(
                "kafka.bootstrap_servers is empty; give it host:port of at least one broker".into(),
            ));
        }
        for key in self.properties.keys() {
            if let Some(why) = reserved(key) {
                return Err(Failure::Config(format!(
                    "kafka.properties must not set \"{key}\": {why}; take it out"
                )));
            }
        }
        self.client()
            .create_native_config()
            .map(drop)
            .map_err(|error| errors::plain("reading kafka.properties", &error))
    }

    /// How long a transaction may stay open, and a record undelivered.
    pub(crate) fn transaction_timeout_ms(&self) -> u64 {
        self.properties
            .get("transaction.timeout.ms")
            .and_then(|value| value.parse().ok())
            .unwrap_or(DEFAULT_TRANSACTION_TIMEOUT_MS)
    }

    /// The largest record that the producer takes, bytes.
    pub(crate) fn message_max_bytes(&self) -> usize {
        self.properties
            .get("message.max.bytes")
            .and_then(|value| value.parse().ok())
            .unwrap_or(MAX_MESSAGE_BYTES as usize)
    }

    /// The longest that one call into a client may take while nothing is wrong with the client: a commit waits
    /// for what is not stored yet, and then for the coordinator.
    #[must_use]
    pub fn longest_call(&self) -> Duration {
        Duration::from_millis(self.transaction_timeout_ms() * 2)
    }

    /// How long a member that is gone stays in the group. Under the next group protocol brokers decide, by default so.
    #[must_use]
    pub fn session_timeout(&self) -> Duration {
        let config = self.member(1);
        let configured = config.get("session.timeout.ms");
        let timeout_ms = configured.and_then(|value| value.parse().ok());
        Duration::from_millis(timeout_ms.unwrap_or(NEXT_PROTOCOL_SESSION_MS))
    }

    /// The worker's consumer, a member of the group, that may come to read this many partitions.
    pub(crate) fn member(&self, partitions: u32) -> ClientConfig {
        let mut config = self.consumer("read_committed");
        // Every partition has a queue of its own, so the room for all is shared out between them.
        // What is fetched is compressed and may be many times as large in memory.
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
                    // A member that dies is missed after this. Brokers allow no less, unless
                    // group.min.session.timeout.ms is lowered.
                    ("session.timeout.ms", "6000"),
                    ("heartbeat.interval.ms", "1000"),
                ],
            );
        }
        config
    }

    /// A consumer that reads what it is told to and joins nothing. It goes by the same group, so
    /// that no further permission is needed.
    pub(crate) fn replayer(&self) -> ClientConfig {
        let mut config = self.consumer("read_committed");
        config.set("enable.partition.eof", "true");
        self.default(
            &mut config,
            &[
                ("queued.min.messages", "50000"),
                // The next partition to restore waits until a fetch of the last has come back.
                ("fetch.wait.max.ms", "2"),
            ],
        );
        config
    }

    /// A consumer that follows many partitions without haste.
    pub(crate) fn follower(&self) -> ClientConfig {
        let mut config = self.consumer("read_committed");
        self.default(
            &mut config,
            &[
                // An answer every half second in place of one for every commit.
                ("fetch.min.bytes", "65536"),
                ("fetch.wait.max.ms", "500"),
                // Room for each partition, of which there may be hundreds.
                ("queued.min.messages", "2000"),
                ("fetch.message.max.bytes", "262144"),
            ],
        );
        config
    }

    /// A consumer that only asks for ends of partitions, also of what is not committed.
    pub(crate) fn offset_query(&self) -> ClientConfig {
        self.consumer("read_uncommitted")
    }

    /// The worker's producer.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.transactional(&self.transactional_id);
        self.enable_statistics(&mut config);
        config
    }

    fn enable_statistics(&self, config: &mut ClientConfig) {
        let interval_ms = self.statistics_interval.as_millis().to_string();
        config.set("statistics.interval.ms", interval_ms);
    }

    /// A producer that takes somebody's transactional id over.
    pub(crate) fn fencing_producer(&self, name: &str) -> ClientConfig {
        self.transactional(name)
    }

    fn transactional(&self, name: &str) -> ClientConfig {
        let mut config = self.any_producer();
        let timeout_ms = self.transaction_timeout_ms().to_string();
        config
            .set("transactional.id", name)
            .set("transaction.timeout.ms", timeout_ms);
        // Where the group's coordinator goes away, librdkafka may wait for ever to send it offsets, whatever
        // time-out it is given (its issues 5456 and 5511): it looks for the new one only when a connection
        // comes or goes. That to the transaction's coordinator is idle meanwhile, and so goes soon.
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
                // A flush, and so a commit, does not wait for it; without it the producer's thread is
                // woken by every single record, for half a microsecond each.
                ("linger.ms", "20"),
                ("queue.buffering.max.messages", "1000000"),
                ("queue.buffering.max.kbytes", "1048576"),
                ("message.max.bytes", &MAX_MESSAGE_BYTES.to_string()),
            ],
        );
        config
    }

    /// A client with no part in the work.
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
                // A batch that a disk or a network has changed must be noticed, not counted.
                ("check.crcs", "true"),
                // What is newly assigned waits until a fetch without it has come back.
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
                // A broker that starts refuses everybody for seconds. With the default, ten seconds at
                // most, it would be up for as long again before anybody looks.
                ("reconnect.backoff.ms", "50"),
                ("reconnect.backoff.max.ms", "500"),
            ],
        );
        config
    }

    /// Sets what the user left open.
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
