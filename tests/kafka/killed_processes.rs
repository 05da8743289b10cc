//! Processes of `flockwise run` on real Kafka are killed, paused and stopped. The output must equal that of a replay,
//! with each change once.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use flockwise_tests::eventually;
use flockwise_tests::kafka_pipeline::{KafkaPipeline, PARTITIONS};
use flockwise_tests::process::{Process, free_address, get, run};
use flockwise_tests::test_broker::TestBroker;

const EVENTS: u64 = 200_000;

#[test]
fn killed_instances_lose_and_double_nothing() {
    let Some(kafka_pipeline) = KafkaPipeline::create() else {
        return;
    };
    let records = kafka_pipeline.expect(EVENTS, 8_000, 40_000);
    let (backlog, rest) = records.split_at(records.len() * 6 / 10);
    let (middle, last) = rest.split_at(rest.len() / 2);
    let (mut first, mut second) = (
        kafka_pipeline.start("first"),
        kafka_pipeline.start("second"),
    );
    thread::scope(|scope| {
        // In small chunks, so that events are still to come when the process is killed.
        scope.spawn(|| {
            backlog
                .chunks(1_000)
                .for_each(|chunk| kafka_pipeline.kafka.put(chunk));
        });
        kafka_pipeline.wait_for(EVENTS / 10, &mut [&mut first, &mut second]);
        first.kill();
        let processed = kafka_pipeline.processed();
        assert!(
            processed < backlog.len() as u64,
            "killed after all events were processed"
        );
    });
    let mut first = kafka_pipeline.start("first");
    kafka_pipeline.kafka.put(middle);
    kafka_pipeline.wait_for(EVENTS * 6 / 10, &mut [&mut first, &mut second]);
    second.kill();
    // It stays down until the group assigns its tasks to the other process.
    kafka_pipeline.wait_for(EVENTS * 8 / 10, &mut [&mut first]);
    let mut second = kafka_pipeline.start("second");
    kafka_pipeline.kafka.put(last);
    kafka_pipeline.wait_for(EVENTS, &mut [&mut first, &mut second]);
    kafka_pipeline.wait_until_drained();
    first.terminate().expect(0, &[]);
    second.terminate().expect(0, &[]);
    kafka_pipeline.check_changes();
    kafka_pipeline.check_customers();
}

/// Starts an instance with standbys. Also returns its HTTP address.
fn start_with_standbys(kafka_pipeline: &KafkaPipeline, instance: &str) -> (Process, SocketAddr) {
    let address = free_address();
    let mut command = kafka_pipeline.command(instance);
    command.env("FLOCKWISE__STANDBYS", "1");
    command.env("FLOCKWISE__HTTP__LISTEN", address.to_string());
    (Process::start(&mut command), address)
}

/// A metric of an instance; 0 if the instance does not answer.
fn metric(address: SocketAddr, name: &str) -> u64 {
    let text = get(address, "/metrics").unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.map_or(0, |value| value.trim().parse().expect("a number"))
}

#[test]
fn what_was_kept_warm_is_taken_over_as_it_was() {
    let Some(kafka_pipeline) = KafkaPipeline::create() else {
        return;
    };
    let records = kafka_pipeline.expect(EVENTS, 8_000, 40_000);
    let (backlog, rest) = records.split_at(records.len() / 2);
    let (middle, last) = rest.split_at(rest.len() / 2);
    let (mut first, _) = start_with_standbys(&kafka_pipeline, "first");
    let (mut second, address) = start_with_standbys(&kafka_pipeline, "second");
    for instance in [&first, &second] {
        eventually("it has tasks", || {
            instance.stderr().contains("tasks assigned")
        });
    }
    kafka_pipeline.kafka.put(backlog);
    kafka_pipeline.wait_for(EVENTS / 2, &mut [&mut first, &mut second]);
    eventually("the second has standbys of the first's tasks", || {
        metric(address, "flockwise_standby_tasks") == u64::from(PARTITIONS / 2)
    });
    let before = metric(address, "flockwise_standby_takeovers_total");
    kafka_pipeline.kafka.put(middle);
    kafka_pipeline.wait_for(EVENTS / 2 + 1, &mut [&mut first, &mut second]);
    first.kill();
    kafka_pipeline.wait_for(EVENTS * 3 / 4, &mut [&mut second]);
    eventually("it has taken over standbys", || {
        metric(address, "flockwise_standby_takeovers_total") > before
    });
    let (mut first, restarted) = start_with_standbys(&kafka_pipeline, "first");
    kafka_pipeline.kafka.put(last);
    kafka_pipeline.wait_for(EVENTS, &mut [&mut first, &mut second]);
    kafka_pipeline.wait_until_drained();
    for instance in [address, restarted] {
        kafka_pipeline.check_segments(instance);
    }
    first.terminate().expect(0, &[]);
    second.terminate().expect(0, &["taken over from a standby"]);
    kafka_pipeline.check_changes();
    kafka_pipeline.check_customers();
}

