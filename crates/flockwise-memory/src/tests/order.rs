use super::*;

/// Appends a thousand records to two inputs of six partitions, in pseudorandom order.
fn fill(broker: &MemoryBroker) {
    for n in 0..1000_u32 {
        let mixed = n.wrapping_mul(2_654_435_761) >> 16;
        let topic = Topic::Input(u16::from(mixed & 1 == 1));
        broker.append(topic, mixed % 6, i64::from(n), None, Some(b"{}"));
    }
}

/// The records that each task has seen, in order.
fn orders(workers: &[TestMember]) -> Vec<Vec<(TopicPartition, i64)>> {
    let seen_by_task = |task| {
        let logs = workers.iter().flat_map(|worker| &worker.log);
        logs.filter(|(topic_partition, _)| topic_partition.partition == task)
            .copied()
            .collect()
    };
    (0..6).map(seen_by_task).collect()
}

#[test]
fn every_task_sees_the_same_order_whatever_the_number_of_members_and_the_batches() {
    let names = ["a", "b", "c", "d"];
    let seen = |members: usize, limit: usize| {
        let broker = broker(6);
        fill(&broker);
        let mut workers: Vec<TestMember> = names[..members]
            .iter()
            .map(|name| TestMember::join(&broker, name))
            .collect();
        while !broker.is_drained() {
            for worker in &mut workers {
                worker.turn(limit);
            }
        }
        orders(&workers)
    };
    let alone = seen(1, 1000);
    assert_eq!(alone.iter().map(Vec::len).sum::<usize>(), 1000);
    for (members, limit) in [(1, 1), (2, 7), (3, 64), (4, 1000)] {
        assert_eq!(
            seen(members, limit),
            alone,
            "{members} members, {limit} a poll"
        );
    }
}

#[test]
fn one_member_sees_the_order_of_appending() {
    let broker = broker(6);
    let mut worker = TestMember::join(&broker, "a");
    worker.turn(1);
    fill(&broker);
    let mut batch = Batch::default();
    worker
        .worker
        .poll(Duration::ZERO, 1000, &mut batch)
        .unwrap();
    let appended = batch.records().map(|record| record.timestamp_ms);
    assert!(appended.eq(0..1000));
}

#[test]
fn reading_starts_where_it_is_told() {
    let broker = broker(1);
    let clicks = topic_partition(Topic::Input(0), 0);
    for n in 0..10 {
        broker.append(Topic::Input(0), 0, n * 100, None, Some(b"{}"));
    }
    let mut worker = broker.worker("a");
    assert!(matches!(poll(&mut worker), WorkerEvent::Assigned(_)));
    let cases = [
        (Start::Earliest, 0),
        (Start::Offset(4), 4),
        (Start::Time(250), 3),
        (Start::Time(901), 10),
        (Start::Latest, 10),
    ];
    for (start, expected) in cases {
        worker.open(&[(clicks, start)]).unwrap();
        let mut batch = Batch::default();
        worker.poll(Duration::ZERO, 100, &mut batch).unwrap();
        let offsets = batch.records().map(|record| record.offset);
        assert!(offsets.eq(expected..10), "{start:?}");
    }
}
