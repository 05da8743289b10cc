//! A pipeline runs with exactly the permissions that `check --acls` prints. Without any one of them both `check
//! --connect` and `run` refuse, with the same message. Starts its own broker with an authorizer.

use std::fs;
use std::path::Path;
use std::process::Command;

use flockwise_runtime::topics::Topics;
use flockwise_tests::events::generated;
use flockwise_tests::eventually;
use flockwise_tests::kafka::{Kafka, one_cluster_at_a_time};
use flockwise_tests::process::{
    Finished, Process, flockwise, folder, free_address, run, workspace,
};
use flockwise_tests::test_broker::{TestBroker, topics};
use tempfile::TempDir;
use xtask::kafka::{KafkaCluster, Running, Secured, tool};

const PARTITIONS: u32 = 2;

/// A broker whose SASL clients need permissions. Clients on the plain listener may do everything.
fn secured_cluster() -> Running {
    KafkaCluster::at(Path::new(env!("CARGO_TARGET_TMPDIR")).join("permissions"))
        .first_port(0)
        .tls(true)
        .set(
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        )
        .set("super.users", "User:ANONYMOUS")
        .run()
        .expect("a broker with an authorizer")
}

/// A pipeline whose principal has no permissions yet.
struct Scenario {
    running: Running,
    topics: Topics,
    kafka: Kafka,
    folder: TempDir,
}

impl Scenario {
    fn create() -> Self {
        let running = secured_cluster();
        let mut topics = topics(PARTITIONS, 1);
        // Without the prefix of the pipeline's own topics, which has its own permissions.
        topics.inputs[0] = format!("input-of-{}", topics.app);
        let kafka = Kafka::of(&running.servers.plain, topics.clone());
        kafka.create_input(&topics.inputs[0], PARTITIONS);
        let scenario = Self {
            running,
            topics,
            kafka,
            folder: folder(),
        };
        let secured = scenario.running.servers.secured.as_ref().expect("SASL_SSL");
        fs::write(
            scenario.folder.path().join("shop.toml"),
            scenario.config(secured),
        )
        .expect("written");
        scenario
    }

    fn config(&self, secured: &Secured) -> String {
        let properties: Vec<String> = secured
            .properties()
            .iter()
            .filter(|(key, _)| *key != "bootstrap.servers")
            .map(|(key, value)| format!("\"{key}\" = \"{value}\""))
            .collect();
        let features = fs::read_to_string(workspace().join("tests/harness/features.toml"));
        format!(
            "app = \"{}\"\nshards = 1\n[kafka]\nbootstrap_servers = \"{}\"\n[kafka.properties]\n{}\n\
             [http]\nlisten = \"{}\"\n[[input]]\ntopic = \"{}\"\nformat = \"segment\"\n{}",
            self.topics.app,
            secured.servers,
            properties.join("\n"),
            free_address(),
            self.topics.inputs[0],
            features.expect("features")
        )
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = flockwise(arguments);
        command.args(["--config", "shop.toml"]);
        command.current_dir(self.folder.path());
        command
    }

    /// The arguments after `--add` of each printed line, without comments.
    fn printed(&self) -> Vec<Vec<String>> {
        let printed = run(&mut self.command(&["check", "--acls", "--principal", "User:app"]));
        let printed = printed.expect(0, &[]).stdout;
        let lines = printed.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let words = line.split_whitespace().map(str::to_owned);
                words.skip_while(|word| word != "--add").skip(1).collect()
            })
            .collect()
    }

    fn add(&self, line: &[String]) {
        self.acls(&["--add"], line);
    }

    /// Runs `kafka-acls.sh` as the superuser.
    fn acls(&self, what: &[&str], words: &[String]) {
        let servers = &self.running.servers.plain;
        let mut arguments = vec!["--bootstrap-server".to_owned(), servers.clone()];
        arguments.extend(what.iter().map(|word| (*word).to_owned()));
        arguments.extend_from_slice(words);
        tool("acls", &arguments).expect("the tool");
    }

    fn check(&self) -> Finished {
        run(&mut self.command(&["check", "--connect"]))
    }

    /// Waits until `check` refuses with these words, then expects the same of `run`. Brokers exchange permissions
    /// only after the tool has ended.
    fn is_refused(&self, words: &str) {
        eventually(words, || self.check().stdout.contains(words));
        let checked = self.check().expect(1, &[]);
        assert!(checked.stdout.contains(words), "{words}: {checked:#?}");
        run(&mut self.command(&["run"])).expect(2, &[words]);
    }

    /// Checks that the pipeline creates its topics, reads, writes and commits.
    fn works(&self) {
        let process = Process::start(&mut self.command(&["run"]));
        self.kafka.put(&generated(500, 50, 1));
        eventually("everything is processed", || {
            self.kafka.processed().is_ok_and(|count| count == 500)
        });
        process.terminate().expect(0, &[]);
    }

    fn is_right(&self) {
        eventually("check finds no problem", || self.check().code == Some(0));
    }
}

/// A printed line with one of its operations only.
fn only(line: &[String], operation: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.iter();
    while let Some(word) = rest.next() {
        if word == "--operation" {
            rest.next();
        } else {
            words.push(word.clone());
        }
    }
    words.extend(["--operation".to_owned(), operation.to_owned()]);
    words
}

#[test]
fn the_permissions_that_are_printed_are_enough() {
    let Some(_alone) = one_cluster_at_a_time() else {
        return;
    };
    let scenario = Scenario::create();
    scenario
        .printed()
        .iter()
        .for_each(|line| scenario.add(line));
    scenario.is_right();
    scenario.works();
}

#[test]
#[ignore = "takes three minutes: run it with --ignored"]
fn each_of_the_permissions_is_needed() {
    let Some(_alone) = one_cluster_at_a_time() else {
        return;
    };
    let scenario = Scenario::create();
    let printed = scenario.printed();
    let [input, own, group, transactions, create, _settings] = &printed[..] else {
        panic!("{printed:?}");
    };
    [input, own, group, transactions]
        .into_iter()
        .for_each(|line| scenario.add(line));
    scenario.is_refused("could not be created");
    scenario.add(create);
    scenario.is_right();
    scenario.works();
    for (line, operation, words) in [
        (input, "Read", "no permission to describe topic"),
        (
            group,
            "Read",
            "give the principal Read on the consumer group",
        ),
        (transactions, "Write", "transactional ids prefixed"),
        (own, "Write", "the principal lacks Write on it"),
        (
            own,
            "Read",
            "give the principal Read, Write and Describe on this topic",
        ),
        (own, "Delete", "the principal lacks Delete on it"),
    ] {
        let only = only(line, operation);
        scenario.acls(&["--remove", "--force"], &only);
        scenario.is_refused(words);
        scenario.add(&only);
        scenario.is_right();
    }
}
