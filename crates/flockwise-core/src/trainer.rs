//! The trainer: folds mini-batches of customers into the model, with a half-life in event time.

use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_kmeans::{Delta, fit, simplified_silhouette};
use ndarray::Array2;

use crate::aggregate::NEVER_MS;
use crate::model::{ModelParts, Scaler, Segment};
use crate::naming::name_segments;
use crate::plan::Plan;
use crate::policy::LearningPolicy;

/// Runs of k-means for the first model; the best is kept.
const RESTARTS: usize = 10;
/// Runs for each number of segments while that is being chosen.
const TRIALS: usize = 2;
/// Customers in the warm-up sample, at most, whatever the configuration asks for.
pub(crate) const SAMPLE_BOUND: usize = 65_536;
/// Customers that the first model is made from, at most: more would not make it better, and the shard
/// that is the trainer stands still meanwhile.
const FITTED: usize = 10_000;

/// What a task learnt from the customers that were due, on its way to the trainer.
#[derive(Clone, Debug, PartialEq)]
pub struct MiniBatch {
    /// Event time up to which it speaks, milliseconds since the epoch.
    pub at_ms: i64,
    /// The lesson.
    pub lesson: Lesson,
}

/// The two kinds of lesson.
#[derive(Clone, Debug, PartialEq)]
pub enum Lesson {
    /// Before there is a model: vectors of customers, by the hash of their ids.
    Sample(Vec<(u64, Vec<f64>)>),
    /// Sufficient statistics against a version of the model.
    Delta {
        /// The version whose centroids they belong to.
        version: u64,
        /// Counts, sums and squares by centroid, outliers tamed.
        delta: Delta,
    },
}

/// Learns the model. Its whole state is the last published version and the mini-batches since, so a
/// new owner reads these again.
#[derive(Clone, Debug)]
pub struct Trainer {
    plan: Arc<Plan>,
    policy: LearningPolicy,
    publish_ms: i64,
    sample: BTreeMap<u64, Vec<f64>>,
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
        let now_ms = model.as_ref().map_or(NEVER_MS, |model| model.trained_ms);
        let model = model.map(|model| weighed(model, policy.warm_up_customers));
        Self {
            plan,
            policy,
            publish_ms,
            sample: BTreeMap::new(),
            first_ms: None,
            now_ms,
            model,
        }
    }

    /// Folds a mini-batch in; returns a version where one is to be published.
    pub fn fold(&mut self, batch: MiniBatch) -> Option<ModelParts> {
        if !self.policy.learn {
            return None;
        }
        self.decay(batch.at_ms);
        match batch.lesson {
            Lesson::Sample(sample) => self.warm_up(batch.at_ms, sample),
            Lesson::Delta { delta, .. } => self.learn(&delta),
        }
    }

    fn warm_up(&mut self, at_ms: i64, sample: Vec<(u64, Vec<f64>)>) -> Option<ModelParts> {
        if self.model.is_some() {
            return None;
        }
        let first_ms = *self.first_ms.get_or_insert(at_ms);
        for (customer, vector) in sample {
            let has_room = self.sample.len() < SAMPLE_BOUND || self.sample.contains_key(&customer);
            let fits = vector.len() == self.plan.len() && vector.iter().all(|x| x.is_finite());
            if has_room && fits {
                self.sample.insert(customer, vector);
            }
        }
        let wanted = self.policy.warm_up_customers.min(SAMPLE_BOUND);
        let is_warm =
            self.sample.len() >= wanted.max(1) && self.now_ms - first_ms >= self.policy.warm_up_ms;
        if is_warm {
            self.model = Some(self.first_model());
            self.sample.clear();
        }
        self.model.clone()
    }

    fn first_model(&self) -> ModelParts {
        let dimensions = self.plan.len();
        // They are in the order of their ids' hashes, so the first ones are a fair sample.
        let count = self.sample.len().min(FITTED);
        let rows: Vec<f64> = self
            .sample
            .values()
            .take(count)
            .flatten()
            .copied()
            .collect();
        let scaler = scaler(&rows, dimensions, count as f64);
        let scale: Vec<f64> = (0..dimensions)
            .map(|index| scaler.scale(index, self.plan.feature(index).weight))
            .collect();
        let tamed = Array2::from_shape_fn((count, dimensions), |(row, column)| {
            scaler.tame(column, rows[row * dimensions + column])
        });
        let points = Array2::from_shape_fn((count, dimensions), |(row, column)| {
            tamed[(row, column)] * scale[column]
        });
        let mut segments = means(&tamed, &self.cluster(&points));
        name_segments(&self.plan, &scaler, &mut segments);
        let mut model = ModelParts {
            version: 1,
            trained_ms: self.now_ms,
            features: self.plan.feature_names().map(str::to_owned).collect(),
            scaler,
            segments,
        };
        round(&mut model.scaler);
        model
    }

    /// Labels of the best k within bounds: by the simplified silhouette where there is a choice.
    fn cluster(&self, points: &Array2<f64>) -> Vec<usize> {
        let fit = |k, restarts| fit(points.view(), k, restarts, self.policy.seed);
        let (fewest, most) = (self.policy.k_min, self.policy.k_max);
        let best = if fewest == most {
            fewest
        } else {
            (fewest..=most)
                .map(|k| (simplified_silhouette(points.view(), &fit(k, TRIALS)), k))
                .max_by(|left, right| left.0.total_cmp(&right.0))
                .map_or(most, |(_, k)| k)
        };
        fit(best, RESTARTS).labels
    }

    /// What was learnt before weighs less as event time passes.
    fn decay(&mut self, at_ms: i64) {
        let elapsed = at_ms.saturating_sub(self.now_ms);
        if elapsed <= 0 {
            return;
        }
        // A gap in which nobody was seen teaches nothing: it must not make the first few after it
        // count for everybody.
        let elapsed = elapsed.min(self.policy.half_life_ms);
        let is_first = self.now_ms == NEVER_MS;
        self.now_ms = at_ms;
        if let Some(model) = self.model.as_mut().filter(|_| !is_first) {
            let factor = (-(elapsed as f64) / self.policy.half_life_ms as f64).exp2();
            model.scaler.weight *= factor;
            for segment in &mut model.segments {
                segment.weight *= factor;
            }
        }
    }

    fn learn(&mut self, delta: &Delta) -> Option<ModelParts> {
        let model = self.model.as_mut()?;
        if delta.counts.len() != model.segments.len() || delta.dimensions() != self.plan.len() {
            return None;
        }
        for (index, segment) in model.segments.iter_mut().enumerate() {
            segment.weight = delta.move_centroid(index, segment.weight, &mut segment.centroid);
        }
        rescale(&mut model.scaler, delta);
        if self.now_ms.saturating_sub(model.trained_ms) < self.publish_ms {
            return None;
        }
        model.version += 1;
        model.trained_ms = self.now_ms;
        name_segments(&self.plan, &model.scaler, &mut model.segments);
        round(&mut model.scaler);
        Some(model.clone())
    }
}

