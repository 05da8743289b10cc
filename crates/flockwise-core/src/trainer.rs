//! The trainer: learns segments from a sample of customers, those of late weighing more.

mod moments;
mod organiser;
mod window;

use std::sync::Arc;

use flockwise_kmeans::{Fit, Points, fit, simplified_silhouette};

use crate::aggregate::NEVER_MS;
use crate::lineage::Step;
use crate::model::{Ghost, ModelParts, Scaler, Segment};
use crate::naming::name_segments;
use crate::plan::Plan;
use crate::policy::LearningPolicy;
use organiser::{Bounds, Organiser, Sampled};
use window::{KEPT_HALF_LIVES, Weighed, Window};

/// Runs of k-means for the first model; the best is kept.
const RESTARTS: usize = 10;
/// Runs for each number of segments while that is being chosen.
const TRIALS: usize = 2;
/// Customers in the trainer's window, at most.
pub(crate) const SAMPLE_BOUND: usize = 65_536;
/// Customers that the first model is made from, at most: more would not make it better, and the shard
/// that is the trainer stands still meanwhile.
const FITTED: usize = 10_000;
/// Versions a half-life, at most: in between little is learnt.
const VERSIONS_A_HALF_LIFE: i64 = 24;

/// Customers of a task, on their way to the trainer.
#[derive(Clone, Debug, PartialEq)]
pub struct MiniBatch {
    /// Event time up to which it speaks, milliseconds since the epoch.
    pub at_ms: i64,
    /// Vectors of customers, by the hash of their ids.
    pub sample: Vec<(u64, Vec<f64>)>,
}

/// Learns the model. Its state is the last published version and the customers sampled lately; a new owner
/// has the latter from the mini-batches again, from [`Trainer::window_offset`] on.
#[derive(Clone, Debug)]
pub struct Trainer {
    plan: Arc<Plan>,
    policy: LearningPolicy,
    publish_ms: i64,
    window: Window,
    first_ms: Option<i64>,
    now_ms: i64,
    model: Option<ModelParts>,
}

