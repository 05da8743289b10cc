//! Where a task stands, as JSON.

use std::collections::BTreeMap;

use flockwise_core::calendar::Leap;
use flockwise_core::task::{Bookmark, InputPartition, Progress};
use serde::{Deserialize, Serialize};

use super::{ChangelogError, VERSION};

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
