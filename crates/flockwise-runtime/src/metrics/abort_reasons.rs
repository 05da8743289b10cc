//! Why transactions are aborted and workers restart.

/// Why a worker restarts with new clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Another process has taken over its transactional id or its `group.instance.id`.
    Fenced,
    /// Its clients cannot be used any more.
    Failed,
}

impl Restart {
    /// Every reason, in the order of the discriminants.
    pub const ALL: [Self; 2] = [Self::Fenced, Self::Failed];

    /// The value of the metric label `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::Failed => "failed",
        }
    }
}

/// Why a transaction was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// The brokers refused it.
    Refused,
    /// The group had already assigned the worker's partitions to others.
    Lost,
}

impl Abort {
    /// Every reason, in the order of the discriminants.
    pub const ALL: [Self; 2] = [Self::Refused, Self::Lost];

    /// The value of the metric label `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Lost => "lost",
        }
    }
}
