//! The documents of one file, in its order.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use flockwise_codec::decode::LARGEST_EVENT;
use flockwise_json::{DocumentSplitter, Piece};
use memchr::memchr;

/// Bytes that are read at once, at least.
const READ_BYTES: usize = 1 << 18;

/// Reads a file, and cuts it into documents. Holds little more than the largest of them.
pub(super) struct DocumentReader {
    reader: Box<dyn Read + Send>,
    splitter: DocumentSplitter,
    buffer: Vec<u8>,
    /// The bytes of the buffer that are read and not consumed.
    held: Range<usize>,
    is_last: bool,
}

/// Where a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundDocument {
    /// Its bytes, for [`DocumentReader::text`].
    pub(super) text: Range<usize>,
    /// The line that it begins on, from 1.
    pub(super) line: u64,
}

impl DocumentReader {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self {
            reader,
            splitter: DocumentSplitter::new(LARGEST_EVENT),
            buffer: vec![0; 2 * READ_BYTES],
            held: 0..0,
            is_last: false,
        }
    }

    /// The next line, if it may be exactly one object: nearly all lines of most files are. A caller that has read it as
    /// one takes it with [`DocumentReader::take_line`], which spares the search for the document's end.
    pub(super) fn peek_line(&mut self) -> io::Result<Option<FoundDocument>> {
        if !self.splitter.is_between() {
            return Ok(None);
        }
        let Some(end) = self.line_end()? else {
            return Ok(None);
        };
        let line = self.buffer[self.held.start..end].trim_ascii_end();
        let line = line.strip_suffix(b",").unwrap_or(line).trim_ascii_end();
        let is_object = line.first() == Some(&b'{') && line.last() == Some(&b'}');
        Ok(is_object.then_some(FoundDocument {
            text: self.held.start..self.held.start + line.len(),
            line: self.splitter.line(),
        }))
    }

    /// Takes the line that [`DocumentReader::peek_line`] has shown.
    pub(super) fn take_line(&mut self) {
        if let Some(end) = memchr(b'\n', self.held()) {
            self.splitter.pass_line(end + 1);
            self.held.start += end + 1;
        }
    }

    /// The next document; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<FoundDocument>> {
        loop {
            let bytes = &self.buffer[self.held.clone()];
            match self.splitter.split(bytes, self.is_last) {
                Piece::End => return Ok(None),
                Piece::More(passed) => {
                    self.held.start += passed;
                    self.fill()?;
                }
                Piece::Document {
                    text,
                    line,
                    consumed,
                } => {
                    let start = self.held.start;
                    self.held.start += consumed;
                    let text = start + text.start..start + text.end;
                    return Ok(Some(FoundDocument { text, line }));
                }
            }
        }
    }

    /// The bytes of a document, until the next one is looked for.
    pub(super) fn text(&self, text: Range<usize>) -> &[u8] {
        &self.buffer[text]
    }

    /// The number of the line that is read next, from 1.
    pub(super) fn line(&self) -> u64 {
        self.splitter.line()
    }

    /// Has the file ended within an array?
    pub(super) fn is_in_array(&self) -> bool {
        self.splitter.is_in_array()
    }

    fn held(&self) -> &[u8] {
        &self.buffer[self.held.clone()]
    }

    /// Where the next line ends in the buffer; `None` if it begins with no object, is too long, or has no end.
    fn line_end(&mut self) -> io::Result<Option<usize>> {
        loop {
            let bytes = self.held();
            if bytes.first().is_some_and(|byte| *byte != b'{') {
                return Ok(None);
            }
            if let Some(end) = memchr(b'\n', bytes) {
                return Ok(Some(self.held.start + end));
            }
            if self.is_last || bytes.len() > LARGEST_EVENT {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// Reads more bytes behind those that are held, which may move. At the end of the file, sets `is_last`.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.held.clone(), 0);
        self.held = 0..self.held.len();
        if self.buffer.len() - self.held.end < READ_BYTES {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.held.end..]) {
                Ok(read) => {
                    self.held.end += read;
                    self.is_last = read == 0;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
