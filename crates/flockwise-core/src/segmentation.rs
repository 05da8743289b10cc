//! The artefact `segmentation`: the tactical segments of a version.
//!
//! The trainer fits it to a sample of customers ([`crate::trainer`]), a [`SegmentScorer`] applies it to one customer,
//! and [`impact()`] says what it does to all of them.

mod impact_on_customers;
mod naming;
mod scaler;
mod scorer;
mod segment;

pub use impact_on_customers::{Flow, Impact, impact};
pub use naming::{name_segments, name_unnamed};
pub use scaler::Scaler;
pub use scorer::SegmentScorer;
pub(crate) use scorer::{scaled_centroids, share_nearer};
pub use segment::{RetiredCentroid, Segment, Segmentation, SegmentationError};
