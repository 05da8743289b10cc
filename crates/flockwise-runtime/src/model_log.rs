//! What is needed of the model topic: the version in use with its predecessor, the version that is held, and which
//! mini-batches the newest was learnt from. Kept by a process, so that it reads each version once.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flockwise_codec::model::{decode_publication, summary};
use flockwise_core::model::{Model, ModelParts};
use flockwise_core::plan::Plan;
use flockwise_core::task::Versions;

/// Versions in use that matter: the current one, and the one before, which tells what the current one moved.
const LIVE: usize = 2;

/// The newest versions of the model topic up to an offset. Of all others nothing is kept, and nothing decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelLog {
    /// The next record to read; `None`: nothing was read yet.
    pub(crate) next_offset: Option<i64>,
    /// The newest versions in use, oldest first.
    live: Vec<Version<Arc<Model>>>,
    /// A version that is held, newer than those in use.
    held: Option<Version<Arc<ModelParts>>>,
    /// The mini-batches that the newest was learnt from.
    mini_batches: Option<Range<i64>>,
    /// Versions decoded so far.
    decoded: u64,
}

/// A version as it was read, decoded where it was needed.
#[derive(Clone, Debug)]
enum Version<M> {
    Bytes(Arc<[u8]>),
    Decoded(M),
}

impl ModelLog {
    /// Takes in the record at an offset; `None` is a tombstone. Decodes nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn take(&mut self, offset: i64, value: Option<&[u8]>) -> Result<(), String> {
        self.next_offset = Some(offset + 1);
        let Some(value) = value else { return Ok(()) };
        let summary = summary(value)?;
        self.mini_batches = summary.mini_batches.or(self.mini_batches.take());
        if summary.is_held {
            self.held = Some(Version::Bytes(value.into()));
            return Ok(());
        }
        self.held = None;
        self.live.push(Version::Bytes(value.into()));
        let superfluous = self.live.len().saturating_sub(LIVE);
        self.live.drain(..superfluous);
        Ok(())
    }

    /// The version in use and its predecessor, decoded once.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub(crate) fn versions(&mut self, plan: &Plan) -> Result<Option<Versions>, String> {
        for version in &mut self.live {
            if let Version::Bytes(bytes) = version {
                let (publication, _) = decode_publication(bytes, plan)?;
                let model = Model::new(plan, publication.model).map_err(|e| e.to_string())?;
                *version = Version::Decoded(Arc::new(model));
                self.decoded += 1;
            }
        }
        let mut newest = self.live.iter().rev().filter_map(Version::decoded);
        let Some(current) = newest.next() else {
            return Ok(None);
        };
        Ok(Some(Versions {
            current,
            previous: newest.next(),
        }))
    }

    /// The version that is held, decoded once.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn held(&mut self, plan: &Plan) -> Result<Option<Arc<ModelParts>>, String> {
        if let Some(Version::Bytes(bytes)) = &self.held {
            let (publication, _) = decode_publication(bytes, plan)?;
            self.held = Some(Version::Decoded(Arc::new(publication.model)));
            self.decoded += 1;
        }
        Ok(self.held.as_ref().and_then(Version::decoded))
    }

    /// Offsets of the mini-batches that the newest version was learnt from.
    pub(crate) fn mini_batches(&self) -> Option<Range<i64>> {
        self.mini_batches.clone()
    }
}

impl<M: Clone> Version<M> {
    fn decoded(&self) -> Option<M> {
        match self {
            Self::Bytes(_) => None,
            Self::Decoded(version) => Some(version.clone()),
        }
    }
}

/// The model log that the workers of a process share: what one has read, the others need not read again.
#[derive(Clone, Debug, Default)]
pub struct SharedModels(Arc<Mutex<ModelLog>>);

impl SharedModels {
    /// The log as far as any worker has read it, where that is further.
    pub(crate) fn catch_up(&self, log: &mut ModelLog) {
        let shared = self.lock();
        if shared.next_offset > log.next_offset {
            *log = shared.clone();
        }
    }

    /// Gives the others what a worker has read and decoded.
    pub(crate) fn share(&self, log: &ModelLog) {
        let mut shared = self.lock();
        if log.next_offset >= shared.next_offset {
            *shared = log.clone();
        }
    }

    /// Forgets all: the topic does not hold what was read of it.
    pub(crate) fn clear(&self) {
        *self.lock() = ModelLog::default();
    }

    fn lock(&self) -> MutexGuard<'_, ModelLog> {
        // A log is replaced as a whole, so a panic elsewhere leaves it sound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
