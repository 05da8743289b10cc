use super::*;

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
    let WorkerEvent::Revoked(topic_partitions) = poll(&mut one) else {
        panic!("expected a revocation");
    };
    one.close(&topic_partitions).unwrap();
    let WorkerEvent::Assigned(topic_partitions) = poll(&mut one) else {
        panic!("expected an assignment: the group waits for no member");
    };
    assert_eq!(topic_partitions.len(), 3);
}
