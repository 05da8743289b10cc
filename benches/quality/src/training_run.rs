//! Runs the trainer on a synthetic stream and evaluates it while it learns.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use flockwise_core::customer_view::nearest_segment;
use flockwise_core::feature::Feature;
use flockwise_core::model::Model;
use flockwise_core::plan::Plan;
use flockwise_core::policy::LearningPolicy;
use flockwise_core::trainer::{MiniBatch, Trainer};
use flockwise_kmeans::Scratch;
use serde::Serialize;

use crate::agreement::{adjusted_rand, majorities};
use crate::groups::{DIMENSIONS, Point, Spacing};
use crate::movement::DAY_MS;
use crate::synthetic::{BATCH, CHANGE, LENGTH, Scenario, Stream};

/// Number of points on which labels are compared.
pub(crate) const EVALUATION_POINTS: usize = 4_000;
/// Labels are compared with earlier ones every this many points.
const COMPARED_EVERY: usize = 5_000;
/// The point at which it is measured how far centroids have followed.
const TRACKED_AT: usize = 50_000;
/// The groups count as found if the index is at most this much below the upper bound.
pub(crate) const SLACK: f64 = 0.02;

/// How well the groups are found at a point of the stream.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Evaluation {
    /// Position in the stream, points.
    pub(crate) at: usize,
    /// The adjusted Rand index of the current model.
    pub(crate) index: f64,
    /// The upper bound: the index of the true centres on the same points.
    pub(crate) upper_bound: f64,
}

/// The result of a stream.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    /// The adjusted Rand index over the stream, each on current points.
    pub(crate) curve: Vec<Evaluation>,
    /// The last element of `curve`.
    pub(crate) last: Evaluation,
    /// Points from the change until the index stayed good; `None` if it never did.
    pub(crate) recovered: Option<usize>,
    /// Number of segments at the end. `expected` is the number of groups.
    pub(crate) segments: usize,
    pub(crate) expected: usize,
    /// Maximum share of labels that differ after 5,000 points without a change.
    pub(crate) flipped: f64,
    /// Share of the groups that exist before and after the change whose segment keeps an earlier id.
    pub(crate) kept: f64,
    /// Mean share of the groups' displacement that their centroids have followed; `None` if groups do not move.
    pub(crate) tracked: Option<f64>,
    /// Lineage steps and alarms of the trainer, each with its position in the stream.
    pub(crate) lineage: Vec<(usize, String)>,
}

impl Evaluation {
    fn new(at: usize, stream: &Stream, points: &[Point], segments: &[u32]) -> Self {
        Self {
            at,
            index: adjusted_rand(segments, &groups(points)),
            upper_bound: stream.upper_bound(points),
        }
    }

    fn is_good(&self) -> bool {
        self.index >= self.upper_bound - SLACK
    }
}

/// Points with the labels that they had at a point of the stream.
struct Labelled {
    at: usize,
    points: Vec<Point>,
    segments: Vec<u32>,
}

/// The segment of each group, and the model with their centroids.
struct GroupSegments {
    ids: HashMap<usize, u32>,
    model: Model,
}

/// The state of a run over a stream.
pub(crate) struct Run {
    scenario: Scenario,
    k: usize,
    plan: Arc<Plan>,
    pub(crate) stream: Stream,
    trainer: Trainer,
    model: Option<Model>,
    compared: Option<Labelled>,
    before: Option<GroupSegments>,
    tracked: Option<f64>,
    lineage: Vec<(usize, String)>,
    curve: Vec<Evaluation>,
    flipped: f64,
}

/// Runs the trainer on a stream.
pub(crate) fn run(scenario: Scenario, k: usize, spacing: Spacing, seed: u64) -> Result<Outcome> {
    let mut run = Run::new(scenario, k, spacing, seed);
    for tick in 0..LENGTH / BATCH {
        let drawn = run.stream.draw_batch();
        run.evaluate(tick * BATCH, &drawn);
        run.learn(tick, drawn)?;
    }
    run.close()
}

