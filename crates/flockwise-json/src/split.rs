//! Cuts the bytes of a file into documents: JSON objects, one on each line, several on a line, over several lines, or as
//! the elements of an array. What is not an object is a document too, a line long, so that nothing is lost silently.

#[cfg(test)]
mod naive;
mod structure;
#[cfg(test)]
mod tests;

use std::ops::Range;

use structure::Structure;

/// The byte order mark of UTF-8.
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Finds documents in bytes that come in pieces. It reads each byte at most twice.
///
/// Between documents it skips blanks, commas, byte order marks, record separators (RFC 7464), and the brackets of an array
/// around objects. An object ends where its brackets close. Anything else ends with its line.
///
/// An object whose brackets do not close, as in a line that was cut, must not swallow what follows. If its bytes cannot
/// be JSON any more after its first line, its first line alone is a document, and so is each line of an object from there
/// to the place where that was noticed.
#[derive(Debug)]
pub struct DocumentSplitter {
    /// Bytes of a document, at most. Of a longer one, one byte more is a document, and the rest is skipped.
    limit: usize,
    /// Bytes consumed so far.
    offset: u64,
    /// Number of the line of the next byte, from 1.
    line: u64,
    /// Arrays that are open around the next document.
    arrays: u32,
    /// Objects that begin before this offset end with their line at the latest.
    one_line_until: u64,
    scan: Option<Scan>,
}

/// What [`DocumentSplitter::split`] has found at the front of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A document.
    Document {
        /// Where it is in the bytes.
        text: Range<usize>,
        /// The line that it begins on, from 1.
        line: u64,
        /// Bytes to drop from the front before the next call.
        consumed: usize,
    },
    /// No whole document: drop this number of bytes from the front, and add more at the end.
    More(usize),
    /// All bytes are consumed, and there are no more.
    End,
}

