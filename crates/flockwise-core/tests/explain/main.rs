//! Explanations against naive versions: sums computed directly, and every value of a feature tried.
#![allow(clippy::unwrap_used)]

use flockwise_core::explain::{Explanation, FeatureChange, Ranges, Requirement, explain};
use flockwise_core::feature::{Aggregate, Feature, Transform};
use flockwise_core::plan::Plan;
use flockwise_core::segmentation::{Scaler, Segment, SegmentScorer, Segmentation};
use flockwise_kmeans::Scratch;
use proptest::prelude::*;

/// Number of values of a feature that the naive version tries, at each of three spacings.
const TRIED: usize = 400;

/// A customer and the segments.
#[derive(Debug)]
struct Scene {
    plan: Plan,
    segmentation: SegmentScorer,
    margin: f64,
    own: usize,
    raw: Vec<f64>,
    /// Values of other customers.
    others: Vec<Vec<f64>>,
}

impl Scene {
    fn seen(&self) -> Ranges {
        let mut seen = Ranges::of(&self.segmentation);
        for raw in &self.others {
            seen.include(&self.segmentation, &self.vector(raw));
        }
        seen
    }

    /// Whether customers have this value of a feature.
    fn is_seen(&self, feature: usize, value: f64) -> bool {
        let mut raw = self.raw.clone();
        raw[feature] = value;
        let (low, high) = self.seen().bounds(feature);
        (low..=high).contains(&self.vector(&raw)[feature])
    }

    fn vector(&self, raw: &[f64]) -> Vec<f64> {
        let value = |(index, value): (usize, &f64)| {
            let feature = self.plan.feature(index);
            let mut vector = [*value];
            feature.transform.apply(&mut vector);
            let clip = feature.clip.unwrap_or((f64::MIN, f64::MAX));
            vector[0].clamp(clip.0, clip.1)
        };
        raw.iter().enumerate().map(value).collect()
    }

    fn explained(&self) -> Explanation {
        let vector = self.vector(&self.raw);
        let seen = self.seen();
        explain(
            &self.plan,
            &self.segmentation,
            self.margin,
            self.own,
            &vector,
            &seen,
        )
    }

    /// The squared distance to each segment, from the centroids as they are stored.
    fn squared(&self, vector: &[f64]) -> Vec<f64> {
        let gap = |(index, (x, c)): (usize, (&f64, &f64))| {
            ((x - c) * self.segmentation.scale()[index]).powi(2)
        };
        let segments = self.segmentation.segments().iter();
        segments
            .map(|segment| {
                vector
                    .iter()
                    .zip(&segment.centroid)
                    .enumerate()
                    .map(gap)
                    .sum()
            })
            .collect()
    }

    /// The segment that a customer with another value of a feature would move to, and by how much that is beyond
    /// doubt. `None` if the customer would stay.
    fn moved(&self, feature: usize, value: f64) -> Option<(usize, f64)> {
        let mut raw = self.raw.clone();
        raw[feature] = value;
        let vector = self.vector(&raw);
        let mut scaled = Vec::new();
        self.segmentation.scaled(&vector, &mut scaled);
        let (nearest, distance) = self.segmentation.score(&scaled, &mut Scratch::default());
        let squared = self.squared(&vector);
        let least = squared[self.own].sqrt() * (1.0 - self.margin);
        let others = squared
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != nearest);
        let second = others
            .map(|(_, squared)| squared.sqrt())
            .fold(least, f64::min);
        (nearest != self.own && distance < least).then_some((nearest, second - distance))
    }

    /// A needed value must be one that the feature can have and that customers have.
    fn check_bounds(&self, feature: usize, needed: f64) -> Result<(), TestCaseError> {
        let mut raw = self.raw.clone();
        raw[feature] = needed;
        let (low, high) = self.seen().bounds(feature);
        let (x, slack) = (
            self.vector(&raw)[feature],
            1e-9 * (1.0 + high.abs() + low.abs()),
        );
        prop_assert!(
            (low - slack..=high + slack).contains(&x),
            "{x} is not in {low}..{high}"
        );
        let spec = self.plan.feature(feature);
        let natural = match spec.aggregate {
            Aggregate::Share => (0.0..=1.0).contains(&needed),
            Aggregate::Count | Aggregate::Recency => needed >= 0.0,
            _ => true,
        };
        prop_assert!(natural, "{needed} is none of {:?}", spec.aggregate);
        let Scaler { means, .. } = self.segmentation.scaler();
        let (mean, deviation) = (
            means[feature],
            self.segmentation.scaler().deviation(feature),
        );
        prop_assert!((x - mean).abs() <= 5.0 * deviation + slack);
        Ok(())
    }

    fn length(&self, feature: usize, value: f64) -> f64 {
        let mut raw = self.raw.clone();
        raw[feature] = value;
        let (from, to) = (self.vector(&self.raw), self.vector(&raw));
        (from[feature] - to[feature]).abs() * self.segmentation.scale()[feature]
    }

    /// Values near and far that a feature can have.
    fn values(&self, feature: usize) -> Vec<f64> {
        let present = self.raw[feature];
        let (lowest, highest) = match self.plan.feature(feature).aggregate {
            Aggregate::Share => (0.0, 1.0),
            Aggregate::Count | Aggregate::Recency => (0.0, f64::MAX),
            _ => (f64::MIN, f64::MAX),
        };
        let steps = [0.002, 0.05, 2.0].into_iter().flat_map(|width| {
            (0..=TRIED).map(move |step| present + (step as f64 - TRIED as f64 / 2.0) * width)
        });
        steps
            .filter(|value| (lowest..=highest).contains(value))
            .chain([lowest, highest].into_iter().filter(|end| end.abs() < 2.0))
            .filter(|value| self.is_seen(feature, *value))
            .collect()
    }
}

