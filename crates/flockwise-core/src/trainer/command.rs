//! Commands that operators give to the trainer.

use crate::model::{ModelError, ModelVersion};
use crate::publication::Audit;

/// A command, and who gave it and why, for the audit.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainerCommand {
    /// What to do.
    pub what: CommandAction,
    /// Who gave the command.
    pub who: String,
    /// Why it was given.
    pub why: String,
    /// When it was given, wall-clock milliseconds since the epoch.
    pub at_ms: i64,
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum CommandAction {
    /// Put the held version into use.
    Approve {
        /// Number of the version. The command is rejected if another version is held.
        version: u64,
    },
    /// Put this model into use as the next version.
    Import(Box<ModelVersion>),
    /// Put an earlier version into use again, as the next version.
    Rollback(Box<ModelVersion>),
}

/// Why a command is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Another version is held, or none is.
    #[error(
        "version {version} is not held: {}; see `flockwise model list`",
        held.map_or("no version is held".to_owned(), |held| format!("version {held} is held"))
    )]
    NotHeld {
        /// The version to approve.
        version: u64,
        /// The version that is held; `None` if there is none.
        held: Option<u64>,
    },
    /// The model does not fit the plan.
    #[error(transparent)]
    Unfit(#[from] ModelError),
}

impl TrainerCommand {
    /// The entry for the record of a version.
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
