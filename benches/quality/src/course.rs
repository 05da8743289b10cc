//! The trainer on a made-up stream, looked at as it learns.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use flockwise_core::feature::Feature;
use flockwise_core::model::Model;
use flockwise_core::plan::Plan;
use flockwise_core::policy::LearningPolicy;
use flockwise_core::portrait::nearest_segment;
use flockwise_core::trainer::{MiniBatch, Trainer};
use flockwise_kmeans::Scratch;
use serde::Serialize;

use crate::agreement::{adjusted_rand, majorities};
use crate::movement::DAY_MS;
use crate::synthetic::{BATCH, DIMENSIONS, EVENT, LENGTH, Story, Stream};

/// Points that labels are compared on.
pub(crate) const LOOKED_AT: usize = 2_000;
/// Points after which labels are compared with what they were.
const COMPARED_AFTER: usize = 5_000;
/// Groups are told apart from here on.
pub(crate) const GOOD: f64 = 0.98;

/// What came of a stream.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    /// The adjusted Rand index on points of the time, after so many points.
    pub(crate) curve: Vec<(usize, f64)>,
    /// The same at the end.
    pub(crate) last: f64,
    /// Points from the event until the index was good for good; none where it never was.
    pub(crate) recovered: Option<usize>,
    /// Segments at the end, and how many there should be.
    pub(crate) segments: usize,
    pub(crate) expected: usize,
    /// Share of labels that are others after 5,000 points in which nothing happened, at most.
    pub(crate) flipped: f64,
    /// Share of the groups that were there before and after whose segment has an id of before.
    pub(crate) kept: f64,
}

/// Points with labels that were given once.
struct Labelled {
    at: usize,
    points: Vec<(Vec<f64>, usize)>,
    segments: Vec<u32>,
}

/// A course from a stream's first point to its last.
pub(crate) struct Course {
    story: Story,
    k: usize,
    plan: Arc<Plan>,
    pub(crate) stream: Stream,
    trainer: Trainer,
    model: Option<Model>,
    compared: Option<Labelled>,
    ids_before: HashMap<usize, u32>,
    curve: Vec<(usize, f64)>,
    flipped: f64,
}

/// Plays a stream.
pub(crate) fn play(story: Story, k: usize, seed: u64) -> Result<Outcome> {
    let mut course = Course::new(story, k, seed);
    for tick in 0..LENGTH / BATCH {
        let drawn = course.stream.draw_batch();
        course.look(tick * BATCH, &drawn);
        course.learn(tick, drawn)?;
    }
    course.close()
}

impl Course {
    fn new(story: Story, k: usize, seed: u64) -> Self {
        let features = (0..DIMENSIONS).map(|index| Feature::count(format!("f{index}")));
        let plan = Arc::new(Plan::compile(&features.collect::<Vec<_>>()));
        Self {
            story,
            k,
            trainer: Trainer::new(Arc::clone(&plan), policy(k, seed), DAY_MS, None),
            plan,
            stream: Stream::new(story, k, seed),
            model: None,
            compared: None,
            ids_before: HashMap::new(),
            curve: Vec::new(),
            flipped: 0.0,
        }
    }

