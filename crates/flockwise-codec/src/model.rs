//! Model versions as JSON: on the model topic, exported and imported.

use std::ops::Range;

use flockwise_core::aggregate::NEVER_MS;
use flockwise_core::lineage::Step;
use flockwise_core::model::{Ghost, ModelParts, Scaler, Segment};
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
    /// Above every id that ever was; left out: above those there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_id: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lineage: Vec<StepRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ghosts: Vec<GhostRecord>,
    /// Offsets of the mini-batches that it was learnt from: its successor goes on where they end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mini_batches: Option<Range<i64>>,
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

/// Writes a version; `mini_batches` are the offsets of those that it was learnt from.
#[must_use]
pub fn encode_model(parts: &ModelParts, mini_batches: Option<Range<i64>>) -> Vec<u8> {
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
        next_id: Some(parts.next_id),
        ghosts: parts.ghosts.iter().map(write_ghost).collect(),
        lineage: parts
            .lineage
            .iter()
            .copied()
            .map(StepRecord::from)
            .collect(),
        mini_batches,
    };
    // Plain structs of numbers and texts: nothing in them can fail to be written to memory.
    serde_json::to_vec_pretty(&record).unwrap_or_default()
}

/// Reads a version and which mini-batches it was learnt from. Segments without a name get one.
///
/// # Errors
/// What is wrong with it, in words.
pub fn decode_model(bytes: &[u8], plan: &Plan) -> Result<(ModelParts, Option<Range<i64>>), String> {
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
    let ghosts = record.ghosts.into_iter().map(read_ghost);
    let by_hand = ModelParts::by_hand(record.features, scaler, segments);
    let parts = ModelParts {
        version: record.version,
        trained_ms,
        // Ids of segments that are gone are not known of a model made by hand.
        next_id: by_hand.next_id.max(record.next_id.unwrap_or(0)),
        lineage: record.lineage.into_iter().map(Step::from).collect(),
        ghosts: ghosts.collect::<Result<_, _>>()?,
        ..by_hand
    };
    Ok((parts, record.mini_batches))
}

/// A place that a segment has left; who was sampled there up to then teaches nothing any more.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GhostRecord {
    until: String,
    centroid: Vec<f64>,
}

fn write_ghost(ghost: &Ghost) -> GhostRecord {
    GhostRecord {
        until: write_time(ghost.until_ms),
        centroid: ghost.centroid.clone(),
    }
}

fn read_ghost(record: GhostRecord) -> Result<Ghost, String> {
    let until_ms = parse_time(&record.until)
        .ok_or_else(|| format!("until `{}` of a ghost is not RFC 3339", record.until))?;
    Ok(Ghost {
        centroid: record.centroid,
        until_ms,
    })
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
enum StepRecord {
    Born { segment: u32 },
    Split { segment: u32, into: u32 },
    Merged { segment: u32, into: u32 },
    Retired { segment: u32 },
}

impl From<Step> for StepRecord {
    fn from(step: Step) -> Self {
        match step {
            Step::Born { segment } => Self::Born { segment },
            Step::Split { segment, into } => Self::Split { segment, into },
            Step::Merged { segment, into } => Self::Merged { segment, into },
            Step::Retired { segment } => Self::Retired { segment },
        }
    }
}

impl From<StepRecord> for Step {
    fn from(step: StepRecord) -> Self {
        match step {
            StepRecord::Born { segment } => Self::Born { segment },
            StepRecord::Split { segment, into } => Self::Split { segment, into },
            StepRecord::Merged { segment, into } => Self::Merged { segment, into },
            StepRecord::Retired { segment } => Self::Retired { segment },
        }
    }
}