/// A model made by hand need not say how many customers it stands for; it then counts for as many as a
/// warm-up, so that the first mini-batch does not replace it.
fn weighed(mut model: ModelParts, customers: usize) -> ModelParts {
    let customers = customers.max(1) as f64;
    if model.scaler.weight < 1.0 {
        model.scaler.weight = customers;
    }
    if model
        .segments
        .iter()
        .map(|segment| segment.weight)
        .sum::<f64>()
        < 1.0
    {
        let each = customers / model.segments.len().max(1) as f64;
        model
            .segments
            .iter_mut()
            .for_each(|segment| segment.weight = each);
    }
    model
}

/// Means and variances of rows, the variance taken again without what lies beyond five standard
/// deviations.
fn scaler(rows: &[f64], dimensions: usize, weight: f64) -> Scaler {
    let moments = |column: usize, value: &dyn Fn(f64) -> f64| {
        let column = || {
            rows.iter()
                .skip(column)
                .step_by(dimensions)
                .map(|x| value(*x))
        };
        let mean = column().sum::<f64>() / weight;
        (
            mean,
            column().map(|x| (x - mean).powi(2)).sum::<f64>() / weight,
        )
    };
    let (means, variances): (Vec<f64>, Vec<f64>) = (0..dimensions)
        .map(|column| moments(column, &|x| x))
        .unzip();
    let first = Scaler {
        means,
        variances,
        weight,
    };
    let (means, variances) = (0..dimensions)
        .map(|column| moments(column, &|x| first.tame(column, x)))
        .unzip();
    Scaler {
        means,
        variances,
        weight,
    }
}

/// Makes variances squares of deviations, as which they are written: who goes on from the published
/// version has the very same numbers.
fn round(scaler: &mut Scaler) {
    for variance in &mut scaler.variances {
        let deviation = variance.sqrt();
        *variance = deviation * deviation;
    }
}

/// Folds a mini-batch's moments into the scaler's.
fn rescale(scaler: &mut Scaler, delta: &Delta) {
    let added = delta.total();
    let total = scaler.weight + added;
    if added == 0.0 {
        return;
    }
    for column in 0..delta.dimensions() {
        let of_column =
            |sums: &[f64]| -> f64 { sums.iter().skip(column).step_by(delta.dimensions()).sum() };
        let (mean, variance) = (scaler.means[column], scaler.variances[column]);
        let square = scaler.weight * (variance + mean * mean) + of_column(&delta.squares);
        let next = (scaler.weight * mean + of_column(&delta.sums)) / total;
        scaler.means[column] = next;
        scaler.variances[column] = (square / total - next * next).max(0.0);
    }
    scaler.weight = total;
}

/// A segment for each label that has points, at their mean; ids from 1.
fn means(points: &Array2<f64>, labels: &[usize]) -> Vec<Segment> {
    let k = labels.iter().max().map_or(0, |label| label + 1);
    let mut delta = Delta::new(k, points.ncols());
    for (point, label) in points.rows().into_iter().zip(labels) {
        let point: Vec<f64> = point.iter().copied().collect();
        delta.add(*label, &point);
    }
    (0..k)
        .filter(|index| delta.counts[*index] > 0.0)
        .enumerate()
        .map(|(place, index)| {
            let mut centroid = vec![0.0; points.ncols()];
            let weight = delta.move_centroid(index, 0.0, &mut centroid);
            Segment {
                id: place as u32 + 1,
                name: String::new(),
                centroid,
                weight,
            }
        })
        .collect()
}
