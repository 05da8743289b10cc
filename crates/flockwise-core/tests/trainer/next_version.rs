//! Later versions against a naive version: every customer sampled within four half-lives, weighted by age.

use flockwise_core::aggregate::NEVER_MS;
use flockwise_core::model::ModelVersion;
use flockwise_core::policy::LearningPolicy;
use flockwise_core::trainer::Trainer;
use proptest::prelude::*;

use crate::support::{DAY_MS, Learns, groups, learnt, of_task, plan, policy, sample, version};

const HALF_LIFE_MS: f64 = 10.0 * DAY_MS as f64;

/// The samples: time, group and vector.
type Seen = Vec<(i64, usize, Vec<f64>)>;

/// Weight, mean and variance of one column of the samples, weighted by age.
fn moments(seen: &Seen, group: Option<usize>, now_ms: i64, column: usize) -> (f64, f64, f64) {
    let of_group = seen
        .iter()
        .filter(|(_, own, _)| group.is_none_or(|group| group == *own));
    let weighed: Vec<(f64, f64)> = of_group
        .filter(|(at_ms, _, _)| now_ms - at_ms <= 4 * 10 * DAY_MS)
        .map(|(at_ms, _, vector)| {
            (
                (-((now_ms - at_ms) as f64) / HALF_LIFE_MS).exp2(),
                vector[column],
            )
        })
        .collect();
    let total: f64 = weighed.iter().map(|(weight, _)| weight).sum();
    let mean = weighed.iter().map(|(weight, x)| weight * x).sum::<f64>() / total;
    let squares = weighed
        .iter()
        .map(|(weight, x)| weight * (x - mean).powi(2));
    (total, mean, squares.sum::<f64>() / total)
}

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * (1.0 + right.abs())
}

/// The customers of a day: group, and place within the group.
type Customers = Vec<(usize, [f64; 2])>;

/// Days ahead (late if below zero), each with customers of two groups that are far apart.
fn days() -> impl Strategy<Value = Vec<(i64, Customers)>> {
    let customer = (0..2_usize, [-1.0..1.0_f64, -1.0..1.0_f64]);
    // Alternating, so that no group is ever deserted.
    let customers = prop::collection::vec(customer, 6..20).prop_map(|mut customers| {
        let each = customers.iter_mut().enumerate();
        each.for_each(|(index, customer)| customer.0 = index % 2);
        customers
    });
    prop::collection::vec((-1..9_i64, customers), 1..12)
}

proptest! {
    #[test]
    fn segments_and_scaler_are_weighted_means_of_who_was_sampled(days in days()) {
        let start = version(0, &[&[0.0, 0.0], &[20.0, -20.0]], &[1.0, 1.0]);
        let mut trainer = Trainer::new(plan(2), policy(2, 2), Some(start));
        let (mut now_ms, mut seen) = (0, Seen::new());
        let mut last = None;
        for (task, (ahead, customers)) in days.into_iter().enumerate() {
            let at_ms = now_ms + ahead * DAY_MS;
            now_ms = now_ms.max(at_ms);
            let place = |(group, [x, y]): &(usize, [f64; 2])| {
                let far = 20.0 * *group as f64;
                vec![x + far, y - far]
            };
            let vectors: Vec<Vec<f64>> = customers.iter().map(place).collect();
            let groups = customers.iter().map(|(group, _)| *group);
            seen.extend(groups.zip(vectors.clone()).map(|(group, vector)| (at_ms, group, vector)));
            let model = trainer.learn(of_task(task, sample(at_ms, &vectors)), 0);
            last = model.map(|model| (now_ms, seen.clone(), model)).or(last);
        }
        let Some((now_ms, seen, model)) = last else { return Ok(()) };
        prop_assert_eq!(model.trained_ms, now_ms);
        for column in 0..2 {
            let (total, mean, variance) = moments(&seen, None, now_ms, column);
            prop_assert!(near(model.segmentation().scaler.means[column], mean));
            prop_assert!(near(model.segmentation().scaler.variances[column], variance));
            prop_assert!(near(model.segmentation().scaler.weight, total));
            for (group, segment) in model.segmentation().segments.iter().enumerate() {
                let (total, mean, _) = moments(&seen, Some(group), now_ms, column);
                prop_assert!(near(segment.centroid[column], mean), "{} {mean}", segment.centroid[column]);
                prop_assert!(near(segment.weight, total));
            }
        }
    }
}

