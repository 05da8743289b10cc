//! A version as it is published: what it does to customers, and who put it into use.

use crate::drift::Shift;
use crate::model::ModelVersion;
use crate::segmentation::Impact;

/// A published version.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// The version that is published.
    pub model: ModelVersion,
    /// It would move more customers than allowed. It must not be used until it is approved.
    pub is_held: bool,
    /// What it does to customers, compared with the version in use before; `None` for a first version.
    pub impact: Option<Impact>,
    /// The command that put it into use, if there was one.
    pub command: Option<Audit>,
    /// The drift of the customers sampled since the last look, compared with those before.
    pub shifts: Vec<Shift>,
}

/// Who put a version into use, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// `approve`, `import`, or `rollback to` and a version.
    pub what: String,
    /// Who gave the command.
    pub who: String,
    /// Why it was given.
    pub why: String,
    /// When it was given, wall-clock milliseconds since the epoch.
    pub at_ms: i64,
}

impl Publication {
    /// A live version without an impact, a command or drift.
    #[must_use]
    pub fn live(model: ModelVersion) -> Self {
        Self {
            model,
            is_held: false,
            impact: None,
            command: None,
            shifts: Vec::new(),
        }
    }
}
