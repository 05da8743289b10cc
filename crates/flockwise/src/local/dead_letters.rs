//! The dead letters of a replay, each with the place in the files that its document came from.

use std::collections::HashMap;

use flockwise_memory::CommittedRecord;

use crate::local::event_files::{Chunk, FilePlace};

/// A dead letter of a replay.
#[derive(Debug)]
pub(crate) struct LocatedDeadLetter {
    pub(crate) origin: FilePlace,
    pub(crate) record: CommittedRecord,
}

/// Finds the documents of dead letters. An offset of the in-process broker means nothing to a user.
pub(crate) struct Locator {
    /// Topics of the inputs, in order.
    inputs: Vec<String>,
    /// For each input, the next offset of each partition.
    next: Vec<Vec<i64>>,
}

impl Locator {
    /// For inputs of this number of partitions.
    pub(crate) fn new(inputs: &[String], partitions: u32) -> Self {
        Self {
            inputs: inputs.to_vec(),
            next: vec![vec![0; partitions as usize]; inputs.len()],
        }
    }

    /// Locates the dead letters of a chunk whose documents were all played. To be called once for each chunk.
    pub(crate) fn locate(
        &mut self,
        chunk: &Chunk,
        records: Vec<CommittedRecord>,
    ) -> Vec<LocatedDeadLetter> {
        let mut origins = HashMap::new();
        for line in chunk.all() {
            let next = &mut self.next[usize::from(line.input)][line.partition as usize];
            if !records.is_empty() {
                origins.insert(((line.input, line.partition), *next), line.origin);
            }
            *next += 1;
        }
        let located = records.into_iter().map(|record| {
            let place = self.place(&record);
            let origin = place.and_then(|place| origins.get(&place).copied());
            LocatedDeadLetter {
                origin: origin.unwrap_or_default(),
                record,
            }
        });
        located.collect()
    }

    /// The input and partition, and the offset, that a dead letter names.
    fn place(&self, record: &CommittedRecord) -> Option<((u16, u32), i64)> {
        let topic = header(record, "flockwise.topic");
        let input = self.inputs.iter().position(|input| *input == topic)?;
        let partition = header(record, "flockwise.partition").parse().ok()?;
        let offset = header(record, "flockwise.offset").parse().ok()?;
        Some(((input as u16, partition), offset))
    }
}

/// The value of a header; empty if there is none.
pub(crate) fn header(record: &CommittedRecord, name: &str) -> String {
    let found = record.headers.iter().find(|(known, _)| known == name);
    found
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}
