use super::*;

#[test]
fn an_open_transaction_holds_readers_back_until_it_ends() {
    let (broker, _) = cluster(true);
    let (mut one, mut two) = (broker.worker("one"), broker.worker("two"));
    send(&mut one, "first");
    send(&mut two, "second");
    two.commit(&[]).unwrap();
    assert_eq!(replayed(&mut two), (Replayed::Held(0), vec![]));
    assert!(values(&broker).is_empty());
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
