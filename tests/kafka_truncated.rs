//! An unclean leader election on a real cluster of its own: records that were counted are gone, and others stand in
//! their place. Skipped, with a word, where no Kafka is named.

use std::net::SocketAddr;

use flockwise_tests::broker::Stage;
use flockwise_tests::eventually;
use flockwise_tests::kafka::{Kafka, servers};
use flockwise_tests::plant::Plant;
use flockwise_tests::process::{Process, folder, free_address, get};
use xtask::kafka::{Cluster, Running, Signal};

const EVENTS: u64 = 12_000;
/// Events that both replicas have.
const REPLICATED: usize = 3_000;
/// Events that were counted, those of the first leader alone among them.
const COUNTED: usize = 5_000;

/// Three nodes, of which two have the input: one of them may become its leader without the latest records.
fn cluster(files: &std::path::Path) -> Running {
    let cluster = Cluster::at(files.join("kafka")).first_port(0).nodes(3);
    let settings = [
        ("default.replication.factor", "2"),
        ("min.insync.replicas", "1"),
        ("unclean.leader.election.enable", "true"),
    ];
    let cluster = settings
        .into_iter()
        .fold(cluster, |cluster, (key, value)| cluster.set(key, value));
    cluster.run().expect("a cluster of its own")
}

/// An instance, and where it says how it does.
fn start(plant: &Plant, lost_records: &str) -> (Process, SocketAddr) {
    let address = free_address();
    let mut command = plant.command("only");
    command.env("FLOCKWISE__HTTP__LISTEN", address.to_string());
    command.env("FLOCKWISE__KAFKA__LOST_RECORDS", lost_records);
    (Process::start(&mut command), address)
}

fn shows(address: SocketAddr, series: &str) -> bool {
    let text = get(address, "/metrics").unwrap_or_default();
    text.lines().any(|line| line.starts_with(series))
}

#[test]
#[ignore = "starts a cluster of three nodes and takes a minute: run it with --ignored"]
fn records_that_an_unclean_election_replaced_are_noticed_and_counted_once_from_where_they_differ() {
    if servers().is_none() {
        return;
    }
    let files = folder();
    let kafka = cluster(files.path());
    let mut plant = Plant::with(&kafka.servers.plain, folder(), &[1], "");
    let puts = plant.expect(EVENTS, 500, COUNTED);
    let puts: Vec<_> = puts.into_iter().map(|put| put.at(0, 0)).collect();
    let node = |id: i32| u16::try_from(id).expect("a node");

    plant.kafka.put(&puts[..REPLICATED]);
    let (leader, replicas) = plant.kafka.replicas(0);
    let follower = replicas.into_iter().find(|id| *id != leader);
    let follower = node(follower.expect("two replicas"));
    eventually("both replicas have it", || plant.kafka.in_sync(0) == 2);
    kafka
        .cluster
        .stop_node(follower, Signal::Kill)
        .expect("the follower is gone");
    eventually("the leader is alone", || plant.kafka.in_sync(0) == 1);
    plant.kafka.put(&puts[REPLICATED..COUNTED]);
    let (mut instance, _) = start(&plant, "stop");
    plant.wait_for(COUNTED as u64, &mut [&mut instance]);
    instance.terminate().expect(0, &[]);

    kafka
        .cluster
        .stop_node(node(leader), Signal::Kill)
        .expect("the leader is gone");
    kafka
        .cluster
        .start_node(follower)
        .expect("the follower is back");
    eventually("the follower leads", || {
        plant.kafka.replicas(0).0 == i32::from(follower)
    });
    plant.kafka.put(&puts[COUNTED..]);
    kafka
        .cluster
        .start_node(node(leader))
        .expect("the leader is back");
    // The clients that have seen all this do not find every leader again.
    plant.kafka = Kafka::of(&kafka.servers.plain, plant.topics.clone());

    let (mut instance, address) = start(&plant, "stop");
    eventually("the partition is stopped", || {
        instance.is_running().expect("running");
        shows(address, "flockwise_stopped_partitions{shard=\"0\"} 1")
            || shows(address, "flockwise_stopped_partitions{shard=\"1\"} 1")
    });
    let position = format!("up to offset {COUNTED} in leader epoch ");
    let end = format!("which ends at {REPLICATED},");
    let said = instance.terminate().expect(0, &[&position, &end]);
    assert!(said.stderr.contains("lost_records"), "{said:#?}");

    let (mut instance, address) = start(&plant, "skip");
    eventually("reading goes on", || {
        instance.is_running().expect("running");
        shows(address, "flockwise_input_gaps_total{")
    });
    plant.wait_until_drained();
    instance
        .terminate()
        .expect(0, &[&format!("going on at offset {REPLICATED}")]);
    plant.check_changes();
    plant.check_customers();
}
