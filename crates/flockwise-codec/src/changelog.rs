//! The changelog: a record a customer's row, and one for the task's bookmark.
//!
//! Key: one byte, [`BOOKMARK`] or [`ROW`], then the customer's id. A row's value is binary, little
//! endian: version u8, plan u64, latest event time i64, segment u32, sequence u32, changed i64, as of
//! i64, model version u64, candidate (u8: 0 none, else cause + 1; segment u32; agreed u16), columns
//! (u32, f64 each), event ids (u16, u64 each), orders (u16, u64 and i64 each). A bookmark's is JSON.

use std::collections::BTreeMap;

use flockwise_core::calendar::Leap;
use flockwise_core::decide::{Candidate, Cause, Standing};
use flockwise_core::remembered::Remembered;
use flockwise_core::rows::Row;
use flockwise_core::task::{Bookmark, InputPartition, Progress};
use serde::{Deserialize, Serialize};

use crate::bytes::{Input, Malformed, put_f64s};

/// First byte of a bookmark's key, which is that byte alone.
pub const BOOKMARK: u8 = 0;
/// First byte of a row's key; the customer's id follows.
pub const ROW: u8 = 1;

const VERSION: u8 = 1;
const NO_SEGMENT: u32 = u32::MAX;

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

/// Writes a row's value.
pub fn encode_row(row: &Row<'_>, fingerprint: u64, out: &mut Vec<u8>) {
    let standing = &row.standing;
    out.push(VERSION);
    out.extend_from_slice(&fingerprint.to_le_bytes());
    out.extend_from_slice(&row.reference_ms.to_le_bytes());
    out.extend_from_slice(&standing.segment.unwrap_or(NO_SEGMENT).to_le_bytes());
    out.extend_from_slice(&standing.sequence.to_le_bytes());
    out.extend_from_slice(&standing.changed_ms.to_le_bytes());
    out.extend_from_slice(&standing.as_of_ms.to_le_bytes());
    out.extend_from_slice(&standing.version.to_le_bytes());
    let candidate = standing.candidate;
    out.push(candidate.map_or(0, |candidate| candidate.cause as u8 + 1));
    out.extend_from_slice(
        &candidate
            .map_or(0, |candidate| candidate.segment)
            .to_le_bytes(),
    );
    out.extend_from_slice(
        &candidate
            .map_or(0, |candidate| candidate.agreed)
            .to_le_bytes(),
    );
    out.extend_from_slice(&(row.columns.len() as u32).to_le_bytes());
    put_f64s(out, row.columns);
    out.extend_from_slice(&(row.remembered.ids().count() as u16).to_le_bytes());
    for id in row.remembered.ids() {
        out.extend_from_slice(&id.to_le_bytes());
    }
    out.extend_from_slice(&(row.remembered.orders().count() as u16).to_le_bytes());
    for (order, time_ms) in row.remembered.orders() {
        out.extend_from_slice(&order.to_le_bytes());
        out.extend_from_slice(&time_ms.to_le_bytes());
    }
}

/// A row read back, owning what [`Row`] borrows; its buffers are used again from row to row.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRow {
    /// Whose.
    pub customer_id: String,
    /// Latest event time.
    pub reference_ms: i64,
    /// The plan's columns.
    pub columns: Vec<f64>,
    /// Segment, sequence, dwell.
    pub standing: Standing,
    /// Event ids and orders.
    pub remembered: Remembered,
}

impl Default for StoredRow {
    fn default() -> Self {
        Self {
            customer_id: String::new(),
            reference_ms: 0,
            columns: Vec::new(),
            standing: Standing::NEW,
            remembered: Remembered::default(),
        }
    }
}

impl StoredRow {
    /// As the task takes it.
    #[must_use]
    pub fn as_row(&self) -> Row<'_> {
        Row {
            customer_id: &self.customer_id,
            reference_ms: self.reference_ms,
            columns: &self.columns,
            standing: self.standing,
            remembered: self.remembered.view(),
        }
    }
}

