//! An unclean leader election on a real cluster: records that were counted are lost, and others have their offsets.
//! Each test starts its own cluster.

use std::net::SocketAddr;
use std::path::Path;

use flockwise_tests::events::InputRecord;
use flockwise_tests::eventually;
use flockwise_tests::kafka::{Kafka, one_cluster_at_a_time};
use flockwise_tests::kafka_pipeline::KafkaPipeline;
use flockwise_tests::process::{Process, folder, free_address, get};
use flockwise_tests::test_broker::TestBroker;
use xtask::kafka::{KafkaCluster, Running, Signal};

const EVENTS: u64 = 12_000;
/// Number of events that both replicas have.
const REPLICATED: usize = 3_000;
/// Number of events that are counted before the election, including those that only the first leader has.
const COUNTED: usize = 5_000;

/// Three nodes, two of which have the input. The one that lacks the latest records may become leader.
fn cluster(files: &Path) -> Running {
    let cluster = KafkaCluster::at(files.join("kafka")).first_port(0).nodes(3);
    let settings = [
        ("default.replication.factor", "2"),
        ("min.insync.replicas", "1"),
        ("unclean.leader.election.enable", "true"),
    ];
    let cluster = settings
        .into_iter()
        .fold(cluster, |cluster, (key, value)| cluster.set(key, value));
    cluster.run().expect("the cluster starts")
}

/// Starts an instance. Also returns its HTTP address.
fn start(kafka_pipeline: &KafkaPipeline, lost_records: &str) -> (Process, SocketAddr) {
    let address = free_address();
    let mut command = kafka_pipeline.command("only");
    command.env("FLOCKWISE__HTTP__LISTEN", address.to_string());
    command.env("FLOCKWISE__KAFKA__LOST_RECORDS", lost_records);
    (Process::start(&mut command), address)
}

fn shows(address: SocketAddr, series: &str) -> bool {
    let text = get(address, "/metrics").unwrap_or_default();
    text.lines().any(|line| line.starts_with(series))
}

/// A cluster before an unclean election, its pipeline, and all events.
struct Scenario {
    kafka: Running,
    kafka_pipeline: KafkaPipeline,
    records: Vec<InputRecord>,
    leader: u16,
    follower: u16,
}

impl Scenario {
    /// Produces the first events to both replicas, kills the follower, and produces more to the leader alone.
    fn create(files: &Path) -> Self {
        let kafka = cluster(files);
        let kafka_pipeline = KafkaPipeline::with(&kafka.servers.plain, folder(), &[1], "");
        let records = kafka_pipeline.expect(EVENTS, 500, COUNTED);
        let records: Vec<_> = records.into_iter().map(|record| record.at(0, 0)).collect();
        kafka_pipeline.kafka.put(&records[..REPLICATED]);
        eventually("both replicas are in sync", || {
            kafka_pipeline.kafka.in_sync(0) == 2
        });
        let (leader, replicas) = kafka_pipeline.kafka.replicas(0);
        let follower = replicas.into_iter().find(|id| *id != leader);
        let node = |id: i32| u16::try_from(id).expect("a node");
        let scenario = Self {
            leader: node(leader),
            follower: node(follower.expect("two replicas")),
            kafka,
            kafka_pipeline,
            records,
        };
        scenario.kill(scenario.follower);
        eventually("the leader is alone", || {
            scenario.kafka_pipeline.kafka.in_sync(0) == 1
        });
        scenario
            .kafka_pipeline
            .kafka
            .put(&scenario.records[REPLICATED..COUNTED]);
        scenario
    }

    /// Kills the leader, restarts the follower, which becomes leader, and produces the other events to it.
    fn elect(&mut self) {
        self.kill(self.leader);
        self.start(self.follower);
        let follower = i32::from(self.follower);
        eventually("the follower leads", || {
            self.kafka_pipeline.kafka.replicas(0).0 == follower
        });
        self.kafka_pipeline.kafka.put(&self.records[COUNTED..]);
        self.start(self.leader);
        // Clients from before the election do not find every leader again.
        self.kafka_pipeline.kafka = Kafka::of(
            &self.kafka.servers.plain,
            self.kafka_pipeline.topics.clone(),
        );
    }

    fn kill(&self, node: u16) {
        let killed = self.kafka.cluster.stop_node(node, Signal::Kill);
        killed.expect("the node is killed");
    }

    fn start(&self, node: u16) {
        let started = self.kafka.cluster.start_node(node);
        started.expect("the node restarts");
    }

    /// Checks that reading continues where the records differ, and that every event is counted once.
    fn check_that_reading_continues(&self, mut instance: Process, address: SocketAddr) {
        eventually("reading continues", || {
            instance.is_running().expect("running");
            shows(address, "flockwise_input_gaps_total{")
        });
        self.kafka_pipeline.wait_until_drained();
        instance
            .terminate()
            .expect(0, &[&format!("continuing at offset {REPLICATED}")]);
        self.kafka_pipeline.check_changes();
        self.kafka_pipeline.check_customers();
    }
}

#[test]
#[ignore = "starts a cluster of three nodes and takes two minutes: run it with --ignored"]
fn records_that_an_unclean_election_replaced_are_noticed_and_counted_once_from_where_they_differ() {
    let Some(_alone) = one_cluster_at_a_time() else {
        return;
    };
    let files = folder();
    let mut scenario = Scenario::create(files.path());
    let (mut instance, _) = start(&scenario.kafka_pipeline, "stop");
    scenario
        .kafka_pipeline
        .wait_for(COUNTED as u64, &mut [&mut instance]);
    instance.terminate().expect(0, &[]);
    scenario.elect();

    let (mut instance, address) = start(&scenario.kafka_pipeline, "stop");
    eventually("the partition is halted", || {
        instance.is_running().expect("running");
        shows(address, "flockwise_halted_partitions{worker=\"0\"} 1")
            || shows(address, "flockwise_halted_partitions{worker=\"1\"} 1")
    });
    let position = format!("up to offset {COUNTED} in leader epoch ");
    let end = format!("which ends at {REPLICATED},");
    let ended = instance.terminate().expect(0, &[&position, &end]);
    assert!(ended.stderr.contains("lost_records"), "{ended:#?}");

    let (instance, address) = start(&scenario.kafka_pipeline, "skip");
    scenario.check_that_reading_continues(instance, address);
}

#[test]
#[ignore = "starts a cluster of three nodes and takes two minutes: run it with --ignored"]
fn an_unclean_election_under_a_running_instance_is_noticed_too() {
    let Some(_alone) = one_cluster_at_a_time() else {
        return;
    };
    let files = folder();
    let mut scenario = Scenario::create(files.path());
    let (mut instance, address) = start(&scenario.kafka_pipeline, "skip");
    scenario
        .kafka_pipeline
        .wait_for(COUNTED as u64, &mut [&mut instance]);
    scenario.elect();
    scenario.check_that_reading_continues(instance, address);
}
