//! One partition: its records in order, in chunks that have an arena each.

use std::collections::VecDeque;

use flockwise_runtime::batch::Record;
use flockwise_runtime::topics::TopicPartition;

use crate::record::{RecordParts, Shape};

/// The size of a chunk, which is freed as a whole.
const CHUNK_BYTES: usize = 128 * 1024;
const CHUNK_RECORDS: usize = 2048;
/// How many chunks are kept for reuse, over all partitions.
const SPARE_CHUNKS: usize = 128;

/// A partition's records, and the group's committed offset.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) chunks: VecDeque<LogChunk>,
    /// The oldest offset that can be read.
    pub(crate) start: i64,
    /// The offset of the next record.
    pub(crate) end: i64,
    pub(crate) committed: Option<i64>,
    /// Bytes of the records in memory, their entries included.
    pub(crate) bytes: usize,
}

#[derive(Debug, Default)]
pub(crate) struct LogChunk {
    bytes: Vec<u8>,
    entries: Vec<LogEntry>,
}

/// A record without its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogEntry {
    pub(crate) offset: i64,
    /// The record's number among all appends to the broker.
    pub(crate) sequence: u64,
    pub(crate) timestamp_ms: i64,
    pub(crate) shape: Shape,
    first_byte: u32,
}

/// Where in a log a record lies. Valid until the log changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogPosition {
    chunk: usize,
    index: usize,
}

/// Freed chunks, kept with their memory for reuse.
#[derive(Debug, Default)]
pub(crate) struct Pool(Vec<LogChunk>);

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            chunks: VecDeque::new(),
            start: 0,
            end: 0,
            committed: None,
            bytes: 0,
        }
    }

    /// Appends a record and returns its offset.
    pub(crate) fn append(
        &mut self,
        pool: &mut Pool,
        sequence: u64,
        timestamp_ms: i64,
        shape: Shape,
        bytes: &[u8],
    ) -> i64 {
        let offset = self.end;
        self.end += 1;
        let entry = LogEntry {
            offset,
            sequence,
            timestamp_ms,
            shape,
            first_byte: 0,
        };
        self.push(pool, entry, bytes);
        offset
    }

    /// Appends a record that already has its offset.
    pub(crate) fn push(&mut self, pool: &mut Pool, entry: LogEntry, bytes: &[u8]) {
        self.bytes += bytes.len() + size_of::<LogEntry>();
        match self.chunks.back_mut() {
            Some(chunk) if chunk.has_room_for(bytes.len()) => chunk.push(entry, bytes),
            _ => {
                let mut chunk = pool.take();
                chunk.push(entry, bytes);
                self.chunks.push_back(chunk);
            }
        }
    }

    /// Removes the records for which `keeps` returns `false`. The offsets of the others do not change.
    pub(crate) fn retain(&mut self, pool: &mut Pool, mut keeps: impl FnMut(&LogEntry) -> bool) {
        self.bytes = 0;
        for chunk in std::mem::take(&mut self.chunks) {
            for (entry, bytes) in chunk.entries() {
                if keeps(entry) {
                    self.push(pool, *entry, bytes);
                }
            }
            pool.give(chunk);
        }
    }

    /// Frees the chunks that lie wholly below an offset.
    pub(crate) fn trim(&mut self, pool: &mut Pool, below: i64) {
        self.trim_to(pool, below, 0);
    }

    /// Frees chunks that lie wholly below an offset, the oldest first, while the log has more than `bytes` bytes.
    pub(crate) fn trim_to(&mut self, pool: &mut Pool, below: i64, bytes: usize) {
        while self.bytes > bytes
            && let Some(chunk) = self.chunks.pop_front_if(|chunk| chunk.end() <= below)
        {
            self.start = chunk.end();
            self.bytes -= chunk.len_bytes();
            pool.give(chunk);
        }
    }

    /// The first record at or after an offset.
    pub(crate) fn place(&self, offset: i64) -> LogPosition {
        let chunk = self.chunks.partition_point(|chunk| chunk.end() <= offset);
        let index = self
            .chunks
            .get(chunk)
            .map_or(0, |chunk| chunk.index(offset));
        LogPosition { chunk, index }
    }

    #[inline]
    pub(crate) fn entry(&self, place: LogPosition) -> Option<&LogEntry> {
        self.chunks.get(place.chunk)?.entries.get(place.index)
    }

    #[inline]
    pub(crate) fn record(&self, place: LogPosition) -> Option<(&LogEntry, RecordParts<'_>)> {
        let chunk = self.chunks.get(place.chunk)?;
        let entry = chunk.entries.get(place.index)?;
        let bytes = &chunk.bytes[entry.first_byte as usize..];
        Some((entry, entry.shape.split(bytes)))
    }

    /// The position after one that holds a record.
    #[inline]
    pub(crate) fn after(&self, place: LogPosition) -> LogPosition {
        let LogPosition { chunk, index } = place;
        if index + 1 < self.chunks[chunk].entries.len() {
            let index = index + 1;
            LogPosition { chunk, index }
        } else {
            let chunk = chunk + 1;
            LogPosition { chunk, index: 0 }
        }
    }

    /// Records from an offset on, oldest first.
    pub(crate) fn records(&self, from: i64) -> impl Iterator<Item = (&LogEntry, RecordParts<'_>)> {
        let mut place = self.place(from);
        std::iter::from_fn(move || {
            let record = self.record(place)?;
            place = self.after(place);
            Some(record)
        })
    }

    /// Number of records that the group has not committed yet.
    pub(crate) fn backlog(&self) -> u64 {
        let committed = self.committed.unwrap_or(self.start);
        u64::try_from(self.end - committed).unwrap_or(0)
    }
}

