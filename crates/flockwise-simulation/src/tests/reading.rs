use super::*;

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
fn a_follower_reads_committed_records_as_they_come() {
    let (broker, _) = cluster(true);
    let mut worker = broker.worker("one");
    let mut follower = broker.follower();
    follower.follow(&[(CHANGELOG, None)]).unwrap();
    let mut batch = Batch::default();
    let mut read = |follower: &mut SimulatedFollower, limit| {
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
