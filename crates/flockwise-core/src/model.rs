//! One version of the model: segments, scaler, and the index to look up the nearest.

use flockwise_kmeans::{Nearest, Scratch};

use crate::aggregate::NEVER_MS;
use crate::drift::Drift;
use crate::lineage::Step;
use crate::plan::Plan;

/// A version as it is learnt, stored and exchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelParts {
    /// From 1; each published version is one more.
    pub version: u64,
    /// Event time up to which it has learnt, or at which it was taken into use by order, milliseconds since
    /// the epoch; [`NEVER_MS`] where it does not say.
    pub trained_ms: i64,
    /// Names of the features, in the order of the vectors.
    pub features: Vec<String>,
    /// The scaler: means and variances over customers, in the feature vector's units.
    pub scaler: Scaler,
    /// Tactical segments, ascending by id.
    pub segments: Vec<Segment>,
    /// The next segment that comes to be has this id: above all that ever were.
    pub next_id: u32,
    /// How the segments of the version before became these.
    pub lineage: Vec<Step>,
    /// Places where customers were once and are no more, as long as the trainer remembers them.
    pub ghosts: Vec<RetiredCentroid>,
    /// Whether customers are changing.
    pub drift: Drift,
}

/// A place that a segment has left: who was sampled near it up to a time teaches nothing any more.
#[derive(Clone, Debug, PartialEq)]
pub struct RetiredCentroid {
    /// In the feature vector's units, as a segment's.
    pub centroid: Vec<f64>,
    /// Event time, milliseconds since the epoch.
    pub until_ms: i64,
}

impl ModelParts {
    /// A version without a past: number 1, of no time, its next id above those it has.
    #[must_use]
    pub fn hand_made(features: Vec<String>, scaler: Scaler, segments: Vec<Segment>) -> Self {
        let highest = segments.iter().map(|segment| segment.id).max();
        Self {
            version: 1,
            trained_ms: NEVER_MS,
            features,
            scaler,
            next_id: highest.map_or(1, |id| id.saturating_add(1)),
            segments,
            lineage: Vec::new(),
            ghosts: Vec::new(),
            drift: Drift::default(),
        }
    }
}

/// Decayed moments of the feature vectors of customers.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    /// Mean of each feature.
    pub means: Vec<f64>,
    /// Variance of each feature.
    pub variances: Vec<f64>,
    /// Customers that they stand for.
    pub weight: f64,
}

/// A tactical segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Never used again for another segment.
    pub id: u32,
    /// What sets it apart, in words.
    pub name: String,
    /// In the feature vector's units: after transform and clip, not scaled and not weighted.
    pub centroid: Vec<f64>,
    /// Customers that it stands for, of those sampled lately.
    pub weight: f64,
    /// A person wants it to stay: it is neither merged into another nor retired nor moved elsewhere.
    pub is_pinned: bool,
    /// Beyond this distance from the centroid, in the scaled space, a customer is an outlier of it; `None`: nobody
    /// is.
    pub reach: Option<f64>,
}

impl Segment {
    /// A segment without a name, standing for nobody yet.
    #[must_use]
    pub fn new(id: u32, centroid: Vec<f64>) -> Self {
        Self {
            id,
            name: String::new(),
            centroid,
            weight: 0.0,
            is_pinned: false,
            reach: None,
        }
    }
}

/// A feature counts as constant below this standard deviation and then has no say in distances,
const CONSTANT: f64 = 1e-9;
/// and below this share of its mean: a variance taken from sums of squares is rounding by then.
const ROUNDING: f64 = 1e-6;

impl Scaler {
    /// Standard deviation of a feature; 0 where it is the same for everybody but for rounding.
    #[must_use]
    pub fn deviation(&self, index: usize) -> f64 {
        let deviation = self.variances[index].sqrt();
        if deviation > CONSTANT.max(ROUNDING * self.means[index].abs()) {
            deviation
        } else {
            0.0
        }
    }

    /// What a dimension of this weight is multiplied by: weight / standard deviation, 0 where constant.
    #[must_use]
    pub fn scale(&self, index: usize, weight: f64) -> f64 {
        match self.deviation(index) {
            0.0 => 0.0,
            deviation => weight / deviation,
        }
    }

