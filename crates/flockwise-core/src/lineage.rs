//! How segments came to be and went.

/// A step from one version's segments to the next one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new segment where nobody was before.
    Born {
        /// The new segment.
        segment: u32,
    },
    /// A segment that has become two, one of which keeps the id.
    Split {
        /// The one that was there.
        segment: u32,
        /// The new one.
        into: u32,
    },
    /// A segment that has become part of another.
    Merged {
        /// The one that is gone.
        segment: u32,
        /// Where most of its customers are now.
        into: u32,
    },
    /// A segment that nobody is in any more.
    Retired {
        /// The one that is gone.
        segment: u32,
    },
}

impl Step {
    /// All kinds, as records and metrics have them.
    pub const NAMES: [&str; 4] = ["born", "split", "merged", "retired"];

    /// The segment it is about and, where there is one, what that became or was joined by.
    #[must_use]
    pub fn segments(self) -> (u32, Option<u32>) {
        match self {
            Self::Born { segment } | Self::Retired { segment } => (segment, None),
            Self::Split { segment, into } | Self::Merged { segment, into } => (segment, Some(into)),
        }
    }

    /// Does it concern a segment?
    #[must_use]
    pub fn concerns(self, id: u32) -> bool {
        let (segment, into) = self.segments();
        segment == id || into == Some(id)
    }

    /// As records and metrics have it.
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