impl Trainer {
    /// A trainer that publishes at most once in `publish_ms` of event time and starts from `model`.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        policy: LearningPolicy,
        publish_ms: i64,
        model: Option<ModelParts>,
    ) -> Self {
        Self {
            window: Window::new(plan.len(), SAMPLE_BOUND),
            now_ms: model.as_ref().map_or(NEVER_MS, |model| model.trained_ms),
            publish_ms: publish_ms.max(policy.half_life_ms / VERSIONS_A_HALF_LIFE),
            first_ms: None,
            plan,
            policy,
            model,
        }
    }

    /// Takes a mini-batch in again that the version it started from has learnt from.
    pub fn recall(&mut self, batch: MiniBatch, offset: i64) {
        if self.policy.learn {
            self.window.take(batch, offset);
        }
    }

    /// Takes in the mini-batch at an offset; returns a version where one is to be published.
    pub fn fold(&mut self, batch: MiniBatch, offset: i64) -> Option<ModelParts> {
        if !self.policy.learn {
            return None;
        }
        let at_ms = batch.at_ms;
        self.now_ms = self.now_ms.max(at_ms);
        self.window.take(batch, offset);
        match &self.model {
            None => self.warm_up(at_ms),
            Some(model) if self.is_due(model) => self.learn(),
            Some(_) => None,
        }
    }

    /// Where the oldest mini-batch lies that its window holds: a successor reads from there.
    #[must_use]
    pub fn window_offset(&self) -> Option<i64> {
        self.window.first_offset()
    }

    fn warm_up(&mut self, at_ms: i64) -> Option<ModelParts> {
        let first_ms = *self.first_ms.get_or_insert(at_ms);
        let wanted = self.policy.warm_up_customers.clamp(1, FITTED);
        if self.now_ms - first_ms < self.policy.warm_up_ms || self.window.len() < wanted {
            return None;
        }
        let points = self.window.each_once(SAMPLE_BOUND);
        if points.len() < wanted {
            return None;
        }
        self.model = Some(self.first_model(&self.window.each_once(FITTED)));
        self.model.clone()
    }

    fn first_model(&self, points: &Points) -> ModelParts {
        let scaler = moments::scaler(points, None);
        let (tamed, scaled) = self.prepared(points, &scaler);
        let fit = self.cluster(&scaled);
        let weights: Vec<f64> = points.iter().map(|(_, weight)| weight).collect();
        let found = centroids(&tamed, &fit, &weights).into_iter();
        let found = found.filter(|(weight, _)| *weight > 0.0);
        let segments: Vec<Segment> = (1..)
            .zip(found)
            .map(|(id, (weight, centroid))| Segment {
                id,
                name: String::new(),
                centroid,
                weight,
            })
            .collect();
        self.finished(ModelParts {
            version: 1,
            trained_ms: self.now_ms,
            features: self.plan.feature_names().map(str::to_owned).collect(),
            scaler,
            next_id: segments.len() as u32 + 1,
            lineage: segments
                .iter()
                .map(|segment| Step::Born {
                    segment: segment.id,
                })
                .collect(),
            segments,
            ghosts: Vec::new(),
        })
    }

    /// The best k within bounds: by the simplified silhouette where there is a choice.
    fn cluster(&self, points: &Points) -> Fit {
        let fit = |k, restarts| fit(points, k, restarts, self.policy.seed);
        let (fewest, most) = (self.policy.k_min, self.policy.k_max);
        let best = if fewest == most {
            fewest
        } else {
            (fewest..=most)
                .map(|k| (simplified_silhouette(points, &fit(k, TRIALS)), k))
                .max_by(|left, right| left.0.total_cmp(&right.0))
                .map_or(most, |(_, k)| k)
        };
        fit(best, RESTARTS)
    }

    fn is_due(&self, model: &ModelParts) -> bool {
        self.now_ms.saturating_sub(model.trained_ms) >= self.publish_ms
    }

    /// The next version, unless there are fewer customers to learn from than a first model needs: a gap
    /// in which nobody was seen teaches nothing, and an imported model stands until enough is known.
    fn learn(&mut self) -> Option<ModelParts> {
        let kept = self
            .policy
            .sampled()
            .saturating_mul(KEPT_HALF_LIVES as usize);
        self.window
            .forget(self.now_ms, self.policy.half_life_ms, kept);
        let enough = self.policy.warm_up_customers.min(self.policy.sampled());
        if self.window.len() < enough.max(1) {
            return None;
        }
        let model = self.model.take()?;
        let weighed = self.window.weighed(self.now_ms, self.policy.half_life_ms);
        self.model = Some(if weighed.points.is_empty() {
            model
        } else {
            self.next_model(&model, weighed)
        });
        self.model.clone()
    }

    fn next_model(&self, model: &ModelParts, mut weighed: Weighed) -> ModelParts {
        let ghosts = self.remembered_ghosts(model);
        lay(&mut weighed, model, &ghosts, &self.scale(&model.scaler));
        let scaler = moments::scaler(&weighed.points, Some(&model.scaler));
        let (tamed, scaled) = self.prepared(&weighed.points, &scaler);
        let scale = self.scale(&scaler);
        let (ids, start): (Vec<u32>, Vec<Vec<f64>>) = model
            .segments
            .iter()
            .map(|segment| (segment.id, scaled_by(&segment.centroid, &scale)))
            .unzip();
        let sampled = Sampled {
            points: scaled,
            at_ms: weighed.at_ms,
            old_ms: self.now_ms - self.policy.half_life_ms,
        };
        let bounds = Bounds {
            k_min: self.policy.k_min,
            k_max: self.policy.k_max,
            seed: self.policy.seed,
        };
        let mut organiser = Organiser::new(sampled, bounds, ids, start.concat(), model.next_id);
        organiser.organise();
        self.organised(model, organiser, scaler, &tamed, ghosts)
    }

    /// What the organiser has come to, in the feature vector's units.
    fn organised(
        &self,
        model: &ModelParts,
        organiser: Organiser,
        scaler: Scaler,
        tamed: &Points,
        mut ghosts: Vec<Ghost>,
    ) -> ModelParts {
        let scale = self.scale(&scaler);
        let learnt = centroids(tamed, &organiser.fit, &organiser.weights());
        ghosts.extend(organiser.ghosts.into_iter().map(|ghost| Ghost {
            centroid: unscaled(&ghost.centroid, &scale, &scaler),
            ..ghost
        }));
        let former = |id: u32| model.segments.iter().find(|segment| segment.id == id);
        let segments = organiser
            .ids
            .iter()
            .zip(learnt)
            .map(|(id, (weight, centroid))| {
                // Where nobody is now, it stays where it was.
                let stays = former(*id).filter(|_| weight <= 0.0);
                let centroid = stays.map_or(centroid, |former| former.centroid.clone());
                Segment {
                    id: *id,
                    name: former(*id).map_or_else(String::new, |former| former.name.clone()),
                    centroid,
                    weight,
                }
            });
        self.finished(ModelParts {
            version: model.version + 1,
            trained_ms: self.now_ms,
            features: model.features.clone(),
            segments: segments.collect(),
            scaler,
            next_id: organiser.next_id,
            lineage: organiser.steps,
            ghosts,
        })
    }

    fn remembered_ghosts(&self, model: &ModelParts) -> Vec<Ghost> {
        let reach_ms = self.policy.half_life_ms.saturating_mul(KEPT_HALF_LIVES);
        let bound_ms = self.now_ms.saturating_sub(reach_ms);
        let ghosts = model.ghosts.iter();
        ghosts
            .filter(|ghost| ghost.until_ms >= bound_ms)
            .cloned()
            .collect()
    }

    fn scale(&self, scaler: &Scaler) -> Vec<f64> {
        (0..self.plan.len())
            .map(|index| scaler.scale(index, self.plan.feature(index).weight))
            .collect()
    }

    /// Vectors with outliers tamed, and these in the space where distances are taken.
    fn prepared(&self, points: &Points, scaler: &Scaler) -> (Points, Points) {
        let scale = self.scale(scaler);
        let (mut tamed, mut scaled) = (Points::new(self.plan.len()), Points::new(self.plan.len()));
        let mut row = Vec::with_capacity(self.plan.len());
        for (point, weight) in points.iter() {
            row.clear();
            row.extend(
                point
                    .iter()
                    .enumerate()
                    .map(|(index, x)| scaler.tame(index, *x)),
            );
            tamed.push(&row, weight);
            row.iter_mut()
                .zip(&scale)
                .for_each(|(x, scale)| *x *= scale);
            scaled.push(&row, weight);
        }
        (tamed, scaled)
    }

    fn finished(&self, mut model: ModelParts) -> ModelParts {
        round(&mut model.scaler);
        model.segments.sort_by_key(|segment| segment.id);
        name_segments(&self.plan, &model.scaler, &mut model.segments);
        model
    }
}

