//! The lines of a load in memory, with all that sending them needs.

use std::ops::Range;

use anyhow::Result;
use flockwise_benches::events;
use flockwise_benches::job::PARTITIONS;
use flockwise_codec::partitioner::Partitioner;
use xtask::data::generate::Load;

/// A slab of bytes, and where each line lies in it.
#[derive(Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    lines: Vec<Placed>,
}

struct Placed {
    line: Range<usize>,
    key: Range<usize>,
    partition: u32,
}

/// One line.
pub(crate) struct Line<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) partition: u32,
}

impl Lines {
    /// Reads all lines of a load, under their customers as keys.
    pub(crate) fn load(load: &Load) -> Result<Self> {
        let mut lines = Self::default();
        events::each(load, |line| lines.push(line))?;
        Ok(lines)
    }

    fn push(&mut self, line: &str) -> Result<()> {
        let customer = events::customer(line)?;
        // The customer is a part of the line.
        let key = customer.as_ptr() as usize - line.as_ptr() as usize;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(line.as_bytes());
        self.lines.push(Placed {
            line: start..self.bytes.len(),
            key: start + key..start + key + customer.len(),
            partition: Partitioner::Murmur2.partition(customer.as_bytes(), PARTITIONS),
        });
        Ok(())
    }

    pub(crate) fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Some of the lines, by their numbers.
    pub(crate) fn some(&self, numbers: Range<u64>) -> impl Iterator<Item = Line<'_>> {
        let numbers = numbers.start as usize..numbers.end as usize;
        self.lines[numbers].iter().map(|placed| Line {
            key: &self.bytes[placed.key.clone()],
            value: &self.bytes[placed.line.clone()],
            partition: placed.partition,
        })
    }

    /// For every partition the numbers of the lines that it will hold, in order: one producer that sends
    /// everything once gives them offsets from 0 on.
    pub(crate) fn by_place(&self) -> Vec<Vec<u64>> {
        let mut places = vec![Vec::new(); PARTITIONS as usize];
        for (number, placed) in (0..).zip(&self.lines) {
            places[placed.partition as usize].push(number);
        }
        places
    }
}
