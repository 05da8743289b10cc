//! Reads Avro data in one pass, as the writer's schema describes it. A tree says which values are wanted: these go to a
//! sink, all others are skipped. Nothing is allocated, except for decimals beyond 64 bits.
//!
//! [`AvroSchema`] is a parsed schema. [`AvroSchema::project`] compiles it, for one tree, to an [`AvroProjection`];
//! [`AvroProjection::read`] then reads data of that schema. There is no reader's schema: fields are found by their
//! names, and a field that the writer did not have is absent.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cursor;
mod decimal;
mod fingerprint;
mod invalid_datum;
mod project;
mod read;
mod schema;
mod skip;
mod wanted;

pub use invalid_datum::{Fault, InvalidDatum};
pub use project::{AvroProjection, AvroTree};
pub use read::{AvroSink, AvroValue};
pub use schema::AvroSchema;
