//! Where reading starts.

/// Where to start reading an input that was never read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum InitialStart {
    /// At the oldest record.
    #[default]
    Earliest,
    /// After the newest record.
    Latest,
    /// At the first record with this timestamp or a later one, milliseconds since the epoch.
    Time(i64),
}

/// Where to start reading a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this offset.
    Offset(i64),
    /// At this offset, if the records before it are still those that were read. Otherwise records are lost, as if the next
    /// one were deleted.
    Verified {
        /// The next offset to read.
        offset: i64,
        /// The leader epoch up to which the partition was read, at least that of the record before `offset`.
        leader_epoch: i32,
    },
    /// At the oldest record.
    Earliest,
    /// After the newest record.
    Latest,
    /// At the first record with this timestamp or a later one, milliseconds since the epoch.
    Time(i64),
}

impl From<InitialStart> for Start {
    fn from(start: InitialStart) -> Self {
        match start {
            InitialStart::Earliest => Self::Earliest,
            InitialStart::Latest => Self::Latest,
            InitialStart::Time(time_ms) => Self::Time(time_ms),
        }
    }
}

impl Start {
    /// At an offset, verified if the leader epoch up to which the partition was read is known.
    #[must_use]
    pub fn at(offset: i64, leader_epoch: Option<i32>) -> Self {
        match leader_epoch {
            Some(leader_epoch) => Self::Verified {
                offset,
                leader_epoch,
            },
            None => Self::Offset(offset),
        }
    }

    /// The offset, if it is known without asking a broker.
    #[must_use]
    pub fn offset(self) -> Option<i64> {
        match self {
            Self::Offset(offset) | Self::Verified { offset, .. } => Some(offset),
            Self::Earliest | Self::Latest | Self::Time(_) => None,
        }
    }

    /// The leader epoch to verify the offset by.
    #[must_use]
    pub fn leader_epoch(self) -> Option<i32> {
        match self {
            Self::Verified { leader_epoch, .. } => Some(leader_epoch),
            _ => None,
        }
    }
}