#[test]
fn instances_come_and_go_while_events_flow_and_nothing_is_lost_or_doubled() {
    let Some(kafka_pipeline) = KafkaPipeline::create() else {
        return;
    };
    let records = kafka_pipeline.expect(EVENTS, 8_000, 40_000);
    let (mut first, _) = start_with_standbys(&kafka_pipeline, "first");
    eventually("it has tasks", || first.stderr().contains("tasks assigned"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for slice in records.chunks(records.len() / 200) {
                kafka_pipeline.kafka.put(slice);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        kafka_pipeline.wait_for(EVENTS / 10, &mut [&mut first]);
        let (mut second, second_address) = start_with_standbys(&kafka_pipeline, "second");
        let (mut third, third_address) = start_with_standbys(&kafka_pipeline, "third");
        for address in [second_address, third_address] {
            eventually("it has tasks", || {
                metric(address, "flockwise_events_total") > 0
            });
        }
        kafka_pipeline.wait_for(EVENTS * 5 / 10, &mut [&mut first, &mut second, &mut third]);
        second.terminate().expect(0, &[]);
        kafka_pipeline.wait_for(EVENTS * 6 / 10, &mut [&mut first, &mut third]);
        third.terminate().expect(0, &[]);
    });
    kafka_pipeline.wait_for(EVENTS, &mut [&mut first]);
    kafka_pipeline.wait_until_drained();
    first.terminate().expect(0, &[]);
    kafka_pipeline.check_changes();
    kafka_pipeline.check_customers();
}

/// Other instances take over its tasks while it is paused. It does not know that when it resumes.
#[test]
fn an_instance_that_was_frozen_loses_and_doubles_nothing() {
    let Some(kafka_pipeline) = KafkaPipeline::create() else {
        return;
    };
    let records = kafka_pipeline.expect(30_000, 1_000, 10_000);
    let (backlog, rest) = records.split_at(records.len() / 2);
    let (mut first, mut second) = (
        kafka_pipeline.start("first"),
        kafka_pipeline.start("second"),
    );
    for instance in [&first, &second] {
        eventually("it has tasks", || {
            instance.stderr().contains("tasks assigned")
        });
    }
    kafka_pipeline.kafka.put(backlog);
    kafka_pipeline.wait_for(1, &mut [&mut first, &mut second]);
    first.pause();
    // All of it, so the group has assigned the first's tasks to the second.
    kafka_pipeline.wait_for(backlog.len() as u64, &mut [&mut second]);
    first.resume();
    kafka_pipeline.kafka.put(rest);
    kafka_pipeline.wait_for(records.len() as u64, &mut [&mut first, &mut second]);
    kafka_pipeline.wait_until_drained();
    first.terminate().expect(0, &[]);
    second.terminate().expect(0, &[]);
    kafka_pipeline.check_changes();
    kafka_pipeline.check_customers();
}

#[test]
fn a_signal_right_after_the_start_ends_in_good_order() {
    let Some(kafka_pipeline) = KafkaPipeline::create() else {
        return;
    };
    kafka_pipeline
        .kafka
        .put(&kafka_pipeline.expect(2_000, 100, 2_000));
    for _ in 0..3 {
        let address = free_address();
        let mut command = kafka_pipeline.command("only");
        let process = Process::start(command.env("FLOCKWISE__HTTP__LISTEN", address.to_string()));
        eventually("it answers HTTP", || get(address, "/livez").is_some());
        process.terminate().expect(0, &[]);
    }
    let mut process = kafka_pipeline.start("only");
    kafka_pipeline.wait_for(2_000, &mut [&mut process]);
    kafka_pipeline.wait_until_drained();
    process.terminate().expect(0, &[]);
    kafka_pipeline.check_changes();
    kafka_pipeline.check_customers();
}

#[test]
fn what_is_wrong_at_the_start_is_said_with_its_exit_code() {
    let Some(kafka_pipeline) = KafkaPipeline::create() else {
        return;
    };
    let _ = kafka_pipeline.expect(2_000, 100, 2_000);
    let state = kafka_pipeline.path("only");
    let ended = run(kafka_pipeline
        .command("only")
        .env("FLOCKWISE__KAFKA__COMMIT_INTERVAL", "soon"));
    ended.expect(2, &["commit_interval", "soon"]);
    let ended = run(kafka_pipeline
        .command("only")
        .env("FLOCKWISE__STATE_PARTITIONS", "0"));
    ended.expect(2, &["state_partitions"]);

    let address = free_address();
    let listener = std::net::TcpListener::bind(address).expect("the port");
    let ended = run(kafka_pipeline
        .command("only")
        .env("FLOCKWISE__HTTP__LISTEN", address.to_string()));
    ended.expect(1, &[&address.to_string()]);
    drop(listener);

    let process = kafka_pipeline.start("only");
    eventually("it has locked its state directory", || {
        state.join("lock").exists()
    });
    eventually("it has tasks", || {
        process.stderr().contains("tasks assigned")
    });
    run(&mut kafka_pipeline.command("only")).expect(1, &["in use"]);
    process.terminate().expect(0, &[]);
    // The number of state partitions is fixed since the first start.
    let ended = run(kafka_pipeline
        .command("only")
        .env("FLOCKWISE__STATE_PARTITIONS", "7"));
    ended.expect(2, &["state_partitions is 7 and was 12"]);

    let text = fs::read_to_string(kafka_pipeline.path("run.toml")).expect("the configuration");
    let missing = text.replace(&kafka_pipeline.topics.inputs[0], "not-there");
    fs::write(kafka_pipeline.path("run.toml"), missing).expect("written");
    run(&mut kafka_pipeline.command("only")).expect(2, &["not-there"]);
}