    /// Holds the model, which has not seen them, against points of the time.
    fn look(&mut self, at: usize, drawn: &[(Vec<f64>, usize)]) {
        let Some(model) = &self.model else { return };
        let mut points = drawn.to_vec();
        points.extend(self.stream.probe(LOOKED_AT - drawn.len()));
        let segments = segments(model, &points);
        let groups = groups(&points);
        self.curve.push((at, adjusted_rand(&segments, &groups)));
        if at + BATCH == EVENT {
            self.ids_before = majorities(&segments, &groups);
        }
        if at.is_multiple_of(COMPARED_AFTER) {
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
        let still = before.filter(|before| self.story.is_still(before.at, at));
        if let Some((before, model)) = still.zip(self.model.as_ref()) {
            let again = segments(model, &before.points);
            let pairs = again.iter().zip(&before.segments);
            let differ = pairs.filter(|(now, before)| now != before).count();
            self.flipped = self.flipped.max(differ as f64 / again.len() as f64);
        }
    }

    fn learn(&mut self, tick: usize, drawn: Vec<(Vec<f64>, usize)>) -> Result<()> {
        let customers = tick as u64 * BATCH as u64..;
        let sample = customers.zip(drawn.into_iter().map(|(point, _)| point));
        let batch = MiniBatch {
            at_ms: tick as i64 * DAY_MS,
            sample: sample.collect(),
        };
        if let Some(publication) = self.trainer.fold(batch, tick as i64) {
            self.model = Some(Model::new(&self.plan, publication.model)?);
        }
        Ok(())
    }

    fn close(self) -> Result<Outcome> {
        let model = self.model.as_ref().context("no model")?;
        let points = self.stream.probe(LOOKED_AT);
        let (segments, groups) = (segments(model, &points), groups(&points));
        let last = adjusted_rand(&segments, &groups);
        let ids = majorities(&segments, &groups);
        let mut curve = self.curve;
        curve.push((LENGTH, last));
        Ok(Outcome {
            recovered: recovered(&curve, self.story.begins()),
            curve,
            last,
            segments: model.segments().len(),
            expected: self.stream.last_k(),
            flipped: self.flipped,
            kept: kept(self.story, self.k, &self.ids_before, &ids),
        })
    }
}

/// A point stands for a customer of the sample: so many a half-life as the pipeline draws, a mini-batch a day.
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

fn segments(model: &Model, points: &[(Vec<f64>, usize)]) -> Vec<u32> {
    let mut scratch = Scratch::default();
    let points = points.iter();
    points
        .map(|(point, _)| nearest_segment(model, point, &mut scratch))
        .collect()
}

fn groups(points: &[(Vec<f64>, usize)]) -> Vec<usize> {
    points.iter().map(|(_, group)| *group).collect()
}

/// Points from `begins` until the curve was good for good.
fn recovered(curve: &[(usize, f64)], begins: usize) -> Option<usize> {
    let after = || curve.iter().filter(|(at, _)| *at >= begins);
    let good = after().rev().take_while(|(_, index)| *index >= GOOD);
    good.last().map(|(at, _)| at - begins)
}

/// Share of the groups with ancestors whose segment has the id of one of these.
fn kept(story: Story, k: usize, before: &HashMap<usize, u32>, after: &HashMap<usize, u32>) -> f64 {
    let mut old: HashMap<Vec<usize>, bool> = HashMap::new();
    for (group, id) in after {
        let ancestors = story.ancestors(*group, k);
        let mut ids = ancestors
            .iter()
            .filter_map(|group| before.get(group))
            .peekable();
        if ids.peek().is_some() {
            // Where one has become two, it is enough that one of them has the id.
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
        let curve = [
            (0, 1.0),
            (20, 0.5),
            (30, 0.99),
            (40, 0.9),
            (50, 0.98),
            (60, 1.0),
        ];
        assert_eq!(recovered(&curve, 20), Some(30));
        assert_eq!(recovered(&curve[..1], 0), Some(0));
        assert_eq!(recovered(&curve[..2], 10), None);
    }

    #[test]
    fn ids_are_kept_by_half_of_what_was_split_and_by_what_merged() {
        let before = HashMap::from([(0, 10), (1, 11), (2, 12)]);
        let split = HashMap::from([(0, 13), (3, 10), (1, 11), (2, 99)]);
        assert_eq!(kept(Story::Split, 3, &before, &split), 2.0 / 3.0);
        let merged = HashMap::from([(1, 10), (2, 12)]);
        assert_eq!(kept(Story::Merge, 3, &before, &merged), 1.0);
        let born = HashMap::from([(0, 10), (1, 11), (2, 12), (3, 13)]);
        assert_eq!(kept(Story::Birth, 3, &before, &born), 1.0);
    }
}