/// Reads a row into `row`: the id from the key without its first byte, the rest from the value.
///
/// # Errors
/// Where it is malformed, of a later format or of another plan; `row` then holds rubbish.
pub fn decode_row(
    id: &[u8],
    value: &[u8],
    fingerprint: u64,
    row: &mut StoredRow,
) -> Result<(), ChangelogError> {
    let mut input = Input(value);
    let version = input.u8()?;
    if version > VERSION {
        return Err(ChangelogError::Version { found: version });
    }
    let found = input.u64()?;
    if found != fingerprint {
        return Err(ChangelogError::Plan {
            found,
            expected: fingerprint,
        });
    }
    let id = str::from_utf8(id).map_err(|error| ChangelogError::Malformed(error.to_string()))?;
    row.customer_id.clear();
    row.customer_id.push_str(id);
    row.reference_ms = input.i64()?;
    let segment = input.u32()?;
    row.standing = Standing {
        segment: (segment != NO_SEGMENT).then_some(segment),
        sequence: input.u32()?,
        changed_ms: input.i64()?,
        as_of_ms: input.i64()?,
        version: input.u64()?,
        candidate: candidate(&mut input)?,
    };
    let columns = input.u32()? as usize;
    row.columns.clear();
    input.f64s_into(columns, &mut row.columns)?;
    row.remembered.clear();
    for _ in 0..input.u16()? {
        row.remembered.push_id(input.u64()?);
    }
    for _ in 0..input.u16()? {
        row.remembered.push_order(input.u64()?, input.i64()?);
    }
    input.end()?;
    Ok(())
}

fn candidate(input: &mut Input<'_>) -> Result<Option<Candidate>, Malformed> {
    let (cause, segment, agreed) = (input.u8()?, input.u32()?, input.u16()?);
    if cause == 0 {
        return Ok(None);
    }
    let cause = *Cause::ALL.get(usize::from(cause) - 1).ok_or(Malformed)?;
    Ok(Some(Candidate {
        segment,
        agreed,
        cause,
    }))
}

#[derive(Serialize, Deserialize)]
struct BookmarkRecord {
    format: u8,
    inputs: Vec<InputRecord>,
    repartition_offset: i64,
    stream_ms: i64,
    swept_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leap: Option<LeapRecord>,
    version: u64,
    version_since_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct LeapRecord {
    from_ms: i64,
    to_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct InputRecord {
    topic: String,
    partition: u32,
    next_offset: i64,
    time_ms: i64,
}

/// Writes a bookmark's value; inputs go by their topics' names. `owner` is who writes it: the name of
/// its transactions.
pub fn encode_bookmark(
    bookmark: &Bookmark,
    topics: &[String],
    owner: Option<&str>,
    out: &mut Vec<u8>,
) {
    let inputs = bookmark
        .inputs
        .iter()
        .map(|((topic, partition), progress)| InputRecord {
            topic: topics[usize::from(*topic)].clone(),
            partition: *partition,
            next_offset: progress.next_offset,
            time_ms: progress.time_ms,
        })
        .collect();
    let record = BookmarkRecord {
        format: VERSION,
        inputs,
        repartition_offset: bookmark.repartition_offset,
        stream_ms: bookmark.stream_ms,
        swept_ms: bookmark.swept_ms,
        leap: bookmark.leap.map(|leap| LeapRecord {
            from_ms: leap.from_ms,
            to_ms: leap.to_ms,
        }),
        version: bookmark.version,
        version_since_ms: bookmark.version_since_ms,
        owner: owner.map(str::to_owned),
    };
    // Writing to memory cannot fail, and neither can a map without keys that are not text.
    let _ = serde_json::to_writer(out, &record);
}

/// Reads a bookmark and who wrote it; inputs that are no longer configured are left out.
///
/// # Errors
/// Where it is malformed or of a later format.
pub fn decode_bookmark(
    value: &[u8],
    topics: &[String],
) -> Result<(Bookmark, Option<String>), ChangelogError> {
    let record: BookmarkRecord = serde_json::from_slice(value)
        .map_err(|error| ChangelogError::Malformed(error.to_string()))?;
    if record.format > VERSION {
        return Err(ChangelogError::Version {
            found: record.format,
        });
    }
    let inputs: BTreeMap<InputPartition, Progress> = record
        .inputs
        .iter()
        .filter_map(|input| {
            let topic = topics.iter().position(|topic| *topic == input.topic)?;
            let progress = Progress {
                next_offset: input.next_offset,
                time_ms: input.time_ms,
            };
            Some(((topic as u16, input.partition), progress))
        })
        .collect();
    let bookmark = Bookmark {
        inputs,
        repartition_offset: record.repartition_offset,
        stream_ms: record.stream_ms,
        swept_ms: record.swept_ms,
        leap: record.leap.map(|leap| Leap {
            from_ms: leap.from_ms,
            to_ms: leap.to_ms,
        }),
        version: record.version,
        version_since_ms: record.version_since_ms,
    };
    Ok((bookmark, record.owner))
}
