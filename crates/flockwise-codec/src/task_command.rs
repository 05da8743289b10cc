//! Commands to a task, on its repartition partition. JSON, and so unlike the first byte of a forwarded event and of
//! watermarks: see [`crate::forward`] and [`crate::watermarks`].
//!
//! ```json
//! {"command":"erase","customer_id":"h0001","at":"2026-01-02T03:04:05.678Z"}
//! ```
//!
//! Versions of Flockwise without commands take one for a forwarded event of a later format, and stop. So a rolling
//! upgrade loses none.

use flockwise_core::task::TaskCommand;
use serde::{Deserialize, Serialize};

use crate::time::{parse_time, write_time};

const ERASE: &str = TaskCommand::NAMES[0];

/// Why a record is not a command that can be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskCommandError {
    /// Flockwise did not write the record, or it is damaged.
    #[error("not a command of Flockwise: {0}")]
    Malformed(String),
    /// A later version of Flockwise wrote the record.
    #[error(
        "this version does not know the command `{0}`: run the version of Flockwise that sent it, or a later one, on \
         all instances"
    )]
    Unknown(String),
}

/// The field that all commands have.
#[derive(Deserialize)]
struct CommandName {
    command: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EraseRecord {
    command: String,
    customer_id: String,
    at: String,
}

/// Whether a record of the repartition topic holds a command.
#[must_use]
pub fn holds_command(value: &[u8]) -> bool {
    value.first() == Some(&b'{')
}

/// Encodes a command.
#[must_use]
pub fn encode_task_command(command: &TaskCommand) -> Vec<u8> {
    let record = match command {
        TaskCommand::Erase { customer_id, at_ms } => EraseRecord {
            command: ERASE.to_owned(),
            customer_id: customer_id.clone(),
            at: write_time(*at_ms),
        },
    };
    // Cannot fail: it writes texts to memory.
    serde_json::to_vec(&record).unwrap_or_default()
}

/// Decodes a command.
///
/// # Errors
/// If [`encode_task_command`] of this version did not write the bytes.
pub fn decode_task_command(value: &[u8]) -> Result<TaskCommand, TaskCommandError> {
    let malformed = |error: serde_json::Error| TaskCommandError::Malformed(error.to_string());
    let CommandName { command } = serde_json::from_slice(value).map_err(malformed)?;
    match command.as_str() {
        ERASE => {
            let record: EraseRecord = serde_json::from_slice(value).map_err(malformed)?;
            let at_ms = parse_time(&record.at).ok_or_else(|| {
                TaskCommandError::Malformed(format!("at `{}` is not RFC 3339", record.at))
            })?;
            Ok(TaskCommand::Erase {
                customer_id: record.customer_id,
                at_ms,
            })
        }
        _ => Err(TaskCommandError::Unknown(command)),
    }
}
