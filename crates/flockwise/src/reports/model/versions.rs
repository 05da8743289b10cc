//! The versions on the model topic, and the state of each.

use std::collections::BTreeMap;

use flockwise_core::publication::Publication;
use flockwise_view::{Latest, VersionState};

use crate::exit::Failed;

/// A version and its state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PublishedVersion {
    pub(crate) published: Publication,
    pub(crate) state: VersionState,
}

/// All versions, by ascending number.
#[derive(Debug)]
pub(crate) struct VersionHistory(Vec<PublishedVersion>);

impl PublishedVersion {
    pub(crate) fn number(&self) -> u64 {
        self.published.model.version
    }
}

impl VersionHistory {
    /// Builds the versions from the publications, in order. A later publication replaces an earlier one with the same
    /// number: an approved version is published again.
    pub(crate) fn of(published: Vec<Publication>) -> Self {
        let mut latest = Latest::default();
        for publication in &published {
            latest.publish(publication.model.version, publication.is_held);
        }
        let numbered = published.into_iter().map(|p| (p.model.version, p));
        let last: BTreeMap<u64, Publication> = numbered.collect();
        let version = |published: Publication| {
            let state = latest.state(published.model.version, published.is_held);
            PublishedVersion { published, state }
        };
        Self(last.into_values().map(version).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &PublishedVersion> {
        self.0.iter()
    }

    /// The version in use, if any.
    pub(crate) fn live(&self) -> Option<&PublishedVersion> {
        self.0
            .iter()
            .find(|version| version.state == VersionState::Live)
    }

    /// The held version, if any.
    pub(crate) fn held(&self) -> Option<&PublishedVersion> {
        self.0
            .iter()
            .find(|version| version.state == VersionState::Held)
    }

    /// The version with this number.
    pub(crate) fn numbered(&self, number: u64) -> Result<&PublishedVersion, Failed> {
        let mut versions = self.0.iter();
        let found = versions.find(|version| version.number() == number);
        found
            .ok_or_else(|| Failed::runtime(format!("there is no version {number}; {}", self.all())))
    }

    /// The version with this number, or by default the version in use.
    pub(crate) fn numbered_or_live(
        &self,
        number: Option<u64>,
    ) -> Result<&PublishedVersion, Failed> {
        match number {
            Some(number) => self.numbered(number),
            None => self
                .live()
                .ok_or_else(|| Failed::runtime("no version is in use yet; `flockwise model list` says what the first one waits for")),
        }
    }

    /// The version with this number. Fails unless it is held.
    pub(crate) fn held_as(&self, number: u64) -> Result<&PublishedVersion, Failed> {
        let held = self.held();
        held.filter(|held| held.number() == number).ok_or_else(|| {
            let instead = held.map_or("no version is held".to_owned(), |held| {
                format!("version {} is held", held.number())
            });
            Failed::runtime(format!("version {number} is not held: {instead}"))
        })
    }

    /// The versions to compare. By default, the version in use with the held one, or else the last two.
    pub(crate) fn pair(
        &self,
        before: Option<u64>,
        after: Option<u64>,
    ) -> Result<(&PublishedVersion, &PublishedVersion), Failed> {
        let newest = self.held().or_else(|| self.0.last());
        let newest = newest.ok_or_else(|| {
            Failed::runtime(
                "there is no version yet; `flockwise model list` says what the first one waits for",
            )
        })?;
        let after = after.map_or(Ok(newest), |number| self.numbered(number))?;
        let before = match before {
            Some(number) => self.numbered(number)?,
            None => self.predecessor(after)?,
        };
        if before == after {
            let number = after.number();
            let text = format!("cannot compare version {number} with itself; name two versions");
            return Err(Failed::runtime(text));
        }
        Ok((before, after))
    }

    /// The version in use if `after` is held, else the version before `after`.
    fn predecessor(&self, after: &PublishedVersion) -> Result<&PublishedVersion, Failed> {
        let live = self.live().filter(|_| after.state == VersionState::Held);
        let before = || self.0.iter().rev().find(|v| v.number() < after.number());
        live.or_else(before).ok_or_else(|| {
            let number = after.number();
            Failed::runtime(format!("there is no version before {number}"))
        })
    }

    fn all(&self) -> String {
        let numbers: Vec<String> = self.0.iter().map(|v| v.number().to_string()).collect();
        let rest = numbers.len().saturating_sub(10);
        match rest {
            0 => format!("the versions are {}", numbers.join(", ")),
            rest => format!("the last are {}", numbers[rest..].join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::model::example::{held, live};

    fn states(published: Vec<Publication>) -> String {
        let versions = VersionHistory::of(published);
        let named = versions
            .iter()
            .map(|v| format!("{} {}", v.number(), v.state.name()));
        named.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_last_that_is_not_held_is_live_and_only_the_last_after_it_is_held() {
        assert_eq!(states(vec![]), "");
        assert_eq!(states(vec![live(1)]), "1 live");
        assert_eq!(states(vec![held(1)]), "1 held");
        let calmed = vec![live(1), held(2), live(3)];
        assert_eq!(states(calmed), "1 former, 2 dropped, 3 live");
        let again = vec![live(1), live(2), held(3), held(4)];
        assert_eq!(states(again), "1 former, 2 live, 3 dropped, 4 held");
    }

    #[test]
    fn a_later_record_of_a_version_replaces_the_earlier_one() {
        let approved = vec![live(1), held(2), live(2)];
        assert_eq!(states(approved), "1 former, 2 live");
    }

    #[test]
    fn what_is_compared_follows_from_what_is_held() {
        let pair = |published: Vec<Publication>, before, after| {
            let versions = VersionHistory::of(published);
            let pair = versions.pair(before, after);
            pair.map(|(a, b)| (a.number(), b.number()))
                .map_err(|failed| failed.to_string())
        };
        let all = || vec![live(1), live(2), held(3), held(4)];
        assert_eq!(pair(all(), None, None), Ok((2, 4)));
        assert_eq!(pair(all(), Some(1), None), Ok((1, 4)));
        assert_eq!(pair(all(), Some(1), Some(2)), Ok((1, 2)));
        assert_eq!(pair(vec![live(1), live(2)], None, None), Ok((1, 2)));
        let alone = pair(vec![live(1)], None, None);
        assert_eq!(alone, Err("there is no version before 1".to_owned()));
        let unknown = pair(all(), Some(9), None);
        let expected = "there is no version 9; the versions are 1, 2, 3, 4";
        assert_eq!(unknown, Err(expected.to_owned()));
    }

    #[test]
    fn only_what_is_held_is_approved() {
        let refused = |published: Vec<Publication>, number| {
            let versions = VersionHistory::of(published);
            versions.held_as(number).unwrap_err().to_string()
        };
        let held_one = refused(vec![live(1), held(2)], 1);
        assert_eq!(held_one, "version 1 is not held: version 2 is held");
        assert_eq!(
            refused(vec![live(1)], 1),
            "version 1 is not held: no version is held"
        );
    }
}
