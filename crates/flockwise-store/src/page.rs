//! Reads and checks LMDB's file format, version 1.
//!
//! LMDB trusts every byte of its file: a wrong pointer in a page makes it read or write anywhere in memory. So LMDB
//! gets only files that passed these checks. Names and layouts are those of `mdb.c`: integers have the machine's byte
//! order, and page numbers have its word size.

use crate::load_error::{LoadError, damaged};
use crate::page_file::PageFile;

const WORD: usize = size_of::<usize>();
/// `PAGEHDRSZ`: number, pad u16, flags u16, and lower u16 with upper u16 or a count u32.
pub(crate) const PAGE_HEADER: usize = WORD + 8;
/// `NODESIZE`: size or page number u32, flags u16, size of the key u16.
const NODE_HEADER: usize = 8;
/// `MDB_db`: pad u32, flags u16, depth u16, and five words.
const TREE: usize = 8 + 5 * WORD;
/// `MDB_meta`: magic u32, version u32, address, map size, two trees, last page, transaction.
const META: usize = 8 + 2 * WORD + 2 * TREE + 2 * WORD;
const MAGIC: u32 = 0xBEEF_C0DE;
const DATA_VERSION: u32 = 1;
/// `P_META`.
const META_PAGE: u16 = 8;
/// `MDB_INTEGERKEY`: the only flag of the tree of free pages.
const INTEGER_KEYS: u32 = 8;
/// `F_BIGDATA`: the value is on overflow pages.
const BIG: u16 = 1;
/// `MDB_MAXKEYSIZE`.
pub(crate) const LONGEST_KEY: usize = 511;
/// `CURSOR_STACK`.
const DEEPEST: u16 = 32;

/// `mp_flags` of the pages of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageKind {
    Branch = 1,
    Leaf = 2,
    Overflow = 4,
}

/// The root of a tree, as a meta page describes it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TreeRoot {
    pub(crate) depth: u16,
    pub(crate) entries: u64,
    /// Page number; `None`: the tree is empty.
    pub(crate) root: Option<u64>,
    pad: u32,
    flags: u32,
}

/// The meta page of the file's last transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) free: TreeRoot,
    pub(crate) records: TreeRoot,
    pub(crate) last_page: u64,
    pub(crate) transaction: u64,
}

impl Meta {
    /// Reads both meta pages and returns the later one, as LMDB does. Sets the file's page size.
    pub(crate) fn read(file: &mut PageFile) -> Result<Self, LoadError> {
        let mut bytes = Vec::new();
        file.read(0, PAGE_HEADER + META, &mut bytes)?;
        let (page_bytes, first) = Self::of(&bytes).ok_or_else(not_lmdb)?;
        if !page_bytes.is_power_of_two() || !(512..=32_768).contains(&page_bytes) {
            return Err(damaged(0, "the page size is invalid"));
        }
        file.page_bytes = page_bytes;
        file.read(page_bytes as u64, PAGE_HEADER + META, &mut bytes)?;
        let (others, second) = Self::of(&bytes).ok_or_else(not_lmdb)?;
        if others != page_bytes {
            return Err(damaged(1, "the page size differs from that in page 0"));
        }
        let is_second = second.transaction > first.transaction;
        let (meta, former) = if is_second {
            (second, first)
        } else {
            (first, second)
        };
        // Transactions alternate between the two pages. Otherwise the next one would overwrite the page that
        // holds the last one.
        if is_second != (meta.transaction % 2 == 1)
            || meta.transaction.saturating_sub(former.transaction) > 1
        {
            return Err(damaged(
                u64::from(is_second),
                "the transactions of the meta pages do not alternate",
            ));
        }
        meta.check(u64::from(is_second))?;
        Ok(meta)
    }

    fn of(bytes: &[u8]) -> Option<(usize, Self)> {
        let is_meta = u16_at(bytes, WORD + 2)? & META_PAGE != 0;
        let bytes = bytes.get(PAGE_HEADER..)?;
        if !is_meta || u32_at(bytes, 0)? != MAGIC || u32_at(bytes, 4)? != DATA_VERSION {
            return None;
        }
        let trees = 8 + 2 * WORD;
        let (free, records) = (tree_at(bytes, trees)?, tree_at(bytes, trees + TREE)?);
        let meta = Self {
            free,
            records,
            last_page: word_at(bytes, trees + 2 * TREE)?,
            transaction: word_at(bytes, trees + 2 * TREE + WORD)?,
        };
        Some((free.pad as usize, meta))
    }

    fn check(&self, page: u64) -> Result<(), LoadError> {
        let are_known = self.free.flags == INTEGER_KEYS && self.records.flags == 0;
        if !are_known || self.records.pad != 0 {
            return Err(damaged(page, "a tree has unknown flags"));
        }
        let deepest = self.free.depth.max(self.records.depth);
        if deepest > DEEPEST || self.last_page < 1 {
            return Err(damaged(page, "impossible tree depth or last page"));
        }
        Ok(())
    }
}

fn not_lmdb() -> LoadError {
    LoadError::Unusable("it is not an LMDB file of format version 1".to_owned())
}

fn tree_at(bytes: &[u8], at: usize) -> Option<TreeRoot> {
    let root = word_at(bytes, at + 8 + 4 * WORD)?;
    Some(TreeRoot {
        pad: u32_at(bytes, at)?,
        flags: u32::from(u16_at(bytes, at + 4)?),
        depth: u16_at(bytes, at + 6)?,
        entries: word_at(bytes, at + 8 + 3 * WORD)?,
        root: (root != usize::MAX as u64).then_some(root),
    })
}

