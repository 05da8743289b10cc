//! A version's state, its impact, and the command that it comes from.

use flockwise_core::publication::Audit;
use flockwise_core::segmentation::{Flow, Impact};
use serde::{Deserialize, Serialize};

use crate::time::instant;
use crate::time::write_time;

/// Whether a version is in use.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RecordedState {
    #[default]
    Live,
    /// Waits for approval.
    Held,
}

impl RecordedState {
    pub(super) fn of(is_held: bool) -> Self {
        if is_held { Self::Held } else { Self::Live }
    }

    #[allow(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    pub(super) fn is_live(&self) -> bool {
        *self == Self::Live
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImpactRecord {
    /// Share of the customers sampled lately, 0 to 1.
    moved: f64,
    #[serde(default)]
    other_nearest: f64,
    flows: Vec<FlowRecord>,
    error_before: f64,
    error_after: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlowRecord {
    from: u32,
    to: u32,
    share: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditRecord {
    what: String,
    who: String,
    why: String,
    at: String,
}

impl From<&Impact> for ImpactRecord {
    fn from(impact: &Impact) -> Self {
        let flow = |flow: &Flow| FlowRecord {
            from: flow.from,
            to: flow.to,
            share: flow.share,
        };
        Self {
            moved: impact.moved,
            other_nearest: impact.other_nearest,
            flows: impact.flows.iter().map(flow).collect(),
            error_before: impact.error_before,
            error_after: impact.error_after,
        }
    }
}

impl From<ImpactRecord> for Impact {
    fn from(record: ImpactRecord) -> Self {
        let flow = |flow: FlowRecord| Flow {
            from: flow.from,
            to: flow.to,
            share: flow.share,
        };
        Self {
            moved: record.moved,
            other_nearest: record.other_nearest,
            flows: record.flows.into_iter().map(flow).collect(),
            error_before: record.error_before,
            error_after: record.error_after,
        }
    }
}

impl From<&Audit> for AuditRecord {
    fn from(audit: &Audit) -> Self {
        Self {
            what: audit.what.clone(),
            who: audit.who.clone(),
            why: audit.why.clone(),
            at: write_time(audit.at_ms),
        }
    }
}

impl TryFrom<AuditRecord> for Audit {
    type Error = String;

    fn try_from(record: AuditRecord) -> Result<Self, String> {
        Ok(Self {
            at_ms: instant("command: at", &record.at)?,
            what: record.what,
            who: record.who,
            why: record.why,
        })
    }
}