/// Takes the weight from whoever was sampled where a ghost is, rather than where a segment is, in its time.
fn lay(weighed: &mut Weighed, model: &ModelParts, ghosts: &[Ghost], scale: &[f64]) {
    let squared = |point: &[f64], place: &[f64]| -> f64 {
        let off = point.iter().zip(place).zip(scale);
        off.map(|((x, place), scale)| ((x - place) * scale).powi(2))
            .sum()
    };
    let Some(last_ms) = ghosts.iter().map(|ghost| ghost.until_ms).max() else {
        return;
    };
    for index in 0..weighed.points.len() {
        if weighed.at_ms[index] > last_ms {
            continue;
        }
        let point = weighed.points.point(index);
        let haunted = ghosts
            .iter()
            .filter(|ghost| weighed.at_ms[index] <= ghost.until_ms)
            .map(|ghost| squared(point, &ghost.centroid))
            .fold(f64::INFINITY, f64::min);
        let settled = model.segments.iter();
        if settled
            .map(|segment| squared(point, &segment.centroid))
            .all(|squared| squared > haunted)
        {
            weighed.points.set_weight(index, 0.0);
        }
    }
}

/// A scaled point in the feature vector's units; the mean of all where a feature is the same for everybody.
fn unscaled(point: &[f64], scale: &[f64], scaler: &Scaler) -> Vec<f64> {
    let columns = point.iter().zip(scale).zip(&scaler.means);
    columns
        .map(|((x, scale), mean)| if *scale > 0.0 { x / scale } else { *mean })
        .collect()
}

fn scaled_by(vector: &[f64], scale: &[f64]) -> Vec<f64> {
    vector
        .iter()
        .zip(scale)
        .map(|(x, scale)| x * scale)
        .collect()
}

/// Makes variances squares of deviations, as which they are written: who goes on from the published
/// version has the very same numbers.
fn round(scaler: &mut Scaler) {
    for variance in &mut scaler.variances {
        let deviation = variance.sqrt();
        *variance = deviation * deviation;
    }
}

/// Weight and mean of the points of each label, as they are weighed.
fn centroids(points: &Points, fit: &Fit, weights: &[f64]) -> Vec<(f64, Vec<f64>)> {
    let mut found = vec![(0.0, vec![0.0; points.dimensions()]); fit.k()];
    for ((index, label), weight) in fit.labels.iter().enumerate().zip(weights) {
        let (total, sums) = &mut found[*label];
        *total += weight;
        let point = points.point(index);
        sums.iter_mut()
            .zip(point)
            .for_each(|(sum, x)| *sum += weight * x);
    }
    for (total, sums) in &mut found {
        if *total > 0.0 {
            sums.iter_mut().for_each(|sum| *sum /= *total);
        }
    }
    found
}
