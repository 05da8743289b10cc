//! The first version: when it comes, how many segments it has, and that only the seed decides.

use flockwise_core::policy::LearningPolicy;
use flockwise_core::trainer::MiniBatch;

use crate::support::{DAY_MS, Learns, groups, learnt, policy, sample, trainer};

const CORNERS: [&[f64]; 4] = [&[0.0, 0.0], &[0.0, 10.0], &[10.0, 0.0], &[10.0, 10.0]];

#[test]
fn a_warm_up_waits_for_customers_and_for_time() {
    let waiting = LearningPolicy {
        warm_up_customers: 40,
        warm_up_ms: 2 * DAY_MS,
        ..policy(2, 2)
    };
    let vectors = groups(&CORNERS, 10);
    let mut trainer = trainer(2, waiting);
    assert_eq!(
        trainer.learn(sample(0, &vectors[..39]), 0),
        None,
        "neither customers nor time"
    );
    assert_eq!(
        trainer.learn(sample(DAY_MS, &vectors), 0),
        None,
        "too early"
    );
    assert_eq!(
        trainer.learn(sample(DAY_MS, &vectors), 0),
        None,
        "late batches do not advance time"
    );
    let model = trainer.learn(sample(2 * DAY_MS, &vectors[..1]), 0).unwrap();
    assert_eq!((model.version, model.trained_ms), (1, 2 * DAY_MS));
    assert_eq!(
        model.segmentation().scaler.weight,
        40.0,
        "a repeated customer counts once"
    );
    let next = trainer.learn(sample(3 * DAY_MS, &vectors), 0).unwrap();
    assert_eq!(next.version, 2, "there is a first version already");
}

#[test]
fn time_alone_is_no_warm_up() {
    let waiting = LearningPolicy {
        warm_up_customers: 40,
        ..policy(2, 2)
    };
    let vectors = groups(&CORNERS, 10);
    let mut trainer = trainer(2, waiting);
    for day in 0..100 {
        assert_eq!(trainer.learn(sample(day * DAY_MS, &vectors[..39]), 0), None);
    }
    assert_eq!(trainer.learn(sample(0, &[]), 0), None);
    assert!(trainer.learn(sample(0, &vectors), 0).is_some());
}

#[test]
fn who_is_not_to_learn_does_not() {
    let vectors = groups(&CORNERS, 10);
    let mut trainer = trainer(
        2,
        LearningPolicy {
            learn: false,
            ..policy(2, 2)
        },
    );
    assert_eq!(trainer.learn(sample(0, &vectors), 0), None);
}

#[test]
fn the_number_of_segments_is_the_best_within_bounds() {
    let vectors = groups(&CORNERS, 25);
    let found = |k_min, k_max| {
        learnt(2, policy(k_min, k_max), &vectors)
            .segmentation()
            .segments
            .len()
    };
    assert_eq!((found(2, 8), found(1, 4), found(4, 4)), (4, 4, 4));
    assert_eq!((found(1, 1), found(3, 3)), (1, 3));
    assert!((1..=3).contains(&found(1, 3)));
    assert!((5..=8).contains(&found(5, 8)));
}

#[test]
fn segments_lie_where_the_groups_are() {
    let model = learnt(2, policy(2, 8), &groups(&CORNERS, 25));
    for corner in CORNERS {
        let distance = |centroid: &[f64]| (centroid[0] - corner[0]).hypot(centroid[1] - corner[1]);
        assert!(
            model
                .segmentation()
                .segments
                .iter()
                .any(|segment| distance(&segment.centroid) < 0.1)
        );
    }
    assert!(
        model
            .segmentation()
            .segments
            .iter()
            .all(|segment| segment.weight == 25.0)
    );
    let ids: Vec<u32> = model
        .segmentation()
        .segments
        .iter()
        .map(|segment| segment.id)
        .collect();
    assert_eq!(ids, [1, 2, 3, 4]);
}

#[test]
fn the_seed_alone_decides_and_not_the_order_of_customers() {
    let vectors: Vec<Vec<f64>> = (0..300)
        .map(|i| vec![f64::from(i * 37 % 101), f64::from(i * 53 % 89)])
        .collect();
    let whole = learnt(2, policy(2, 6), &vectors);
    assert_eq!(whole, learnt(2, policy(2, 6), &vectors));
    let late = LearningPolicy {
        warm_up_customers: 300,
        ..policy(2, 6)
    };
    let mut trainer = trainer(2, late);
    let mut model = None;
    for customer in sample(0, &vectors).sample.into_iter().rev() {
        let alone = MiniBatch {
            at_ms: 0,
            sample: vec![customer],
        };
        model = trainer.learn(alone, 0);
    }
    assert_eq!(model, Some(whole));
}
