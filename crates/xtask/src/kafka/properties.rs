//! One node's `server.properties`.

use std::path::Path;

use super::ports::{
    ADVERTISED_PORT_OFFSET, CONTROLLER_PORT_OFFSET, PROXIED_PORT_OFFSET, SECURED_PORT_OFFSET,
};

/// The settings that all nodes of a cluster share.
#[derive(Debug, Clone)]
pub(super) struct ClusterSettings {
    pub(super) nodes: u16,
    pub(super) first_port: u16,
    pub(super) tls: bool,
    /// Number of listeners that advertise the address of a proxy.
    pub(super) proxied_listeners: u16,
    /// Override the defaults. Of two values for a key, the last one counts.
    pub(super) overrides: Vec<(String, String)>,
}

const PROTOCOLS: &str = "listener.security.protocol.map";

/// Defaults for small and quick brokers. Kafka's own are for servers.
const FOR_TESTS: &[(&str, &str)] = &[
    ("process.roles", "broker,controller"),
    (
        PROTOCOLS,
        "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
    ),
    ("inter.broker.listener.name", "PLAINTEXT"),
    ("controller.listener.names", "CONTROLLER"),
    ("auto.create.topics.enable", "false"),
    ("num.partitions", "4"),
    ("offsets.topic.num.partitions", "4"),
    ("transaction.state.log.num.partitions", "4"),
    ("share.coordinator.state.topic.num.partitions", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "1000"),
    ("group.consumer.min.session.timeout.ms", "1000"),
    ("group.consumer.min.heartbeat.interval.ms", "500"),
    // How soon the loss of a killed broker is noticed, and how long its successor has to wait.
    ("broker.session.timeout.ms", "3000"),
    ("broker.heartbeat.interval.ms", "500"),
    ("log.cleaner.dedupe.buffer.size", "4194304"),
    ("log.segment.bytes", "67108864"),
    ("log.index.size.max.bytes", "1048576"),
    ("num.network.threads", "2"),
    ("num.io.threads", "4"),
    ("background.threads", "2"),
];

const SECURITY: &[(&str, &str)] = &[
    ("sasl.enabled.mechanisms", "SCRAM-SHA-512"),
    ("ssl.keystore.type", "PEM"),
    (
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config",
        "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    ),
];

impl ClusterSettings {
    pub(super) fn numbers(&self) -> std::ops::RangeInclusive<u16> {
        1..=self.nodes
    }

    /// The broker port of node `number`.
    pub(super) fn port(&self, number: u16) -> u16 {
        self.first_port + number - 1
    }

    /// `server.properties` of node `number`, whose files are in `home`.
    pub(super) fn render(&self, number: u16, home: &Path) -> String {
        let mut lines = pairs(FOR_TESTS);
        lines.extend(self.identity(number));
        lines.extend(self.replication());
        lines.push((
            "log.dirs".to_owned(),
            home.join("data").display().to_string(),
        ));
        if self.proxied_listeners > 0 {
            let protocols = self.protocols(&lines);
            lines.retain(|(key, _)| key != PROTOCOLS);
            lines.push((PROTOCOLS.to_owned(), protocols));
        }
        if self.tls {
            lines.extend(pairs(SECURITY));
            let keystore = home.with_file_name("tls").join("server.pem");
            lines.push((
                "ssl.keystore.location".to_owned(),
                keystore.display().to_string(),
            ));
        }
        for (key, value) in &self.overrides {
            lines.retain(|(default, _)| default != key);
            lines.push((key.clone(), value.clone()));
        }
        lines
            .iter()
            .map(|(key, value)| format!("{key}={value}\n"))
            .collect()
    }

    fn protocols(&self, lines: &[(String, String)]) -> String {
        let known = lines.iter().find(|(key, _)| key == PROTOCOLS);
        let known = known.map(|(_, protocols)| protocols.clone());
        let proxied_listeners = (1..=self.proxied_listeners)
            .map(|proxied_listener| format!("PROXIED{proxied_listener}:PLAINTEXT"));
        known
            .into_iter()
            .chain(proxied_listeners)
            .collect::<Vec<_>>()
            .join(",")
    }

    fn identity(&self, number: u16) -> [(String, String); 4] {
        let port = self.port(number);
        let mut advertised = format!("PLAINTEXT://127.0.0.1:{port}");
        if self.tls {
            advertised += &format!(",SASL_SSL://127.0.0.1:{}", port + SECURED_PORT_OFFSET);
        }
        let mut listeners = format!(
            "{advertised},CONTROLLER://127.0.0.1:{}",
            port + CONTROLLER_PORT_OFFSET
        );
        for proxied_listener in 1..=self.proxied_listeners {
            let listens = port + proxied_listener * PROXIED_PORT_OFFSET;
            listeners += &format!(",PROXIED{proxied_listener}://127.0.0.1:{listens}");
            advertised += &format!(
                ",PROXIED{proxied_listener}://127.0.0.1:{}",
                listens + ADVERTISED_PORT_OFFSET
            );
        }
        let voters: Vec<String> = self
            .numbers()
            .map(|n| format!("{n}@127.0.0.1:{}", self.port(n) + CONTROLLER_PORT_OFFSET))
            .collect();
        [
            ("node.id", number.to_string()),
            ("listeners", listeners),
            ("advertised.listeners", advertised),
            ("controller.quorum.voters", voters.join(",")),
        ]
        .map(|(key, value)| (key.to_owned(), value))
    }

    fn replication(&self) -> impl Iterator<Item = (String, String)> {
        let factor = self.nodes.min(3).to_string();
        let in_sync = if self.nodes > 2 { "2" } else { "1" };
        let factors = [
            "default.replication.factor",
            "offsets.topic.replication.factor",
            "transaction.state.log.replication.factor",
            "share.coordinator.state.topic.replication.factor",
        ];
        let in_syncs = [
            "min.insync.replicas",
            "transaction.state.log.min.isr",
            "share.coordinator.state.topic.min.isr",
        ];
        let factors = factors
            .into_iter()
            .map(move |key| (key.to_owned(), factor.clone()));
        factors.chain(
            in_syncs
                .into_iter()
                .map(move |key| (key.to_owned(), in_sync.to_owned())),
        )
    }
}

/// The value of `key` in a rendered file.
pub(super) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(found, _)| *found == key)
        .map(|(_, value)| value)
}

