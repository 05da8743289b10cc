//! The naive version of a task without a sweep: one customer at a time, an exhaustive search, and a decision
//! computed from all scorings since the last change.

use flockwise_core::aggregate::{NEVER_MS, empty, evaluate, observe};
use flockwise_core::decide::Cause;
use flockwise_core::feature_inputs::FeatureInputs;
use flockwise_core::model::Model;
use flockwise_core::orders::OrderEntries;
use flockwise_core::policy::DecisionPolicy;
use flockwise_core::task::TaskSettings;

use crate::shop::{Act, DAY_MS};

/// An expected change.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) from: Option<u32>,
    pub(crate) to: u32,
    pub(crate) occurred_ms: i64,
    pub(crate) distance: f64,
    pub(crate) distance_from: Option<f64>,
    /// By what share it is nearer than the previous segment; for a first segment, than the second nearest.
    pub(crate) margin: f64,
    /// The shares of all features, largest first. They add up to 1 if the sum was above zero.
    pub(crate) pulls: Vec<(f64, usize)>,
    pub(crate) values: Vec<f64>,
}

struct Scoring {
    at_ms: i64,
    /// Days since the previous scoring, at most one.
    days: f64,
    nearest: usize,
    distances: Vec<f64>,
}

/// Changes of one customer, by acts that are all the customer's own and that all count.
pub(crate) fn changes(settings: &TaskSettings, model: &Model, acts: &[Act]) -> Vec<Expected> {
    let plan = &settings.plan;
    let (mut columns, mut reference_ms, mut as_of_ms) = (empty(plan), NEVER_MS, NEVER_MS);
    let (mut raw, mut vector) = (vec![0.0; plan.len()], vec![0.0; plan.len()]);
    let (mut since, mut changes): (Vec<Scoring>, Vec<Expected>) = (Vec::new(), Vec::new());
    for act in acts {
        observe(
            plan,
            &mut columns,
            &mut reference_ms,
            &act.event(plan),
            &mut FeatureInputs::default(),
            &mut OrderEntries::default(),
        );
        let before_ms = as_of_ms;
        as_of_ms = as_of_ms.max(act.time_ms);
        let days = as_of_ms.saturating_sub(before_ms).min(DAY_MS) as f64 / DAY_MS as f64;
        evaluate(
            plan,
            &columns,
            reference_ms,
            as_of_ms,
            &mut raw,
            &mut vector,
        );
        since.push(Scoring {
            days,
            ..score(model, &vector, as_of_ms)
        });
        let last = changes
            .last()
            .map(|change: &Expected| (change.to, change.occurred_ms));
        if moves(&settings.decision, model, last, &since) {
            changes.push(expected(
                model,
                last.map(|(segment, _)| segment),
                &since,
                &raw,
                &vector,
            ));
            since.clear();
        }
    }
    changes
}

fn score(model: &Model, vector: &[f64], at_ms: i64) -> Scoring {
    let distance = |centroid: &[f64]| -> f64 {
        let gaps = vector
            .iter()
            .zip(centroid)
            .zip(model.segmentation().scale());
        gaps.map(|((x, c), scale)| (x * scale - c * scale).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    let distances: Vec<f64> = model
        .segmentation()
        .segments()
        .iter()
        .map(|segment| distance(&segment.centroid))
        .collect();
    let nearest = (0..distances.len()).reduce(|best, other| {
        if distances[other] < distances[best] {
            other
        } else {
            best
        }
    });
    Scoring {
        at_ms,
        days: 0.0,
        nearest: nearest.unwrap(),
        distances,
    }
}

/// Whether the scorings since the last change end with `dwell` that agree on a segment nearer by the margin, the
/// last of them after the cooldown and when staying has cost enough.
fn moves(
    policy: &DecisionPolicy,
    model: &Model,
    last: Option<(u32, i64)>,
    since: &[Scoring],
) -> bool {
    let (Some((segment, changed_ms)), Some(now)) = (last, since.last()) else {
        return true;
    };
    let present = model.segmentation().index_of(segment).unwrap();
    let is_elsewhere = |scoring: &&Scoring| {
        let bound = scoring.distances[present] * (1.0 - policy.margin);
        scoring.nearest != present && scoring.distances[scoring.nearest] < bound
    };
    let elsewhere = since.iter().rev().take_while(is_elsewhere);
    let agreed = elsewhere
        .clone()
        .take_while(|scoring| scoring.nearest == now.nearest)
        .count();
    let variance: f64 = std::iter::zip(
        model.segmentation().scale(),
        &model.segmentation().scaler().variances,
    )
    .map(|(scale, variance)| scale * scale * variance)
    .sum();
    let lost = |scoring: &Scoring| {
        let squared = |index: usize| scoring.distances[index].powi(2);
        (squared(present) - squared(scoring.nearest)) / variance
    };
    // The price of each scoring counts until the next one, so oldest first.
    let mut in_turn: Vec<&Scoring> = elsewhere.collect();
    in_turn.reverse();
    let so_far = in_turn.windows(2).fold(0.0, |cost, pair| {
        let price = f64::from(lost(pair[0]) as f32);
        f64::from(cost as f32) + price * pair[1].days
    });
    let cost = so_far + lost(now);
    agreed >= usize::from(policy.dwell)
        && cost >= policy.patience
        && now.at_ms - changed_ms >= policy.cooldown_ms
}

fn expected(
    model: &Model,
    from: Option<u32>,
    since: &[Scoring],
    raw: &[f64],
    vector: &[f64],
) -> Expected {
    let now = since.last().unwrap();
    let left = from.and_then(|segment| model.segmentation().index_of(segment));
    let others = (0..now.distances.len()).filter(|index| *index != now.nearest);
    let second = others.map(|index| now.distances[index]).reduce(f64::min);
    let other = left.map(|index| now.distances[index]).or(second).unwrap();
    let point = left.map_or(&model.segmentation().scaler().means, |index| {
        &model.segmentation().segments()[index].centroid
    });
    Expected {
        from,
        to: model.segmentation().segments()[now.nearest].id,
        occurred_ms: now.at_ms,
        distance: now.distances[now.nearest],
        distance_from: left.map(|index| now.distances[index]),
        margin: 1.0 - now.distances[now.nearest] / other,
        pulls: pulls(
            model,
            vector,
            point,
            &model.segmentation().segments()[now.nearest].centroid,
        ),
        values: raw.to_vec(),
    }
}

/// Each feature's share of the difference of the squared distances to the point left and the point reached.
fn pulls(model: &Model, vector: &[f64], left: &[f64], reached: &[f64]) -> Vec<(f64, usize)> {
    let squared = |index: usize, to: &[f64]| {
        ((vector[index] - to[index]) * model.segmentation().scale()[index]).powi(2)
    };
    let gains: Vec<f64> = (0..vector.len())
        .map(|index| squared(index, left) - squared(index, reached))
        .collect();
    let total: f64 = gains.iter().sum();
    if total <= 0.0 {
        return Vec::new();
    }
    let mut pulls: Vec<(f64, usize)> = gains
        .iter()
        .enumerate()
        .map(|(index, gain)| (gain / total, index))
        .collect();
    pulls.sort_by(|one, other| other.0.total_cmp(&one.0));
    pulls
}

/// Without a sweep and a new model, every cause is behaviour.
pub(crate) const CAUSE: Cause = Cause::Behaviour;
