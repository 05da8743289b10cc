//! Segments that are born, split, merged and retired, and keep their ids meanwhile.

use flockwise_core::lineage::Step;
use flockwise_core::model::ModelVersion;
use flockwise_core::policy::LearningPolicy;
use flockwise_core::trainer::Trainer;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{DAY_MS, learnt, plan, policy, sample};

pub(crate) const EACH: usize = 60;

/// Customers with a normal distribution, of deviation one, around places.
pub(crate) fn around(places: &[[f64; 3]], seed: u64) -> Vec<Vec<f64>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || {
        let sum: f64 = (0..12).map(|_| random.random::<f64>()).sum();
        sum - 6.0
    };
    let all = (0..EACH).flat_map(|_| places);
    all.map(|place| place.iter().map(|x| x + normal()).collect())
        .collect()
}

fn within(k_min: usize, k_max: usize) -> LearningPolicy {
    LearningPolicy {
        half_life_ms: 2 * DAY_MS,
        ..policy(k_min, k_max)
    }
}

/// Learns through days, each given by the places of its customers. Returns the last version, and all steps after
/// the first.
fn lived(policy: LearningPolicy, days: &[Vec<[f64; 3]>]) -> (ModelVersion, Vec<Step>) {
    let first = learnt(3, policy, &around(&days[0], 0));
    let mut trainer = Trainer::new(plan(3), policy, Some(first.clone()));
    let (mut last, mut steps) = (first, Vec::new());
    for (day, places) in days.iter().enumerate() {
        let batch = sample((day as i64 + 1) * DAY_MS, &around(places, day as u64 + 1));
        if let Some(publication) = trainer.fold(batch, day as i64) {
            steps.extend(publication.model.lineage.clone());
            last = publication.model;
        }
    }
    (last, steps)
}

/// The segment whose centroid is nearest to a place.
fn at(model: &ModelVersion, place: [f64; 3]) -> u32 {
    let squared = |centroid: &[f64]| -> f64 {
        centroid
            .iter()
            .zip(place)
            .map(|(a, b)| (a - b).powi(2))
            .sum()
    };
    let nearest = model
        .segmentation()
        .segments
        .iter()
        .min_by(|a, b| squared(&a.centroid).total_cmp(&squared(&b.centroid)));
    nearest.unwrap().id
}

// Apart in every feature: a feature that separates no groups is noise, scaled to the size of the others.
const A: [f64; 3] = [0.0, 0.0, 0.0];
const B: [f64; 3] = [20.0, 20.0, 20.0];
const C: [f64; 3] = [40.0, 0.0, 20.0];
const D: [f64; 3] = [0.0, 40.0, 40.0];

#[test]
fn what_stays_as_it_is_has_no_steps() {
    let (model, steps) = lived(within(2, 6), &vec![vec![A, B, C]; 40]);
    assert_eq!((model.segmentation().segments.len(), steps), (3, vec![]));
}

#[test]
fn one_group_alone_is_not_split_and_not_merged_below_the_fewest() {
    // A memory that is long enough for evidence.
    let long = LearningPolicy {
        half_life_ms: 10 * DAY_MS,
        ..within(1, 2)
    };
    let (model, steps) = lived(long, &vec![vec![A]; 40]);
    assert_eq!(model.segmentation().segments.len(), 1, "{steps:?}");
    let (model, _) = lived(within(3, 6), &vec![vec![A]; 40]);
    assert!(model.segmentation().segments.len() >= 3);
}

#[test]
fn a_new_group_is_born_and_the_others_keep_their_ids() {
    let mut days = vec![vec![A, B]; 20];
    days.extend(vec![vec![A, B, C]; 20]);
    let (model, steps) = lived(within(2, 6), &days);
    assert_eq!(steps, [Step::Born { segment: 3 }]);
    let (before, _) = lived(within(2, 6), &days[..20]);
    for place in [A, B] {
        assert_eq!(at(&model, place), at(&before, place));
    }
    assert_eq!(at(&model, C), 3);
}

