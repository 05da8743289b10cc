//! `flockwise run` on real Kafka, two processes, killed in the middle: what comes out is what a replay of
//! the same events gives, every change once. Skipped, with a word, where no Kafka is named.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use flockwise_tests::broker::Stage;
use flockwise_tests::eventually;
use flockwise_tests::plant::{PARTITIONS, Plant};
use flockwise_tests::process::{Process, free_address, get, run};

const EVENTS: u64 = 200_000;

#[test]
fn killed_instances_lose_and_double_nothing() {
    let Some(plant) = Plant::set() else { return };
    let records = plant.expect(EVENTS, 8_000, 40_000);
    let (backlog, rest) = records.split_at(records.len() * 6 / 10);
    let (middle, last) = rest.split_at(rest.len() / 2);
    let (mut first, mut second) = (plant.start("first"), plant.start("second"));
    thread::scope(|scope| {
        // Bit by bit, so that there is more to come when it is killed.
        scope.spawn(|| backlog.chunks(1_000).for_each(|bit| plant.kafka.put(bit)));
        plant.wait_for(EVENTS / 10, &mut [&mut first, &mut second]);
        first.kill();
        let processed = plant.processed();
        assert!(
            processed < backlog.len() as u64,
            "killed too late to be in the middle"
        );
    });
    let mut first = plant.start("first");
    plant.kafka.put(middle);
    plant.wait_for(EVENTS * 6 / 10, &mut [&mut first, &mut second]);
    second.kill();
    // It stays away until the group gives its tasks to the other.
    plant.wait_for(EVENTS * 8 / 10, &mut [&mut first]);
    let mut second = plant.start("second");
    plant.kafka.put(last);
    plant.wait_for(EVENTS, &mut [&mut first, &mut second]);
    plant.wait_until_drained();
    first.terminate().expect(0, &[]);
    second.terminate().expect(0, &[]);
    plant.check_changes();
    plant.check_customers();
}

/// An instance that keeps its neighbours' tasks warm, and where it says how it does.
fn start_warm(plant: &Plant, instance: &str) -> (Process, SocketAddr) {
    let address = free_address();
    let mut command = plant.command(instance);
    command.env("FLOCKWISE__STANDBYS", "1");
    command.env("FLOCKWISE__HTTP__LISTEN", address.to_string());
    (Process::start(&mut command), address)
}

/// A metric of an instance; 0 where it does not answer.
fn metric(address: SocketAddr, name: &str) -> u64 {
    let text = get(address, "/metrics").unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.map_or(0, |value| value.trim().parse().expect("a number"))
}

#[test]
fn what_was_kept_warm_is_taken_over_as_it_was() {
    let Some(plant) = Plant::set() else { return };
    let records = plant.expect(EVENTS, 8_000, 40_000);
    let (backlog, rest) = records.split_at(records.len() / 2);
    let (middle, last) = rest.split_at(rest.len() / 2);
    let (mut first, _) = start_warm(&plant, "first");
    let (mut second, address) = start_warm(&plant, "second");
    for instance in [&first, &second] {
        eventually("it runs", || instance.stderr().contains("tasks assigned"));
    }
    plant.kafka.put(backlog);
    plant.wait_for(EVENTS / 2, &mut [&mut first, &mut second]);
    eventually("the second keeps the first's tasks warm", || {
        metric(address, "flockwise_standby_tasks") == u64::from(PARTITIONS / 2)
    });
    let before = metric(address, "flockwise_standbys_taken_total");
    plant.kafka.put(middle);
    plant.wait_for(EVENTS / 2 + 1, &mut [&mut first, &mut second]);
    first.kill();
    plant.wait_for(EVENTS * 3 / 4, &mut [&mut second]);
    eventually("it says that it took over what was warm", || {
        metric(address, "flockwise_standbys_taken_total") > before
    });
    let (mut first, _) = start_warm(&plant, "first");
    plant.kafka.put(last);
    plant.wait_for(EVENTS, &mut [&mut first, &mut second]);
    plant.wait_until_drained();
    first.terminate().expect(0, &[]);
    second.terminate().expect(0, &["taken over from a standby"]);
    plant.check_changes();
    plant.check_customers();
}

