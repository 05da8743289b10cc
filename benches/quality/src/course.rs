//! The trainer on a made-up stream, looked at as it learns.

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
use crate::synthetic::{BATCH, EVENT, LENGTH, Story, Stream};

/// Points that labels are compared on.
pub(crate) const LOOKED_AT: usize = 4_000;
/// Points after which labels are compared with what they were.
const COMPARED_AFTER: usize = 5_000;
/// Where it is looked how far centroids have followed.
const TRACKED_AT: usize = 50_000;
/// Groups are told apart where no more than this is missing to who knows their centres.
pub(crate) const SLACK: f64 = 0.02;

/// How well groups are told apart at a point of the stream.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Look {
    /// So many points in.
    pub(crate) at: usize,
    /// The adjusted Rand index of the model that there is.
    pub(crate) index: f64,
    /// And of who knows the centres, on the same points.
    pub(crate) at_best: f64,
}

/// What came of a stream.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    /// The adjusted Rand index on points of the time, as the stream went on.
    pub(crate) curve: Vec<Look>,
    /// The last of them.
    pub(crate) last: Look,
    /// Points from the event until the index was good for good; none where it never was.
    pub(crate) recovered: Option<usize>,
    /// Segments at the end, and how many there should be.
    pub(crate) segments: usize,
    pub(crate) expected: usize,
    /// Share of labels that are others after 5,000 points in which nothing happened, at most.
    pub(crate) flipped: f64,
    /// Share of the groups that were there before and after whose segment has an id of before.
    pub(crate) kept: f64,
    /// Share of the way of groups that move which their centroids have gone, on average; none where none moves.
    pub(crate) tracked: Option<f64>,
    /// What the trainer did, and after how many points.
    pub(crate) lineage: Vec<(usize, String)>,
}

impl Look {
    fn new(at: usize, stream: &Stream, points: &[Point], segments: &[u32]) -> Self {
        Self {
            at,
            index: adjusted_rand(segments, &groups(points)),
            at_best: stream.at_best(points),
        }
    }

    fn is_good(&self) -> bool {
        self.index >= self.at_best - SLACK
    }
}

/// Points with labels that were given once.
struct Labelled {
    at: usize,
    points: Vec<Point>,
    segments: Vec<u32>,
}

/// The segments that groups were in, and where these were.
struct Places {
    ids: HashMap<usize, u32>,
    model: Model,
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
    before: Option<Places>,
    tracked: Option<f64>,
    lineage: Vec<(usize, String)>,
    curve: Vec<Look>,
    flipped: f64,
}

/// Plays a stream.
pub(crate) fn play(story: Story, k: usize, spacing: Spacing, seed: u64) -> Result<Outcome> {
    let mut course = Course::new(story, k, spacing, seed);
    for tick in 0..LENGTH / BATCH {
        let drawn = course.stream.draw_batch();
        course.look(tick * BATCH, &drawn);
        course.learn(tick, drawn)?;
    }
    course.close()
}

impl Course {
    fn new(story: Story, k: usize, spacing: Spacing, seed: u64) -> Self {
        let features = (0..DIMENSIONS).map(|index| Feature::count(format!("f{index}")));
        let plan = Arc::new(Plan::compile(&features.collect::<Vec<_>>()));
        Self {
            story,
            k,
            trainer: Trainer::new(Arc::clone(&plan), policy(k, seed), None),
            plan,
            stream: Stream::new(story, k, spacing, seed),
            model: None,
            compared: None,
            before: None,
            tracked: None,
            lineage: Vec::new(),
            curve: Vec::new(),
            flipped: 0.0,
        }
    }

    /// Holds the model, which has not seen them, against points of the time.
    fn look(&mut self, at: usize, drawn: &[Point]) {
        let Some(model) = &self.model else { return };
        let mut points = drawn.to_vec();
        points.extend(self.stream.probe(LOOKED_AT - drawn.len()));
        let segments = segments(model, &points);
        let groups = groups(&points);
        self.curve
            .push(Look::new(at, &self.stream, &points, &segments));
        if at + BATCH == EVENT || at + BATCH == TRACKED_AT {
            let now = Places {
                ids: majorities(&segments, &groups),
                model: model.clone(),
            };
            match &self.before {
                None => self.before = Some(now),
                Some(before) => self.tracked = before.followed(&now, &self.stream),
            }
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
        let points = self.stream.probe(LOOKED_AT);
        let (segments, groups) = (segments(model, &points), groups(&points));
        let last = Look::new(LENGTH, &self.stream, &points, &segments);
        let ids = majorities(&segments, &groups);
        let before = self.before.map(|before| before.ids).unwrap_or_default();
        let mut curve = self.curve;
        curve.push(last);
        Ok(Outcome {
            recovered: recovered(&curve, self.story.begins()),
            curve,
            last,
            segments: model.segments().len(),
            expected: self.stream.last_k(),
            flipped: self.flipped,
            kept: kept(self.story, self.k, &before, &ids),
            tracked: self.tracked,
            lineage: self.lineage,
        })
    }
}

impl Places {
    /// The mean share of the groups' way that their centroids have gone since: what of their displacement lies along it.
    fn followed(&self, now: &Self, stream: &Stream) -> Option<f64> {
        let mut shares: Vec<f64> = Vec::new();
        for (group, id) in &now.ids {
            let way = stream.displacement(*group)?;
            let from = centroid(&self.model, *self.ids.get(group)?)?;
            let to = centroid(&now.model, *id)?;
            let length: f64 = way.iter().map(|part| part * part).sum();
            let gone = way.iter().zip(from.iter().zip(to));
            let along: f64 = gone.map(|(part, (from, to))| part * (to - from)).sum();
            shares.push(along / length);
        }
        // In the order of size: sums must not depend on the order of a hash map.
        shares.sort_by(f64::total_cmp);
        Some(shares.iter().sum::<f64>() / shares.len() as f64)
    }
}

fn centroid(model: &Model, id: u32) -> Option<&[f64]> {
    let index = model.index_of(id)?;
    Some(&model.segments()[index].centroid)
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

/// Points from `begins` until the curve was good for good.
fn recovered(curve: &[Look], begins: usize) -> Option<usize> {
    let after = || curve.iter().filter(|look| look.at >= begins);
    let good = after().rev().take_while(|look| look.is_good());
    good.last().map(|look| look.at - begins)
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
        let indices = [1.0, 0.5, 0.98, 0.9, 0.97, 0.985];
        let curve: Vec<Look> = (0..)
            .zip(indices)
            .map(|(tens, index)| Look {
                at: 10 * tens,
                index,
                at_best: 0.99,
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
        assert_eq!(kept(Story::Split, 3, &before, &split), 2.0 / 3.0);
        let merged = HashMap::from([(1, 10), (2, 12)]);
        assert_eq!(kept(Story::Merge, 3, &before, &merged), 1.0);
        let born = HashMap::from([(0, 10), (1, 11), (2, 12), (3, 13)]);
        assert_eq!(kept(Story::Birth, 3, &before, &born), 1.0);
    }
}
