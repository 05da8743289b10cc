//! One version of the model: segments, scaler, and the search for the nearest segment.

use flockwise_kmeans::{Nearest, Scratch};
use ndarray::{Array2, ArrayView1, aview1};

use crate::aggregate::NEVER_MS;
use crate::drift::Drift;
use crate::lineage::Step;
use crate::plan::Plan;

/// A version in the form in which it is learnt, stored and exchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelParts {
    /// Version number, from 1; each published version is one higher.
    pub version: u64,
    /// Event time up to which it has learnt, or at which a command put it into use, milliseconds since the epoch;
    /// [`NEVER_MS`] if unknown.
    pub trained_ms: i64,
    /// Names of the features, in the order of the vectors.
    pub features: Vec<String>,
    /// The scaler: means and variances over customers, in the feature vector's units.
    pub scaler: Scaler,
    /// Tactical segments, ascending by id.
    pub segments: Vec<Segment>,
    /// Id of the next new segment: above all ids ever used.
    pub next_id: u32,
    /// How the segments of the previous version became these.
    pub lineage: Vec<Step>,
    /// Retired centroids, for as long as the trainer remembers them.
    pub ghosts: Vec<RetiredCentroid>,
    /// State of the drift detection.
    pub drift: Drift,
}

/// A centroid that a segment has left. The trainer ignores customers sampled near it up to a time.
#[derive(Clone, Debug, PartialEq)]
pub struct RetiredCentroid {
    /// In the feature vector's units, like that of a segment.
    pub centroid: Vec<f64>,
    /// Event time up to which samples are ignored, milliseconds since the epoch.
    pub until_ms: i64,
}

impl ModelParts {
    /// A version without a predecessor: number 1, no training time, the next id above those of `segments`.
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

/// Decayed moments of the customers' feature vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    /// Mean of each feature.
    pub means: Vec<f64>,
    /// Variance of each feature.
    pub variances: Vec<f64>,
    /// Number of customers that they stand for.
    pub weight: f64,
}

/// A tactical segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Never reused for another segment.
    pub id: u32,
    /// What sets the segment apart, in words.
    pub name: String,
    /// In the feature vector's units: after transform and clip, not scaled and not weighted.
    pub centroid: Vec<f64>,
    /// Number of recently sampled customers that it stands for, weighted by age.
    pub weight: f64,
    /// Pinned by a person: it is neither merged into another, nor retired, nor moved elsewhere.
    pub is_pinned: bool,
    /// Outlier threshold: a customer further than this from the centroid, in the scaled space, is an outlier of
    /// the segment. `None`: no customer is.
    pub reach: Option<f64>,
}

impl Segment {
    /// A segment without a name and without customers.
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

/// A feature with a standard deviation up to this is constant and has no weight in distances.
const CONSTANT: f64 = 1e-9;
/// The same holds up to this share of its mean: a variance from sums of squares is then only rounding.
const ROUNDING: f64 = 1e-6;

impl Scaler {
    /// Standard deviation of a feature; 0 if it is constant apart from rounding.
    #[must_use]
    pub fn deviation(&self, index: usize) -> f64 {
        let deviation = self.variances[index].sqrt();
        if deviation > CONSTANT.max(ROUNDING * self.means[index].abs()) {
            deviation
        } else {
            0.0
        }
    }

    /// Factor of a dimension with this weight: weight / standard deviation, 0 if the feature is constant.
    #[must_use]
    pub fn scale(&self, index: usize, weight: f64) -> f64 {
        match self.deviation(index) {
            0.0 => 0.0,
            deviation => weight / deviation,
        }
    }

