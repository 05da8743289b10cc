//! Preflight checks on real Kafka: `check --connect` refuses what `run` refuses, with the same message, and `topics
//! --apply` repairs what it can.

use std::fs;
use std::process::Command;

use flockwise_kafka::admin::topic_settings;
use flockwise_runtime::topics::{Topic, Topics};
use flockwise_tests::events::generated;
use flockwise_tests::eventually;
use flockwise_tests::kafka::{Kafka, servers};
use flockwise_tests::process::{
    Finished, Process, flockwise, folder, free_address, run, workspace,
};
use flockwise_tests::test_broker::{TestBroker, topics};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;

const PARTITIONS: u32 = 2;

/// A pipeline whose internal topics a test creates itself.
struct Scenario {
    servers: String,
    topics: Topics,
    kafka: Kafka,
    folder: TempDir,
}

impl Scenario {
    fn create(servers: &str) -> Self {
        let topics = topics(PARTITIONS, 1);
        let kafka = Kafka::of(servers, topics.clone());
        kafka.create_input(&topics.inputs[0], PARTITIONS);
        let scenario = Self {
            servers: servers.to_owned(),
            topics,
            kafka,
            folder: folder(),
        };
        scenario.configure(PARTITIONS);
        scenario
    }

    fn configure(&self, state_partitions: u32) {
        let features = fs::read_to_string(workspace().join("tests/harness/features.toml"));
        let config = format!(
            "app = \"{}\"\nstate_partitions = {state_partitions}\nshards = 1\n[kafka]\nbootstrap_servers = \"{}\"\n\
             [http]\nlisten = \"{}\"\n[[input]]\ntopic = \"{}\"\nformat = \"segment\"\n{}",
            self.topics.app,
            self.servers,
            free_address(),
            self.topics.inputs[0],
            features.expect("features")
        );
        fs::write(self.folder.path().join("shop.toml"), config).expect("written");
    }

    /// Creates the internal topics. The topic `odd` gets another number of partitions or another setting.
    fn create_internal(&self, odd: Topic, partitions: u32, setting: Option<(&str, &str)>) {
        for topic in Topics::internal() {
            let is_odd = topic == odd;
            let partitions = if is_odd {
                partitions
            } else {
                self.topics.partitions(topic)
            };
            self.create_topic(topic, partitions, setting.filter(|_| is_odd));
        }
    }

    fn create_topic(&self, topic: Topic, partitions: u32, odd: Option<(&str, &str)>) {
        let name = self.topics.name(topic);
        let settings = topic_settings(topic, 1);
        let mut new = NewTopic::new(&name, partitions.cast_signed(), TopicReplication::Fixed(1));
        for setting in &settings {
            new = new.set(setting.key, &setting.value);
        }
        if let Some((key, value)) = odd {
            new = new.set(key, value);
        }
        // Kept alive until the topic exists: dropping the client drops requests that it has not sent yet.
        let admin = self.admin();
        drop(admin.create_topics([&new], &AdminOptions::new()));
        self.wait_for_partitions(&name, partitions as usize);
    }

    fn delete(&self, topic: Topic) {
        let name = self.topics.name(topic);
        let admin = self.admin();
        drop(admin.delete_topics(&[&name], &AdminOptions::new()));
        self.wait_for_partitions(&name, 0);
    }

    fn wait_for_partitions(&self, name: &str, count: usize) {
        let consumer = self.consumer();
        eventually("the topic has the expected number of partitions", || {
            let metadata = consumer.fetch_metadata(Some(name), std::time::Duration::from_secs(5));
            metadata.is_ok_and(|found| found.topics()[0].partitions().len() == count)
        });
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("an admin client")
    }

