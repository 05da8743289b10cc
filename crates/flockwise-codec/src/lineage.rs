//! Encodes lineage steps and drift shifts as JSON. Both go to the lineage topic. Steps also go to the topic of
//! changes, for consumers that follow a segment.

use flockwise_core::drift::Shift;
use flockwise_core::lineage::Step;
use flockwise_core::model::ModelVersion;
use flockwise_core::publication::Publication;
use flockwise_core::segmentation::Segment;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::json_writer::put_hex;
use crate::time::write_time;

#[derive(Serialize)]
struct LineageRecord<'s> {
    id: String,
    r#type: String,
    segment: SegmentRef<'s>,
    /// Both halves of a split segment, or the segment that a merged one became part of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    into: Vec<SegmentRef<'s>>,
    occurred_at: String,
    model_version: u64,
}

#[derive(Serialize)]
struct SegmentRef<'s> {
    segment: u32,
    name: Option<&'s str>,
}

/// Encodes each step of a version's lineage. The names of segments come from the version itself, or from the
/// previous version `before` if the version no longer has the segment.
#[must_use]
pub fn encode_lineage(
    app: &str,
    model: &ModelVersion,
    before: Option<&ModelVersion>,
) -> Vec<Vec<u8>> {
    let of_both = || [Some(model), before].into_iter().flatten();
    let place = |id: u32| {
        let segments = of_both().flat_map(|model| &model.segmentation().segments);
        let known = |segment: &&Segment| segment.id == id;
        let name = segments
            .into_iter()
            .find(known)
            .map(|segment| &*segment.name);
        SegmentRef { segment: id, name }
    };
    let record = |(index, step): (usize, &Step)| {
        let (segment, into) = match *step {
            Step::Born { segment } | Step::Retired { segment } => (segment, Vec::new()),
            Step::Split { segment, into } => (segment, vec![place(segment), place(into)]),
            Step::Merged { segment, into } => (segment, vec![place(into)]),
        };
        let record = LineageRecord {
            id: step_id(app, model.version, index),
            r#type: format!("segment.{}", step.name()),
            segment: place(segment),
            into,
            occurred_at: write_time(model.trained_ms),
            model_version: model.version,
        };
        // Cannot fail: it writes texts and numbers to memory.
        serde_json::to_vec(&record).unwrap_or_default()
    };
    model.lineage.iter().enumerate().map(record).collect()
}

#[derive(Serialize)]
struct DriftEventRecord<'s> {
    id: String,
    r#type: &'static str,
    /// `None`: the quantisation error.
    feature: Option<&'s str>,
    /// Distance from the baseline in standard deviations, signed.
    off: f64,
    occurred_at: String,
    model_version: u64,
}

/// Encodes each drift shift that was found before this version was published.
#[must_use]
pub fn encode_shifts(app: &str, publication: &Publication) -> Vec<Vec<u8>> {
    let model = &publication.model;
    let record = |(index, shift): (usize, &Shift)| {
        let feature = shift.feature.and_then(|index| model.features.get(index));
        let record = DriftEventRecord {
            // Shifts are numbered after the steps, so that no two ids are equal.
            id: step_id(app, model.version, model.lineage.len() + index),
            r#type: "model.drift",
            feature: feature.map(String::as_str),
            off: shift.off,
            occurred_at: write_time(model.trained_ms),
            model_version: model.version,
        };
        // Cannot fail: it writes texts and numbers to memory.
        serde_json::to_vec(&record).unwrap_or_default()
    };
    publication.shifts.iter().enumerate().map(record).collect()
}

/// The record's id. Encoding the same step again gives the same id.
fn step_id(app: &str, version: u64, index: usize) -> String {
    let mut key = app.as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(&version.to_le_bytes());
    key.extend_from_slice(&(index as u64).to_le_bytes());
    let mut text = Vec::with_capacity(32);
    let id = xxh3_128(&key).to_be_bytes();
    id.iter().for_each(|byte| put_hex(*byte, &mut text));
    String::from_utf8(text).unwrap_or_default()
}