    /// Winsorises a value to five standard deviations from the mean. Leaves it unchanged if the feature is
    /// constant.
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

/// A version prepared for use with a plan.
#[derive(Clone, Debug)]
pub struct Model {
    parts: ModelParts,
    /// Factor of each dimension: weight / standard deviation.
    scale: Vec<f64>,
    variance: f64,
    nearest: Nearest,
}

/// Why a model does not fit a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// It has other features, or the same in another order.
    #[error(
        "the model has the features [{found}], the configuration has [{expected}]: use the configuration that the model was made with, or make a new model"
    )]
    Features {
        /// The features of the model, separated by commas.
        found: String,
        /// The features of the plan, separated by commas.
        expected: String,
    },
    /// A row of numbers has the wrong length, or contains a number that is not finite.
    #[error("{what} has {found} finite numbers: {expected} are needed, one for each feature")]
    Shape {
        /// Name of the row.
        what: String,
        /// Number of finite numbers that it has.
        found: usize,
        /// Number of finite numbers that it needs.
        expected: usize,
    },
    /// It has no segments.
    #[error("the model has no segments: at least one is needed")]
    NoSegments,
    /// A weight, which is a number of customers, is negative or not finite.
    #[error("the weight of {what} is {found}: a finite number of at least 0 is needed")]
    Weight {
        /// What has the weight.
        what: String,
        /// The weight.
        found: String,
    },
    /// An outlier threshold, which is a distance, is negative or not finite.
    #[error(
        "the reach of segment {segment} is {found}: a finite distance of at least 0 is needed, or none"
    )]
    Reach {
        /// The segment.
        segment: u32,
        /// The threshold.
        found: String,
    },
    /// Two segments have the same id.
    #[error("the model has two segments with the id {0}: each segment needs its own id")]
    RepeatedId(u32),
}

impl Model {
    /// Prepares a version for a plan.
    ///
    /// # Errors
    /// If the version does not fit the plan.
    pub fn new(plan: &Plan, mut parts: ModelParts) -> Result<Self, ModelError> {
        parts.segments.sort_by_key(|segment| segment.id);
        check(plan, &parts)?;
        let scale: Vec<f64> = (0..plan.len())
            .map(|index| parts.scaler.scale(index, plan.feature(index).weight))
            .collect();
        let nearest = Nearest::new(scaled_centroids(&parts.segments, aview1(&scale)).view());
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

    /// The version in the form in which it is stored.
    #[must_use]
    pub fn parts(&self) -> &ModelParts {
        &self.parts
    }

    /// The version number.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.parts.version
    }

    /// Segments, ascending by id. An index here is also the index of the centroid.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.parts.segments
    }

    /// The index of the segment with an id; `None` if there is none.
    #[must_use]
    pub fn index_of(&self, id: u32) -> Option<usize> {
        self.parts
            .segments
            .binary_search_by_key(&id, |segment| segment.id)
            .ok()
    }

    /// Factor of each dimension before distances are taken: weight / standard deviation, and 0 for a constant
    /// feature.
    #[must_use]
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }

    /// The variance of all customers in the scaled space: the sum of the squared weights of all features that are
    /// not constant.
    #[must_use]
    pub fn variance(&self) -> f64 {
        self.variance
    }

    /// What a feature of value `x` adds to the difference of the squared distances to two points; above zero if it
    /// is nearer to `to`. All values are in the feature vector's units.
    #[must_use]
    pub fn pull(&self, feature: usize, x: f64, from: f64, to: f64) -> f64 {
        let squared = |point: f64| ((x - point) * self.scale[feature]).powi(2);
        squared(from) - squared(to)
    }

    /// Scales a feature vector into the space in which distances are taken.
    pub fn scaled(&self, vector: &[f64], into: &mut Vec<f64>) {
        into.clear();
        into.extend(vector.iter().zip(&self.scale).map(|(x, scale)| x * scale));
    }

    /// The search for the nearest centroid in the scaled space.
    #[must_use]
    pub fn nearest(&self) -> &Nearest {
        &self.nearest
    }

    /// The index of the centroid nearest to a scaled point, and the distance.
    #[must_use]
    pub fn score(&self, scaled: &[f64], scratch: &mut Scratch) -> (usize, f64) {
        let hit = self.nearest.nearest(scaled, scratch);
        (hit.centroid, hit.squared.sqrt())
    }

    /// Whether a scaled point is an outlier: beyond the outlier threshold of every segment. `distance` is its
    /// distance to the centroid of index `index`.
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

    /// Winsorises a vector to five standard deviations from the mean. The model learns from such vectors, so that
    /// a few extreme values distort neither centroids nor the scaler.
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

/// The centroids of `segments`, one row for each, multiplied by the factor of each dimension.
pub(crate) fn scaled_centroids(segments: &[Segment], scale: ArrayView1<'_, f64>) -> Array2<f64> {
    let unscaled = |(row, column): (usize, usize)| segments[row].centroid[column];
    Array2::from_shape_fn((segments.len(), scale.len()), unscaled) * scale
}

/// By what share a distance is below another one: 1 - d / other; 0 if both are 0.
pub(crate) fn share_nearer(distance: f64, other: f64) -> f64 {
    if other > 0.0 {
        1.0 - distance / other
    } else {
        0.0
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
        row("a retired centroid", &ghost.centroid, plan.len())?;
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
