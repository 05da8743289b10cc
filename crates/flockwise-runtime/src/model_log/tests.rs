//! What the log keeps and decodes of a long model topic.

use flockwise_codec::model::encode_publication;
use flockwise_core::feature::Feature;
use flockwise_core::publication::Publication;
use flockwise_core::segmentation::{Scaler, Segment, Segmentation};

use super::*;

fn plan() -> Plan {
    Plan::compile(&[Feature::count("f0")])
}

fn record(version: u64, is_held: bool) -> Vec<u8> {
    let scaler = Scaler {
        means: vec![0.0],
        variances: vec![1.0],
        weight: 1.0,
    };
    let segments = vec![Segment::new(1, vec![version as f64])];
    let parts = ModelVersion {
        version,
        ..ModelVersion::hand_made(vec!["f0".to_owned()], Segmentation::new(scaler, segments))
    };
    let publication = Publication {
        is_held,
        ..Publication::live(parts)
    };
    let to = version as i64;
    encode_publication(&publication, Some(to - 1..to))
}

fn log(versions: impl IntoIterator<Item = (u64, bool)>) -> ModelLog {
    let mut log = ModelLog::default();
    for (offset, (version, is_held)) in versions.into_iter().enumerate() {
        log.take(offset as i64, Some(&record(version, is_held)))
            .unwrap();
    }
    log
}

fn numbers(log: &mut ModelLog) -> (Option<u64>, Option<u64>, Option<u64>) {
    let versions = log.versions(&plan()).unwrap();
    let held = log.held(&plan()).unwrap();
    (
        versions.as_ref().map(|versions| versions.current.version()),
        versions.and_then(|versions| Some(versions.previous?.version())),
        held.map(|held| held.version),
    )
}

#[test]
fn of_a_hundred_versions_two_are_decoded_and_each_once() {
    let mut log = log((1..=100).map(|version| (version, false)));
    for _ in 0..3 {
        assert_eq!(numbers(&mut log), (Some(100), Some(99), None));
    }
    assert_eq!((log.decoded, log.live.len()), (2, LIVE));
    log.take(100, Some(&record(101, false))).unwrap();
    assert_eq!(numbers(&mut log), (Some(101), Some(100), None));
    assert_eq!(log.decoded, 3);
}

#[test]
fn the_version_that_is_held_is_the_one_behind_those_in_use() {
    let mut held = log([(1, false), (2, true), (3, true)]);
    assert_eq!(numbers(&mut held), (Some(1), None, Some(3)));
    assert_eq!(held.mini_batches(), Some(2..3));
    let mut approved = log([(1, false), (2, true), (2, false)]);
    assert_eq!(numbers(&mut approved), (Some(2), Some(1), None));
}

#[test]
fn what_one_shard_has_read_and_decoded_the_next_has_without_either() {
    let shared = SharedModels::default();
    let mut first = log((1..=50).map(|version| (version, false)));
    numbers(&mut first);
    shared.share(&first);
    let mut second = ModelLog::default();
    shared.catch_up(&mut second);
    assert_eq!(second.next_offset, Some(50));
    assert_eq!(numbers(&mut second), (Some(50), Some(49), None));
    assert_eq!(second.decoded, 2, "the first worker decoded them");
    let mut behind = log([(1, false)]);
    shared.share(&behind);
    shared.catch_up(&mut behind);
    assert_eq!(behind.next_offset, Some(50));
}
