use super::*;

const VALUE: [u8; 500] = [b'x'; 500];

#[test]
fn a_compacted_topic_keeps_the_last_record_of_every_key() {
    let broker = broker(1);
    for n in 0..100_000_u32 {
        let key = (n % 100).to_le_bytes();
        broker.append(Topic::Changelog, 0, i64::from(n), Some(&key), Some(&VALUE));
    }
    assert!(
        broker.bytes() < 5_000_000,
        "{} bytes are held",
        broker.bytes()
    );
    let mut last = std::collections::BTreeMap::new();
    let mut offset_before = -1;
    let mut worker = broker.worker("a");
    worker
        .replay(topic_partition(Topic::Changelog, 0), None, &mut |record| {
            assert!(record.offset > offset_before);
            offset_before = record.offset;
            last.insert(record.key.unwrap().to_vec(), record.timestamp_ms);
        })
        .unwrap();
    assert_eq!(last.len(), 100);
    assert!(last.values().all(|timestamp| *timestamp >= 99_900));
    assert_eq!(
        broker.append(Topic::Changelog, 0, 0, Some(b"k"), None),
        100_000
    );
}

#[test]
fn a_tombstone_goes_with_its_key_in_the_end() {
    let broker = broker(1);
    broker.append(Topic::Changelog, 0, 0, Some(b"gone"), Some(b"here"));
    broker.append(Topic::Changelog, 0, 0, Some(b"gone"), None);
    for n in 0..50_000 {
        broker.append(Topic::Changelog, 0, n, Some(b"other"), Some(&VALUE));
    }
    let records = broker.read(Topic::Changelog, 0, 0);
    let is_gone = |record: &crate::CommittedRecord| record.key.as_deref() == Some(b"gone");
    assert!(!records.iter().any(is_gone));
    assert_eq!(
        records.last().map(|record| record.timestamp_ms),
        Some(49_999)
    );
}

#[test]
fn a_long_replay_needs_little_memory() {
    let broker = broker(4);
    let mut worker = TestMember::join(&broker, "a");
    worker.turn(1);
    let mut largest = 0;
    for n in 0..200_000_u32 {
        broker.append(Topic::Input(0), n % 4, 0, None, Some(&VALUE));
        if n % 1000 == 999 {
            worker.turn(1000);
            worker.log.clear();
            largest = largest.max(broker.bytes());
        }
    }
    assert!(broker.is_drained());
    assert!(largest < 4 * 1024 * 1024, "{largest} bytes were held");
    assert_eq!(broker.committed(Topic::Input(0), 3), Some(50_000));
}

#[test]
fn what_nobody_has_committed_stays() {
    let broker = broker(1);
    for _ in 0..5000 {
        broker.append(Topic::Input(0), 0, 0, None, Some(&VALUE));
        broker.append(Topic::SegmentChanges, 0, 0, None, Some(&VALUE));
    }
    assert_eq!(broker.read(Topic::Input(0), 0, 0).len(), 5000);
    broker.forget(Topic::SegmentChanges, 0, 5000);
    assert!(broker.read(Topic::SegmentChanges, 0, 0).is_empty());
    assert_eq!(broker.append(Topic::SegmentChanges, 0, 0, None, None), 5000);
    assert_eq!(broker.read(Topic::SegmentChanges, 0, 0)[0].offset, 5000);
}

#[test]
fn mini_batches_are_kept_for_the_next_trainer_within_bounds() {
    let broker = broker(1);
    let mut worker = TestMember::join(&broker, "a");
    worker.turn(1);
    let put = |worker: &mut TestMember, count: u32| {
        for _ in 0..count {
            broker.append(Topic::Samples, 0, 0, None, Some(&VALUE));
        }
        while !broker.is_drained() {
            worker.turn(5000);
        }
        worker.log.clear();
    };
    put(&mut worker, 5_000);
    assert_eq!(broker.read(Topic::Samples, 0, 0).len(), 5_000);
    put(&mut worker, 60_000);
    assert!(
        broker.bytes() < 20_000_000,
        "{} bytes are held",
        broker.bytes()
    );
    let kept = broker.read(Topic::Samples, 0, 0);
    assert!(kept[0].offset > 0);
    let reads = [(topic_partition(Topic::Samples, 0), Start::Offset(0))];
    worker.worker.open(&reads).unwrap();
    worker.turn(1);
    assert_eq!(worker.log.len(), 1);
}
