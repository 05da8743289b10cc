//! Walks an LMDB tree in key order and checks everything on the way.
//!
//! LMDB may open a file that has passed: every page belongs to one tree only and lies in the file, its keys are in
//! order, and nothing in it points outside the page.

use std::cmp::Ordering;

use crate::load_error::{LoadError, damaged};
use crate::page::PAGE_HEADER;
use crate::page::{
    Meta, Nodes, PageKind, TreeRoot, Value, overflow_count, overflow_pages, word_at, words,
};
use crate::page_file::{PageBuffer, PageFile};

/// The most pages that are read in one call.
const MOST_AHEAD: u64 = 64;

/// How a tree orders its keys.
#[derive(Clone, Copy, Debug)]
enum Keys {
    Bytes,
    /// Numbers in the machine's byte order. The tree of free pages has such keys.
    Integers,
}

/// Walks the trees of one file.
#[derive(Debug)]
pub(crate) struct BTreeReader<'f> {
    file: &'f PageFile,
    meta: Meta,
    seen: VisitedPages,
    window: PageBuffer,
    value: Vec<u8>,
    spans: Vec<(u16, u16)>,
}

/// The keys that are allowed below a page: at least `from`, less than `to`. `None`: unbounded.
#[derive(Clone, Copy, Debug)]
struct Range<'k> {
    from: Option<&'k [u8]>,
    to: Option<&'k [u8]>,
    keys: Keys,
}

impl<'f> BTreeReader<'f> {
    /// A reader for a file that may grow to `map_bytes`.
    pub(crate) fn new(file: &'f PageFile, meta: Meta, map_bytes: usize) -> Result<Self, LoadError> {
        if meta.last_page >= (map_bytes / file.page_bytes) as u64 {
            return Err(damaged(meta.transaction % 2, "it counts too many pages"));
        }
        Ok(Self {
            file,
            meta,
            seen: VisitedPages::new(meta.last_page),
            window: PageBuffer::default(),
            value: Vec::new(),
            spans: Vec::new(),
        })
    }

    /// Calls `each` with every record, in key order.
    pub(crate) fn records(
        &mut self,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        self.seen = VisitedPages::new(self.meta.last_page);
        let mut entries = 0;
        let count = |key: &[u8], value: &[u8]| {
            entries += 1;
            each(key, value)
        };
        self.tree(self.meta.records, Keys::Bytes, count)?;
        if entries == self.meta.records.entries {
            return Ok(());
        }
        let what = format!(
            "found {entries} records, expected {}",
            self.meta.records.entries
        );
        Err(damaged(self.meta.transaction % 2, &what))
    }

    /// Checks the list of free pages, which LMDB will overwrite. Call [`Self::records`] first: the pages of
    /// records must not be in the list.
    pub(crate) fn free_pages(&mut self) -> Result<(), LoadError> {
        let mut free = Vec::new();
        self.tree(self.meta.free, Keys::Integers, |transaction, pages| {
            list(transaction, pages, &mut free)
        })?;
        for page in free {
            self.seen.take(page, 1)?;
        }
        Ok(())
    }

    fn tree(
        &mut self,
        tree: TreeRoot,
        keys: Keys,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        let all = Range {
            from: None,
            to: None,
            keys,
        };
        match (tree.root, tree.depth) {
            (None, 0) => Ok(()),
            (Some(root), 1..) => self.descend(root, 1, tree.depth, all, &mut each),
            _ => Err(damaged(self.meta.transaction % 2, "wrong tree depth")),
        }
    }

    /// Walks the pages from `page` down. `ahead` is how many pages to read from `page` on; `levels` is 1 for a leaf.
    fn descend(
        &mut self,
        page: u64,
        ahead: usize,
        levels: u16,
        range: Range<'_>,
        each: &mut impl FnMut(&[u8], &[u8]) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        self.seen.take(page, 1)?;
        if levels == 1 {
            return self.leaf(page, ahead, range, each);
        }
        // Copied, because the window moves on to the pages below.
        let bytes = self.window.page(self.file, page, 1)?.to_vec();
        let nodes = Nodes::of(&bytes, page, PageKind::Branch, &mut self.spans)?;
        if nodes.len() < range.keys.fewest_children() {
            return Err(damaged(page, "it is a branch with one child"));
        }
        for index in 0..nodes.len() {
            let below = range.below(&nodes, index);
            if !below.is_right() {
                return Err(damaged(page, "its keys are out of order"));
            }
            let ahead = adjacent_children(&nodes, index);
            self.descend(nodes.child(index), ahead, levels - 1, below, each)?;
        }
        Ok(())
    }

