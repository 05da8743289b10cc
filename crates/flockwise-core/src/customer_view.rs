//! A customer as of a point in time, for people and for `replay --out`.

use flockwise_kmeans::Scratch;

use crate::aggregate;
use crate::model::Model;
use crate::plan::Plan;
use crate::rows::Row;
use crate::segmentation::share_nearer;

/// A customer as of a point in time.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomerView {
    /// The customer's id.
    pub customer_id: String,
    /// Segment id; `None` before the first change.
    pub segment: Option<u32>,
    /// The point in time, milliseconds since the epoch.
    pub as_of_ms: i64,
    /// Features in their own units, in the order of the plan.
    pub features: Vec<f64>,
    /// The feature vector: after transform and clip.
    pub vector: Vec<f64>,
    /// Distance to the segment's centroid; `None` if the model does not have the segment.
    pub distance: Option<f64>,
    /// 1 - distance / distance to the nearest other centroid; below zero if another is nearer. `None` without a
    /// distance.
    pub margin: Option<f64>,
    /// Whether the customer is beyond the outlier threshold of every segment. `None` without a distance.
    pub is_outlier: Option<bool>,
    /// Number of changes so far.
    pub sequence: u32,
}

/// How far a customer is from the own segment and from the others.
#[derive(Clone, Copy)]
struct SegmentDistance {
    distance: f64,
    margin: f64,
    is_outlier: bool,
}

/// Evaluates a customer as of a time not before the row's last event.
#[must_use]
pub fn customer_view(
    plan: &Plan,
    model: Option<&Model>,
    row: &Row<'_>,
    as_of_ms: i64,
) -> CustomerView {
    let mut features = vec![0.0; plan.len()];
    let mut vector = vec![0.0; plan.len()];
    aggregate::evaluate(
        plan,
        row.columns,
        row.reference_ms,
        as_of_ms,
        &mut features,
        &mut vector,
    );
    let place = model.zip(row.standing.segment).and_then(|(model, id)| {
        let segmentation = model.segmentation();
        let index = segmentation.index_of(id)?;
        let mut scaled = Vec::new();
        segmentation.scaled(&vector, &mut scaled);
        let nearest = segmentation.nearest();
        let distance = nearest.squared_distance(&scaled, index).sqrt();
        let other = nearest.nearest_but(&scaled, index);
        Some(SegmentDistance {
            distance,
            margin: other.map_or(1.0, |hit| share_nearer(distance, hit.squared.sqrt())),
            is_outlier: segmentation.is_outlier(&scaled, index, distance),
        })
    });
    CustomerView {
        customer_id: row.customer_id.to_owned(),
        segment: row.standing.segment,
        as_of_ms,
        features,
        vector,
        distance: place.map(|place| place.distance),
        margin: place.map(|place| place.margin),
        is_outlier: place.map(|place| place.is_outlier),
        sequence: row.standing.sequence,
    }
}

/// The id of the segment nearest to a feature vector, whatever the customer's own segment is.
#[must_use]
pub fn nearest_segment(model: &Model, vector: &[f64], scratch: &mut Scratch) -> u32 {
    let segmentation = model.segmentation();
    let mut scaled = Vec::new();
    segmentation.scaled(vector, &mut scaled);
    segmentation.segments()[segmentation.score(&scaled, scratch).0].id
}
