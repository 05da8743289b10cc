//! Dead letters: writes rejected records. A record may be larger than the dead-letter topic accepts.

use flockwise_codec::decode::{LARGEST_EVENT, Reject};
use flockwise_vocabulary::task_id::TaskId;

use crate::batch::Record;
use crate::broker::{Broker, Failure, Outgoing, Transactions};
use crate::pipeline::Pipeline;
use crate::topics::Topic;
use crate::worker::Worker;

/// Bytes that are kept of a key that does not fit beside its value, at most.
const CUT_KEY_BYTES: usize = 16 << 10;

/// Bytes of a detail that are kept, at most. No detail that Flockwise writes is that long.
const DETAIL_BYTES: usize = 4 << 10;

impl<B: Broker> Worker<B> {
    /// Turns a rejected record into a dead letter of the task that has read it.
    pub(crate) fn write_dead_letter(
        &mut self,
        task_id: TaskId,
        record: &Record<'_>,
        reject: &Reject,
    ) -> Result<(), Failure> {
        let counts = self.transaction.counts();
        counts.dead_letters[reject.reason as usize] += 1;
        counts.received_ms.push(record.timestamp_ms);
        send(&mut self.broker, &self.pipeline, task_id, record, reject)
    }
}

/// Sends a rejected record, unchanged, to the dead-letter topic; the headers hold the reason and the origin. A record
/// that is too large for the topic is cut, and a header holds its full size.
fn send(
    broker: &mut impl Transactions,
    pipeline: &Pipeline,
    task: TaskId,
    record: &Record<'_>,
    reject: &Reject,
) -> Result<(), Failure> {
    let topic = pipeline.topics.name(record.topic_partition.topic);
    let numbers = [
        record.topic_partition.partition.to_string(),
        record.offset.to_string(),
        record.timestamp_ms.to_string(),
    ];
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    let sizes = format!("key={} value={}", length(record.key), length(record.value));
    let headers: [(&str, &[u8]); 7] = [
        ("flockwise.reason", reject.reason.name().as_bytes()),
        ("flockwise.detail", short(&reject.detail).as_bytes()),
        ("flockwise.topic", topic.as_bytes()),
        ("flockwise.partition", numbers[0].as_bytes()),
        ("flockwise.offset", numbers[1].as_bytes()),
        ("flockwise.timestamp", numbers[2].as_bytes()),
        ("flockwise.cut_from_bytes", sizes.as_bytes()),
    ];
    let header_bytes: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let room = broker
        .max_record_bytes(Topic::DeadLetters)
        .saturating_sub(header_bytes);
    let kept = Kept::within(room, record.key, record.value);
    broker.send(Outgoing {
        topic: Topic::DeadLetters,
        partition: task.0,
        key: kept.key,
        value: kept.value,
        headers: &headers[..headers.len() - usize::from(!kept.is_cut)],
    })
}

/// The key and value of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    /// Part of the key or value is missing.
    is_cut: bool,
}

impl<'a> Kept<'a> {
    /// As much of a record as fits into `room` bytes: all of it, or the beginnings of key and value, which may be
    /// empty. A value is cut to [`LARGEST_EVENT`] bytes in any case.
    fn within(room: usize, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Self {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let value_fits = length(value) <= LARGEST_EVENT;
        if value_fits && length(key).saturating_add(length(value)) <= room {
            return Self {
                key,
                value,
                is_cut: false,
            };
        }
        let key_bytes = match room.saturating_sub(length(value).min(LARGEST_EVENT)) {
            whole if whole >= length(key) => length(key),
            _ => CUT_KEY_BYTES.min(room / 2),
        };
        let key = prefix(key, key_bytes);
        let value = prefix(value, LARGEST_EVENT.min(room - length(key)));
        Self {
            key,
            value,
            is_cut: true,
        }
    }
}

fn prefix(bytes: Option<&[u8]>, limit: usize) -> Option<&[u8]> {
    bytes.map(|bytes| &bytes[..bytes.len().min(limit)])
}

/// The beginning of a detail, short enough for a header.
fn short(detail: &str) -> &str {
    &detail[..detail.floor_char_boundary(DETAIL_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(room: usize, key: usize, value: usize) -> (usize, usize, bool) {
        let (key, value) = (vec![1; key], vec![2; value]);
        let kept = Kept::within(room, Some(&key), Some(&value));
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        (length(kept.key), length(kept.value), kept.is_cut)
    }

    #[test]
    fn what_fits_is_kept_whole() {
        assert_eq!(kept(100, 40, 60), (40, 60, false));
        assert_eq!(
            kept(4 << 20, 900_000, LARGEST_EVENT),
            (900_000, LARGEST_EVENT, false)
        );
    }

    #[test]
    fn a_large_key_is_cut_and_its_value_is_kept() {
        assert_eq!(
            kept(4 << 20, 2 << 20, LARGEST_EVENT),
            (CUT_KEY_BYTES, LARGEST_EVENT, true)
        );
        assert_eq!(kept(1 << 20, 2 << 20, 10), (CUT_KEY_BYTES, 10, true));
    }

    #[test]
    fn a_large_value_is_cut_and_its_key_is_kept() {
        assert_eq!(kept(8 << 20, 10, 5 << 20), (10, LARGEST_EVENT, true));
        assert_eq!(kept(1_000, 10, 2_000), (10, 990, true));
    }

    #[test]
    fn however_little_room_there_is_nothing_exceeds_it() {
        for room in [0, 1, 2, 10, 1_000, 100_000] {
            for (key, value) in [(0, 200_000), (200_000, 0), (200_000, 200_000)] {
                let (key, value, is_cut) = kept(room, key, value);
                assert!(key + value <= room && is_cut);
            }
        }
        assert_eq!(kept(0, 0, 0), (0, 0, false));
    }

    #[test]
    fn a_long_detail_is_cut_between_letters() {
        let detail = "é".repeat(DETAIL_BYTES);
        assert_eq!(short(&detail).len(), DETAIL_BYTES);
        assert_eq!(short("short"), "short");
    }
}
