//! The versions of the model, as far as a view keeps them.

use std::collections::BTreeMap;

use flockwise_core::model::ModelVersion;
use flockwise_core::publication::Publication;
use serde::Serialize;

use crate::version_entry::VersionEntry;
use crate::version_state::{Latest, VersionState};

/// The version in use with its segments, and the entries of the versions that the trainer has not deleted.
#[derive(Debug, Default)]
pub(crate) struct ModelHistory {
    latest: Latest,
    live: Option<ModelVersion>,
    /// By number. The state is that of the publication, held or live, and not the present one.
    entries: BTreeMap<u64, VersionEntry>,
}

/// The versions of the model, for readers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelVersions {
    /// By ascending number.
    pub versions: Vec<VersionEntry>,
}

impl ModelHistory {
    /// Adds a publication, in the order of the topic. An approved version is published again and replaces its entry.
    pub(crate) fn publish(&mut self, publication: Publication) {
        let Publication { model, is_held, .. } = &publication;
        self.latest.publish(model.version, *is_held);
        let state = match is_held {
            true => VersionState::Held,
            false => VersionState::Live,
        };
        let entry = VersionEntry::of(&publication, state);
        self.entries.insert(entry.version, entry);
        if !publication.is_held {
            self.live = Some(publication.model);
        }
    }

    /// Removes a version that the trainer has deleted. It is never the one in use.
    pub(crate) fn delete(&mut self, version: u64) {
        self.entries.remove(&version);
    }

    /// The version in use; `None` before the first.
    pub(crate) fn live(&self) -> Option<&ModelVersion> {
        self.live.as_ref()
    }

    /// All versions with their present states.
    pub(crate) fn versions(&self) -> ModelVersions {
        let present = |entry: &VersionEntry| {
            let is_held = entry.state == VersionState::Held;
            let state = self.latest.state(entry.version, is_held);
            VersionEntry {
                state,
                ..entry.clone()
            }
        };
        ModelVersions {
            versions: self.entries.values().map(present).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::example::{held, live};

    #[test]
    fn states_follow_from_later_publications() {
        let mut history = ModelHistory::default();
        let states = |history: &ModelHistory| -> Vec<String> {
            let versions = history.versions().versions;
            let text = |entry: &VersionEntry| format!("{} {}", entry.version, entry.state.name());
            versions.iter().map(text).collect()
        };
        history.publish(live(1));
        history.publish(held(2));
        assert_eq!(states(&history), ["1 live", "2 held"]);
        history.publish(held(3));
        assert_eq!(states(&history), ["1 live", "2 dropped", "3 held"]);
        history.publish(live(3));
        assert_eq!(states(&history), ["1 former", "2 dropped", "3 live"]);
        assert_eq!(history.live().unwrap().version, 3);
    }
}
