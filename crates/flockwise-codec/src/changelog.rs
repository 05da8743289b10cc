//! The changelog: a record a customer's row, and one for the task's bookmark.
//!
//! Key: one byte, [`TASK_POSITION`] or [`ROW`], then the customer's id. A row's value is binary, a bookmark's
//! is JSON.

mod row;
mod task_position;

pub use row::{StoredRow, decode_row, encode_row};
pub use task_position::{decode_task_position, encode_task_position};

use crate::bytes::Malformed;

/// First byte of a bookmark's key, which is that byte alone.
pub const TASK_POSITION: u8 = 0;
/// First byte of a row's key; the customer's id follows.
pub const ROW: u8 = 1;

const VERSION: u8 = 2;

/// Why a changelog record cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangelogError {
    /// Not what this format says.
    #[error("a changelog record is malformed: {0}")]
    Malformed(String),
    /// Written by a later Flockwise.
    #[error(
        "a changelog record has format {found}, this version reads up to {VERSION}: use the version that wrote it or a later one"
    )]
    Version {
        /// Its format.
        found: u8,
    },
    /// Not all of the customers are there.
    #[error(
        "{found} customers are there where the last commit counted {expected}: rows are missing, as where the topic was \
         deleted and made again; bring the former topic back or run `flockwise reset` (if the changelog is whole and the \
         local copy is not, deleting `directory` under [state] mends it)"
    )]
    Customers {
        /// Those that came back.
        found: u64,
        /// Those of the last commit.
        expected: u64,
    },
    /// Written under other features.
    #[error(
        "the state was kept under another feature plan ({found:016x}, now {expected:016x}): bring the former features back, or give the pipeline a new `app` name so that it starts anew from its inputs"
    )]
    Plan {
        /// The plan's fingerprint in the record.
        found: u64,
        /// The configured plan's.
        expected: u64,
    },
}

impl From<Malformed> for ChangelogError {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Writes a row's key.
pub fn row_key(customer_id: &str, out: &mut Vec<u8>) {
    out.push(ROW);
    out.extend_from_slice(customer_id.as_bytes());
}