fn pairs(table: &[(&str, &str)]) -> Vec<(String, String)> {
    table
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(nodes: u16, tls: bool) -> ClusterSettings {
        ClusterSettings {
            nodes,
            first_port: 19092,
            tls,
            proxied_listeners: 0,
            overrides: Vec::new(),
        }
    }

    #[test]
    fn three_nodes_know_each_other_and_keep_three_copies() {
        let text = settings(3, false).render(2, Path::new("/k/n2"));
        assert_eq!(value(&text, "node.id"), Some("2"));
        assert_eq!(
            value(&text, "controller.quorum.voters"),
            Some("1@127.0.0.1:19192,2@127.0.0.1:19193,3@127.0.0.1:19194")
        );
        assert_eq!(
            value(&text, "advertised.listeners"),
            Some("PLAINTEXT://127.0.0.1:19093")
        );
        assert_eq!(value(&text, "default.replication.factor"), Some("3"));
        assert_eq!(value(&text, "min.insync.replicas"), Some("2"));
    }

    #[test]
    fn tls_adds_a_listener_and_the_keystore_beside_the_nodes() {
        let text = settings(1, true).render(1, Path::new("/k/n1"));
        assert_eq!(
            value(&text, "advertised.listeners"),
            Some("PLAINTEXT://127.0.0.1:19092,SASL_SSL://127.0.0.1:19292")
        );
        assert_eq!(
            value(&text, "ssl.keystore.location"),
            Some("/k/tls/server.pem")
        );
        assert_eq!(
            value(
                &settings(1, false).render(1, Path::new("/k/n1")),
                "ssl.keystore.location"
            ),
            None
        );
    }

    #[test]
    fn a_proxied_listener_listens_where_it_says_that_it_does_not() {
        let proxied_listeners = 2;
        let settings = ClusterSettings {
            proxied_listeners,
            ..settings(3, false)
        };
        let text = settings.render(2, Path::new("/k/n2"));
        let listeners = value(&text, "listeners").unwrap();
        let advertised = value(&text, "advertised.listeners").unwrap();
        assert!(listeners.ends_with("PROXIED1://127.0.0.1:19103,PROXIED2://127.0.0.1:19113"));
        assert!(advertised.ends_with("PROXIED1://127.0.0.1:19153,PROXIED2://127.0.0.1:19163"));
        assert!(
            value(&text, PROTOCOLS)
                .unwrap()
                .ends_with("PROXIED2:PLAINTEXT")
        );
    }

    #[test]
    fn an_override_replaces_the_default_and_the_last_one_counts() {
        let mut settings = settings(1, false);
        for value in ["7", "9"] {
            settings
                .overrides
                .push(("num.partitions".to_owned(), value.to_owned()));
        }
        let text = settings.render(1, Path::new("/k/n1"));
        assert_eq!(text.matches("num.partitions=9").count(), 1);
        assert_eq!(
            text.lines()
                .filter(|line| line.starts_with("num.partitions="))
                .count(),
            1
        );
    }
}
