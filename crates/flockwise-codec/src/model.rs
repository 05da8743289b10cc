//! Model versions as JSON, for the model topic, for export and for import.

mod drift;
mod governance;

use std::ops::Range;

use flockwise_core::aggregate::NEVER_MS;
use flockwise_core::lineage::Step;
use flockwise_core::model::{ModelParts, RetiredCentroid, Scaler, Segment};
use flockwise_core::naming::name_unnamed;
use flockwise_core::plan::Plan;
use flockwise_core::trainer::Publication;
use serde::{Deserialize, Serialize};

use crate::time::{instant, write_time};
use drift::{DriftRecord, ShiftRecord};
use governance::{AuditRecord, ImpactRecord, RecordedState};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelRecord {
    #[serde(default = "first")]
    version: u64,
    /// Left out: live.
    #[serde(default, skip_serializing_if = "RecordedState::is_live")]
    state: RecordedState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trained_at: Option<String>,
    features: Vec<String>,
    scaler: ScalerRecord,
    segments: Vec<SegmentRecord>,
    /// Above every segment id that was ever used. Left out: above the ids of this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_id: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lineage: Vec<StepRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ghosts: Vec<RetiredCentroidRecord>,
    #[serde(default, skip_serializing_if = "DriftRecord::is_nothing")]
    drift: DriftRecord,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shifts: Vec<ShiftRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    impact: Option<ImpactRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<AuditRecord>,
    /// Offsets of the mini-batches that the version was learnt from. The next version starts at their end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mini_batches: Option<Range<i64>>,
}

fn first() -> u64 {
    1
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
#[serde(deny_unknown_fields)]
struct SegmentRecord {
    id: u32,
    #[serde(default)]
    name: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pinned: bool,
    #[serde(default)]
    weight: f64,
    /// The outlier threshold, a distance. Left out: the segment has no outliers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reach: Option<f64>,
    centroid: Vec<f64>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
enum StepRecord {
    Born { segment: u32 },
    Split { segment: u32, into: u32 },
    Merged { segment: u32, into: u32 },
    Retired { segment: u32 },
}

/// A retired centroid. The trainer ignores samples near it that were drawn up to `until`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetiredCentroidRecord {
    until: String,
    centroid: Vec<f64>,
}

/// Encodes a model for export.
#[must_use]
pub fn encode_model(parts: &ModelParts) -> Vec<u8> {
    encode_publication(&Publication::live(parts.clone()), None)
}

/// Decodes a model. Segments without a name get one.
///
/// # Errors
/// If the bytes are not a model. The text says what is wrong.
pub fn decode_model(bytes: &[u8], plan: &Plan) -> Result<ModelParts, String> {
    decode_publication(bytes, plan).map(|(publication, _)| publication.model)
}

/// Encodes a version for the model topic. `mini_batches` are the offsets of those that it was learnt from.
#[must_use]
pub fn encode_publication(publication: &Publication, mini_batches: Option<Range<i64>>) -> Vec<u8> {
    let record = record(publication, mini_batches);
    // Cannot fail: it writes plain structs of numbers and texts to memory.
    serde_json::to_vec_pretty(&record).unwrap_or_default()
}

pub(crate) fn record(publication: &Publication, mini_batches: Option<Range<i64>>) -> ModelRecord {
    let parts = &publication.model;
    ModelRecord {
        version: parts.version,
        state: RecordedState::of(publication.is_held),
        trained_at: (parts.trained_ms != NEVER_MS).then(|| write_time(parts.trained_ms)),
        features: parts.features.clone(),
        scaler: write_scaler(&parts.scaler),
        segments: parts.segments.iter().map(write_segment).collect(),
        next_id: Some(parts.next_id),
        lineage: parts
            .lineage
            .iter()
            .copied()
            .map(StepRecord::from)
            .collect(),
        ghosts: parts.ghosts.iter().map(write_retired).collect(),
        drift: DriftRecord::from(&parts.drift),
        shifts: publication
            .shifts
            .iter()
            .map(|shift| ShiftRecord::of(shift, parts))
            .collect(),
        impact: publication.impact.as_ref().map(ImpactRecord::from),
        command: publication.command.as_ref().map(AuditRecord::from),
        mini_batches,
    }
}

/// What can be read of a published version without decoding its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSummary {
    /// The version waits for approval.
    pub is_held: bool,
    /// Offsets of the mini-batches that the version was learnt from; `None` if the record has none.
    pub mini_batches: Option<Range<i64>>,
}