#[test]
fn instances_come_and_go_while_events_flow_and_nothing_is_lost_or_doubled() {
    let Some(plant) = Plant::set() else { return };
    let records = plant.expect(EVENTS, 8_000, 40_000);
    let (mut first, _) = start_warm(&plant, "first");
    eventually("it runs", || first.stderr().contains("tasks assigned"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for slice in records.chunks(records.len() / 200) {
                plant.kafka.put(slice);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        plant.wait_for(EVENTS / 10, &mut [&mut first]);
        let (mut second, second_says) = start_warm(&plant, "second");
        let (mut third, third_says) = start_warm(&plant, "third");
        for says in [second_says, third_says] {
            eventually("it has tasks", || {
                metric(says, "flockwise_events_total") > 0
            });
        }
        plant.wait_for(EVENTS * 5 / 10, &mut [&mut first, &mut second, &mut third]);
        second.terminate().expect(0, &[]);
        plant.wait_for(EVENTS * 6 / 10, &mut [&mut first, &mut third]);
        third.terminate().expect(0, &[]);
    });
    plant.wait_for(EVENTS, &mut [&mut first]);
    plant.wait_until_drained();
    first.terminate().expect(0, &[]);
    plant.check_changes();
    plant.check_customers();
}

/// Others take its tasks over meanwhile, and it does not know when it wakes up.
#[test]
fn an_instance_that_was_frozen_loses_and_doubles_nothing() {
    let Some(plant) = Plant::set() else { return };
    let records = plant.expect(30_000, 1_000, 10_000);
    let (backlog, rest) = records.split_at(records.len() / 2);
    let (mut first, mut second) = (plant.start("first"), plant.start("second"));
    for instance in [&first, &second] {
        eventually("it runs", || instance.stderr().contains("tasks assigned"));
    }
    plant.kafka.put(backlog);
    plant.wait_for(1, &mut [&mut first, &mut second]);
    first.pause();
    // All of it: the second has been given what the first had.
    plant.wait_for(backlog.len() as u64, &mut [&mut second]);
    first.resume();
    plant.kafka.put(rest);
    plant.wait_for(records.len() as u64, &mut [&mut first, &mut second]);
    plant.wait_until_drained();
    first.terminate().expect(0, &[]);
    second.terminate().expect(0, &[]);
    plant.check_changes();
    plant.check_customers();
}

#[test]
fn a_signal_right_after_the_start_ends_in_good_order() {
    let Some(plant) = Plant::set() else { return };
    plant.kafka.put(&plant.expect(2_000, 100, 2_000));
    for _ in 0..3 {
        let address = free_address();
        let mut command = plant.command("only");
        let process = Process::start(command.env("FLOCKWISE__HTTP__LISTEN", address.to_string()));
        eventually("it answers", || get(address, "/livez").is_some());
        process.terminate().expect(0, &[]);
    }
    let mut process = plant.start("only");
    plant.wait_for(2_000, &mut [&mut process]);
    plant.wait_until_drained();
    process.terminate().expect(0, &[]);
    plant.check_changes();
    plant.check_customers();
}

#[test]
fn what_is_wrong_at_the_start_is_said_with_its_exit_code() {
    let Some(plant) = Plant::set() else { return };
    let _ = plant.expect(2_000, 100, 2_000);
    let state = plant.path("only");
    let ended = run(plant
        .command("only")
        .env("FLOCKWISE__KAFKA__COMMIT_INTERVAL", "soon"));
    ended.expect(2, &["commit_interval", "soon"]);
    let ended = run(plant
        .command("only")
        .env("FLOCKWISE__STATE_PARTITIONS", "0"));
    ended.expect(2, &["state_partitions"]);

    let address = free_address();
    let listener = std::net::TcpListener::bind(address).expect("the port");
    let ended = run(plant
        .command("only")
        .env("FLOCKWISE__HTTP__LISTEN", address.to_string()));
    ended.expect(1, &[&address.to_string()]);
    drop(listener);

    let process = plant.start("only");
    eventually("it holds its state", || state.join("lock").exists());
    eventually("it runs", || process.stderr().contains("tasks assigned"));
    run(&mut plant.command("only")).expect(1, &["in use"]);
    process.terminate().expect(0, &[]);
    // The number of state partitions is fixed by now.
    let ended = run(plant
        .command("only")
        .env("FLOCKWISE__STATE_PARTITIONS", "7"));
    ended.expect(2, &["state_partitions is 7 and was 12"]);

    let text = fs::read_to_string(plant.path("run.toml")).expect("the configuration");
    let missing = text.replace(&plant.topics.inputs[0], "not-there");
    fs::write(plant.path("run.toml"), missing).expect("written");
    run(&mut plant.command("only")).expect(2, &["not-there"]);
}
