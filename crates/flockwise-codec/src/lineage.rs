//! Steps of the lineage out, as JSON: on a topic of their own and among the changes, for whoever follows a
//! segment.

use flockwise_core::drift::Shift;
use flockwise_core::lineage::Step;
use flockwise_core::model::{ModelParts, Segment};
use flockwise_core::trainer::Publication;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::json_writer::put_hex;
use crate::time::write_time;

#[derive(Serialize)]
struct StepRecord<'s> {
    id: String,
    r#type: String,
    segment: Place<'s>,
    /// What became of it: both halves of a split, the one that a merged one is part of now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    into: Vec<Place<'s>>,
    occurred_at: String,
    model_version: u64,
}

#[derive(Serialize)]
struct Place<'s> {
    segment: u32,
    name: Option<&'s str>,
}

/// Writes each step of a version's lineage, with the names of the segments that it has, or that the version
/// `before` had of those that are gone.
#[must_use]
pub fn encode_lineage(app: &str, model: &ModelParts, before: Option<&ModelParts>) -> Vec<Vec<u8>> {
    let of_both = || [Some(model), before].into_iter().flatten();
    let place = |id: u32| {
        let segments = of_both().flat_map(|model| &model.segments);
        let known = |segment: &&Segment| segment.id == id;
        let name = segments
            .into_iter()
            .find(known)
            .map(|segment| &*segment.name);
        Place { segment: id, name }
    };
    let record = |(index, step): (usize, &Step)| {
        let (segment, into) = match *step {
            Step::Born { segment } | Step::Retired { segment } => (segment, Vec::new()),
            Step::Split { segment, into } => (segment, vec![place(segment), place(into)]),
            Step::Merged { segment, into } => (segment, vec![place(into)]),
        };
        let record = StepRecord {
            id: step_id(app, model.version, index),
            r#type: format!("segment.{}", step.name()),
            segment: place(segment),
            into,
            occurred_at: write_time(model.trained_ms),
            model_version: model.version,
        };
        // Texts and numbers: nothing in them can fail to be written to memory.
        serde_json::to_vec(&record).unwrap_or_default()
    };
    model.lineage.iter().enumerate().map(record).collect()
}

#[derive(Serialize)]
struct ShiftRecord<'s> {
    id: String,
    r#type: &'static str,
    /// Null: the quantisation error.
    feature: Option<&'s str>,
    /// Standard deviations off its past.
    off: f64,
    occurred_at: String,
    model_version: u64,
}

/// Writes each shift that was found before a version.
#[must_use]
pub fn encode_shifts(app: &str, publication: &Publication) -> Vec<Vec<u8>> {
    let model = &publication.model;
    let record = |(index, shift): (usize, &Shift)| {
        let feature = shift.feature.and_then(|index| model.features.get(index));
        let record = ShiftRecord {
            // After the steps, so that no two have the same.
            id: step_id(app, model.version, model.lineage.len() + index),
            r#type: "model.drift",
            feature: feature.map(String::as_str),
            off: shift.off,
            occurred_at: write_time(model.trained_ms),
            model_version: model.version,
        };
        // Texts and numbers: nothing in them can fail to be written to memory.
        serde_json::to_vec(&record).unwrap_or_default()
    };
    publication.shifts.iter().enumerate().map(record).collect()
}

/// The same whenever the same step is written again.
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
