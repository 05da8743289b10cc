mod support;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use flockwise_runtime::topics::Topic;
use support::*;
#[test]
fn outage() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 4, &[8]);
    let seconds: u64 = std::env::var("SECONDS").expect("s").parse().expect("n");
    let stop = AtomicBool::new(false);
    let mut total = 0;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            let mut s = settings(&servers, &topics, "a");
            s.member_id = Some("a".into());
            let mut shard = Shard::connect(s, &topics, &[8]);
            let mut latest = Instant::now();
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                if let Err(e) = shard.turn(Duration::from_millis(50)) { eprintln!("TURN {e}"); return; }
                if shard.handled > n { if latest.elapsed() > Duration::from_millis(1500) { eprintln!("gap {:?}", latest.elapsed()); } latest = Instant::now(); n = shard.handled; }
            }
            eprintln!("{:?} {:?}", shard.aborts, shard.rebalances);
        });
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(seconds) {
            put(&servers, &topics.inputs[0], 8, (0..200).map(|n| n.to_string()));
            total += 200;
            std::thread::sleep(Duration::from_millis(20));
        }
        let name = topics.name(Topic::SegmentChanges);
        let start = Instant::now();
        while everything(&servers, &name, 4, "read_committed").len() < total {
            assert!(start.elapsed() < Duration::from_secs(100), "some are missing");
            std::thread::sleep(Duration::from_millis(200));
        }
        eprintln!("all there after {:?}", start.elapsed());
        stop.store(true, Ordering::Relaxed);
        first.join().expect("first");
    });
    let out = everything(&servers, &topics.name(Topic::SegmentChanges), 4, "read_committed");
    let different: BTreeSet<_> = out.iter().map(|(key, _)| key).collect();
    eprintln!("{} {} {total}", out.len(), different.len());
    assert_eq!((out.len(), different.len()), (total, total));
}
