//! The fixed part of a row: everything but its columns and what is too long to lie in it.

use super::id_arena::IdSlot;
use super::ring::Ring;
use crate::aggregate::NEVER_MS;
use crate::decide::{Candidate, Standing};

const NO_SEGMENT: u32 = u32::MAX;

/// To be written to the changelog.
pub(super) const TOUCHED: u8 = 1;
/// On the list of rows that local state does not have as they are.
pub(super) const DIRTY: u8 = 1 << 1;
/// Its head as of before the transaction is in the log.
pub(super) const LOGGED: u8 = 1 << 2;
/// Its columns as of before the transaction are in the log.
pub(super) const COLUMNS_LOGGED: u8 = 1 << 3;
/// Its ids lie in a block taken in this transaction.
pub(super) const IDS_NEW: u8 = 1 << 4;
/// Its orders lie in a block taken in this transaction.
pub(super) const ORDERS_NEW: u8 = 1 << 5;
/// The customer is let go of, and the row is free once the transaction is settled.
pub(super) const GONE: u8 = 1 << 6;
/// Nobody's.
pub(super) const FREE: u8 = 1 << 7;

/// What ends with the transaction.
pub(super) const OPEN: u8 = TOUCHED | LOGGED | COLUMNS_LOGGED | IDS_NEW | ORDERS_NEW;
/// Of a row that was not there before this transaction: nothing of it need be logged.
pub(super) const ADDED: u8 = LOGGED | COLUMNS_LOGGED | IDS_NEW | ORDERS_NEW;

/// One row's.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowHeader {
    pub(super) hash: u64,
    pub(super) reference_ms: i64,
    changed_ms: i64,
    as_of_ms: i64,
    version: u64,
    candidate: Option<Candidate>,
    pub(super) ids: Ring,
    pub(super) orders: Ring,
    segment: u32,
    sequence: u32,
    name_at: u32,
    name_bytes: u16,
    pub(super) flags: u8,
}

// A row more or less of this is a tenth of a gigabyte for a million customers.
const _: () = assert!(size_of::<RowHeader>() == 88);

impl RowHeader {
    pub(super) fn new(hash: u64, name: IdSlot, flags: u8) -> Self {
        let mut head = Self {
            hash,
            reference_ms: NEVER_MS,
            changed_ms: NEVER_MS,
            as_of_ms: NEVER_MS,
            version: 0,
            candidate: None,
            ids: Ring::default(),
            orders: Ring::default(),
            segment: NO_SEGMENT,
            sequence: 0,
            name_at: name.at,
            name_bytes: name.bytes,
            flags,
        };
        head.set_standing(&Standing::NEW);
        head
    }

    /// Of a row that is nobody's.
    pub(super) fn free(flags: u8) -> Self {
        Self::new(0, IdSlot::default(), FREE | flags)
    }

    pub(super) fn name(&self) -> IdSlot {
        IdSlot {
            at: self.name_at,
            bytes: self.name_bytes,
        }
    }

    pub(super) fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    pub(super) fn is_live(&self) -> bool {
        !self.has(GONE | FREE)
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            segment: (self.segment != NO_SEGMENT).then_some(self.segment),
            sequence: self.sequence,
            changed_ms: self.changed_ms,
            as_of_ms: self.as_of_ms,
            version: self.version,
            candidate: self.candidate,
        }
    }

    pub(super) fn set_standing(&mut self, standing: &Standing) {
        self.segment = standing.segment.unwrap_or(NO_SEGMENT);
        self.sequence = standing.sequence;
        self.changed_ms = standing.changed_ms;
        self.as_of_ms = standing.as_of_ms;
        self.version = standing.version;
        self.candidate = standing.candidate;
    }
}
