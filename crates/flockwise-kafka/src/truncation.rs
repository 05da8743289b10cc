//! The brokers' answer if records that were read are no longer in a partition.
//!
//! librdkafka asks the leader where the leader epoch of a position ends (KIP-320): at a seek, and when the leader
//! changes. If the epoch ends before the position, a replica without the records in between has become leader (an
//! unclean election), and other records may stand in their place. librdkafka reports this only in an error's text.

/// The error's own text, which follows the reason.
const TRUNCATED: &str = "Partition log truncation detected";
const END: &str = "broker end offset is ";

/// A partition that was truncated below a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truncation {
    /// Where the leader epoch of the position ends: the first offset whose record has not been read. `None` if the
    /// leader does not know the epoch.
    pub(crate) end: Option<i64>,
}

impl Truncation {
    /// Parses an error's text; `None` if it is another error.
    pub(crate) fn parse(reason: &str) -> Option<Self> {
        if !reason.contains(TRUNCATED) {
            return None;
        }
        let number = reason.split_once(END).map(|(_, rest)| rest);
        let number =
            number.and_then(|rest| rest.split(|c: char| c != '-' && !c.is_ascii_digit()).next());
        let end = number.and_then(|digits| digits.parse().ok());
        Some(Self {
            end: end.filter(|end| *end >= 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_epoch_is_in_the_text() {
        let text = "Partition log truncation detected at offset 1000 (leader epoch 3): broker end offset is 800 (offset leader epoch 3). Reset to INVALID.: Local: Partition log truncation detected (broker 2)";
        assert_eq!(Truncation::parse(text), Some(Truncation { end: Some(800) }));
    }

    #[test]
    fn an_epoch_that_the_leader_does_not_know_ends_nowhere() {
        let text = "No epoch found less or equal to offset 1000 (leader epoch 3): broker end offset is -1 (offset leader epoch -1). Reset using configured policy.: Local: Partition log truncation detected (broker 2)";
        assert_eq!(Truncation::parse(text), Some(Truncation { end: None }));
    }

    #[test]
    fn other_errors_are_no_truncation() {
        let text = "fetch failed due to requested offset not available on the broker: Broker: Offset out of range (broker 1)";
        assert_eq!(Truncation::parse(text), None);
    }
}
