//! Why a record was not decoded.

use std::fmt;

use super::reject::Reject;

/// How a record names the schema that it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaId {
    /// It does not: all records of the input have one schema.
    Only,
    /// By its fingerprint, CRC-64-AVRO.
    Fingerprint(u64),
}

impl fmt::Display for SchemaId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => write!(formatter, "the input's schema"),
            Self::Fingerprint(number) => {
                write!(formatter, "fingerprint {number:016x}")
            }
        }
    }
}

/// Why a record was not decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecoded {
    /// It is not an event.
    #[error(transparent)]
    Reject(#[from] Reject),
    /// The decoder does not know its schema yet: see [`super::Decoder::learn`].
    #[error("no known schema has {0}")]
    UnknownSchema(SchemaId),
}
