//! Model versions as JSON: on the model topic, exported and imported.

use flockwise_core::aggregate::NEVER_MS;
use flockwise_core::model::{ModelParts, Scaler, Segment};
use flockwise_core::naming::name_unnamed;
use flockwise_core::plan::Plan;
use serde::{Deserialize, Serialize};

use crate::time::{parse_time, write_time};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelRecord {
    #[serde(default = "first")]
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trained_at: Option<String>,
    features: Vec<String>,
    scaler: ScalerRecord,
    segments: Vec<SegmentRecord>,
    /// The next mini-batch to fold in, on the deltas topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deltas_offset: Option<i64>,
}

fn first() -> u64 {
    1
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScalerRecord {
    /// Of each feature after transform and clip; left out: zeros.
    #[serde(default)]
    means: Option<Vec<f64>>,
    deviations: Vec<f64>,
    #[serde(default)]
    weight: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SegmentRecord {
    id: u32,
    #[serde(default)]
    name: String,
    #[serde(default)]
    weight: f64,
    centroid: Vec<f64>,
}

/// Writes a version; `deltas_offset` is where its successor goes on learning.
#[must_use]
pub fn encode_model(parts: &ModelParts, deltas_offset: Option<i64>) -> Vec<u8> {
    let record = ModelRecord {
        version: parts.version,
        trained_at: (parts.trained_ms != NEVER_MS).then(|| write_time(parts.trained_ms)),
        features: parts.features.clone(),
        scaler: ScalerRecord {
            means: Some(parts.scaler.means.clone()),
            deviations: parts
                .scaler
                .variances
                .iter()
                .map(|variance| variance.sqrt())
                .collect(),
            weight: parts.scaler.weight,
        },
        segments: parts
            .segments
            .iter()
            .map(|segment| SegmentRecord {
                id: segment.id,
                name: segment.name.clone(),
                weight: segment.weight,
                centroid: segment.centroid.clone(),
            })
            .collect(),
        deltas_offset,
    };
    // Plain structs of numbers and texts: nothing in them can fail to be written to memory.
    serde_json::to_vec_pretty(&record).unwrap_or_default()
}

/// Reads a version and where its successor goes on learning. Segments without a name get one.
///
/// # Errors
/// What is wrong with it, in words.
pub fn decode_model(bytes: &[u8], plan: &Plan) -> Result<(ModelParts, Option<i64>), String> {
    let record: ModelRecord =
        serde_json::from_slice(bytes).map_err(|error| format!("not a model: {error}"))?;
    let trained_ms = match &record.trained_at {
        None => NEVER_MS,
        Some(text) => {
            parse_time(text).ok_or_else(|| format!("trained_at `{text}` is not RFC 3339"))?
        }
    };
    let dimensions = record.scaler.deviations.len();
    let scaler = Scaler {
        means: record.scaler.means.unwrap_or_else(|| vec![0.0; dimensions]),
        variances: record
            .scaler
            .deviations
            .iter()
            .map(|deviation| deviation * deviation)
            .collect(),
        weight: record.scaler.weight,
    };
    let mut segments: Vec<Segment> = record
        .segments
        .into_iter()
        .map(|segment| Segment {
            id: segment.id,
            name: segment.name,
            centroid: segment.centroid,
            weight: segment.weight,
        })
        .collect();
    let fits = |numbers: &[f64]| numbers.len() == plan.len();
    if fits(&scaler.means) && fits(&scaler.variances) && segments.iter().all(|s| fits(&s.centroid))
    {
        name_unnamed(plan, &scaler, &mut segments);
    }
    let parts = ModelParts {
        version: record.version,
        trained_ms,
        features: record.features,
        scaler,
        segments,
    };
    Ok((parts, record.deltas_offset))
}
