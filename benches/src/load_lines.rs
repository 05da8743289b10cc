//! The lines of a load in memory, with their keys and partitions.

use std::ops::Range;

use anyhow::Result;
use flockwise_benches::events;
use flockwise_benches::job::PARTITIONS;
use flockwise_codec::partitioner::Partitioner;
use xtask::data::generate::GeneratedLoad;

/// All lines in one buffer, with their positions.
#[derive(Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    lines: Vec<LinePosition>,
}

struct LinePosition {
    line: Range<usize>,
    key: Range<usize>,
    partition: u32,
}

/// A line with its key and partition.
pub(crate) struct Line<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) partition: u32,
}

impl Lines {
    /// Reads all lines of a load, keyed by customer id.
    pub(crate) fn load(load: &GeneratedLoad) -> Result<Self> {
        let mut lines = Self::default();
        events::each(load, |line| lines.push(line))?;
        Ok(lines)
    }

    fn push(&mut self, line: &str) -> Result<()> {
        let customer = events::customer(line)?;
        // The customer id is a slice of the line.
        let key = customer.as_ptr() as usize - line.as_ptr() as usize;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(line.as_bytes());
        self.lines.push(LinePosition {
            line: start..self.bytes.len(),
            key: start + key..start + key + customer.len(),
            partition: Partitioner::Murmur2.partition(customer.as_bytes(), PARTITIONS),
        });
        Ok(())
    }

    pub(crate) fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    /// A range of the lines.
    pub(crate) fn some(&self, numbers: Range<u64>) -> impl Iterator<Item = Line<'_>> {
        let numbers = numbers.start as usize..numbers.end as usize;
        self.lines[numbers].iter().map(|position| Line {
            key: &self.bytes[position.key.clone()],
            value: &self.bytes[position.line.clone()],
            partition: position.partition,
        })
    }

    /// For each partition, the numbers of its lines in order. The index is the offset if one producer sends every
    /// line once to an empty topic.
    pub(crate) fn by_offset(&self) -> Vec<Vec<u64>> {
        let mut offsets = vec![Vec::new(); PARTITIONS as usize];
        for (number, position) in (0..).zip(&self.lines) {
            offsets[position.partition as usize].push(number);
        }
        offsets
    }
}