impl Run {
    fn new(scenario: Scenario, k: usize, spacing: Spacing, seed: u64) -> Self {
        let features = (0..DIMENSIONS).map(|index| Feature::count(format!("f{index}")));
        let plan = Arc::new(Plan::compile(&features.collect::<Vec<_>>()));
        Self {
            scenario,
            k,
            trainer: Trainer::new(Arc::clone(&plan), policy(k, seed), None),
            plan,
            stream: Stream::new(scenario, k, spacing, seed),
            model: None,
            compared: None,
            before: None,
            tracked: None,
            lineage: Vec::new(),
            curve: Vec::new(),
            flipped: 0.0,
        }
    }

    /// Evaluates the model on current points, which it has not learned from.
    fn evaluate(&mut self, at: usize, drawn: &[Point]) {
        let Some(model) = &self.model else { return };
        let mut points = drawn.to_vec();
        points.extend(self.stream.probe(EVALUATION_POINTS - drawn.len()));
        let segments = segments(model, &points);
        let groups = groups(&points);
        self.curve
            .push(Evaluation::new(at, &self.stream, &points, &segments));
        if at + BATCH == CHANGE || at + BATCH == TRACKED_AT {
            let now = GroupSegments {
                ids: majorities(&segments, &groups),
                model: model.clone(),
            };
            match &self.before {
                None => self.before = Some(now),
                Some(before) => self.tracked = before.followed(&now, &self.stream),
            }
        }
        if at.is_multiple_of(COMPARED_EVERY) {
            self.compare(Labelled {
                at,
                points,
                segments,
            });
        }
    }

    fn compare(&mut self, now: Labelled) {
        let before = self.compared.replace(now);
        let at = self.compared.as_ref().map_or(0, |now| now.at);
        let still = before.filter(|before| self.scenario.is_stable(before.at, at));
        if let Some((before, model)) = still.zip(self.model.as_ref()) {
            let again = segments(model, &before.points);
            let pairs = again.iter().zip(&before.segments);
            let differ = pairs.filter(|(now, before)| now != before).count();
            self.flipped = self.flipped.max(differ as f64 / again.len() as f64);
        }
    }

    fn learn(&mut self, tick: usize, drawn: Vec<Point>) -> Result<()> {
        let customers = tick as u64 * BATCH as u64..;
        let sample = customers.zip(drawn.into_iter().map(|(point, _)| point));
        let batch = MiniBatch {
            at_ms: tick as i64 * DAY_MS,
            sample: sample.collect(),
        };
        if let Some(publication) = self.trainer.fold(batch, tick as i64) {
            let steps = publication.model.lineage.iter();
            let steps = steps.map(|step| ((tick + 1) * BATCH, format!("{step:?}")));
            self.lineage.extend(steps);
            if !publication.shifts.is_empty() {
                self.lineage.push(((tick + 1) * BATCH, "Alarm".to_owned()));
            }
            self.model = Some(Model::new(&self.plan, publication.model)?);
        }
        Ok(())
    }

    fn close(self) -> Result<Outcome> {
        let model = self.model.as_ref().context("no model")?;
        let points = self.stream.probe(EVALUATION_POINTS);
        let (segments, groups) = (segments(model, &points), groups(&points));
        let last = Evaluation::new(LENGTH, &self.stream, &points, &segments);
        let ids = majorities(&segments, &groups);
        let before = self.before.map(|before| before.ids).unwrap_or_default();
        let mut curve = self.curve;
        curve.push(last);
        Ok(Outcome {
            recovered: recovered(&curve, self.scenario.begins()),
            curve,
            last,
            segments: model.segmentation().segments().len(),
            expected: self.stream.last_k(),
            flipped: self.flipped,
            kept: kept(self.scenario, self.k, &before, &ids),
            tracked: self.tracked,
            lineage: self.lineage,
        })
    }
}

impl GroupSegments {
    /// The mean share of the groups' displacement that their centroids have followed: the projection of each
    /// centroid's displacement onto that of its group.
    fn followed(&self, now: &Self, stream: &Stream) -> Option<f64> {
        let mut shares: Vec<f64> = Vec::new();
        for (group, id) in &now.ids {
            let displacement = stream.displacement(*group)?;
            let from = centroid(&self.model, *self.ids.get(group)?)?;
            let to = centroid(&now.model, *id)?;
            let length: f64 = displacement.iter().map(|part| part * part).sum();
            let parts = displacement.iter().zip(from.iter().zip(to));
            let along: f64 = parts.map(|(part, (from, to))| part * (to - from)).sum();
            shares.push(along / length);
        }
        // Sorted, so that the sum does not depend on the order of the hash map.
        shares.sort_by(f64::total_cmp);
        Some(shares.iter().sum::<f64>() / shares.len() as f64)
    }
}