    fn consumer(&self) -> BaseConsumer {
        let mut config = self.client();
        config.set("group.id", &self.topics.app);
        config.create().expect("a consumer")
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers);
        config
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = flockwise(arguments);
        command.args(["--config", "shop.toml"]);
        command.current_dir(self.folder.path());
        command
    }

    fn check(&self) -> Finished {
        run(&mut self.command(&["check", "--connect"]))
    }

    /// Checks that both `check` and `run` refuse, with the same message.
    fn is_refused(&self, check_code: i32, words: &str) {
        let checked = self.check();
        assert_eq!(checked.code, Some(check_code), "{words}: {checked:#?}");
        assert!(checked.stdout.contains(words), "{words}: {checked:#?}");
        run(&mut self.command(&["run"])).expect(2, &[words]);
    }

    fn start(&self) -> Process {
        let process = Process::start(&mut self.command(&["run"]));
        eventually("it has tasks", || {
            process.stderr().contains("tasks assigned")
        });
        process
    }
}

#[test]
fn what_can_lose_state_is_refused_by_both_and_mended_by_apply() {
    let Some(servers) = servers() else { return };
    for (topic, key, value) in [
        (Topic::Changelog, "cleanup.policy", "delete"),
        (Topic::Changelog, "cleanup.policy", "compact,delete"),
        (Topic::Changelog, "delete.retention.ms", "3600000"),
        (Topic::Repartition, "retention.ms", "604800000"),
        (Topic::Samples, "retention.bytes", "100000000"),
        (Topic::Model, "cleanup.policy", "delete"),
        (Topic::DeadLetters, "max.message.bytes", "1048588"),
    ] {
        let scenario = Scenario::create(&servers);
        scenario.create_internal(topic, scenario.topics.partitions(topic), Some((key, value)));
        scenario.is_refused(1, &format!("{key} is {value}, expected "));
        let shown = run(&mut scenario.command(&["topics"])).expect(1, &["--apply"]);
        assert!(
            shown.stdout.contains(&format!("{key}={value}")),
            "{shown:#?}"
        );
        let repaired = run(&mut scenario.command(&["topics", "--apply"])).expect(0, &[]);
        assert!(!repaired.stdout.contains("wrong"), "{repaired:#?}");
        scenario.check().expect(0, &[]);
    }
}

#[test]
fn a_topic_that_no_record_fits_in_is_refused_and_a_warning_is_none() {
    let Some(servers) = servers() else { return };
    let scenario = Scenario::create(&servers);
    scenario.create_internal(
        Topic::Changelog,
        PARTITIONS,
        Some(("min.insync.replicas", "2")),
    );
    scenario.is_refused(1, "no record can be written");
    let scenario = Scenario::create(&servers);
    scenario.create_internal(Topic::Lineage, 1, Some(("max.message.bytes", "1048588")));
    let checked = scenario.check().expect(0, &[]);
    assert!(
        checked.stdout.contains("max.message.bytes is 1048588"),
        "{checked:#?}"
    );
    let process = scenario.start();
    assert!(process.stderr().contains("max.message.bytes is 1048588"));
    process.terminate().expect(0, &[]);
}

#[test]
fn the_advice_on_partitions_leads_to_no_customer_in_two_tasks() {
    let Some(servers) = servers() else { return };
    for topic in [Topic::Repartition, Topic::Changelog] {
        let scenario = Scenario::create(&servers);
        scenario.create_internal(topic, 5, None);
        scenario.is_refused(1, "partitions were added after its creation");
        assert!(!scenario.check().stdout.contains("set state_partitions = 5"));
    }
    let scenario = Scenario::create(&servers);
    scenario.create_internal(Topic::Samples, 3, None);
    scenario.is_refused(1, "it always has one, whatever state_partitions is");
    let scenario = Scenario::create(&servers);
    scenario.create_internal(Topic::Samples, 1, None);
    scenario.configure(4);
    scenario.is_refused(1, &format!("set state_partitions = {PARTITIONS}"));
}

#[test]
fn what_the_configuration_gets_wrong_is_refused_with_code_2() {
    let Some(servers) = servers() else { return };
    let scenario = Scenario::create(&servers);
    let path = scenario.folder.path().join("shop.toml");
    let good = fs::read_to_string(&path).expect("the configuration");
    let with = "[kafka]\nproperties = { \"message.max.bytes\" = \"1000000\" }\n";
    fs::write(&path, good.replace("[kafka]\n", with)).expect("written");
    scenario.is_refused(
        2,
        "\"message.max.bytes\" under [kafka.properties] is 1000000",
    );
    fs::write(&path, good.replace("-in0", "-elsewhere")).expect("written");
    scenario.is_refused(1, "-elsewhere; create it, or correct its name");
}