    /// A value brought in to within five standard deviations of the mean; as it is where constant.
    #[must_use]
    pub fn winsorise(&self, index: usize, x: f64) -> f64 {
        let (mean, reach) = (self.means[index], 5.0 * self.deviation(index));
        if reach > 0.0 {
            x.clamp(mean - reach, mean + reach)
        } else {
            x
        }
    }
}

/// A version ready for use with a plan.
#[derive(Clone, Debug)]
pub struct Model {
    parts: ModelParts,
    /// What a dimension is multiplied by: weight / standard deviation.
    scale: Vec<f64>,
    variance: f64,
    nearest: Nearest,
}

/// Why a model does not go with a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Other features, or in another order.
    #[error(
        "the model is made of the features [{found}], the configuration has [{expected}]: use the configuration that it was made with, or make a new model"
    )]
    Features {
        /// The model's.
        found: String,
        /// The plan's.
        expected: String,
    },
    /// A row of numbers of the wrong length, or with a number that is not finite.
    #[error("{what} must hold {expected} finite numbers, one a feature, and holds {found}")]
    Shape {
        /// Which row.
        what: String,
        /// Finite numbers it has.
        found: usize,
        /// Numbers it needs.
        expected: usize,
    },
    /// Nobody could be anywhere.
    #[error("the model has no segments: at least one is needed")]
    NoSegments,
    /// Numbers of customers are neither below zero nor endless.
    #[error("the weight of {what} is {found}: a finite number not below zero is needed")]
    Weight {
        /// Whose weight.
        what: String,
        /// As it is.
        found: String,
    },
    /// Nobody is nearer than not at all.
    #[error(
        "the reach of segment {segment} is {found}: a finite distance not below zero is needed, or none"
    )]
    Reach {
        /// The segment.
        segment: u32,
        /// As it is.
        found: String,
    },
    /// Ids name segments for ever.
    #[error("the model has two segments with the id {0}: each needs its own")]
    RepeatedId(u32),
}

impl Model {
    /// Makes a version ready for a plan.
    ///
    /// # Errors
    /// Where it does not fit the plan.
    pub fn new(plan: &Plan, mut parts: ModelParts) -> Result<Self, ModelError> {
        parts.segments.sort_by_key(|segment| segment.id);
        check(plan, &parts)?;
        let scale: Vec<f64> = (0..plan.len())
            .map(|index| parts.scaler.scale(index, plan.feature(index).weight))
            .collect();
        let scaled: Vec<f64> = parts
            .segments
            .iter()
            .flat_map(|segment| {
                segment
                    .centroid
                    .iter()
                    .zip(&scale)
                    .map(|(x, scale)| x * scale)
            })
            .collect();
        let nearest = Nearest::new(&scaled, plan.len());
        let spread = scale.iter().zip(&parts.scaler.variances);
        Ok(Self {
            variance: spread
                .map(|(scale, variance)| scale * scale * variance)
                .sum(),
            parts,
            scale,
            nearest,
        })
    }

    /// As it is stored.
    #[must_use]
    pub fn parts(&self) -> &ModelParts {
        &self.parts
    }

