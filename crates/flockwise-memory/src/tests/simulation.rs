use super::*;
use crate::Conditions;
use flockwise_runtime::broker::{Failure, Follower, Replayed};
use flockwise_runtime::clock::Clock;

const CHANGELOG: TopicPartition = TopicPartition {
    topic: Topic::Changelog,
    partition: 0,
};
const CLICKS: TopicPartition = TopicPartition {
    topic: Topic::Input(0),
    partition: 0,
};

/// A cluster whose polls never return nothing at random, so that tests are exact. Timeouts are whole seconds.
fn cluster(is_static: bool) -> (MemoryBroker, Clock) {
    let clock = Clock::simulated(1_000_000);
    let conditions = Conditions {
        clock: clock.clone(),
        seed: 1,
        session: Duration::from_secs(10),
        transaction: Duration::from_secs(5),
        tombstones: Duration::from_secs(60),
        is_static,
        idle_percent: 0,
        most_records: 1_000,
    };
    (broker(2).simulated(conditions), clock)
}

fn seconds(clock: &Clock, seconds: u64) {
    clock.advance(Duration::from_secs(seconds));
}

fn send(worker: &mut MemoryClient, value: &str) {
    worker
        .send(outgoing(Topic::Changelog, 0, "anna", value))
        .unwrap();
}

fn replayed(worker: &mut MemoryClient) -> (Replayed, Vec<String>) {
    let mut values = Vec::new();
    let end = worker.replay(CHANGELOG, None, &mut |record| {
        values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
    });
    (end.unwrap(), values)
}

fn is_fatal(outcome: Result<(), Failure>) -> bool {
    matches!(outcome, Err(Failure::Fatal(_) | Failure::Fenced(_)))
}

#[test]
fn an_open_transaction_holds_readers_back_until_it_ends() {
    let (broker, _) = cluster(true);
    let (mut one, mut two) = (broker.worker("one"), broker.worker("two"));
    send(&mut one, "first");
    send(&mut two, "second");
    two.commit(&[]).unwrap();
    assert_eq!(replayed(&mut two), (Replayed::Held(0), vec![]));
    assert!(values(&broker, Topic::Changelog, 0).is_empty());
    assert_eq!(two.end_offsets(&[CHANGELOG]).unwrap(), [3]);
    one.commit(&[]).unwrap();
    // Two records and two control records.
    let both = vec!["first".to_owned(), "second".to_owned()];
    assert_eq!(replayed(&mut two), (Replayed::Whole(4), both));
}

#[test]
fn what_is_aborted_takes_offsets_and_is_never_seen() {
    let (broker, _) = cluster(true);
    let mut worker = broker.worker("one");
    send(&mut worker, "void");
    worker.abort().unwrap();
    send(&mut worker, "good");
    worker.commit(&[]).unwrap();
    assert_eq!(broker.read(Topic::Changelog, 0, 0)[0].offset, 2);
    let good = vec!["good".to_owned()];
    assert_eq!(replayed(&mut worker), (Replayed::Whole(4), good));
    let gone = worker.replay(CHANGELOG, Some(5), &mut |_| {});
    assert_eq!(gone.unwrap(), Replayed::Gone);
}

#[test]
fn eviction_ends_a_transaction_and_fences_its_owner() {
    let (broker, _) = cluster(true);
    let (mut zombie, mut next) = (broker.worker("zombie"), broker.worker("next"));
    send(&mut zombie, "void");
    zombie.send_offsets(&[]).unwrap();
    assert_eq!(replayed(&mut next).0, Replayed::Held(0));
    next.fence("zombie").unwrap();
    assert_eq!(replayed(&mut next), (Replayed::Whole(2), vec![]));
    assert!(is_fatal(zombie.end_commit()));
    assert!(is_fatal(zombie.abort()));
}

#[test]
fn a_transaction_is_aborted_once_it_is_overdue() {
    let (broker, clock) = cluster(true);
    let (mut slow, mut next) = (broker.worker("slow"), broker.worker("next"));
    send(&mut slow, "void");
    seconds(&clock, 5);
    assert_eq!(replayed(&mut next).0, Replayed::Held(0));
    seconds(&clock, 1);
    assert_eq!(replayed(&mut next).0, Replayed::Whole(2));
    assert!(is_fatal(slow.commit(&[])));
}

#[test]
fn whoever_is_left_behind_between_the_phases_commits_all_the_same() {
    let (broker, clock) = cluster(true);
    broker.append(Topic::Input(0), 0, 0, None, Some(b"{}"));
    let mut one = broker.worker("one");
    assert!(matches!(poll(&mut one), WorkerEvent::Assigned(_)));
    seconds(&clock, 8);
    send(&mut one, "kept");
    one.send_offsets(&[(CLICKS, 1)]).unwrap();
    seconds(&clock, 3);
    let mut two = broker.worker("two");
    assert!(matches!(poll(&mut two), WorkerEvent::Assigned(_)));
    one.end_commit().unwrap();
    assert_eq!(broker.committed(Topic::Input(0), 0), Some(1));
    // The next commit fails.
    send(&mut one, "void");
    let refused = one.commit(&[(CLICKS, 1)]);
    assert!(matches!(refused, Err(Failure::Abort(_))));
    broker.expire_offsets();
    assert_eq!(broker.committed(Topic::Input(0), 0), None);
}

