//! Looks up a member's name among the wanted ones.

use crate::escape::unescape;
use crate::raw_text::{RawText, head};

/// The wanted names of an object's members.
#[derive(Clone, Debug)]
pub struct NameTable {
    names: Vec<String>,
    /// The [`head`] of each name, in the order of `names`.
    heads: Vec<u64>,
    /// For each [`bucket`], the index in `heads` of its first name; `u16::MAX` if the bucket is empty.
    starts: [u16; BUCKETS],
}

const BUCKETS: usize = 64;

/// Spreads heads over buckets, so that most names that are not wanted hit an empty one.
fn bucket(head: u64) -> usize {
    (head.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize
}

impl NameTable {
    /// A table of these names, fewer than 65535, each once.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let heads: Vec<u64> = names.iter().map(|name| head(name.as_bytes())).collect();
        let mut starts = [u16::MAX; BUCKETS];
        for (index, head) in heads.iter().enumerate().rev() {
            starts[bucket(*head)] = index as u16;
        }
        Self {
            names,
            heads,
            starts,
        }
    }

    /// The index of a name as written in a document, escapes included.
    #[inline(always)]
    #[must_use]
    pub fn find(&self, name: &RawText<'_>) -> Option<usize> {
        if name.has_escapes {
            return self.find_escaped(name.bytes());
        }
        let start = usize::from(self.starts[bucket(name.head)]);
        let heads = self.heads.get(start..)?;
        for (place, head) in heads.iter().enumerate() {
            if *head == name.head && name.equals_after_head(&self.names[start + place]) {
                return Some(start + place);
            }
        }
        None
    }

    #[cold]
    fn find_escaped(&self, raw: &[u8]) -> Option<usize> {
        let raw = str::from_utf8(raw).ok()?;
        let is_it = |name: &String| {
            let mut rest = Some(name.as_str());
            let piece = |piece: &str| rest = rest.and_then(|rest| rest.strip_prefix(piece));
            unescape(raw, piece).is_ok() && rest == Some("")
        };
        self.names.iter().position(is_it)
    }
}