impl LogChunk {
    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = (&LogEntry, &[u8])> {
        self.entries.iter().map(|entry| {
            let first = entry.first_byte as usize;
            (entry, &self.bytes[first..first + entry.shape.len()])
        })
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes.len() + bytes <= CHUNK_BYTES && self.entries.len() < CHUNK_RECORDS
    }

    fn push(&mut self, entry: LogEntry, bytes: &[u8]) {
        let first_byte = u32::try_from(self.bytes.len()).expect("a chunk with room is small");
        self.entries.push(LogEntry {
            first_byte,
            ..entry
        });
        self.bytes.extend_from_slice(bytes);
    }

    /// The offset after its last record. No chunk in a log is empty.
    fn end(&self) -> i64 {
        self.entries.last().map_or(0, |entry| entry.offset + 1)
    }

    fn index(&self, offset: i64) -> usize {
        let first = self.entries.first().map_or(0, |entry| entry.offset);
        let dense = usize::try_from(offset - first).unwrap_or(0);
        match self.entries.get(dense) {
            Some(entry) if entry.offset == offset => dense,
            _ => self.entries.partition_point(|entry| entry.offset < offset),
        }
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<LogEntry>()
    }
}

impl Pool {
    fn take(&mut self) -> LogChunk {
        self.0.pop().unwrap_or_else(|| LogChunk {
            bytes: Vec::with_capacity(CHUNK_BYTES),
            entries: Vec::new(),
        })
    }

    pub(crate) fn give(&mut self, mut chunk: LogChunk) {
        let is_outsize = chunk.bytes.capacity() > 2 * CHUNK_BYTES;
        if self.0.len() < SPARE_CHUNKS && !is_outsize {
            chunk.bytes.clear();
            chunk.entries.clear();
            self.0.push(chunk);
        }
    }
}

/// A record as a poll or a replay returns it.
pub(crate) fn polled<'a>(
    topic_partition: TopicPartition,
    entry: &LogEntry,
    parts: RecordParts<'a>,
) -> Record<'a> {
    Record {
        topic_partition,
        offset: entry.offset,
        timestamp_ms: entry.timestamp_ms,
        key: parts.key,
        value: parts.value,
        origin: parts.origin(),
    }
}
