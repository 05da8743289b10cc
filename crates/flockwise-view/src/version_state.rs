//! Which version of the model is in use, and which one is held.

use serde::Serialize;

/// The state of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionState {
    /// In use.
    Live,
    /// Waits for approval.
    Held,
    /// Was in use before.
    Former,
    /// Was held, and another version came after it.
    Dropped,
}

impl VersionState {
    /// The name that users see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Held => "held",
            Self::Former => "former",
            Self::Dropped => "dropped",
        }
    }
}

/// The version in use and the held one, after the publications so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latest {
    live: Option<u64>,
    /// Published after the version in use.
    held: Option<u64>,
}

impl Latest {
    /// A version is published, in the order of the topic.
    pub fn publish(&mut self, version: u64, is_held: bool) {
        match is_held {
            true => self.held = Some(version),
            false => {
                *self = Self {
                    live: Some(version),
                    held: None,
                }
            }
        }
    }

    /// The state of a version, which was last published as held or not.
    #[must_use]
    pub fn state(&self, version: u64, is_held: bool) -> VersionState {
        match is_held {
            true if self.held == Some(version) => VersionState::Held,
            true => VersionState::Dropped,
            false if self.live == Some(version) => VersionState::Live,
            false => VersionState::Former,
        }
    }
}
