//! The fixed part of a row: everything except its columns and data of variable length.

use super::dedup_ring::Ring;
use super::id_arena::IdSlot;
use crate::aggregate::NEVER_MS;
use crate::decide::{Candidate, Standing};
use crate::dedup::RecentIds;

const NO_SEGMENT: u32 = u32::MAX;

/// To be written to the changelog.
pub(super) const TOUCHED: u8 = 1;
/// On the list of rows that differ from the checkpoint.
pub(super) const DIRTY: u8 = 1 << 1;
/// The undo log has its header from before the transaction.
pub(super) const LOGGED: u8 = 1 << 2;
/// The undo log has its columns from before the transaction.
pub(super) const COLUMNS_LOGGED: u8 = 1 << 3;
/// Its ids are in a block taken in this transaction.
pub(super) const IDS_NEW: u8 = 1 << 4;
/// Its orders are in a block taken in this transaction.
pub(super) const ORDERS_NEW: u8 = 1 << 5;
/// The customer has expired; the row becomes free on commit.
pub(super) const GONE: u8 = 1 << 6;
/// The row belongs to no customer.
pub(super) const FREE: u8 = 1 << 7;

/// Flags that a commit clears.
pub(super) const OPEN: u8 = TOUCHED | LOGGED | COLUMNS_LOGGED | IDS_NEW | ORDERS_NEW;
/// Flags of a row that was added in this transaction: nothing of it needs to be logged.
pub(super) const ADDED: u8 = LOGGED | COLUMNS_LOGGED | IDS_NEW | ORDERS_NEW;

/// The header of one row.
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
    pub(super) recent: RecentIds,
    segment: u32,
    sequence: u32,
    name_at: u32,
    name_bytes: u16,
    pub(super) flags: u8,
}

// The headers of a million customers take a tenth of a gigabyte, so a change of size must be intended.
const _: () = assert!(size_of::<RowHeader>() == 96);

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
            recent: RecentIds::default(),
            segment: NO_SEGMENT,
            sequence: 0,
            name_at: name.at,
            name_bytes: name.bytes,
            flags,
        };
        head.set_standing(&Standing::NEW);
        head
    }

    /// The header of a free row.
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
