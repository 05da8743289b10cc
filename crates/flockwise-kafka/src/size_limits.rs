//! The largest record that each topic accepts.
//!
//! The producer's own `message.max.bytes` is known. The topic's `max.message.bytes` may be lower, which shows only when
//! a broker refuses a record. No record of a refused size is sent again.

use std::collections::BTreeMap;

/// Bytes of a record besides key, value and headers, its batch included.
const OVERHEAD_BYTES: usize = 1 << 10;

/// Records are cut to no less than this, bytes: a topic that refuses even that is misconfigured.
const SMALLEST_BYTES: usize = 4 << 10;

/// The largest record of each topic, bytes.
#[derive(Debug)]
pub(crate) struct SizeLimits {
    configured: usize,
    learned: BTreeMap<String, usize>,
}

impl SizeLimits {
    /// With the producer's `message.max.bytes`.
    pub(crate) fn new(message_max_bytes: usize) -> Self {
        Self {
            configured: message_max_bytes.saturating_sub(OVERHEAD_BYTES),
            learned: BTreeMap::new(),
        }
    }

    /// The largest record that a topic accepts, as far as known: bytes of key, value and headers.
    pub(crate) fn max_record_bytes(&self, topic: &str) -> usize {
        let learned = self.learned.get(topic).copied().unwrap_or(usize::MAX);
        self.configured.min(learned)
    }

    /// Lowers the limit of a topic that refused a record of this size. Returns whether a smaller record can be sent.
    pub(crate) fn refused(&mut self, topic: &str, bytes: usize) -> bool {
        let next = bytes.min(self.max_record_bytes(topic)) / 2;
        let can_shrink = next >= SMALLEST_BYTES;
        if can_shrink {
            self.learned.insert(topic.to_owned(), next);
        }
        can_shrink
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_sent_no_more() {
        let mut limits = SizeLimits::new(4 << 20);
        assert_eq!(limits.max_record_bytes("a"), (4 << 20) - OVERHEAD_BYTES);
        assert!(limits.refused("a", 3_000_000));
        assert_eq!(limits.max_record_bytes("a"), 1_500_000);
        assert!(limits.max_record_bytes("b") > 4_000_000);
        // Sent before the limit was known.
        assert!(limits.refused("a", 2_000_000));
        assert_eq!(limits.max_record_bytes("a"), 750_000);
    }

    #[test]
    fn a_topic_that_takes_next_to_nothing_is_given_up() {
        let mut limits = SizeLimits::new(4 << 20);
        let mut tries = 0;
        while limits.refused("a", limits.max_record_bytes("a")) {
            tries += 1;
        }
        assert_eq!(tries, 9);
        assert!(limits.max_record_bytes("a") >= SMALLEST_BYTES);
    }

    #[test]
    fn a_producer_that_takes_nothing_leaves_no_room() {
        assert_eq!(SizeLimits::new(10).max_record_bytes("a"), 0);
    }
}