/// A few customers after a long time are no reason to discard what is known.
#[test]
fn after_years_without_customers_the_first_few_teach_nothing() {
    let known = groups(&[&[0.0, 0.0], &[4.0, 4.0]], 50);
    let policy = LearningPolicy {
        warm_up_customers: 100,
        ..policy(2, 2)
    };
    let first = learnt(2, policy, &known);
    let mut trainer = Trainer::new(plan(2), policy, Some(first));
    let few = vec![vec![3.0, 3.0]; 99];
    assert_eq!(trainer.learn(sample(1000 * DAY_MS, &few), 0), None);
    let one = trainer.learn(of_task(1, sample(1000 * DAY_MS, &few[..1])), 1);
    assert!(one.is_some(), "as many as a first version needs");
}

#[test]
fn after_a_half_life_as_many_new_customers_weigh_twice_as_much() {
    let start = version(0, &[&[0.0, 0.0]], &[10.0]);
    let mut trainer = Trainer::new(plan(2), policy(1, 1), Some(start));
    trainer.learn(sample(0, &vec![vec![0.0, 0.0]; 10]), 0);
    let new = vec![vec![3.0, 6.0]; 10];
    let model = trainer.learn(sample(10 * DAY_MS, &new), 1).unwrap();
    let [x, y] = model.segmentation().segments[0].centroid[..] else {
        panic!("two numbers");
    };
    assert!(near(x, 2.0) && near(y, 4.0), "{x} {y}");
}

/// A successor reads the mini-batches of the window again and continues where the version ended.
#[test]
fn a_version_is_published_once_in_a_while_and_who_goes_on_from_it_is_level() {
    let daily = LearningPolicy {
        half_life_ms: 24 * DAY_MS,
        ..policy(2, 3)
    };
    let start = learnt(2, daily, &groups(&[&[0.0, 0.0], &[3.0, 5.0]], 20));
    let mut trainer = Trainer::new(plan(2), daily, Some(start));
    let batch = |hour: i64| {
        let places = [[0.3 * hour as f64, 1.0], [2.0, 0.1], [9.0, hour as f64]];
        let vectors = groups(&places.each_ref().map(|place| &place[..]), 4);
        sample(hour * DAY_MS / 24, &vectors)
    };
    let mut published: Vec<(ModelVersion, i64)> = Vec::new();
    for hour in 1..=1500 {
        let version = trainer.learn(batch(hour), hour);
        published.extend(version.map(|version| (version, trainer.window_offset().unwrap())));
    }
    let days: Vec<i64> = published
        .iter()
        .map(|(version, _)| version.trained_ms / DAY_MS)
        .collect();
    assert_eq!(days, (1..=62).collect::<Vec<_>>());
    let (version, from) = published.remove(49);
    assert!(from > 1, "the window has moved on");
    let mut heir = Trainer::new(plan(2), daily, Some(version));
    (from..=50 * 24).for_each(|hour| heir.replay(batch(hour), hour));
    let inherited: Vec<ModelVersion> = (50 * 24 + 1..=1500)
        .filter_map(|hour| heir.learn(batch(hour), hour))
        .collect();
    let expected: Vec<ModelVersion> = published.drain(49..).map(|(version, _)| version).collect();
    assert_eq!(inherited, expected);
}

#[test]
fn a_version_without_a_time_stands_until_enough_is_known() {
    let start = version(NEVER_MS, &[&[0.0, 0.0]], &[10.0]);
    let policy = LearningPolicy {
        warm_up_customers: 20,
        ..policy(1, 1)
    };
    let mut trainer = Trainer::new(plan(2), policy, Some(start));
    let ten = vec![vec![3.0, 6.0]; 10];
    assert_eq!(trainer.learn(sample(20_000 * DAY_MS, &ten), 0), None);
    let others = of_task(1, sample(20_000 * DAY_MS, &ten));
    let model = trainer.learn(others, 1).unwrap();
    assert_eq!(model.segmentation().segments[0].centroid, [3.0, 6.0]);
    assert_eq!((model.version, model.trained_ms), (2, 20_000 * DAY_MS));
}

#[test]
fn customers_of_another_plan_teach_nothing() {
    let start = version(0, &[&[0.0, 0.0]], &[10.0]);
    let mut trainer = Trainer::new(plan(2), policy(1, 1), Some(start));
    assert_eq!(trainer.learn(sample(DAY_MS, &[vec![1.0; 3]]), 0), None);
    assert_eq!(trainer.learn(sample(2 * DAY_MS, &[]), 1), None);
    assert!(
        trainer
            .learn(sample(3 * DAY_MS, &[vec![1.0; 2]]), 2)
            .is_some()
    );
}
