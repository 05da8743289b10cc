//! The format of changelog records, and why one cannot be used.

use crate::little_endian::Malformed;

/// The format that this version writes, and the latest that it reads.
pub(super) const VERSION: u8 = 3;

/// Why a changelog record cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangelogError {
    /// The record does not follow the format. The text says why.
    #[error("a changelog record is malformed: {0}")]
    Malformed(String),
    /// A later version of Flockwise wrote the record.
    #[error(
        "a changelog record has format {found}, this version reads up to {VERSION}: use the version that wrote it or a later one"
    )]
    Version {
        /// The record's format.
        found: u8,
    },
    /// The restored rows are fewer or more than the last commit counted.
    #[error(
        "found {found} customers, but the last commit counted {expected}: {}",
        cause_and_remedy(*found, *expected)
    )]
    Customers {
        /// Customers restored.
        found: u64,
        /// Customers at the last commit.
        expected: u64,
    },
    /// The record belongs to another feature plan.
    #[error(
        "the state was made with another feature plan ({found:016x}, now {expected:016x}): bring the former features back, or give the pipeline a new `app` name so that it reads its inputs again from the start"
    )]
    Plan {
        /// The plan's fingerprint in the record.
        found: u64,
        /// The configured plan's fingerprint.
        expected: u64,
    },
}

fn cause_and_remedy(found: u64, expected: u64) -> &'static str {
    match found < expected {
        true => {
            "rows are missing, for example because the topic was deleted and recreated; bring the former topic back or \
             run `flockwise reset` (if the changelog is complete and only the checkpoint is not, delete the checkpoints: \
             `directory` under [state])"
        }
        false => {
            "there are rows of customers who were removed, for example because the changelog no longer has their \
             tombstones; delete the checkpoints (`directory` under [state]), and if that does not help, run \
             `flockwise reset`"
        }
    }
}

impl From<Malformed> for ChangelogError {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error.to_string())
    }
}
