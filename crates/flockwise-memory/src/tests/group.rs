use super::*;
use flockwise_runtime::broker::Failure;
use std::thread;

/// Fails if two workers own the same partition.
fn check_owners(workers: &[TestMember]) {
    let mut owners = BTreeSet::new();
    for worker in workers {
        for owned in &worker.owned {
            assert!(owners.insert(*owned), "{owned:?} has two owners");
        }
    }
}

fn owned(worker: &TestMember) -> Vec<u32> {
    let topic_partitions = worker.owned.iter();
    let repartition =
        topic_partitions.filter(|topic_partition| topic_partition.topic == Topic::Repartition);
    repartition
        .map(|topic_partition| topic_partition.partition)
        .collect()
}

#[test]
fn three_members_come_and_go_and_no_partition_has_two_owners() {
    let broker = broker(7);
    let mut workers = vec![TestMember::join(&broker, "a")];
    for round in 0..60 {
        match round {
            10 => workers.push(TestMember::join(&broker, "b")),
            // In the middle of the rebalance that the join before has started.
            11 => workers.push(TestMember::join(&broker, "c")),
            30 => drop(workers.remove(1)),
            31 => workers.push(TestMember::join(&broker, "b")),
            _ => {}
        }
        // Poll the members unevenly, so that they are at different stages.
        let count = workers.len();
        workers[round * 7 % count].turn(2);
        check_owners(&workers);
    }
    settle(&mut workers);
    check_owners(&workers);
    assert_eq!(owned(&workers[0]), [0, 1, 2]);
    assert_eq!(owned(&workers[1]), [5, 6]);
    assert_eq!(owned(&workers[2]), [3, 4]);
    assert!(
        workers[0]
            .owned
            .contains(&topic_partition(Topic::Samples, 0))
    );
}

#[test]
fn whoever_leaves_hands_over_first() {
    let broker = broker(2);
    let mut workers = [
        TestMember::join(&broker, "a"),
        TestMember::join(&broker, "b"),
    ];
    settle(&mut workers);
    assert!(!workers[0].worker.leave());
    assert_eq!(workers[1].turn(1), WorkerEvent::Idle);
    assert!(matches!(workers[0].turn(1), WorkerEvent::Revoked(_)));
    assert!(workers[0].worker.leave());
    settle(&mut workers);
    assert_eq!(owned(&workers[1]), [0, 1]);
    assert!(workers[0].owned.is_empty());
}

#[test]
fn more_members_than_partitions_have_an_empty_assignment() {
    let broker = broker(1);
    let mut workers = ["a", "b", "c"].map(|name| TestMember::join(&broker, name));
    assert_eq!(workers[2].turn(1), WorkerEvent::Assigned(Vec::new()));
    assert!(workers[2].worker.leave());
    settle(&mut workers);
    assert_eq!(owned(&workers[0]), [0]);
}

#[test]
fn nothing_is_read_between_revocation_and_the_answer_to_the_next_assignment() {
    let broker = broker(2);
    let mut first = TestMember::join(&broker, "a");
    first.turn(1);
    broker.append(Topic::Input(0), 0, 0, None, Some(b"{}"));
    let mut second = TestMember::join(&broker, "b");
    assert!(matches!(poll(&mut first.worker), WorkerEvent::Revoked(_)));
    assert_eq!(poll(&mut first.worker), WorkerEvent::Idle);
    assert_eq!(second.turn(1), WorkerEvent::Idle);
    // The inputs stay open while the partitions that the group assigns are revoked.
    first
        .worker
        .close(&[0, 1].map(|p| topic_partition(Topic::Repartition, p)))
        .unwrap();
    assert_eq!(second.turn(1), WorkerEvent::Idle);
    first
        .worker
        .close(&[topic_partition(Topic::Samples, 0)])
        .unwrap();
    assert!(matches!(second.turn(1), WorkerEvent::Assigned(_)));
    assert!(matches!(poll(&mut first.worker), WorkerEvent::Assigned(_)));
    assert_eq!(poll(&mut first.worker), WorkerEvent::Idle);
    first.worker.open(&[]).unwrap();
    assert_eq!(poll(&mut first.worker), WorkerEvent::Records);
}

#[test]
fn an_expelled_member_cannot_commit_loses_all_and_comes_back() {
    let broker = broker(2);
    broker.append(Topic::Input(0), 0, 0, None, Some(b"{}"));
    let mut workers = [
        TestMember::join(&broker, "a"),
        TestMember::join(&broker, "b"),
    ];
    settle(&mut workers);
    broker.expel("a");
    // The group does not wait for the expelled member.
    assert!(matches!(workers[1].turn(1), WorkerEvent::Revoked(_)));
    assert!(matches!(workers[1].turn(1), WorkerEvent::Assigned(_)));
    assert_eq!(owned(&workers[1]), [0, 1]);

    let worker = &mut workers[0].worker;
    worker
        .send(outgoing(Topic::Changelog, 0, "anna", "void"))
        .unwrap();
    let refused = worker.commit(&[(topic_partition(Topic::Input(0), 0), 1)]);
    assert!(matches!(refused, Err(Failure::Abort(_))));
    worker.abort().unwrap();
    assert!(matches!(workers[0].turn(1), WorkerEvent::Lost(_)));
    settle(&mut workers);
    assert_eq!((owned(&workers[0]), owned(&workers[1])), (vec![0], vec![1]));
    assert!(values(&broker, Topic::Changelog, 0).is_empty());
}

#[test]
fn a_patient_poll_wakes_for_a_record() {
    let broker = broker(1);
    let mut worker = TestMember::join(&broker, "a");
    worker.turn(1);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            broker.append(Topic::Input(1), 0, 0, None, Some(b"{}"));
        });
        let patience = Duration::from_secs(60);
        let turn = worker.worker.poll(patience, 1, &mut Batch::default());
        assert_eq!(turn.unwrap(), WorkerEvent::Records);
    });
    let patience = Duration::from_millis(5);
    let turn = worker.worker.poll(patience, 1, &mut Batch::default());
    assert_eq!(turn.unwrap(), WorkerEvent::Idle);
}