fn centroid(model: &Model, id: u32) -> Option<&[f64]> {
    let segmentation = model.segmentation();
    let index = segmentation.index_of(id)?;
    Some(&segmentation.segments()[index].centroid)
}

/// A point stands for a sampled customer, and a mini-batch for a day. The half-life is set so that as many points are
/// drawn per half-life as in a pipeline.
fn policy(k: usize, seed: u64) -> LearningPolicy {
    let mut policy = LearningPolicy {
        k_min: k.div_ceil(2),
        k_max: k + k / 2,
        half_life_ms: 0,
        warm_up_customers: 2_000,
        warm_up_ms: 0,
        churn_budget: 1.0,
        learn: true,
        seed,
    };
    let points_a_half_life = policy.sampled() as f64 * std::f64::consts::LN_2;
    policy.half_life_ms = (points_a_half_life / BATCH as f64 * DAY_MS as f64) as i64;
    policy
}

fn segments(model: &Model, points: &[Point]) -> Vec<u32> {
    let mut scratch = Scratch::default();
    let points = points.iter();
    points
        .map(|(point, _)| nearest_segment(model, point, &mut scratch))
        .collect()
}

fn groups(points: &[Point]) -> Vec<usize> {
    points.iter().map(|(_, group)| *group).collect()
}

/// Points from `begins` until the curve stays good; `None` if it does not.
fn recovered(curve: &[Evaluation], begins: usize) -> Option<usize> {
    let after = || curve.iter().filter(|evaluation| evaluation.at >= begins);
    let good = after().rev().take_while(|evaluation| evaluation.is_good());
    good.last().map(|evaluation| evaluation.at - begins)
}

/// Share of the groups with ancestors whose segment has the id of one of their ancestors.
fn kept(
    scenario: Scenario,
    k: usize,
    before: &HashMap<usize, u32>,
    after: &HashMap<usize, u32>,
) -> f64 {
    let mut old: HashMap<Vec<usize>, bool> = HashMap::new();
    for (group, id) in after {
        let ancestors = scenario.ancestors(*group, k);
        let mut ids = ancestors
            .iter()
            .filter_map(|group| before.get(group))
            .peekable();
        if ids.peek().is_some() {
            // If a group was split, it is enough that one half has the id.
            *old.entry(ancestors).or_default() |= ids.any(|before| before == id);
        }
    }
    let count = old.values().filter(|is_kept| **is_kept).count();
    count as f64 / old.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovered_is_what_stays_so() {
        let indices = [1.0, 0.5, 0.98, 0.9, 0.97, 0.985];
        let curve: Vec<Evaluation> = (0..)
            .zip(indices)
            .map(|(tens, index)| Evaluation {
                at: 10 * tens,
                index,
                upper_bound: 0.99,
            })
            .collect();
        assert_eq!(recovered(&curve, 10), Some(30));
        assert_eq!(recovered(&curve[..1], 0), Some(0));
        assert_eq!(recovered(&curve[..2], 10), None);
    }

    #[test]
    fn ids_are_kept_by_half_of_what_was_split_and_by_what_merged() {
        let before = HashMap::from([(0, 10), (1, 11), (2, 12)]);
        let split = HashMap::from([(0, 13), (3, 10), (1, 11), (2, 99)]);
        assert_eq!(kept(Scenario::Split, 3, &before, &split), 2.0 / 3.0);
        let merged = HashMap::from([(1, 10), (2, 12)]);
        assert_eq!(kept(Scenario::Merge, 3, &before, &merged), 1.0);
        let born = HashMap::from([(0, 10), (1, 11), (2, 12), (3, 13)]);
        assert_eq!(kept(Scenario::Birth, 3, &before, &born), 1.0);
    }
}
