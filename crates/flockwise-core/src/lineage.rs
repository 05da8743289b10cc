//! Lineage: how segments came to be and how they ended.

/// One step from a version's segments to those of the next version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new segment in a place that had no customers before.
    Born {
        /// The new segment.
        segment: u32,
    },
    /// A segment that became two, one of which keeps the id.
    Split {
        /// The segment that was split.
        segment: u32,
        /// The new one.
        into: u32,
    },
    /// A segment that became part of another.
    Merged {
        /// The segment that is gone.
        segment: u32,
        /// The segment that most of its customers are in now.
        into: u32,
    },
    /// A segment that no customer is in any more.
    Retired {
        /// The segment that is gone.
        segment: u32,
    },
}

impl Step {
    /// The names of all kinds, in records and metrics.
    pub const NAMES: [&str; 4] = ["born", "split", "merged", "retired"];

    /// The segment, and for a split or a merge the other one.
    #[must_use]
    pub fn segments(self) -> (u32, Option<u32>) {
        match self {
            Self::Born { segment } | Self::Retired { segment } => (segment, None),
            Self::Split { segment, into } | Self::Merged { segment, into } => (segment, Some(into)),
        }
    }

    /// Whether the step involves a segment.
    #[must_use]
    pub fn concerns(self, id: u32) -> bool {
        let (segment, into) = self.segments();
        segment == id || into == Some(id)
    }

    /// The name in records and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Born { .. } => "born",
            Self::Split { .. } => "split",
            Self::Merged { .. } => "merged",
            Self::Retired { .. } => "retired",
        }
    }
}