/// A document whose end is not found yet.
#[derive(Debug)]
struct Scan {
    kind: DocumentKind,
    /// May it go on after its first line?
    may_span_lines: bool,
    structure: Structure,
    /// Bytes of the document that are scanned.
    at: usize,
    /// Length of its first line, once it is known to go on.
    first_line: Option<usize>,
    /// The document is too large and was delivered in part: its remaining bytes are skipped.
    is_skipped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DocumentKind {
    Object,
    /// An element of an array that is not an object.
    Element,
    /// Anything else.
    Line,
}

/// What the scan of a document has found.
enum Scanned {
    Unfinished,
    /// It ends after this number of bytes.
    Ends(usize),
    /// It cannot be JSON any more. Only its first line is a document.
    Breaks(usize),
    TooLarge,
}

impl DocumentSplitter {
    /// A splitter at the beginning of a file. `limit`: bytes of a document, at most.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            offset: 0,
            line: 1,
            arrays: 0,
            one_line_until: 0,
            scan: None,
        }
    }

    /// Finds the next document. `bytes` begin where the last call has consumed up to; `is_last`: no more will follow.
    pub fn split(&mut self, bytes: &[u8], is_last: bool) -> Piece {
        let mut start = self.skip(bytes);
        if self.is_between() {
            start += self.seek(&bytes[start..], is_last);
        }
        let Some(mut scan) = self.scan.take_if(|scan| !scan.is_skipped) else {
            return match is_last && start == bytes.len() {
                true => Piece::End,
                false => Piece::More(start),
            };
        };
        let document = &bytes[start..];
        match self.scan(&mut scan, document, is_last) {
            Scanned::Unfinished => {
                self.scan = Some(scan);
                Piece::More(start)
            }
            Scanned::Ends(length) => self.deliver(start, document, length),
            Scanned::Breaks(length) => {
                self.one_line_until = self.offset + scan.at as u64;
                self.deliver(start, document, length)
            }
            Scanned::TooLarge => {
                let piece = self.deliver(start, document, scan.at);
                scan.is_skipped = true;
                self.scan = Some(scan);
                piece
            }
        }
    }

    /// Is the next byte between documents?
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.scan.is_none()
    }

    /// Passes a line that the caller has read as exactly one document: `consumed` bytes, the end of the line included.
    /// Returns its number.
    pub fn pass_line(&mut self, consumed: usize) -> u64 {
        debug_assert!(self.is_between(), "a line within a document");
        self.offset += consumed as u64;
        self.line += 1;
        self.line - 1
    }

    /// The number of the line of the next byte, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Is an array open? At the end of a file that means that the file was cut.
    #[must_use]
    pub fn is_in_array(&self) -> bool {
        self.arrays > 0
    }

    /// Passes what is between documents, and begins the scan of the next one unless there is none yet. Returns the
    /// bytes that it has passed.
    fn seek(&mut self, bytes: &[u8], is_last: bool) -> usize {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let rest = &bytes[at..];
            let passed = match byte {
                b'\n' => {
                    self.line += 1;
                    Some(1)
                }
                b' ' | b'\t' | b'\r' | b'\x0c' | b',' | 0x1e => Some(1),
                b']' if self.arrays > 0 => {
                    self.arrays -= 1;
                    Some(1)
                }
                b'[' => match opens_array(&rest[1..], self.limit) {
                    None if !is_last => break,
                    Some(false) => None,
                    _ => {
                        self.arrays += 1;
                        Some(1)
                    }
                },
                _ if rest.starts_with(&BYTE_ORDER_MARK) => Some(BYTE_ORDER_MARK.len()),
                _ if BYTE_ORDER_MARK.starts_with(rest) && !is_last => break,
                _ => None,
            };
            let Some(passed) = passed else {
                let is_trusted = self.offset + at as u64 >= self.one_line_until;
                self.scan = Some(Scan::begin(*byte, self.arrays > 0, is_trusted));
                break;
            };
            at += passed;
        }
        self.offset += at as u64;
        at
    }

    /// Scans on in a document that begins at the front of `document`.
    fn scan(&self, scan: &mut Scan, document: &[u8], is_last: bool) -> Scanned {
        while let Some(&byte) = document.get(scan.at) {
            if scan.ends_before(byte) {
                return Scanned::Ends(scan.at);
            }
            if byte == b'\n' && scan.first_line.is_none() {
                scan.first_line = Some(scan.at);
            }
            scan.step(byte);
            scan.at += 1;
            if scan.kind == DocumentKind::Object && scan.structure.is_closed() {
                return Scanned::Ends(scan.at);
            }
            if let Some(first_line) = scan.first_line.filter(|_| scan.structure.is_broken()) {
                return Scanned::Breaks(first_line);
            }
            if scan.at > self.limit {
                return Scanned::TooLarge;
            }
        }
        match scan.first_line {
            _ if !is_last => Scanned::Unfinished,
            None => Scanned::Ends(scan.at),
            Some(first_line) => Scanned::Breaks(first_line),
        }
    }

    /// Skips the rest of a document that is too large. Returns the bytes that it has passed.
    fn skip(&mut self, bytes: &[u8]) -> usize {
        let Some(mut scan) = self.scan.take_if(|scan| scan.is_skipped) else {
            return 0;
        };
        let mut at = 0;
        let mut is_over = false;
        while let Some(&byte) = bytes
            .get(at)
            .filter(|byte| !is_over && !scan.ends_before(**byte))
        {
            self.line += u64::from(byte == b'\n');
            scan.step(byte);
            is_over = scan.kind == DocumentKind::Object && scan.structure.is_closed();
            at += 1;
        }
        if at == bytes.len() && !is_over {
            self.scan = Some(scan);
        }
        self.offset += at as u64;
        at
    }

    /// Delivers a document of `length` bytes that begins at `start`.
    fn deliver(&mut self, start: usize, document: &[u8], length: usize) -> Piece {
        let text = document[..length].trim_ascii_end();
        let line = self.line;
        let ends = document[..length].iter().filter(|byte| **byte == b'\n');
        self.line += ends.count() as u64;
        self.offset += length as u64;
        Piece::Document {
            text: start..start + text.len(),
            line,
            consumed: start + length,
        }
    }
}

impl Scan {
    fn begin(byte: u8, is_in_array: bool, is_trusted: bool) -> Self {
        let kind = match byte {
            b'{' => DocumentKind::Object,
            _ if is_in_array => DocumentKind::Element,
            _ => DocumentKind::Line,
        };
        Self {
            kind,
            may_span_lines: kind == DocumentKind::Object && is_trusted,
            structure: Structure::default(),
            at: 0,
            first_line: None,
            is_skipped: false,
        }
    }

    /// Does the document end before this byte?
    fn ends_before(&self, byte: u8) -> bool {
        match byte {
            b'\n' => {
                let is_first = self.first_line.is_none() || self.is_skipped;
                !self.may_span_lines || (is_first && self.structure.is_broken_at_line_end())
            }
            b',' | b']' => self.kind == DocumentKind::Element && self.structure.is_closed(),
            _ => false,
        }
    }

    fn step(&mut self, byte: u8) {
        if self.kind != DocumentKind::Line {
            self.structure.step(byte);
        }
    }
}

/// Does a bracket with these bytes behind it open an array of objects? `None` if they do not show it. Looks at `limit` bytes
/// at most.
fn opens_array(behind: &[u8], limit: usize) -> Option<bool> {
    let mut seen = behind.iter().take(limit);
    match seen.find(|byte| !matches!(byte, b' ' | b'\t' | b'\r')) {
        Some(next) => Some(matches!(next, b'{' | b']' | b'\n')),
        None if behind.len() < limit => None,
        None => Some(true),
    }
}