fn feature() -> impl Strategy<Value = (Feature, f64)> {
    let aggregates = [
        Aggregate::Count,
        Aggregate::Share,
        Aggregate::Sum,
        Aggregate::Recency,
    ];
    let transforms = [Transform::None, Transform::Log1p, Transform::Sqrt];
    let clip = prop::option::weighted(0.4, (-1.0..0.5_f64, 0.6..4.0_f64));
    (
        prop::sample::select(aggregates.to_vec()),
        prop::sample::select(transforms.to_vec()),
        clip,
        0.3..3.0_f64,
        0.0..1.0_f64,
    )
        .prop_map(|(aggregate, transform, clip, weight, part)| {
            let value = match aggregate {
                Aggregate::Share => part,
                Aggregate::Sum => 16.0 * part - 8.0,
                _ => 12.0 * part,
            };
            let feature = Feature {
                aggregate,
                transform,
                clip,
                weight,
                ..Feature::count("f")
            };
            (feature, value)
        })
}

fn scene() -> impl Strategy<Value = Scene> {
    (1..5_usize, 1..7_usize)
        .prop_flat_map(|(features, segments)| {
            let centroid = prop::collection::vec(-1.0..4.0_f64, features);
            (
                prop::collection::vec(feature(), features),
                prop::collection::vec(centroid, segments),
                prop::collection::vec(prop_oneof![9 => 0.1..4.0_f64, 1 => Just(0.0)], features),
                prop_oneof![Just(0.0), Just(0.15), 0.0..0.9_f64],
                0.0..1.0_f64,
                0..segments,
                prop::collection::vec(prop::collection::vec(0.0..12.0_f64, features), 0..4),
            )
        })
        .prop_map(
            |(features, centroids, variances, margin, usual, any, others)| {
                let (mut features, raw): (Vec<Feature>, Vec<f64>) = features.into_iter().unzip();
                for (index, feature) in features.iter_mut().enumerate() {
                    feature.name = format!("f{index}");
                }
                let scaler = Scaler {
                    means: vec![1.0; features.len()],
                    variances,
                    weight: 1.0,
                };
                let segments = centroids.into_iter().zip(1..);
                let segments = segments.map(|(centroid, id)| Segment::new(id, centroid));
                let segmentation = Segmentation::new(scaler, segments.collect());
                let plan = Plan::compile(&features);
                let segmentation = SegmentScorer::new(&plan, segmentation.into()).unwrap();
                let mut scene = Scene {
                    plan,
                    segmentation,
                    margin,
                    own: any,
                    raw,
                    others,
                };
                // Most customers are in the nearest segment. Margin and time can leave a customer in any.
                if usual < 0.8 {
                    let squared = scene.squared(&scene.vector(&scene.raw));
                    let nearest = squared.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
                    scene.own = nearest.unwrap().0;
                }
                scene
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn pulls_add_up_to_the_difference_of_the_squared_distances(scene in scene()) {
        let squared = scene.squared(&scene.vector(&scene.raw));
        let explained = scene.explained();
        let sum: f64 = explained.pulls.iter().map(|pull| pull.pull).sum();
        let Some((other, distance)) = explained.other else {
            prop_assert_eq!(squared.len(), 1);
            prop_assert_eq!(sum, 0.0);
            return Ok(());
        };
        let others = (0..squared.len()).filter(|index| *index != scene.own);
        let least = others.map(|index| squared[index]).fold(f64::INFINITY, f64::min);
        let slack = 1e-9 * (squared[scene.own] + squared[other]);
        prop_assert!((distance * distance - least).abs() <= slack);
        let difference = squared[other] - squared[scene.own];
        prop_assert!((sum - difference).abs() <= slack, "{sum} is not {difference}");
        let strengths: Vec<f64> = explained.pulls.iter().map(|pull| pull.pull.abs()).collect();
        prop_assert!(strengths.is_sorted_by(|left, right| left >= right));
        prop_assert_eq!(strengths.len(), scene.plan.len());
    }

    #[test]
    fn no_smaller_change_of_one_feature_moves_the_customer(scene in scene()) {
        let explained = scene.explained();
        let segments = scene.segmentation.segments().len();
        prop_assert_eq!(explained.counterfactuals.len(), segments - 1);
        let now = scene.moved(0, scene.raw[0]).map(|(segment, _)| segment);
        let mut lengths = vec![f64::INFINITY; segments];
        for counterfactual in &explained.counterfactuals {
            lengths[counterfactual.segment] = match counterfactual.requirement {
                Requirement::Already => {
                    prop_assert_eq!(now, Some(counterfactual.segment));
                    0.0
                }
                Requirement::By(FeatureChange { feature, needed, length }) => {
                    prop_assert!(scene.segmentation.scale()[feature] > 0.0);
                    let moved = scene.moved(feature, needed).map(|(segment, _)| segment);
                    prop_assert_eq!(moved, Some(counterfactual.segment), "at {} of {}", needed, feature);
                    let found = scene.length(feature, needed);
                    prop_assert!((length - found).abs() <= 1e-9 * (1.0 + found));
                    scene.check_bounds(feature, needed)?;
                    length
                }
                Requirement::NotByOne => f64::INFINITY,
            };
        }
        for feature in 0..scene.plan.len() {
            for value in scene.values(feature) {
                let length = scene.length(feature, value);
                let Some((to, beyond)) = scene.moved(feature, value) else { continue };
                // A tiny difference may be rounding.
                let is_found = beyond < 1e-7 || lengths[to] <= length + 1e-7;
                prop_assert!(is_found, "{to} by {feature} = {value}: {length}, not {}", lengths[to]);
            }
        }
    }
}

/// A former bug offered "last order 1,035,669,459 days ago": on the line of a logarithm every segment is the
/// nearest somewhere.
#[test]
fn a_value_that_nobody_has_is_not_offered() {
    let feature = |name: &str, aggregate| Feature {
        aggregate,
        transform: Transform::Log1p,
        default: 365.0,
        ..Feature::count(name)
    };
    let plan = Plan::compile(&[
        feature("days_since_order", Aggregate::Recency),
        feature("orders", Aggregate::Count),
    ]);
    let scaler = Scaler {
        means: vec![3.9, 1.0],
        variances: vec![1.5, 0.5],
        weight: 100.0,
    };
    let segments = vec![
        Segment::new(1, vec![3.0, 3.0]),
        Segment::new(2, vec![3.4, 0.5]),
    ];
    let alone = Segmentation::new(scaler.clone(), segments[..1].to_vec());
    let segmentation = Segmentation::new(scaler, segments);
    let segmentation = SegmentScorer::new(&plan, segmentation.into()).unwrap();
    let vector = [(20.0_f64).ln_1p(), (19.0_f64).ln_1p()];
    let mut seen = Ranges::of(&segmentation);
    seen.include(&segmentation, &[(373.0_f64).ln_1p(), 0.0]);
    let explained = explain(&plan, &segmentation, 0.0, 0, &vector, &seen);
    let Requirement::By(by) = explained.counterfactuals[0].requirement else {
        panic!("{:?}", explained.counterfactuals);
    };
    assert_eq!(by.feature, 1, "fewer orders move the customer");
    // If all customers have as many orders, no change moves this one.
    let mut only = Ranges::of(&SegmentScorer::new(&plan, alone.into()).unwrap());
    only.include(&segmentation, &[(373.0_f64).ln_1p(), 3.0]);
    let explained = explain(&plan, &segmentation, 0.0, 0, &vector, &only);
    assert_eq!(
        explained.counterfactuals[0].requirement,
        Requirement::NotByOne
    );
}
