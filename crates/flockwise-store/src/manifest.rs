//! The manifest: a checkpoint's identity, offset and digest, written with every batch.
//!
//! Little endian: version u32, app and changelog (each a length in bytes, u32, then the text), task u32, plan u64, has
//! an offset u8, offset i64, committed i64, count of records u64, sum of their hashes u64, LMDB's transaction u64, and
//! xxh3 of all bytes before, u64.

use flockwise_runtime::store::{ExpectedCheckpoint, MAX_CHECKPOINT_AGE};
use xxhash_rust::xxh3::xxh3_64;

use crate::load_error::LoadError;
use crate::record::Digest;

/// The format version of the whole checkpoint.
const VERSION: u32 = 1;
/// The oldest usable checkpoint. Until this age, the changelog still has every tombstone that the checkpoint has not
/// seen.
const OLDEST_MS: u64 = MAX_CHECKPOINT_AGE.as_millis() as u64;

/// A checkpoint's identity, offset and digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) app: String,
    pub(crate) task: u32,
    pub(crate) changelog: String,
    pub(crate) plan: u64,
    /// The changelog offset from which to replay; `None`: the checkpoint is not complete yet.
    pub(crate) offset: Option<i64>,
    /// When the records before the offset were committed, milliseconds since the epoch.
    pub(crate) committed_ms: i64,
    pub(crate) digest: Digest,
    /// LMDB's transaction. If it equals the one in the meta page, the manifest belongs to that tree.
    pub(crate) transaction: u64,
}

impl Manifest {
    /// Encodes the manifest.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = VERSION.to_le_bytes().to_vec();
        for text in [&self.app, &self.changelog] {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(&self.task.to_le_bytes());
        out.extend_from_slice(&self.plan.to_le_bytes());
        out.push(u8::from(self.offset.is_some()));
        out.extend_from_slice(&self.offset.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.committed_ms.to_le_bytes());
        out.extend_from_slice(&self.digest.records.to_le_bytes());
        out.extend_from_slice(&self.digest.sum.to_le_bytes());
        out.extend_from_slice(&self.transaction.to_le_bytes());
        let check = xxh3_64(&out);
        out.extend_from_slice(&check.to_le_bytes());
        out
    }

    /// Decodes a manifest and checks its hash.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, LoadError> {
        let damaged = || LoadError::Unusable("its manifest is damaged".to_owned());
        // The version comes first: another format may lay out the rest differently.
        let version = ManifestReader(bytes).u32().ok_or_else(damaged)?;
        if version != VERSION {
            return Err(LoadError::Unusable(format!(
                "it has format {version}, and this version reads format {VERSION}"
            )));
        }
        let (body, check) = bytes.split_last_chunk().ok_or_else(damaged)?;
        if xxh3_64(body) != u64::from_le_bytes(*check) {
            return Err(damaged());
        }
        Self::body(&mut ManifestReader(&body[4..])).ok_or_else(damaged)
    }

    fn body(input: &mut ManifestReader<'_>) -> Option<Self> {
        let (app, changelog) = (input.text()?, input.text()?);
        let (task, plan) = (input.u32()?, input.u64()?);
        let has_offset = input.take::<1>()? == [1];
        let offset = input.u64()? as i64;
        let manifest = Self {
            app,
            task,
            changelog,
            plan,
            offset: has_offset.then_some(offset),
            committed_ms: input.u64()? as i64,
            digest: Digest {
                records: input.u64()?,
                sum: input.u64()?,
            },
            transaction: input.u64()?,
        };
        input.0.is_empty().then_some(manifest)
    }

    /// Returns the offset, if this is the checkpoint that is wanted.
    pub(crate) fn check(
        &self,
        app: &str,
        task: u32,
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

struct ManifestReader<'a>(&'a [u8]);

impl ManifestReader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = self.u32()?;
        let (taken, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        String::from_utf8(taken.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            app: "shop".to_owned(),
            task: 3,
            changelog: "shop-changelog 7".to_owned(),
            plan: 9,
            offset: Some(41),
            committed_ms: 1_000_000_000_000,
            digest: Digest { records: 5, sum: 6 },
            transaction: 8,
        }
    }

    #[test]
    fn it_comes_back_and_no_wrong_byte_passes() {
        for offset in [None, Some(0), Some(i64::MAX)] {
            let manifest = Manifest {
                offset,
                ..manifest()
            };
            let bytes = manifest.encode();
            assert_eq!(Manifest::decode(&bytes), Ok(manifest));
            for at in 0..bytes.len() {
                let mut wrong = bytes.clone();
                wrong[at] ^= 0x10;
                assert!(Manifest::decode(&wrong).is_err(), "byte {at}");
                assert!(Manifest::decode(&bytes[..at]).is_err(), "{at} bytes");
            }
        }
    }

    #[test]
    fn a_later_format_is_named() {
        let mut bytes = manifest().encode();
        bytes[0] = 2;
        let refused = format!("{:?}", Manifest::decode(&bytes));
        assert!(
            refused.contains("format 2, and this version reads format 1"),
            "{refused}"
        );
    }

    #[test]
    fn only_the_copy_that_is_wanted_is_taken() {
        let wanted = ExpectedCheckpoint {
            changelog: "shop-changelog 7".to_owned(),
            plan: 9,
            now_ms: 1_000_000_000_000 + OLDEST_MS as i64,
        };
        let check = |manifest: Manifest| {
            let judged = format!("{:?}", manifest.check("shop", 3, &wanted));
            judged.replace('\\', "")
        };
        assert_eq!(check(manifest()), "Ok(41)");
        let cases = [
            (
                "to task 4 of app \"shop\"",
                Manifest {
                    task: 4,
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
