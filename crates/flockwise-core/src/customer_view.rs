//! A customer as of a time, for people and for `replay --out`.

use flockwise_kmeans::Scratch;

use crate::aggregate;
use crate::model::Model;
use crate::plan::Plan;
use crate::rows::Row;
use crate::task::share_nearer;

/// What is known of a customer as of a time.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomerView {
    /// Whose.
    pub customer_id: String,
    /// Segment id, once there is one.
    pub segment: Option<u32>,
    /// The time, milliseconds since the epoch.
    pub as_of_ms: i64,
    /// Features in their own units.
    pub features: Vec<f64>,
    /// After transform and clip.
    pub vector: Vec<f64>,
    /// Distance to the segment's centroid.
    pub distance: Option<f64>,
    /// 1 - distance / distance to the nearest other centroid; below zero where another is nearer.
    pub margin: Option<f64>,
    /// Far from every segment: beyond the reach of each. `None` where there is no distance.
    pub is_outlier: Option<bool>,
    /// Changes so far.
    pub sequence: u32,
}

/// How a customer lies to the segments.
#[derive(Clone, Copy)]
struct SegmentDistance {
    distance: f64,
    margin: f64,
    is_outlier: bool,
}

/// Draws a customer as of a time not before the row's last event.
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
        let index = model.index_of(id)?;
        let mut scaled = Vec::new();
        model.scaled(&vector, &mut scaled);
        let distance = model.nearest().squared_distance(&scaled, index).sqrt();
        let other = model.nearest().nearest_but(&scaled, index);
        Some(SegmentDistance {
            distance,
            margin: other.map_or(1.0, |hit| share_nearer(distance, hit.squared.sqrt())),
            is_outlier: model.is_outlier(&scaled, index, distance),
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

/// The segment nearest to a vector, whatever the customer's own is.
#[must_use]
pub fn nearest_segment(model: &Model, vector: &[f64], scratch: &mut Scratch) -> u32 {
    let mut scaled = Vec::new();
    model.scaled(vector, &mut scaled);
    model.segments()[model.score(&scaled, scratch).0].id
}
