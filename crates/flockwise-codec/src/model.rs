//! Model versions as JSON, for the model topic, for export and for import: an envelope, and the artefacts by name.

mod artefacts;
mod drift;
mod governance;
mod segmentation;

use std::ops::Range;

use flockwise_core::aggregate::NEVER_MS;
use flockwise_core::lineage::Step;
use flockwise_core::model::ModelVersion;
use flockwise_core::plan::Plan;
use flockwise_core::publication::Publication;
use serde::{Deserialize, Serialize};

use crate::time::{instant, write_time};
use artefacts::ArtefactsRecord;
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lineage: Vec<StepRecord>,
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
    artefacts: ArtefactsRecord,
}

fn first() -> u64 {
    1
}

#[derive(Serialize, Deserialize)]
struct StepRecord(#[serde(with = "StepFields")] Step);

#[derive(Serialize, Deserialize)]
#[serde(
    remote = "Step",
    tag = "step",
    rename_all = "snake_case",
    deny_unknown_fields
)]
enum StepFields {
    Born { segment: u32 },
    Split { segment: u32, into: u32 },
    Merged { segment: u32, into: u32 },
    Retired { segment: u32 },
}

/// Encodes a model for export.
#[must_use]
pub fn encode_model(model: &ModelVersion) -> Vec<u8> {
    encode_publication(&Publication::live(model.clone()), None)
}

/// Decodes a model. Segments without a name get one.
///
/// # Errors
/// If the bytes are not a model. The text says what is wrong.
pub fn decode_model(bytes: &[u8], plan: &Plan) -> Result<ModelVersion, String> {
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
    let model = &publication.model;
    ModelRecord {
        version: model.version,
        state: RecordedState::of(publication.is_held),
        trained_at: (model.trained_ms != NEVER_MS).then(|| write_time(model.trained_ms)),
        features: model.features.clone(),
        lineage: model.lineage.iter().copied().map(StepRecord).collect(),
        drift: DriftRecord::from(&model.drift),
        shifts: publication
            .shifts
            .iter()
            .map(|shift| ShiftRecord::of(shift, model))
            .collect(),
        impact: publication.impact.as_ref().map(ImpactRecord::from),
        command: publication.command.as_ref().map(AuditRecord::from),
        mini_batches,
        artefacts: ArtefactsRecord::from(&model.artefacts),
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

/// The key of a version on the model topic.
#[must_use]
pub fn version_key(version: u64) -> String {
    version.to_string()
}

/// The version of a [`version_key`]; `None` if it is none.
#[must_use]
pub fn decode_version_key(key: &[u8]) -> Option<u64> {
    str::from_utf8(key).ok()?.parse().ok()
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
    let record: ModelRecord = serde_json::from_slice(bytes).map_err(|error| refusal(&error))?;
    let mini_batches = record.mini_batches.clone();
    Ok((publication(record, plan)?, mini_batches))
}

fn refusal(error: &serde_json::Error) -> String {
    let advice = "; if another release of Flockwise wrote it, use that release; if a person did, it needs `features` \
                  and `artefacts.segmentation` (docs/models.md)";
    format!(
        "not a model: {error}{}",
        if error.is_data() { advice } else { "" }
    )
}

pub(crate) fn publication(record: ModelRecord, plan: &Plan) -> Result<Publication, String> {
    let trained_ms = record
        .trained_at
        .as_ref()
        .map_or(Ok(NEVER_MS), |text| instant("trained_at", text))?;
    let model = ModelVersion {
        version: record.version,
        trained_ms,
        features: record.features,
        lineage: record.lineage.into_iter().map(|step| step.0).collect(),
        artefacts: record.artefacts.read(plan)?,
        drift: record.drift.try_into()?,
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
