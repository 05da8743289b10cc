//! A record's bytes, laid end to end in an arena: key, value, headers.

use flockwise_runtime::broker::ORIGIN_HEADER;

/// A copy of a committed record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedRecord {
    /// The record's offset in its partition.
    pub offset: i64,
    /// The record's timestamp, milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// `None` for a record without a key.
    pub key: Option<Vec<u8>>,
    /// `None` for a tombstone.
    pub value: Option<Vec<u8>>,
    /// Names and contents of the headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// The lengths of a record's parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    key: u32,
    value: u32,
    headers: u32,
}

/// The length that stands for an absent part.
const ABSENT: u32 = u32::MAX;

/// More than any broker accepts, but small enough for positions in a chunk to fit into 32 bits.
pub(crate) const LARGEST_RECORD_BYTES: usize = 1 << 30;

/// A record's parts, borrowed from its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordParts<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    headers: &'a [u8],
}

impl Shape {
    /// Appends a record's parts to `bytes`.
    pub(crate) fn lay(
        bytes: &mut Vec<u8>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, &[u8])],
    ) -> Self {
        bytes.extend_from_slice(key.unwrap_or_default());
        bytes.extend_from_slice(value.unwrap_or_default());
        let before = bytes.len();
        for (name, content) in headers {
            for part in [name.as_bytes(), content] {
                bytes.extend_from_slice(&short(part.len()).to_le_bytes());
                bytes.extend_from_slice(part);
            }
        }
        Self {
            key: key.map_or(ABSENT, |key| short(key.len())),
            value: value.map_or(ABSENT, |value| short(value.len())),
            headers: short(bytes.len() - before),
        }
    }

    /// Length of the whole record in bytes.
    pub(crate) fn len(self) -> usize {
        present(self.key) + present(self.value) + self.headers as usize
    }

    pub(crate) fn is_tombstone(self) -> bool {
        self.value == ABSENT
    }

    /// The parts of a record at the start of `bytes`.
    #[inline]
    pub(crate) fn split(self, bytes: &[u8]) -> RecordParts<'_> {
        let (key, rest) = bytes.split_at(present(self.key));
        let (value, rest) = rest.split_at(present(self.value));
        RecordParts {
            key: (self.key != ABSENT).then_some(key),
            value: (self.value != ABSENT).then_some(value),
            headers: &rest[..self.headers as usize],
        }
    }
}

impl<'a> RecordParts<'a> {
    /// The header with the origin of a forwarded event; `None` if there is none.
    pub(crate) fn origin(self) -> Option<&'a [u8]> {
        self.headers()
            .find(|(name, _)| *name == ORIGIN_HEADER.as_bytes())
            .map(|(_, content)| content)
    }

    /// Names and contents of the headers, in order.
    pub(crate) fn headers(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = self.headers;
        std::iter::from_fn(move || Some((take(&mut rest)?, take(&mut rest)?)))
    }
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (part, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(part)
}

fn present(length: u32) -> usize {
    if length == ABSENT { 0 } else { length as usize }
}

fn short(length: usize) -> u32 {
    u32::try_from(length).expect("records are at most LARGEST_RECORD_BYTES long")
}