/// Whether a page has this number and this kind.
fn is_page(page: &[u8], number: u64, kind: PageKind) -> bool {
    word_at(page, 0) == Some(number) && u16_at(page, WORD + 2) == Some(kind as u16)
}

/// How many overflow pages a value takes.
pub(crate) fn overflow_pages(value_bytes: usize, page_bytes: usize) -> usize {
    (PAGE_HEADER - 1 + value_bytes) / page_bytes + 1
}

/// How many overflow pages a value has, according to the first of them.
pub(crate) fn overflow_count(page: &[u8], number: u64) -> Result<u64, LoadError> {
    let count = u32_at(page, WORD + 4).filter(|_| is_page(page, number, PageKind::Overflow));
    count
        .map(u64::from)
        .ok_or_else(|| damaged(number, "it is not the overflow page of a value"))
}

/// The nodes of a branch or a leaf. All of them lie within the page, without gaps or overlaps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nodes<'p> {
    page: &'p [u8],
    count: usize,
}

/// The value of a leaf's node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'p> {
    Here(&'p [u8]),
    /// On overflow pages, from this page on.
    Elsewhere {
        page: u64,
        bytes: usize,
    },
}

impl<'p> Nodes<'p> {
    /// Checks a page. `spans` is scratch memory.
    pub(crate) fn of(
        page: &'p [u8],
        number: u64,
        kind: PageKind,
        spans: &mut Vec<(u16, u16)>,
    ) -> Result<Self, LoadError> {
        if !is_page(page, number, kind) {
            return Err(damaged(number, "its header has another number or kind"));
        }
        let nodes = Self::with_header(page)
            .ok_or_else(|| damaged(number, "its header has impossible bounds"))?;
        spans.clear();
        for index in 0..nodes.count {
            spans.push(
                nodes
                    .span(index, kind)
                    .ok_or_else(|| damaged(number, "a record is malformed or exceeds it"))?,
            );
        }
        spans.sort_unstable();
        let mut free_until = u16_at(page, WORD + 6).unwrap_or(0);
        for (start, end) in spans.iter() {
            if *start != free_until {
                return Err(damaged(number, "its records have gaps or overlaps"));
            }
            free_until = *end;
        }
        if usize::from(free_until) != page.len() {
            return Err(damaged(number, "its records do not fill it"));
        }
        Ok(nodes)
    }

    fn with_header(page: &'p [u8]) -> Option<Self> {
        let lower = usize::from(u16_at(page, WORD + 4)?);
        let upper = usize::from(u16_at(page, WORD + 6)?);
        let pointers = lower.checked_sub(PAGE_HEADER)?;
        let count = pointers / 2;
        let is_right = pointers % 2 == 0 && count > 0 && lower <= upper && upper <= page.len();
        is_right.then_some(Self { page, count })
    }

    /// Start and end of a node; `None` if it is not within the page or is malformed.
    fn span(&self, index: usize, kind: PageKind) -> Option<(u16, u16)> {
        let at = self.at(index);
        let (size, flags) = (u32_at(self.page, at)?, u16_at(self.page, at + 4)?);
        let key = usize::from(u16_at(self.page, at + 6)?);
        let value = match (kind, flags) {
            (PageKind::Branch, _) => 0,
            (_, 0) => size as usize,
            (_, BIG) => WORD,
            _ => return None,
        };
        let end = (at + NODE_HEADER + key).checked_add(value)?;
        let end = end.checked_next_multiple_of(2)?;
        let is_within = end <= self.page.len() && key <= LONGEST_KEY;
        // A page has at most 32,768 bytes.
        is_within.then_some((at as u16, end as u16))
    }

    fn at(&self, index: usize) -> usize {
        usize::from(u16_at(self.page, PAGE_HEADER + 2 * index).unwrap_or(u16::MAX))
    }

    /// Number of nodes, at least one.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// A node's key. The first key of a branch has no meaning.
    pub(crate) fn key(&self, index: usize) -> &'p [u8] {
        let at = self.at(index);
        let length = usize::from(u16_at(self.page, at + 6).unwrap_or(0));
        &self.page[at + NODE_HEADER..at + NODE_HEADER + length]
    }

    /// The page number that a branch's node points to.
    pub(crate) fn child(&self, index: usize) -> u64 {
        let at = self.at(index);
        let low = u64::from(u32_at(self.page, at).unwrap_or(0));
        // On 32 bits the flags are not part of the page number.
        let high = u64::from(u16_at(self.page, at + 4).unwrap_or(0));
        if WORD > 4 { low | high << 32 } else { low }
    }

    /// The value of a leaf's node. A page number in it is not checked.
    pub(crate) fn value(&self, index: usize) -> Value<'p> {
        let at = self.at(index);
        let bytes = u32_at(self.page, at).unwrap_or(0) as usize;
        let start = at + NODE_HEADER + self.key(index).len();
        match u16_at(self.page, at + 4) {
            Some(BIG) => Value::Elsewhere {
                page: word_at(self.page, start).unwrap_or(0),
                bytes,
            },
            _ => Value::Here(&self.page[start..start + bytes]),
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// A machine word, such as a page number or a count.
pub(crate) fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(WORD)?)?;
    Some(usize::from_ne_bytes(bytes.try_into().ok()?) as u64)
}

/// The machine words of a slice; `None` if its length is not a multiple of the word size.
pub(crate) fn words(bytes: &[u8]) -> Option<impl Iterator<Item = u64>> {
    let are_whole = bytes.len().is_multiple_of(WORD);
    let words = bytes.chunks_exact(WORD);
    are_whole.then(|| words.map(|word| word_at(word, 0).unwrap_or(0)))
}