    fn leaf(
        &mut self,
        page: u64,
        ahead: usize,
        range: Range<'_>,
        each: &mut impl FnMut(&[u8], &[u8]) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        let bytes = self.window.page(self.file, page, ahead)?;
        let nodes = Nodes::of(bytes, page, PageKind::Leaf, &mut self.spans)?;
        let mut former = None;
        for index in 0..nodes.len() {
            let key = nodes.key(index);
            let is_after = former.is_none_or(|former| range.keys.compare(former, key).is_lt());
            if !is_after || !range.holds(key) {
                return Err(damaged(page, "its keys are out of order"));
            }
            former = Some(key);
            match nodes.value(index) {
                Value::Here(value) => each(key, value)?,
                Value::Elsewhere { page, bytes } => {
                    let at = (page, bytes);
                    let value = elsewhere(self.file, &mut self.seen, &mut self.value, at)?;
                    each(key, value)?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a value from its overflow pages.
fn elsewhere<'v>(
    file: &PageFile,
    seen: &mut VisitedPages,
    into: &'v mut Vec<u8>,
    (page, bytes): (u64, usize),
) -> Result<&'v [u8], LoadError> {
    file.pages(page, 1, into)?;
    let count = overflow_count(into, page)?;
    let needed = overflow_pages(bytes, file.page_bytes);
    if count < needed as u64 {
        return Err(damaged(page, "a value is longer than its pages"));
    }
    seen.take(page, count)?;
    file.pages(page, needed, into)?;
    Ok(&into[PAGE_HEADER..PAGE_HEADER + bytes])
}

/// How many pages to read from a node's child on: the children that are adjacent in the file as in the branch.
fn adjacent_children(nodes: &Nodes<'_>, index: usize) -> usize {
    let first = nodes.child(index);
    let others = (index + 1..nodes.len()).zip(1..MOST_AHEAD);
    let follow = others.take_while(|(other, distance)| {
        let expected = first.checked_add(*distance);
        expected == Some(nodes.child(*other))
    });
    1 + follow.count()
}

impl Keys {
    fn compare(self, left: &[u8], right: &[u8]) -> Ordering {
        match self {
            Self::Bytes => left.cmp(right),
            Self::Integers => word_at(left, 0).cmp(&word_at(right, 0)),
        }
    }

    /// LMDB aborts the process on a branch of records with one child. In the tree of free pages it allows one.
    fn fewest_children(self) -> usize {
        match self {
            Self::Bytes => 2,
            Self::Integers => 1,
        }
    }
}

/// Reads the page numbers that a transaction freed: their count, then the numbers in descending order. The rest is
/// unused.
fn list(transaction: &[u8], pages: &[u8], free: &mut Vec<u64>) -> Result<(), LoadError> {
    let wrong = || LoadError::Unusable("the list of free pages is damaged".to_owned());
    let mut words = words(pages).ok_or_else(wrong)?;
    let count = words.next().ok_or_else(wrong)?;
    let before = free.len();
    free.extend(words.take(usize::try_from(count).map_err(|_| wrong())?));
    let added = &free[before..];
    let is_whole = added.len() as u64 == count && transaction.len() == size_of::<usize>();
    let is_sorted = added.is_sorted_by(|left, right| left > right);
    if is_whole && is_sorted {
        Ok(())
    } else {
        Err(wrong())
    }
}

impl<'k> Range<'k> {
    /// The keys that are allowed below a branch's node, if this range is allowed in the branch. The branch's first
    /// key has no meaning.
    fn below<'n>(&self, nodes: &Nodes<'n>, index: usize) -> Range<'n>
    where
        'k: 'n,
    {
        let (from, to) = (
            if index == 0 {
                self.from
            } else {
                Some(nodes.key(index))
            },
            if index + 1 == nodes.len() {
                self.to
            } else {
                Some(nodes.key(index + 1))
            },
        );
        let keys = self.keys;
        Range { from, to, keys }
    }

    fn is_right(self) -> bool {
        match (self.from, self.to) {
            (Some(from), Some(to)) => self.keys.compare(from, to).is_lt(),
            _ => true,
        }
    }

    fn holds(&self, key: &[u8]) -> bool {
        self.from
            .is_none_or(|from| self.keys.compare(from, key).is_le())
            && self.to.is_none_or(|to| self.keys.compare(key, to).is_lt())
    }
}

/// The pages that are already in use.
#[derive(Debug)]
struct VisitedPages {
    bits: Vec<u64>,
    last_page: u64,
}

impl VisitedPages {
    fn new(last_page: u64) -> Self {
        let bits = vec![0; (last_page / 64 + 1) as usize];
        Self { bits, last_page }
    }

    /// Marks pages as in use. They must exist and must not be in use yet.
    fn take(&mut self, first: u64, count: u64) -> Result<(), LoadError> {
        let end = first
            .checked_add(count)
            .filter(|end| *end <= self.last_page + 1);
        let Some(end) = end.filter(|_| first > 1) else {
            return Err(damaged(first, "it is a meta page or beyond the last page"));
        };
        for page in first..end {
            let (word, bit) = (&mut self.bits[(page / 64) as usize], 1 << (page % 64));
            if *word & bit != 0 {
                return Err(damaged(page, "it is used twice"));
            }
            *word |= bit;
        }
        Ok(())
    }
}
