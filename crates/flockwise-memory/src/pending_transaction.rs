//! The records that a worker has sent but not committed.

use crate::record::Shape;

/// The records of one transaction, in one arena that is reused.
#[derive(Debug, Default)]
pub(crate) struct PendingTransaction {
    bytes: Vec<u8>,
    entries: Vec<Pending>,
}

/// A record that is not committed yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    /// The number of its partition.
    pub(crate) number: usize,
    pub(crate) timestamp_ms: i64,
    pub(crate) shape: Shape,
}

impl PendingTransaction {
    pub(crate) fn push(
        &mut self,
        number: usize,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, &[u8])],
    ) {
        let shape = Shape::lay(&mut self.bytes, key, value, headers);
        self.entries.push(Pending {
            number,
            timestamp_ms,
            shape,
        });
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// The records in order, each with its bytes.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&Pending, &[u8])> {
        let mut rest = self.bytes.as_slice();
        self.entries.iter().map(move |pending| {
            let (bytes, after) = rest.split_at(pending.shape.len());
            rest = after;
            (pending, bytes)
        })
    }
}
