//! The log of the model topic: the version in use, its predecessor, the held version, and the mini-batches that the
//! newest version was learnt from. The workers of a process share it, so that the process reads each version once.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flockwise_codec::model::{decode_publication, summary};
use flockwise_core::model::{Model, ModelVersion};
use flockwise_core::plan::Plan;
use flockwise_core::task::Versions;

/// Live versions that are kept: the current one, and its predecessor, which shows what the current one moved.
const LIVE: usize = 2;

/// The newest versions of the model topic up to an offset. Older ones are neither kept nor decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelLog {
    /// The next offset to read; `None`: nothing was read yet.
    pub(crate) next_offset: Option<i64>,
    /// The newest versions that are not held, at most [`LIVE`], oldest first.
    live: Vec<LoggedVersion<Arc<Model>>>,
    /// The held version, if it is newer than those.
    held: Option<LoggedVersion<Arc<ModelVersion>>>,
    /// Offsets of the mini-batches that the newest version was learnt from.
    mini_batches: Option<Range<i64>>,
    /// Number of versions decoded, for tests.
    decoded: u64,
}

/// A version as it was read, or decoded once it was needed.
#[derive(Clone, Debug)]
enum LoggedVersion<M> {
    Bytes(Arc<[u8]>),
    Decoded(M),
}

impl ModelLog {
    /// Adds the record at an offset; a `value` of `None` is a tombstone. Decodes only the summary.
    ///
    /// # Errors
    /// Why the record cannot be used.
    pub(crate) fn take(&mut self, offset: i64, value: Option<&[u8]>) -> Result<(), String> {
        self.next_offset = Some(offset + 1);
        let Some(value) = value else { return Ok(()) };
        let summary = summary(value)?;
        self.mini_batches = summary.mini_batches.or(self.mini_batches.take());
        if summary.is_held {
            self.held = Some(LoggedVersion::Bytes(value.into()));
            return Ok(());
        }
        self.held = None;
        self.live.push(LoggedVersion::Bytes(value.into()));
        let superfluous = self.live.len().saturating_sub(LIVE);
        self.live.drain(..superfluous);
        Ok(())
    }

    /// The version in use and its predecessor, each decoded once; `None` before the first version.
    ///
    /// # Errors
    /// Why one of them cannot be used.
    pub(crate) fn versions(&mut self, plan: &Plan) -> Result<Option<Versions>, String> {
        for version in &mut self.live {
            if let LoggedVersion::Bytes(bytes) = version {
                let (publication, _) = decode_publication(bytes, plan)?;
                let model = Model::new(plan, publication.model).map_err(|e| e.to_string())?;
                *version = LoggedVersion::Decoded(Arc::new(model));
                self.decoded += 1;
            }
        }
        let mut newest = self.live.iter().rev().filter_map(LoggedVersion::decoded);
        let Some(current) = newest.next() else {
            return Ok(None);
        };
        Ok(Some(Versions {
            current,
            previous: newest.next(),
        }))
    }

    /// The held version, decoded once; `None` if the newest version is not held.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn held(&mut self, plan: &Plan) -> Result<Option<Arc<ModelVersion>>, String> {
        if let Some(LoggedVersion::Bytes(bytes)) = &self.held {
            let (publication, _) = decode_publication(bytes, plan)?;
            self.held = Some(LoggedVersion::Decoded(Arc::new(publication.model)));
            self.decoded += 1;
        }
        Ok(self.held.as_ref().and_then(LoggedVersion::decoded))
    }

    /// Offsets of the mini-batches that the newest version was learnt from.
    pub(crate) fn mini_batches(&self) -> Option<Range<i64>> {
        self.mini_batches.clone()
    }
}

impl<M: Clone> LoggedVersion<M> {
    fn decoded(&self) -> Option<M> {
        match self {
            Self::Bytes(_) => None,
            Self::Decoded(version) => Some(version.clone()),
        }
    }
}

/// The model log that the workers of a process share, so that each record is read by one of them only.
#[derive(Clone, Debug, Default)]
pub struct SharedModels(Arc<Mutex<ModelLog>>);

impl SharedModels {
    /// Replaces `log` by the shared log if that has read further.
    pub(crate) fn catch_up(&self, log: &mut ModelLog) {
        let shared = self.lock();
        if shared.next_offset > log.next_offset {
            *log = shared.clone();
        }
    }

    /// Shares what a worker has read and decoded, unless another has read further.
    pub(crate) fn share(&self, log: &ModelLog) {
        let mut shared = self.lock();
        if log.next_offset >= shared.next_offset {
            *shared = log.clone();
        }
    }

    /// Empties the shared log: the topic no longer holds what was read.
    pub(crate) fn clear(&self) {
        *self.lock() = ModelLog::default();
    }

    fn lock(&self) -> MutexGuard<'_, ModelLog> {
        // The log is replaced as a whole, so it is consistent even after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