#[derive(Deserialize)]
struct ModelSummaryRecord {
    #[serde(default)]
    state: RecordedState,
    #[serde(default)]
    mini_batches: Option<Range<i64>>,
}

/// Reads the [`ModelSummary`] of a published version.
///
/// # Errors
/// If the bytes are not the JSON of a version. The text says what is wrong.
pub fn summary(bytes: &[u8]) -> Result<ModelSummary, String> {
    let record: ModelSummaryRecord =
        serde_json::from_slice(bytes).map_err(|error| format!("not a model: {error}"))?;
    Ok(ModelSummary {
        is_held: !record.state.is_live(),
        mini_batches: record.mini_batches,
    })
}

/// Decodes a published version and the offsets of the mini-batches that it was learnt from. Segments without a
/// name get one.
///
/// # Errors
/// If the bytes are not a version. The text says what is wrong.
pub fn decode_publication(
    bytes: &[u8],
    plan: &Plan,
) -> Result<(Publication, Option<Range<i64>>), String> {
    let record: ModelRecord =
        serde_json::from_slice(bytes).map_err(|error| format!("not a model: {error}"))?;
    let mini_batches = record.mini_batches.clone();
    Ok((publication(record, plan)?, mini_batches))
}

pub(crate) fn publication(record: ModelRecord, plan: &Plan) -> Result<Publication, String> {
    let trained_ms = record
        .trained_at
        .as_ref()
        .map_or(Ok(NEVER_MS), |text| instant("trained_at", text))?;
    let scaler = read_scaler(record.scaler);
    let mut segments: Vec<Segment> = record.segments.into_iter().map(read_segment).collect();
    let fits = |numbers: &[f64]| numbers.len() == plan.len();
    if fits(&scaler.means) && fits(&scaler.variances) && segments.iter().all(|s| fits(&s.centroid))
    {
        name_unnamed(plan, &scaler, &mut segments);
    }
    let hand_made = ModelParts::hand_made(record.features, scaler, segments);
    let ghosts = record.ghosts.into_iter().map(read_retired);
    let model = ModelParts {
        version: record.version,
        trained_ms,
        // A model made by hand has no `next_id`: it does not know the ids of earlier segments.
        next_id: hand_made.next_id.max(record.next_id.unwrap_or(0)),
        lineage: record.lineage.into_iter().map(Step::from).collect(),
        ghosts: ghosts.collect::<Result<_, _>>()?,
        drift: record.drift.try_into()?,
        ..hand_made
    };
    let shifts = record.shifts.into_iter();
    let shifts = shifts
        .map(|shift| shift.read(&model))
        .collect::<Result<_, _>>()?;
    Ok(Publication {
        model,
        is_held: !record.state.is_live(),
        impact: record.impact.map(Into::into),
        command: record.command.map(TryInto::try_into).transpose()?,
        shifts,
    })
}

fn write_scaler(scaler: &Scaler) -> ScalerRecord {
    ScalerRecord {
        means: Some(scaler.means.clone()),
        deviations: scaler.variances.iter().map(|x| x.sqrt()).collect(),
        weight: scaler.weight,
    }
}

fn read_scaler(record: ScalerRecord) -> Scaler {
    let dimensions = record.deviations.len();
    Scaler {
        means: record.means.unwrap_or_else(|| vec![0.0; dimensions]),
        variances: record.deviations.iter().map(|x| x * x).collect(),
        weight: record.weight,
    }
}

fn write_segment(segment: &Segment) -> SegmentRecord {
    SegmentRecord {
        id: segment.id,
        name: segment.name.clone(),
        pinned: segment.is_pinned,
        weight: segment.weight,
        reach: segment.reach,
        centroid: segment.centroid.clone(),
    }
}

fn read_segment(record: SegmentRecord) -> Segment {
    Segment {
        name: record.name,
        is_pinned: record.pinned,
        weight: record.weight,
        reach: record.reach,
        ..Segment::new(record.id, record.centroid)
    }
}

fn write_retired(ghost: &RetiredCentroid) -> RetiredCentroidRecord {
    RetiredCentroidRecord {
        until: write_time(ghost.until_ms),
        centroid: ghost.centroid.clone(),
    }
}

fn read_retired(record: RetiredCentroidRecord) -> Result<RetiredCentroid, String> {
    Ok(RetiredCentroid {
        until_ms: instant("ghosts: until", &record.until)?,
        centroid: record.centroid,
    })
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