#[test]
fn a_group_that_goes_is_retired_and_its_id_with_it() {
    let mut days = vec![vec![A, B, C]; 20];
    days.extend(vec![vec![A, B]; 20]);
    days.extend(vec![vec![A, B, C]; 20]);
    let (before, _) = lived(within(2, 6), &days[..20]);
    let (model, steps) = lived(within(2, 6), &days);
    let gone = at(&before, C);
    assert_eq!(steps[0], Step::Retired { segment: gone });
    assert_eq!(
        steps[1..],
        [Step::Born { segment: 4 }],
        "a group that comes back is new"
    );
    assert_eq!(at(&model, C), 4);
}

#[test]
fn a_group_that_parts_is_split_and_one_half_keeps_the_id() {
    let half = |by: f64| [-0.7 * by, 0.7 * by, -0.7 * by];
    let parting = |step: i32| vec![half(f64::from(step)), half(f64::from(-step)), B];
    let mut days = vec![vec![A, B]; 20];
    days.extend((0..10).map(parting));
    days.extend(vec![parting(10); 20]);
    let (model, steps) = lived(within(2, 6), &days);
    assert!(
        matches!(steps[..], [Step::Split { into: 3, .. }]),
        "{steps:?}"
    );
    assert_eq!(model.segmentation().segments.len(), 3);
    let [left, right] = [half(10.0), half(-10.0)].map(|place| at(&model, place));
    assert!(left != right && left.max(right) == 3, "{left} {right}");
}

#[test]
fn two_groups_that_meet_become_one() {
    let mut days = vec![vec![A, B, C]; 20];
    let meeting = |step: i32| vec![A, [20.0 - 2.0 * f64::from(step); 3], C];
    days.extend((0..=10).map(meeting));
    days.extend(vec![meeting(10); 20]);
    let (model, steps) = lived(within(2, 6), &days);
    assert_eq!(model.segmentation().segments.len(), 2, "{steps:?}");
}

/// Places of equal worth, and fewer segments than places: a segment that has moved once stays.
#[test]
fn where_there_is_no_room_segments_do_not_go_to_and_fro() {
    let (model, steps) = lived(within(3, 3), &vec![vec![A, B, C, D]; 60]);
    assert_eq!(model.segmentation().segments.len(), 3);
    assert!(steps.len() <= 2, "{steps:?}");
}

/// Days of three groups. `spoil` changes the customers of each day.
fn spoilt(days: i64, spoil: impl Fn(i64, &mut Vec<Vec<f64>>)) -> ModelVersion {
    let policy = within(2, 6);
    let mut model = learnt(3, policy, &around(&[A, B, C], 0));
    let mut trainer = Trainer::new(plan(3), policy, Some(model.clone()));
    for day in 1..=days {
        let mut vectors = around(&[A, B, C], day as u64);
        spoil(day, &mut vectors);
        let publication = trainer.fold(sample(day * DAY_MS, &vectors), day);
        model = publication.map_or(model, |publication| publication.model);
    }
    model
}

/// In the scale of the other features, one value of 1e30 would make all others equal.
#[test]
fn one_customer_at_the_end_of_the_world_drags_nobody_along() {
    let model = spoilt(30, |day, vectors| {
        if day % 3 == 0 {
            vectors[7][0] = if day % 2 == 0 { 1e30 } else { -1e30 };
        }
    });
    let ids = [A, B, C].map(|place| at(&model, place));
    assert!(
        ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2],
        "{ids:?}"
    );
    for (id, place) in ids.into_iter().zip([A, B, C]) {
        let segment = model
            .segmentation()
            .segments
            .iter()
            .find(|segment| segment.id == id)
            .unwrap();
        let off = segment.centroid[1] - place[1];
        assert!(off.abs() < 1.0, "{:?} for {place:?}", segment.centroid);
    }
}

/// The unit of a feature changes a thousandfold from one day to the next.
#[test]
fn a_feature_that_changes_its_scale_a_thousandfold_is_followed() {
    let model = spoilt(60, |day, vectors| {
        if day > 20 {
            vectors.iter_mut().for_each(|vector| vector[0] *= 1000.0);
        }
    });
    let now = |place: [f64; 3]| [place[0] * 1000.0, place[1], place[2]];
    let ids = [A, B, C].map(|place| at(&model, now(place)));
    assert!(
        ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2],
        "{ids:?}"
    );
    assert_eq!(model.segmentation().segments.len(), 3);
    let deviation = model.segmentation().scaler.deviation(0);
    assert!((10_000.0..30_000.0).contains(&deviation), "{deviation}");
}
