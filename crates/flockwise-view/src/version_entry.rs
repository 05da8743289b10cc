//! A version of the model in a list of versions.

use flockwise_codec::time::write_time;
use flockwise_core::aggregate::NEVER_MS;
use flockwise_core::lineage::Step;
use flockwise_core::model::ModelVersion;
use flockwise_core::publication::{Audit, Publication};
use flockwise_core::segmentation::Impact;
use serde::Serialize;

use crate::version_state::VersionState;

/// A version without its centroids.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VersionEntry {
    /// Its number.
    pub version: u64,
    /// Whether it is in use.
    pub state: VersionState,
    /// When it was trained; `None` for a model made by hand.
    pub trained_at: Option<String>,
    /// Number of segments.
    pub segments: usize,
    /// Share of customers that it moves to another segment, 0 to 1; `None` for a first version.
    pub moved: Option<f64>,
    /// Relative change of the quantisation error; -0.25 is a quarter less. `None` for a first version.
    pub error_change: Option<f64>,
    /// What it did to segments, such as `split 4 → 4, 17`.
    pub lineage: Vec<String>,
    /// The command that put it into use, if there was one.
    pub command: Option<CommandEntry>,
}

/// Who put a version into use, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommandEntry {
    /// `approve`, `import`, or `rollback to` and a version.
    pub what: String,
    /// Who gave the command.
    pub who: String,
    /// Why it was given.
    pub why: String,
    /// When it was given.
    pub at: String,
}

impl VersionEntry {
    /// The entry of a publication in this state.
    #[must_use]
    pub fn of(publication: &Publication, state: VersionState) -> Self {
        let (model, impact) = (&publication.model, publication.impact.as_ref());
        Self {
            version: model.version,
            state,
            trained_at: trained_at(model),
            segments: model.segmentation().segments.len(),
            moved: impact.map(|impact| impact.moved),
            error_change: impact.map(error_change),
            lineage: model.lineage.iter().copied().map(step).collect(),
            command: publication.command.as_ref().map(CommandEntry::from),
        }
    }
}

impl From<&Audit> for CommandEntry {
    fn from(audit: &Audit) -> Self {
        Self {
            what: audit.what.clone(),
            who: audit.who.clone(),
            why: audit.why.clone(),
            at: write_time(audit.at_ms),
        }
    }
}

/// When the model was trained; `None` for a model made by hand.
pub(crate) fn trained_at(model: &ModelVersion) -> Option<String> {
    (model.trained_ms != NEVER_MS).then(|| write_time(model.trained_ms))
}

/// The relative change of the quantisation error by the new segments; -0.25 is a quarter less.
#[must_use]
pub fn error_change(impact: &Impact) -> f64 {
    if impact.error_before > 0.0 {
        impact.error_after / impact.error_before - 1.0
    } else {
        0.0
    }
}

fn step(step: Step) -> String {
    let name = step.name();
    match step {
        Step::Born { segment } | Step::Retired { segment } => format!("{name} {segment}"),
        Step::Split { segment, into } => format!("{name} {segment} → {segment}, {into}"),
        Step::Merged { segment, into } => format!("{name} {segment} → {into}"),
    }
}
