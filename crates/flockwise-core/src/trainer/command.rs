//! What people tell the trainer to do.

use crate::drift::Shift;
use crate::impact::Impact;
use crate::model::{ModelError, ModelParts};

/// An order, and who gave it, for the record.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainerCommand {
    /// What to do.
    pub what: CommandAction,
    /// Who says so.
    pub who: String,
    /// And why.
    pub why: String,
    /// When, wall-clock milliseconds since the epoch.
    pub at_ms: i64,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum CommandAction {
    /// Take the version that is held into use.
    Approve {
        /// Its number; another one is not meant.
        version: u64,
    },
    /// Take this model into use as the next version.
    Import(Box<ModelParts>),
    /// Take a former version into use again, as the next version.
    Rollback(Box<ModelParts>),
}

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Another version than the one held, or none is.
    #[error(
        "version {version} is not held: {}; see `flockwise model list`",
        held.map_or("none is".to_owned(), |held| format!("version {held} is"))
    )]
    NotHeld {
        /// The one to be approved.
        version: u64,
        /// The one that is held.
        held: Option<u64>,
    },
    /// The model does not go with the plan.
    #[error(transparent)]
    Unfit(#[from] ModelError),
}

/// A version as it is published.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// The version.
    pub model: ModelParts,
    /// It would move more customers than it may without being asked for: it is not to be used.
    pub is_held: bool,
    /// What it does to customers, against the version in use before.
    pub impact: Option<Impact>,
    /// By whose order it is in use.
    pub command: Option<Audit>,
    /// How the customers sampled since the last look are other than those before them.
    pub shifts: Vec<Shift>,
}

/// Who had a version taken into use, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// `approve`, `import` or `rollback`.
    pub what: String,
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
    /// When, wall-clock milliseconds since the epoch.
    pub at_ms: i64,
}

impl Publication {
    /// A version that is in use, without further ado.
    #[must_use]
    pub fn live(model: ModelParts) -> Self {
        Self {
            model,
            is_held: false,
            impact: None,
            command: None,
            shifts: Vec::new(),
        }
    }
}

impl TrainerCommand {
    /// For the record of a version.
    #[must_use]
    pub fn audit(&self) -> Audit {
        let what = match &self.what {
            CommandAction::Approve { .. } => "approve".to_owned(),
            CommandAction::Import(_) => "import".to_owned(),
            CommandAction::Rollback(model) => format!("rollback to {}", model.version),
        };
        Audit {
            what,
            who: self.who.clone(),
            why: self.why.clone(),
            at_ms: self.at_ms,
        }
    }
}
