//! Documents of event files in the merged order, cut into chunks.

use std::ops::Range;

/// Documents of a chunk, at most.
const CHUNK_DOCUMENTS: usize = 8192;
/// Bytes of a chunk, about: of large documents it holds fewer.
const CHUNK_BYTES: usize = 32 << 20;

/// Documents in the merged order, with their partitions.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

/// Where a document is in the files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FilePlace {
    /// Index of the file, in the order of the command line.
    pub(crate) file: u32,
    /// The line that it begins on, from 1.
    pub(crate) line: u64,
}

/// One document of a chunk.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    text: Range<usize>,
    pub(crate) origin: FilePlace,
    /// Index of the input in the configuration.
    pub(crate) input: u16,
    /// Partition of the customer; 0 if the document is not a valid event.
    pub(crate) partition: u32,
    /// Event time, milliseconds since the epoch; that of the document before in its file if the document is not a
    /// valid event or is from the future, and [`i64::MIN`] if there was none.
    pub(crate) time_ms: i64,
}

impl Line {
    /// A document of this input without an event before it.
    pub(super) fn new(input: u16) -> Self {
        Self {
            text: 0..0,
            origin: FilePlace::default(),
            input,
            partition: 0,
            time_ms: i64::MIN,
        }
    }
}

impl Chunk {
    /// The documents of a slice, with their bytes.
    pub(crate) fn lines(&self, slice: Range<usize>) -> impl Iterator<Item = (&Line, &[u8])> {
        self.lines[slice].iter().map(|line| (line, self.text(line)))
    }

    /// The bytes of a document.
    pub(super) fn text(&self, line: &Line) -> &[u8] {
        &self.bytes[line.text.clone()]
    }

    /// The documents, without their bytes.
    pub(crate) fn all(&self) -> &[Line] {
        &self.lines
    }

    /// Cuts the chunk so that no slice spans two periods of either length: what the trainer learns from one period is
    /// then in use for the next.
    pub(crate) fn slices(&self, periods_ms: [i64; 2]) -> impl Iterator<Item = Range<usize>> {
        let span =
            move |line: &Line| periods_ms.map(|period_ms| line.time_ms.div_euclid(period_ms));
        let mut end = 0;
        self.lines
            .chunk_by(move |left, right| span(left) == span(right))
            .map(move |lines| {
                let start = end;
                end += lines.len();
                start..end
            })
    }

    /// Adds a document at the end.
    pub(super) fn push(&mut self, line: &Line, text: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        self.lines.push(Line {
            text: start..self.bytes.len(),
            ..line.clone()
        });
    }

    /// Does it hold all documents that a chunk is to hold?
    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= CHUNK_DOCUMENTS || self.bytes.len() >= CHUNK_BYTES
    }

    /// Bytes of all documents and their entries.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.lines.len() * size_of::<Line>()
    }

    /// Sorts by event time. Documents of equal times keep their order.
    pub(super) fn sort(&mut self) {
        self.lines.sort_by_key(|line| line.time_ms);
    }
}
