//! Segments, as they are learnt, stored and exchanged.

use super::scaler::Scaler;

/// The segments of a version, in the form in which they are learnt, stored and exchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct Segmentation {
    /// Means and variances over customers, in the feature vector's units.
    pub scaler: Scaler,
    /// The tactical segments, ascending by id.
    pub segments: Vec<Segment>,
    /// Id of the next new segment: above all ids ever used.
    pub next_id: u32,
    /// Retired centroids, for as long as the trainer remembers them.
    pub retired_centroids: Vec<RetiredCentroid>,
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
    /// A customer further than this from the centroid, in the scaled space, is an outlier of the segment. `None`: no
    /// customer is.
    pub outlier_threshold: Option<f64>,
}

/// A centroid that a segment has left. The trainer ignores customers sampled near it up to a time.
#[derive(Clone, Debug, PartialEq)]
pub struct RetiredCentroid {
    /// In the feature vector's units, like that of a segment.
    pub centroid: Vec<f64>,
    /// Event time up to which samples are ignored, milliseconds since the epoch.
    pub until_ms: i64,
}

impl Segmentation {
    /// Segments without predecessors: the next id is above theirs.
    #[must_use]
    pub fn new(scaler: Scaler, segments: Vec<Segment>) -> Self {
        let highest = segments.iter().map(|segment| segment.id).max();
        Self {
            scaler,
            next_id: highest.map_or(1, |id| id.saturating_add(1)),
            segments,
            retired_centroids: Vec::new(),
        }
    }

    /// Checks that the segments are ascending by id and that all numbers are usable.
    pub(super) fn check(&self, features: usize) -> Result<(), SegmentationError> {
        check_row("scaler.means", &self.scaler.means, features)?;
        check_row("scaler.variances", &self.scaler.variances, features)?;
        check_weight("the scaler", self.scaler.weight)?;
        if self.segments.is_empty() {
            return Err(SegmentationError::NoSegments);
        }
        for segment in &self.segments {
            segment.check(features)?;
        }
        for retired in &self.retired_centroids {
            check_row("a retired centroid", &retired.centroid, features)?;
        }
        let mut pairs = self.segments.windows(2);
        let repeated = pairs.find(|pair| pair[0].id == pair[1].id);
        repeated.map_or(Ok(()), |pair| {
            Err(SegmentationError::RepeatedId(pair[0].id))
        })
    }
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
            outlier_threshold: None,
        }
    }

    fn check(&self, features: usize) -> Result<(), SegmentationError> {
        let what = format!("the centroid of segment {}", self.id);
        check_row(&what, &self.centroid, features)?;
        check_weight(&format!("segment {}", self.id), self.weight)?;
        match self.outlier_threshold {
            Some(found) if !(found.is_finite() && found >= 0.0) => {
                Err(SegmentationError::OutlierThreshold {
                    segment: self.id,
                    found: found.to_string(),
                })
            }
            _ => Ok(()),
        }
    }
}

/// Why segments cannot be used with a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentationError {
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
    /// There are no segments.
    #[error("the model has no segments: at least one is needed")]
    NoSegments,
    /// A weight, which is a number of customers, is negative or not finite.
    #[error("the weight of {what} is {found}: a finite number of at least 0 is needed")]
    Weight {
        /// What has the weight.
        what: String,
        /// The weight that was found.
        found: String,
    },
    /// An outlier threshold, which is a distance, is negative or not finite.
    #[error(
        "the outlier threshold of segment {segment} is {found}: a finite distance of at least 0 is needed, or none"
    )]
    OutlierThreshold {
        /// Id of the segment.
        segment: u32,
        /// The distance that was found.
        found: String,
    },
    /// Two segments have the same id.
    #[error("the model has two segments with the id {0}: each segment needs its own id")]
    RepeatedId(u32),
}

fn check_weight(what: &str, found: f64) -> Result<(), SegmentationError> {
    if found.is_finite() && found >= 0.0 {
        return Ok(());
    }
    Err(SegmentationError::Weight {
        what: what.to_owned(),
        found: found.to_string(),
    })
}

fn check_row(what: &str, numbers: &[f64], expected: usize) -> Result<(), SegmentationError> {
    let found = numbers.iter().filter(|number| number.is_finite()).count();
    if found == expected && numbers.len() == expected {
        return Ok(());
    }
    Err(SegmentationError::Shape {
        what: what.to_owned(),
        found,
        expected,
    })
}
