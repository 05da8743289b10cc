//! What a pass over a datum does with each value.

use crate::skip::SkipType;

/// A value that is wanted, or holds wanted ones.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<P> {
    /// `None`: only what it holds is wanted.
    pub(crate) place: Option<P>,
    pub(crate) kind: Kind<P>,
}

/// A value's type. Logical types are told apart where they change what the value means.
#[derive(Clone, Debug)]
pub(crate) enum Kind<P> {
    Null,
    Boolean,
    Integer,
    Float,
    Double,
    Text,
    Bytes,
    Fixed(usize),
    Symbol(Vec<String>),
    /// An integer divided by 10 to the power of `scale`. `size`: of a fixed; `None`: it has its length in front.
    Decimal {
        size: Option<usize>,
        scale: usize,
    },
    /// An instant. `per_ms`: units per millisecond.
    Instant {
        per_ms: i64,
    },
    /// A timestamp without a zone. `per_ms`: units per millisecond.
    LocalTimestamp {
        per_ms: i64,
    },
    /// A date or a time of day.
    Civil,
    Union(Vec<Wanted<P>>),
    Record(Vec<RecordField<P>>),
    Array(Elements<P>),
    Map {
        values: SkipType,
        members: Vec<(String, Wanted<P>)>,
    },
}

/// A record's field.
#[derive(Clone, Debug)]
pub(crate) enum RecordField<P> {
    Skipped(SkipType),
    Wanted(Wanted<P>),
}

/// The elements of an array.
#[derive(Clone, Debug)]
pub(crate) struct Elements<P> {
    pub(crate) skipped: SkipType,
    pub(crate) by_index: Vec<(usize, Wanted<P>)>,
    pub(crate) every: Option<Box<Wanted<P>>>,
}

impl<P> Elements<P> {
    /// What is wanted of the element with this index.
    #[inline(always)]
    pub(crate) fn wanted(&self, index: usize) -> Option<&Wanted<P>> {
        let own = self.by_index.iter().find(|(known, _)| *known == index);
        own.map(|(_, wanted)| wanted).or(self.every.as_deref())
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.every.is_some() || !self.by_index.is_empty()
    }
}
