//! A continuum of customers, on which k-means has many solutions: which versions are worth publishing.

use std::sync::Arc;

use flockwise_core::aggregate::NEVER_MS;
use flockwise_core::event::hash;
use flockwise_core::lineage::Step;
use flockwise_core::model::ModelVersion;
use flockwise_core::plan::Plan;
use flockwise_core::policy::LearningPolicy;
use flockwise_core::publication::Publication;
use flockwise_core::segmentation::{Scaler, Segment, Segmentation};
use flockwise_core::trainer::{MiniBatch, Trainer};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{DAY_MS, plan, policy};

const START: i64 = 20_000;

fn normal(random: &mut impl Rng) -> f64 {
    let (u, v) = (1.0 - random.random::<f64>(), random.random::<f64>());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A day's sample of `count` of 5,000 customers, from one normal group that moves by `a_day` each day.
fn day(day: i64, count: usize, a_day: f64) -> MiniBatch {
    let mut random = ChaCha8Rng::seed_from_u64(day as u64);
    let sample = (0..count).map(|_| {
        let customer = random.random_range(0..5_000_u64);
        let off = a_day * day as f64;
        let vector = vec![normal(&mut random) + off, normal(&mut random)];
        (hash(&customer.to_le_bytes()), vector)
    });
    MiniBatch {
        at_ms: (START + day) * DAY_MS,
        sample: sample.collect(),
    }
}

/// Four segments. The first version is made from a day's customers.
fn careful(churn_budget: f64) -> LearningPolicy {
    LearningPolicy {
        churn_budget,
        warm_up_customers: 200,
        ..policy(4, 4)
    }
}

/// What is published in a range of days, and on which day.
fn published(
    trainer: &mut Trainer,
    days: std::ops::Range<i64>,
    a_day: f64,
) -> Vec<(i64, Publication)> {
    let each = days.filter_map(|at| Some((at, trainer.fold(day(at, 250, a_day), at)?)));
    each.collect()
}

fn begun(churn_budget: f64) -> Trainer {
    Trainer::new(plan(2), careful(churn_budget), None)
}

#[test]
fn a_version_that_only_moves_people_about_is_not_published() {
    let found = published(&mut begun(1.0), 0..100, 0.0);
    assert!((2..40).contains(&found.len()), "{}", found.len());
    for (at, publication) in &found[1..] {
        let impact = publication.impact.as_ref().unwrap();
        let gain = impact.error_before / impact.error_after - 1.0;
        let is_told = !publication.shifts.is_empty() || impact.other_nearest == 0.0;
        let is_worth = gain >= 0.09 * impact.other_nearest;
        let steps = &publication.model.lineage;
        assert!(
            steps.is_empty(),
            "day {at}: {steps:?}, though nobody changes"
        );
        assert!(
            is_told || is_worth,
            "day {at}: {gain} for {}",
            impact.other_nearest
        );
    }
}

/// Here most looks publish nothing, versions are held, and drift is detected.
#[test]
fn an_heir_of_a_quiet_trainer_is_level() {
    let mut trainer = begun(0.1);
    let all = published(&mut trainer, 0..50, 0.03);
    assert!(
        all.iter().any(|(_, version)| version.is_held),
        "none is held"
    );
    assert!(all.len() < 45, "{}", all.len());
    for (place, (since, version)) in all.iter().enumerate().skip(1).step_by(7) {
        let live = all[..=place]
            .iter()
            .rev()
            .find(|(_, version)| !version.is_held);
        let live = live.map(|(_, version)| version.model.clone());
        let held = version.is_held.then(|| version.model.clone());
        let mut heir = Trainer::new(plan(2), careful(0.1), live).holding(held);
        (0..=*since).for_each(|at| heir.replay(day(at, 250, 0.03), at));
        let next = published(&mut heir, since + 1..50, 0.03);
        assert_eq!(next, all[place + 1..], "since day {since}");
    }
}

#[test]
fn a_model_that_does_not_say_when_it_is_from_learns_on() {
    let mut teacher = begun(1.0);
    let first = published(&mut teacher, 0..1, 0.0).remove(0).1.model;
    let start = ModelVersion {
        trained_ms: NEVER_MS,
        ..first
    };
    let mut trainer = Trainer::new(plan(2), careful(1.0), Some(start));
    let found = published(&mut trainer, 1..90, 0.1);
    assert!(found.len() > 3, "{}", found.len());
}

/// Separate groups and few features: no customers have left before the first version.
#[test]
fn no_group_is_lost_to_the_first_version() {
    for seed in 0..20 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let sample = (0..400_u64).map(|customer| {
            let place = 40.0 * (customer % 8) as f64;
            (
                hash(&(customer + 1_000 * seed).to_le_bytes()),
                vec![place + normal(&mut random)],
            )
        });
        let batch = MiniBatch {
            at_ms: 0,
            sample: sample.collect(),
        };
        let mut trainer = Trainer::new(plan(1), policy(4, 16), None);
        let first = trainer.fold(batch, 0).unwrap().model;
        let total: f64 = first
            .segmentation()
            .segments
            .iter()
            .map(|segment| segment.weight)
            .sum();
        assert_eq!(
            (first.segmentation().segments.len(), total),
            (8, 400.0),
            "seed {seed}"
        );
    }
}

fn hand_made(plan: &Arc<Plan>, centroids: &[[f64; 2]]) -> ModelVersion {
    let segments = (1..).zip(centroids);
    let segments = segments.map(|(id, centroid)| Segment::new(id, centroid.to_vec()));
    let scaler = Scaler {
        means: vec![2.0; 2],
        variances: vec![40.0; 2],
        weight: 1.0,
    };
    let features = plan.feature_names().map(str::to_owned).collect();
    ModelVersion {
        trained_ms: 0,
        ..ModelVersion::hand_made(features, Segmentation::new(scaler, segments.collect()))
    }
}

/// K-means needs two segments in a group of nine tenths of all customers, and one in the other.
#[test]
fn two_of_use_keep_no_others_from_merging() {
    let mut merged = 0;
    for seed in 0..8 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let sample = (0..6_600_u64).map(|customer| {
            let place = if customer % 10 == 0 { 20.0 } else { 0.0 };
            let vector = vec![place + normal(&mut random), place + normal(&mut random)];
            (hash(&customer.to_le_bytes()), vector)
        });
        let batch = MiniBatch {
            at_ms: 2 * DAY_MS,
            sample: sample.collect(),
        };
        let model = hand_made(
            &plan(2),
            &[[1.0, 0.0], [-1.0, 0.0], [19.2, 20.0], [20.8, 20.0]],
        );
        let mut trainer = Trainer::new(plan(2), policy(1, 9), Some(model));
        let lineage = trainer.fold(batch, 0).map(|next| next.model.lineage);
        let steps = lineage.unwrap_or_default();
        let of_large = |step: &Step| matches!(step, Step::Merged { segment: 1 | 2, .. });
        assert!(!steps.iter().any(of_large), "seed {seed}: {steps:?}");
        merged += usize::from(!steps.is_empty());
    }
    assert!(merged >= 6, "{merged} of 8");
}
