//! Merges documents by event time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::chunk::Line;
use crate::exit::Failed;

/// Documents in the order of their times, one after the other.
pub(super) trait Head {
    /// The document that [`Head::advance`] went to.
    fn line(&self) -> &Line;

    /// The bytes of that document.
    fn text(&self) -> &[u8];

    /// Goes on to the next document, or to the first one. `false` at the end.
    fn advance(&mut self) -> Result<bool, Stop>;
}

/// Why the reading of files has stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    Failed(Failed),
    /// The events of a file are not in order of time: where, and how that shows.
    OutOfOrder(String),
    /// The replay has ended, and receives no more documents.
    NoReceiver,
}

impl Stop {
    /// The failure to report.
    pub(crate) fn failed(self) -> Failed {
        match self {
            Self::Failed(failed) => failed,
            Self::OutOfOrder(place) => Failed::runtime(place),
            Self::NoReceiver => Failed::runtime("the reading of the files has ended early"),
        }
    }
}

impl From<Failed> for Stop {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

/// Gives all documents to `take`, by event time. Where times are equal, those of an earlier head come first.
pub(super) fn merge(
    heads: &mut [&mut dyn Head],
    mut take: impl FnMut(&Line, &[u8]) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut next = BinaryHeap::with_capacity(heads.len());
    for (index, head) in heads.iter_mut().enumerate() {
        if head.advance()? {
            next.push(Reverse((head.line().time_ms, index)));
        }
    }
    while let Some(mut first) = next.peek_mut() {
        let Reverse((time_ms, index)) = &mut *first;
        let head = &mut heads[*index];
        take(head.line(), head.text())?;
        if head.advance()? {
            *time_ms = head.line().time_ms;
        } else {
            PeekMut::pop(first);
        }
    }
    Ok(())
}
