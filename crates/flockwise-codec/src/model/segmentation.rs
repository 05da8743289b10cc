//! The artefact `segmentation`: the segments of a version, and what distances to them are measured with.

use flockwise_core::plan::Plan;
use flockwise_core::segmentation::{RetiredCentroid, Scaler, Segment, Segmentation, name_unnamed};
use serde::{Deserialize, Serialize};

use crate::time::{instant, write_time};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SegmentationRecord {
    scaler: ScalerRecord,
    segments: Vec<SegmentRecord>,
    /// Above every segment id that was ever used. Left out: above the ids of this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_id: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retired_centroids: Vec<RetiredCentroidRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScalerRecord {
    /// Of each feature after transform and clip. Left out: zeros.
    #[serde(default)]
    means: Option<Vec<f64>>,
    deviations: Vec<f64>,
    #[serde(default)]
    weight: f64,
}

#[derive(Serialize, Deserialize)]
struct SegmentRecord(#[serde(with = "SegmentFields")] Segment);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Segment", deny_unknown_fields)]
struct SegmentFields {
    id: u32,
    #[serde(default)]
    name: String,
    #[serde(rename = "pinned", default, skip_serializing_if = "std::ops::Not::not")]
    is_pinned: bool,
    #[serde(default)]
    weight: f64,
    /// A distance. Left out: the segment has no outliers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outlier_threshold: Option<f64>,
    centroid: Vec<f64>,
}

/// The trainer ignores samples near the centroid that were drawn up to `until`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetiredCentroidRecord {
    until: String,
    centroid: Vec<f64>,
}

impl From<&Segmentation> for SegmentationRecord {
    fn from(segmentation: &Segmentation) -> Self {
        let retired_centroids = segmentation.retired_centroids.iter();
        Self {
            scaler: ScalerRecord::from(&segmentation.scaler),
            segments: segmentation
                .segments
                .iter()
                .cloned()
                .map(SegmentRecord)
                .collect(),
            next_id: Some(segmentation.next_id),
            retired_centroids: retired_centroids.map(Into::into).collect(),
        }
    }
}

impl SegmentationRecord {
    /// Segments without a name get one.
    pub(super) fn read(self, plan: &Plan) -> Result<Segmentation, String> {
        let scaler = Scaler::from(self.scaler);
        let mut segments: Vec<Segment> =
            self.segments.into_iter().map(|segment| segment.0).collect();
        let fits = |numbers: &[f64]| numbers.len() == plan.len();
        if fits(&scaler.means)
            && fits(&scaler.variances)
            && segments.iter().all(|s| fits(&s.centroid))
        {
            name_unnamed(plan, &scaler, &mut segments);
        }
        let hand_made = Segmentation::new(scaler, segments);
        let retired_centroids = self.retired_centroids.into_iter().map(TryInto::try_into);
        Ok(Segmentation {
            // A model made by hand has no `next_id`: it does not know the ids of earlier segments.
            next_id: hand_made.next_id.max(self.next_id.unwrap_or(0)),
            retired_centroids: retired_centroids.collect::<Result<_, String>>()?,
            ..hand_made
        })
    }
}

impl From<&Scaler> for ScalerRecord {
    fn from(scaler: &Scaler) -> Self {
        Self {
            means: Some(scaler.means.clone()),
            deviations: scaler.variances.iter().map(|x| x.sqrt()).collect(),
            weight: scaler.weight,
        }
    }
}

impl From<ScalerRecord> for Scaler {
    fn from(record: ScalerRecord) -> Self {
        let dimensions = record.deviations.len();
        Self {
            means: record.means.unwrap_or_else(|| vec![0.0; dimensions]),
            variances: record.deviations.iter().map(|x| x * x).collect(),
            weight: record.weight,
        }
    }
}

impl From<&RetiredCentroid> for RetiredCentroidRecord {
    fn from(retired: &RetiredCentroid) -> Self {
        Self {
            until: write_time(retired.until_ms),
            centroid: retired.centroid.clone(),
        }
    }
}

impl TryFrom<RetiredCentroidRecord> for RetiredCentroid {
    type Error = String;

    fn try_from(record: RetiredCentroidRecord) -> Result<Self, String> {
        Ok(Self {
            until_ms: instant("retired_centroids: until", &record.until)?,
            centroid: record.centroid,
        })
    }
}
