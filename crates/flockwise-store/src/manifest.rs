//! The manifest: a checkpoint's identity and offset, written at the end of every batch.
//!
//! Little endian: app and changelog (each a length in bytes, u32, then the text), task u32, plan u64, has an offset u8,
//! offset i64, committed i64, compact bytes u64. Its block has the hash.

use flockwise_runtime::store::{CheckpointBatch, ExpectedCheckpoint, MAX_CHECKPOINT_AGE};
use flockwise_runtime::task_id::TaskId;

use crate::checkpoint_format::FieldReader;
use crate::load_error::LoadError;

/// The oldest usable checkpoint. Until this age, the changelog still has every tombstone that the checkpoint has not
/// seen.
const OLDEST_MS: u64 = MAX_CHECKPOINT_AGE.as_millis() as u64;

/// A checkpoint's identity and offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) app: String,
    pub(crate) task: TaskId,
    pub(crate) changelog: String,
    pub(crate) plan: u64,
    /// The changelog offset from which to replay; `None`: the checkpoint is not complete yet.
    pub(crate) offset: Option<i64>,
    /// When the records before the offset were committed, milliseconds since the epoch.
    pub(crate) committed_ms: i64,
    /// Length of the file when it last held only live records; 0: it has no offset yet.
    pub(crate) compact_bytes: u64,
}

impl Manifest {
    /// The manifest of a checkpoint without an offset.
    pub(crate) fn new(app: &str, task: TaskId, batch: &CheckpointBatch) -> Self {
        Self {
            app: app.to_owned(),
            task,
            changelog: batch.changelog.clone(),
            plan: batch.plan,
            offset: None,
            committed_ms: batch.committed_ms,
            compact_bytes: 0,
        }
    }

    /// Appends the manifest.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for text in [&self.app, &self.changelog] {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(&self.task.0.to_le_bytes());
        out.extend_from_slice(&self.plan.to_le_bytes());
        out.push(u8::from(self.offset.is_some()));
        out.extend_from_slice(&self.offset.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.committed_ms.to_le_bytes());
        out.extend_from_slice(&self.compact_bytes.to_le_bytes());
    }

    /// Decodes a manifest.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, LoadError> {
        let damaged = || LoadError::Unusable("its manifest is damaged".to_owned());
        Self::body(&mut FieldReader(bytes)).ok_or_else(damaged)
    }

    fn body(input: &mut FieldReader<'_>) -> Option<Self> {
        let (app, changelog) = (input.text()?, input.text()?);
        let (task, plan) = (input.u32()?, input.u64()?);
        let has_offset = input.take::<1>()? == [1];
        let offset = input.u64()? as i64;
        let manifest = Self {
            app,
            task: TaskId(task),
            changelog,
            plan,
            offset: has_offset.then_some(offset),
            committed_ms: input.u64()? as i64,
            compact_bytes: input.u64()?,
        };
        input.0.is_empty().then_some(manifest)
    }

    /// Returns the offset, if this is the checkpoint that is wanted.
    pub(crate) fn check(
        &self,
        app: &str,
        task: TaskId,
        wanted: &ExpectedCheckpoint,
    ) -> Result<i64, LoadError> {
        let unusable = |what: String| Err(LoadError::Unusable(what));
        if (self.app.as_str(), self.task) != (app, task) {
            let (app, task) = (&self.app, self.task);
            return unusable(format!("it belongs to task {task} of app {app:?}"));
        }
        if self.changelog != wanted.changelog {
            let (found, wanted) = (&self.changelog, &wanted.changelog);
            return unusable(format!(
                "it belongs to changelog {found:?}, not to {wanted:?}"
            ));
        }
        if self.plan != wanted.plan {
            let (found, wanted) = (self.plan, wanted.plan);
            return unusable(format!(
                "it was made with another feature plan ({found:016x}, now {wanted:016x})"
            ));
        }
        let offset = self.offset.ok_or(LoadError::Unfinished)?;
        if self.committed_ms.abs_diff(wanted.now_ms) > OLDEST_MS {
            return unusable(format!(
                "it was committed at {} and now is {} (milliseconds since 1970): more than 12 hours apart, \
                 so the changelog may no longer have the tombstones of customers that it holds",
                self.committed_ms, wanted.now_ms
            ));
        }
        Ok(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            app: "shop".to_owned(),
            task: TaskId(3),
            changelog: "shop-changelog 7".to_owned(),
            plan: 9,
            offset: Some(41),
            committed_ms: 1_000_000_000_000,
            compact_bytes: 5,
        }
    }

    #[test]
    fn it_comes_back_and_a_cut_one_does_not() {
        for offset in [None, Some(0), Some(i64::MAX)] {
            let manifest = Manifest {
                offset,
                ..manifest()
            };
            let mut bytes = Vec::new();
            manifest.encode(&mut bytes);
            assert_eq!(Manifest::decode(&bytes), Ok(manifest));
            for at in 0..bytes.len() {
                assert!(Manifest::decode(&bytes[..at]).is_err(), "{at} bytes");
            }
        }
    }

    #[test]
    fn only_the_copy_that_is_wanted_is_taken() {
        let wanted = ExpectedCheckpoint {
            changelog: "shop-changelog 7".to_owned(),
            plan: 9,
            now_ms: 1_000_000_000_000 + OLDEST_MS as i64,
        };
        let check = |manifest: Manifest| {
            let judged = format!("{:?}", manifest.check("shop", TaskId(3), &wanted));
            judged.replace('\\', "")
        };
        assert_eq!(check(manifest()), "Ok(41)");
        let cases = [
            (
                "to task 4 of app \"shop\"",
                Manifest {
                    task: TaskId(4),
                    ..manifest()
                },
            ),
            (
                "app \"shoe\"",
                Manifest {
                    app: "shoe".to_owned(),
                    ..manifest()
                },
            ),
            (
                "changelog \"other\"",
                Manifest {
                    changelog: "other".to_owned(),
                    ..manifest()
                },
            ),
            (
                "another feature plan",
                Manifest {
                    plan: 8,
                    ..manifest()
                },
            ),
            (
                "Unfinished",
                Manifest {
                    offset: None,
                    ..manifest()
                },
            ),
            (
                "more than 12 hours",
                Manifest {
                    committed_ms: 999_999_999_999,
                    ..manifest()
                },
            ),
            (
                "more than 12 hours",
                Manifest {
                    committed_ms: i64::MAX,
                    ..manifest()
                },
            ),
        ];
        for (expected, manifest) in cases {
            let judged = check(manifest);
            assert!(judged.contains(expected), "{judged}");
        }
    }
}
