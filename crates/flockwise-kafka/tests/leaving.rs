//! Members with an identity that leave, on a real Apache Kafka. Skipped, with a word, where none is named.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flockwise_runtime::topics::Topics;
use support::{Shard, kafka, settings, topics};

const INPUTS: [u32; 1] = [4];

fn member(
    servers: &str,
    topics: &Topics,
    name: &str,
    hands_over: bool,
    properties: &[(&str, &str)],
) -> Shard {
    let mut settings = settings(servers, topics, name);
    settings.member_id = Some(format!("{}-{name}", topics.app));
    settings.hands_over = hands_over;
    for (key, value) in properties {
        settings.properties.insert((*key).into(), (*value).into());
    }
    Shard::connect(settings, topics, &INPUTS)
}

/// How long it takes from one member's leaving until the other has all four tasks.
fn time_to_take_over(hands_over: bool, properties: &[(&str, &str)]) -> Option<Duration> {
    let servers = kafka()?;
    let topics = topics(&servers, 4, &INPUTS);
    let (is_shared, has_left) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let stays = scope.spawn(|| {
            let mut shard = member(&servers, &topics, "stays", hands_over, properties);
            shard.run_until(|_| is_shared.load(Ordering::Relaxed));
            shard.run_until(|shard| shard.tasks.len() == 4);
            let taken_over = Instant::now();
            // The one that left is a member still, and comes to nobody's mind when it is one no more.
            shard.run_until(|_| has_left.load(Ordering::Relaxed));
            shard.leave();
            taken_over
        });
        let mut shard = member(&servers, &topics, "leaves", hands_over, properties);
        shard.run_until(|shard| shard.tasks.len() == 2);
        is_shared.store(true, Ordering::Relaxed);
        let start = Instant::now();
        shard.leave();
        drop(shard);
        has_left.store(true, Ordering::Relaxed);
        Some(stays.join().expect("the other") - start)
    })
}

#[test]
fn one_that_hands_over_is_not_waited_for_eager() {
    one_that_hands_over_is_not_waited_for(&[]);
}

#[test]
fn one_that_hands_over_is_not_waited_for_cooperative() {
    one_that_hands_over_is_not_waited_for(&[(
        "partition.assignment.strategy",
        "cooperative-sticky",
    )]);
}

fn one_that_hands_over_is_not_waited_for(properties: &[(&str, &str)]) {
    let Some(took) = time_to_take_over(true, properties) else {
        return;
    };
    eprintln!("{properties:?}: {took:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn one_that_may_be_back_is_waited_for() {
    let Some(took) = time_to_take_over(false, &[]) else {
        return;
    };
    assert!(took > Duration::from_secs(4), "{took:?}");
}
