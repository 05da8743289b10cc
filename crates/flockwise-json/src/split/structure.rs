//! Follows the structure of a document byte by byte.

/// Brackets that may be open at once: more than a document has bytes. It bounds the memory while the rest of a larger one is
/// skipped.
const DEEPEST: usize = 1 << 22;

/// Strings, nesting, and whether brackets, commas and values are in an order that JSON allows. Numbers and words are not
/// checked.
#[derive(Debug, Default)]
pub(super) struct Structure {
    /// For each open bracket: is it that of an object?
    open: Vec<bool>,
    is_in_string: bool,
    is_escaped: bool,
    last: Last,
    is_broken: bool,
}

/// What came last outside strings, blanks left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Open,
    Comma,
    Colon,
    Value,
}

impl Structure {
    /// Adds a byte of the document.
    pub(super) fn step(&mut self, byte: u8) {
        if self.is_in_string {
            return self.step_in_string(byte);
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'"' => {
                self.is_broken |= self.last == Last::Value;
                self.is_in_string = true;
                self.last = Last::Value;
            }
            b'{' | b'[' => {
                self.is_broken |= self.last == Last::Value || self.wants_key();
                self.is_broken |= self.open.len() == DEEPEST;
                if self.open.len() < DEEPEST {
                    self.open.push(byte == b'{');
                }
                self.last = Last::Open;
            }
            b'}' | b']' => {
                self.is_broken |= self.open.pop() != Some(byte == b'}');
                self.last = Last::Value;
            }
            b',' => self.last = Last::Comma,
            b':' => self.last = Last::Colon,
            _ => self.last = Last::Value,
        }
    }

    fn step_in_string(&mut self, byte: u8) {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' => self.is_escaped = true,
            b'"' => self.is_in_string = false,
            _ => {}
        }
        // A line never ends within a string.
        self.is_broken |= byte == b'\n';
    }

    /// Is this the place of an object's key?
    fn wants_key(&self) -> bool {
        self.open.last() == Some(&true) && self.last != Last::Colon
    }

    /// Are all brackets and strings closed?
    pub(super) fn is_closed(&self) -> bool {
        self.open.is_empty() && !self.is_in_string
    }

    /// Can the bytes so far no longer begin a JSON document?
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// The same, if a line ends now.
    pub(super) fn is_broken_at_line_end(&self) -> bool {
        self.is_broken || self.is_in_string
    }
}