#[test]
fn a_changelog_that_is_gone_is_not_made_again_in_silence() {
    let Some(servers) = servers() else { return };
    let scenario = Scenario::create(&servers);
    let process = scenario.start();
    scenario.kafka.put(&generated(200, 20, 1));
    eventually("everything is committed", || scenario.kafka.is_drained());
    process.terminate().expect(0, &[]);
    scenario.check().expect(0, &[]);
    scenario.delete(Topic::Changelog);
    scenario.is_refused(1, "is missing, but this pipeline has run before");
    run(&mut scenario.command(&["topics", "--apply"])).expect(1, &["flockwise reset"]);
    // Creating it by hand does not bring the state back.
    scenario.create_topic(Topic::Changelog, PARTITIONS, None);
    scenario.is_refused(1, "is empty, but this pipeline has run before");
    // Deleting the changes as well makes no difference.
    scenario.delete(Topic::SegmentChanges);
    scenario.is_refused(1, "has committed offsets");
}

#[test]
fn offsets_of_another_consumer_are_not_taken_for_a_pipelines() {
    let Some(servers) = servers() else { return };
    let scenario = Scenario::create(&servers);
    let mut offsets = TopicPartitionList::new();
    let topic = "somebody-elses";
    scenario.kafka.create_input(topic, 1);
    offsets
        .add_partition_offset(topic, 0, Offset::Offset(0))
        .expect("listed");
    let consumer = scenario.consumer();
    consumer
        .commit(&offsets, CommitMode::Sync)
        .expect("committed");
    scenario.check().expect(0, &[]);
}

#[test]
fn a_changelog_that_is_made_again_under_a_running_instance_ends_it() {
    let Some(servers) = servers() else { return };
    let scenario = Scenario::create(&servers);
    let process = scenario.start();
    scenario.kafka.put(&generated(200, 20, 1));
    eventually("everything is committed", || scenario.kafka.is_drained());
    scenario.delete(Topic::Changelog);
    scenario.create_topic(Topic::Changelog, PARTITIONS, None);
    // The instance writes a customer to the new changelog before it checks the topic id.
    scenario.kafka.put(&generated(1, 1, 2));
    let ended = process.wait();
    assert_ne!(ended.code, Some(0), "{ended:#?}");
    // If it checks, or adds the changelog to a transaction, before the topic exists again, it reports the missing topic.
    let words = [
        "was deleted and recreated",
        "there is no topic",
        "the topic is gone",
    ];
    assert!(
        words.iter().any(|words| ended.stderr.contains(words)),
        "{ended:#?}"
    );
    // The content of the new changelog is not accepted as the state.
    if !scenario
        .kafka
        .read(Topic::Changelog)
        .iter()
        .all(Vec::is_empty)
    {
        run(&mut scenario.command(&["run"])).expect(1, &["but the last commit counted"]);
    }
}

#[test]
fn offsets_of_the_group_that_were_reset_are_told_of_and_change_nothing() {
    let Some(servers) = servers() else { return };
    let scenario = Scenario::create(&servers);
    let warning = "resetting the group's offsets has no effect";
    let process = scenario.start();
    scenario.kafka.put(&generated(200, 20, 1));
    eventually("everything is committed", || scenario.kafka.is_drained());
    process.terminate().expect(0, &[]);
    let process = scenario.start();
    assert!(!process.stderr().contains(warning), "{}", process.stderr());
    process.terminate().expect(0, &[]);
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset(&scenario.topics.inputs[0], 0, Offset::Offset(0))
        .expect("listed");
    let consumer = scenario.consumer();
    eventually("the members have left and offsets may be reset", || {
        consumer.commit(&offsets, CommitMode::Sync).is_ok()
    });
    let process = scenario.start();
    eventually("it warns", || process.stderr().contains(warning));
    process.terminate().expect(0, &[]);
}
