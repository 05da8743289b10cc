//! Reads partitions in the order in which the broker appended their records: a merge of their logs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use flockwise_runtime::batch::Batch;
use flockwise_runtime::topics::TopicPartition;

use crate::log::{Log, LogPosition, polled};

/// A partition that a client reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenPartition {
    pub(crate) topic_partition: TopicPartition,
    /// The number of the partition.
    pub(crate) number: usize,
    /// The next offset to read.
    pub(crate) next: i64,
    pub(crate) is_paused: bool,
}

/// Merges the logs of open partitions. Keeps its memory from poll to poll.
#[derive(Debug, Default)]
pub(crate) struct LogMerge(BinaryHeap<Reverse<LogHead>>);

/// The next record of an open partition. The smallest sequence comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LogHead {
    sequence: u64,
    read: usize,
    place: LogPosition,
}

impl LogMerge {
    /// Fills the batch with the available records, in the order in which they were appended.
    pub(crate) fn fill(
        &mut self,
        reads: &mut [OpenPartition],
        logs: &[Log],
        limit: usize,
        batch: &mut Batch,
    ) {
        self.0.clear();
        let given = reads.iter().enumerate();
        for (index, read) in given.filter(|(_, read)| !read.is_paused) {
            let log = &logs[read.number];
            self.0.extend(head(log, index, log.place(read.next)));
        }
        while batch.len() < limit
            && let Some(mut first) = self.0.peek_mut()
        {
            let LogHead { read, place, .. } = first.0;
            let OpenPartition {
                topic_partition,
                number,
                ..
            } = reads[read];
            let log = &logs[number];
            if let Some((entry, parts)) = log.record(place) {
                batch.push(polled(topic_partition, entry, parts));
                reads[read].next = entry.offset + 1;
            }
            match head(log, read, log.after(place)) {
                Some(next) => *first = next,
                None => drop(PeekMut::pop(first)),
            }
        }
    }
}

fn head(log: &Log, read: usize, place: LogPosition) -> Option<Reverse<LogHead>> {
    let sequence = log.entry(place)?.sequence;
    Some(Reverse(LogHead {
        sequence,
        read,
        place,
    }))
}
