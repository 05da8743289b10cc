//! Decodes events some records ahead of processing them, so that their customers' rows can be prefetched into the
//! processor's cache.

mod decode_and_prefetch;

use flockwise_codec::decode::{Reason, Reject, SchemaId};
use flockwise_codec::watermarks::Watermarks;
use flockwise_core::change::Trigger;
use flockwise_core::event::Event;
use flockwise_core::task::TaskCommand;
use flockwise_vocabulary::task_id::TaskId;

/// Records that are decoded before the first of them is processed, at most.
pub(crate) const MAX_DECODED_AHEAD: usize = 32;

/// What a record of the repartition topic holds instead of an event.
#[derive(Debug)]
pub(crate) enum TaskMessage {
    Watermarks(Watermarks),
    Command(TaskCommand),
}

/// The content of a decoded record.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub(crate) event: Event,
    /// Why the record holds no valid event; `None`: it holds one, or a message.
    pub(crate) reject: Option<Reject>,
    /// The schema that is not known yet, without which the record cannot be decoded.
    pub(crate) unknown_schema: Option<SchemaId>,
    /// The message of a record that holds no event.
    pub(crate) message: Option<TaskMessage>,
    /// The input record that held the event.
    pub(crate) trigger: Trigger,
    /// Timestamp of that input record, milliseconds since the epoch.
    pub(crate) timestamp_ms: i64,
    /// The task that owns the event's customer.
    pub(crate) owner: TaskId,
}

impl Decoded {
    /// Does the record hold an event that can be processed?
    pub(crate) fn holds_event(&self) -> bool {
        self.reject.is_none() && self.unknown_schema.is_none() && self.message.is_none()
    }
}

/// The next records, each decoded into a slot.
#[derive(Debug, Default)]
pub(crate) struct DecodeAhead {
    decoded: [Decoded; MAX_DECODED_AHEAD],
    /// Hashes of the customer ids to prefetch; the buffer is reused.
    customers: Vec<u64>,
}

impl DecodeAhead {
    /// Exchanges the content of a slot.
    pub(crate) fn swap(&mut self, slot: usize, decoded: &mut Decoded) {
        std::mem::swap(&mut self.decoded[slot], decoded);
    }

    /// The content of a slot.
    pub(crate) fn get(&self, slot: usize) -> &Decoded {
        &self.decoded[slot]
    }
}

fn not_forwarded(error: &impl ToString) -> Reject {
    Reject {
        reason: Reason::NotForwarded,
        detail: error.to_string(),
    }
}
