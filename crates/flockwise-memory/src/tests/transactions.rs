use super::*;
use flockwise_runtime::broker::{Failure, ORIGIN_HEADER};

use flockwise_runtime::clock::Clock;

#[test]
fn what_is_sent_is_seen_once_it_is_committed_and_all_at_once() {
    let broker = broker(2);
    let mut worker = broker.worker("a");
    worker
        .send(outgoing(Topic::SegmentChanges, 0, "anna", "one"))
        .unwrap();
    worker
        .send(outgoing(Topic::SegmentChanges, 1, "bert", "two"))
        .unwrap();
    assert!(values(&broker, Topic::SegmentChanges, 0).is_empty());

    worker.commit(&[]).unwrap();
    assert_eq!(values(&broker, Topic::SegmentChanges, 0), ["one"]);
    assert_eq!(values(&broker, Topic::SegmentChanges, 1), ["two"]);

    worker.commit(&[]).unwrap();
    assert_eq!(values(&broker, Topic::SegmentChanges, 0), ["one"]);
}

#[test]
fn what_is_aborted_is_never_seen() {
    let broker = broker(1);
    let mut worker = broker.worker("a");
    worker
        .send(outgoing(Topic::SegmentChanges, 0, "anna", "void"))
        .unwrap();
    worker.abort().unwrap();
    worker
        .send(outgoing(Topic::SegmentChanges, 0, "anna", "good"))
        .unwrap();
    worker.commit(&[]).unwrap();
    assert_eq!(values(&broker, Topic::SegmentChanges, 0), ["good"]);
}

#[test]
fn what_a_dropped_shard_had_open_is_never_seen() {
    let broker = broker(1);
    let mut worker = broker.worker("a");
    worker
        .send(outgoing(Topic::SegmentChanges, 0, "anna", "void"))
        .unwrap();
    drop(worker);
    broker.worker("a").commit(&[]).unwrap();
    assert!(values(&broker, Topic::SegmentChanges, 0).is_empty());
}

#[test]
fn a_second_shard_of_a_name_fences_the_first() {
    let broker = broker(1);
    let mut old = broker.worker("a");
    assert!(matches!(poll(&mut old), WorkerEvent::Assigned(_)));
    old.send(outgoing(Topic::Changelog, 0, "anna", "old"))
        .unwrap();

    let mut new = broker.worker("a");
    let fenced = |outcome: Result<(), Failure>| matches!(outcome, Err(Failure::Fenced(_)));
    assert!(fenced(old.commit(&[])));
    assert!(fenced(old.abort()));
    assert!(fenced(old.close(&[])));
    let polled = old.poll(Duration::ZERO, 1, &mut Batch::default());
    assert!(fenced(polled.map(|_| ())));
    assert!(old.leave());

    assert!(matches!(poll(&mut new), WorkerEvent::Assigned(_)));
    drop(old);
    new.send(outgoing(Topic::Changelog, 0, "anna", "new"))
        .unwrap();
    new.commit(&[]).unwrap();
    assert_eq!(values(&broker, Topic::Changelog, 0), ["new"]);
}

#[test]
fn positions_are_committed_with_the_records() {
    let broker = broker(1);
    for _ in 0..3 {
        broker.append(Topic::Input(0), 0, 7, Some(b"anna"), Some(b"{}"));
    }
    let mut worker = broker.worker("a");
    assert!(matches!(poll(&mut worker), WorkerEvent::Assigned(_)));
    let clicks = topic_partition(Topic::Input(0), 0);
    worker.open(&[(clicks, Start::Earliest)]).unwrap();
    assert_eq!(poll(&mut worker), WorkerEvent::Records);
    assert_eq!((worker.lag(clicks), broker.backlog()), (Some(0), 3));

    worker.commit(&[(clicks, 2)]).unwrap();
    assert_eq!(broker.committed(Topic::Input(0), 0), Some(2));
    assert!(!broker.is_drained() && !broker.wait_for_backlog(0, Duration::ZERO));
    assert!(broker.wait_for_backlog(1, Duration::MAX));
    worker.commit(&[(clicks, 3)]).unwrap();
    assert!(broker.is_drained());
}

#[test]
fn a_record_comes_as_it_was_sent() {
    let broker = broker(1);
    let mut worker = broker.worker("a");
    let headers: &[(&str, &[u8])] = &[("other", b"x"), (ORIGIN_HEADER, b"clicks/3/912")];
    let mut record = outgoing(Topic::Repartition, 0, "anna", "");
    record.headers = headers;
    let before_ms = Clock::System.wall_ms();
    worker.send(record).unwrap();
    record.value = None;
    record.key = None;
    record.headers = &[];
    worker.send(record).unwrap();
    worker.commit(&[]).unwrap();

    assert!(matches!(poll(&mut worker), WorkerEvent::Assigned(_)));
    let repartition = topic_partition(Topic::Repartition, 0);
    worker.open(&[(repartition, Start::Offset(0))]).unwrap();
    let mut batch = Batch::default();
    worker.poll(Duration::ZERO, 9, &mut batch).unwrap();
    let records: Vec<_> = batch.records().collect();
    assert_eq!(records[0].key, Some(b"anna".as_slice()));
    assert_eq!(records[0].value, Some(b"".as_slice()));
    assert_eq!(records[0].origin, Some(b"clicks/3/912".as_slice()));
    assert_eq!(records[0].offset, 0);
    assert!((before_ms..=Clock::System.wall_ms()).contains(&records[0].timestamp_ms));
    assert_eq!((records[1].key, records[1].value), (None, None));
    assert_eq!(records[1].origin, None);

    let read = broker.read(Topic::Repartition, 0, 0);
    assert_eq!(read[0].headers[0], ("other".to_owned(), b"x".to_vec()));
    assert_eq!(read[0].headers[1].0, ORIGIN_HEADER);
    let mut replayed = 0;
    worker
        .replay(repartition, None, &mut |_| replayed += 1)
        .unwrap();
    assert_eq!(replayed, 2);
}

#[test]
fn what_is_not_there_is_said() {
    let broker = broker(1);
    let mut worker = broker.worker("a");
    let is_config = |outcome| matches!(outcome, Err(Failure::Config(_)));
    let clicks = topic_partition(Topic::Input(0), 0);
    assert!(is_config(worker.send(outgoing(
        Topic::Changelog,
        9,
        "anna",
        "x"
    ))));
    assert!(is_config(
        worker.commit(&[(topic_partition(Topic::Input(7), 0), 1)])
    ));
    assert!(is_config(worker.open(&[(clicks, Start::Offset(1))])));
    let mut keyless = outgoing(Topic::Changelog, 0, "", "x");
    keyless.key = None;
    assert!(is_config(worker.send(keyless)));
    assert_eq!(worker.partitions(Topic::Input(1)).unwrap(), 1);
    assert_eq!(worker.lag(clicks), None);
}