    /// Its number.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.parts.version
    }

    /// Segments, ascending by id; an index here is a centroid's.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.parts.segments
    }

    /// The index of a segment id.
    #[must_use]
    pub fn index_of(&self, id: u32) -> Option<usize> {
        self.parts
            .segments
            .binary_search_by_key(&id, |segment| segment.id)
            .ok()
    }

    /// What each dimension is multiplied by before distances are taken: weight / standard deviation,
    /// and 0 for a feature that is the same for everybody.
    #[must_use]
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }

    /// The variance of all customers where distances are taken: the sum of the squared weights of all features that
    /// are not constant.
    #[must_use]
    pub fn variance(&self) -> f64 {
        self.variance
    }

    /// What a feature of value `x` adds to the difference of the squared distances to two points: above zero where it
    /// is nearer to the second. All values are in the feature vector's units.
    #[must_use]
    pub fn pull(&self, feature: usize, x: f64, from: f64, to: f64) -> f64 {
        let squared = |point: f64| ((x - point) * self.scale[feature]).powi(2);
        squared(from) - squared(to)
    }

    /// A feature vector in the space where distances are taken.
    pub fn scaled(&self, vector: &[f64], into: &mut Vec<f64>) {
        into.clear();
        into.extend(vector.iter().zip(&self.scale).map(|(x, scale)| x * scale));
    }

    /// The centroids in the scaled space.
    #[must_use]
    pub fn nearest(&self) -> &Nearest {
        &self.nearest
    }

    /// The index of the nearest centroid to a scaled point and the distance.
    #[must_use]
    pub fn score(&self, scaled: &[f64], scratch: &mut Scratch) -> (usize, f64) {
        let hit = self.nearest.nearest(scaled, scratch);
        (hit.centroid, hit.squared.sqrt())
    }

    /// Whether a scaled point is far from every segment, given its distance to one of the centroids: beyond the
    /// reach of each.
    #[must_use]
    pub fn is_outlier(&self, scaled: &[f64], index: usize, distance: f64) -> bool {
        self.is_beyond(index, distance) && self.is_beyond_all(scaled)
    }

    fn is_beyond(&self, index: usize, distance: f64) -> bool {
        let reach = self.parts.segments[index].reach;
        reach.is_some_and(|reach| distance > reach)
    }

    #[cold]
    fn is_beyond_all(&self, scaled: &[f64]) -> bool {
        let distance = |index| self.nearest.squared_distance(scaled, index).sqrt();
        (0..self.nearest.len()).all(|index| self.is_beyond(index, distance(index)))
    }

    /// A vector with outliers brought in to within five standard deviations of the mean: what the
    /// model learns from, so that a few extremes drag neither centroids nor the scaler.
    pub fn winsorised(&self, vector: &[f64], into: &mut Vec<f64>) {
        let scaler = &self.parts.scaler;
        into.clear();
        into.extend(
            vector
                .iter()
                .enumerate()
                .map(|(index, x)| scaler.winsorise(index, *x)),
        );
    }
}

fn check(plan: &Plan, parts: &ModelParts) -> Result<(), ModelError> {
    if !parts
        .features
        .iter()
        .map(String::as_str)
        .eq(plan.feature_names())
    {
        return Err(ModelError::Features {
            found: parts.features.join(", "),
            expected: plan.feature_names().collect::<Vec<_>>().join(", "),
        });
    }
    row("scaler.means", &parts.scaler.means, plan.len())?;
    row("scaler.variances", &parts.scaler.variances, plan.len())?;
    weight("the scaler", parts.scaler.weight)?;
    if parts.segments.is_empty() {
        return Err(ModelError::NoSegments);
    }
    for segment in &parts.segments {
        let what = format!("the centroid of segment {}", segment.id);
        row(&what, &segment.centroid, plan.len())?;
        weight(&format!("segment {}", segment.id), segment.weight)?;
        reach(segment)?;
    }
    for ghost in &parts.ghosts {
        row("the centroid of a ghost", &ghost.centroid, plan.len())?;
    }
    let repeated = parts
        .segments
        .windows(2)
        .find(|pair| pair[0].id == pair[1].id);
    repeated.map_or(Ok(()), |pair| Err(ModelError::RepeatedId(pair[0].id)))
}

fn weight(what: &str, found: f64) -> Result<(), ModelError> {
    if found.is_finite() && found >= 0.0 {
        return Ok(());
    }
    Err(ModelError::Weight {
        what: what.to_owned(),
        found: found.to_string(),
    })
}

fn reach(segment: &Segment) -> Result<(), ModelError> {
    match segment.reach {
        Some(found) if !(found.is_finite() && found >= 0.0) => Err(ModelError::Reach {
            segment: segment.id,
            found: found.to_string(),
        }),
        _ => Ok(()),
    }
}

fn row(what: &str, numbers: &[f64], expected: usize) -> Result<(), ModelError> {
    let found = numbers.iter().filter(|number| number.is_finite()).count();
    if found == expected && numbers.len() == expected {
        return Ok(());
    }
    Err(ModelError::Shape {
        what: what.to_owned(),
        found,
        expected,
    })
}