#[test]
fn who_comes_back_in_time_takes_its_own_place() {
    for is_static in [true, false] {
        let (broker, _) = cluster(is_static);
        let (mut one, mut two) = (broker.worker("one"), broker.worker("two"));
        assert!(matches!(poll(&mut one), WorkerEvent::Assigned(_)));
        one.open(&[]).unwrap();
        assert!(matches!(poll(&mut two), WorkerEvent::Assigned(_)));
        two.open(&[]).unwrap();
        drop(two);
        let mut two = broker.worker("two");
        let is_asked = matches!(poll(&mut one), WorkerEvent::Revoked(_));
        assert_ne!(is_asked, is_static);
        assert_eq!(
            matches!(poll(&mut two), WorkerEvent::Assigned(_)),
            is_static
        );
    }
}

#[test]
fn who_is_silent_for_too_long_is_put_out() {
    let (broker, clock) = cluster(true);
    let (mut one, two) = (broker.worker("one"), broker.worker("two"));
    assert!(matches!(poll(&mut one), WorkerEvent::Assigned(_)));
    drop(two);
    seconds(&clock, 6);
    assert_eq!(poll(&mut one), WorkerEvent::Idle);
    seconds(&clock, 6);
    let WorkerEvent::Revoked(sources) = poll(&mut one) else {
        panic!("expected a revocation");
    };
    one.close(&sources).unwrap();
    let WorkerEvent::Assigned(sources) = poll(&mut one) else {
        panic!("expected an assignment: the group waits for no member");
    };
    assert_eq!(sources.len(), 3);
}

#[test]
fn positions_pass_what_nobody_will_read() {
    let (broker, _) = cluster(true);
    let mut worker = broker.worker("one");
    assert!(matches!(poll(&mut worker), WorkerEvent::Assigned(_)));
    broker.append(Topic::Input(0), 0, 0, None, Some(b"{}"));
    broker.skip_offsets(Topic::Input(0), 0, 3);
    worker.open(&[(CLICKS, Start::Earliest)]).unwrap();
    while poll(&mut worker) != WorkerEvent::Records {}
    let mut position = || worker.position(CLICKS);
    let known = std::iter::repeat_with(&mut position).flatten().next();
    assert_eq!(known, Some(4));
    assert_eq!(worker.lag(CLICKS), Some(0));
    broker.remove(Topic::Input(0), 0, 4);
    assert!(broker.read(Topic::Input(0), 0, 0).is_empty());
}

#[test]
fn partitions_that_are_not_shown_yet_are_not_there() {
    let (broker, _) = cluster(true);
    let mut worker = broker.worker("one");
    broker.show_partitions(Topic::Input(1), 1);
    assert_eq!(worker.partitions(Topic::Input(1)).unwrap(), 1);
    broker.show_partitions(Topic::Input(1), 2);
    assert_eq!(worker.partitions(Topic::Input(1)).unwrap(), 2);
}

#[test]
fn compaction_spares_what_may_yet_come_to_nothing() {
    let (broker, _) = cluster(true);
    let (mut one, mut two) = (broker.worker("one"), broker.worker("two"));
    send(&mut one, "old");
    one.commit(&[]).unwrap();
    send(&mut one, "new");
    one.commit(&[]).unwrap();
    send(&mut two, "void");
    broker.compact();
    assert_eq!(values(&broker, Topic::Changelog, 0), ["new"]);
    two.abort().unwrap();
    broker.compact();
    assert_eq!(values(&broker, Topic::Changelog, 0), ["new"]);
}

#[test]
fn compaction_leaves_a_tombstone_for_a_while() {
    let (broker, clock) = cluster(true);
    let count = || broker.read(Topic::Changelog, 0, 0).len();
    let key: Option<&[u8]> = Some(b"anna");
    broker.append(Topic::Changelog, 0, 0, key, Some(b"here"));
    broker.append(Topic::Changelog, 0, 0, key, None);
    broker.compact();
    assert_eq!(count(), 1, "the first run sees the tombstone");
    seconds(&clock, 59);
    broker.compact();
    assert_eq!(count(), 1, "it stays for a minute");
    seconds(&clock, 1);
    broker.compact();
    assert_eq!(count(), 0);
}

#[test]
fn a_follower_reads_committed_records_as_they_come() {
    let (broker, _) = cluster(true);
    let mut worker = broker.worker("one");
    let mut follower = broker.follower();
    follower.follow(&[(CHANGELOG, None)]).unwrap();
    let mut batch = Batch::default();
    let mut read = |follower: &mut crate::MemoryFollower, limit| {
        follower.poll(Duration::ZERO, limit, &mut batch).unwrap();
        batch.len()
    };
    send(&mut worker, "one");
    send(&mut worker, "two");
    assert_eq!(read(&mut follower, 9), 0);
    worker.commit(&[]).unwrap();
    assert_eq!(read(&mut follower, 1), 1);
    follower
        .follow(&[(CHANGELOG, None), (CLICKS, None)])
        .unwrap();
    assert_eq!(read(&mut follower, 9), 1);
    follower.follow(&[(CHANGELOG, Some(0))]).unwrap();
    assert_eq!(read(&mut follower, 9), 0);
}
