//! A copy that is written to: one LMDB environment. The only place that calls LMDB.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use flockwise_runtime::store::CheckpointBatch;
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, MdbError, PutFlags, RwTxn};

use crate::manifest::Manifest;
use crate::page::LONGEST_KEY;
use crate::record::{Digest, MANIFEST, Slot};

/// A copy's one tree; not tied to a borrow, as it lives beside its environment.
type Tree = Database<'static, Bytes, Bytes>;

/// Why a batch was not written; the copy is then of no more use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The disk, or LMDB.
    #[error(transparent)]
    Lmdb(#[from] heed::Error),
    /// The copy is not the one that these records belong to.
    #[error("{0}")]
    Unfit(&'static str),
}

impl WriteError {
    /// What somebody can do about it.
    pub(crate) fn remedy(&self) -> &'static str {
        let io = match self {
            Self::Unfit(_) => return "nothing: the copy is built anew",
            Self::Lmdb(heed::Error::Mdb(MdbError::MapFull)) => {
                return "a copy has outgrown its address space: more `state_partitions` make smaller ones";
            }
            Self::Lmdb(heed::Error::Io(error)) => error.kind(),
            Self::Lmdb(_) => io::ErrorKind::Other,
        };
        match io {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => {
                "make room on the disk, or give `directory` under [state] another one"
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "let this user write there, or give `directory` under [state] another place"
            }
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                "remove what is in the way there, or give `directory` under [state] another place"
            }
            // LMDB says EIO where a full disk took a part of a page.
            _ => "see whether the disk is full or failing",
        }
    }
}

/// One task's copy, open for writing.
#[derive(Debug)]
pub(crate) struct Environment {
    env: Env,
    tree: Tree,
}

impl Environment {
    /// Opens what is in a folder, or makes it. No other user may read either.
    pub(crate) fn open(folder: &Path, map_bytes: usize) -> Result<Self, WriteError> {
        private_folder(folder).map_err(heed::Error::Io)?;
        let mut options = EnvOpenOptions::new();
        options.map_size(map_bytes);
        // SAFETY: LMDB maps the file and believes it. The file was made by this process, or
        // `load` has checked all of it, and nobody else changes or cuts it meanwhile: the lock on the
        // state directory keeps other processes of ours away, within this one only the writer's
        // thread opens environments, each once (`heed` sees to that as well), and this thread takes its
        // transactions one after the other and reads in them alone. That makes LMDB's own lock
        // superfluous, as `NO_LOCK` asks; its lock file is shared memory, which on a full disk would
        // end the process with a signal. The map is for reading (no `WRITE_MAP`): what is written
        // goes through calls that can fail. No flag weakens the syncs of a commit.
        let env = unsafe {
            options.flags(EnvFlags::NO_LOCK | EnvFlags::NO_READ_AHEAD);
            options.open(folder)?
        };
        let tree = env
            .create_databases_and_commit(env.write_txn()?, |opener, txn| {
                let tree = opener.create_database(txn, None)?;
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(tree))
            })?
            .commit()
            .ok_or(WriteError::Unfit("it was not opened"))?;
        Ok(Self { env, tree })
    }

    /// Length of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.env.real_disk_size().unwrap_or(0)
    }

    /// Writes a batch, all or nothing, to the disk itself. `is_anew`: the copy must be empty, else it must
    /// have been written to before.
    pub(crate) fn write(
        &self,
        (app, task): (&str, u32),
        kept: &CheckpointBatch,
        is_anew: bool,
    ) -> Result<(), WriteError> {
        let mut txn = self.env.write_txn()?;
        let former = self.tree.get(&txn, MANIFEST)?.map(Manifest::decode);
        let former = former.transpose();
        let former = former.map_err(|_| WriteError::Unfit("its seal is damaged"))?;
        if former.is_none() != is_anew {
            return Err(WriteError::Unfit("it is not where it was left"));
        }
        let mut manifest = former.unwrap_or_else(|| begun(app, task, kept));
        if (&manifest.changelog, manifest.plan) != (&kept.changelog, kept.plan) {
            return Err(WriteError::Unfit(
                "it is of another changelog or feature plan",
            ));
        }
        self.put(&mut txn, kept, &mut manifest.digest)?;
        if kept.offset.is_some() {
            // Together: the age of a copy is that of its offset.
            (manifest.offset, manifest.committed_ms) = (kept.offset, kept.committed_ms);
        }
        manifest.transaction = txn.id() as u64;
        self.tree.put(&mut txn, MANIFEST, &manifest.encode())?;
        Ok(txn.commit()?)
    }

    fn put(
        &self,
        txn: &mut RwTxn<'_>,
        kept: &CheckpointBatch,
        digest: &mut Digest,
    ) -> Result<(), WriteError> {
        // In the order of keys a page is touched once; of two records of a key the later counts.
        let records: BTreeMap<&[u8], Option<&[u8]>> = kept.records().collect();
        let mut slot = Slot::default();
        let mut work = Work {
            tree: self.tree,
            last: self
                .tree
                .last(txn)?
                .map_or_else(Vec::new, |(key, _)| key.to_vec()),
            key: Vec::with_capacity(LONGEST_KEY),
            digest,
        };
        for (key, value) in records {
            work.key.clear();
            work.key.extend_from_slice(slot.key(key));
            match value {
                Some(value) => work.put(txn, slot.value(key, value))?,
                None => work.delete(txn)?,
            }
        }
        Ok(())
    }
}

fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn begun(app: &str, task: u32, kept: &CheckpointBatch) -> Manifest {
    Manifest {
        app: app.to_owned(),
        task,
        changelog: kept.changelog.clone(),
        plan: kept.plan,
        offset: None,
        committed_ms: kept.committed_ms,
        digest: Digest::default(),
        transaction: 0,
    }
}

/// One record after the other.
struct Work<'d> {
    tree: Tree,
    /// No key of the tree is greater.
    last: Vec<u8>,
    key: Vec<u8>,
    digest: &'d mut Digest,
}

impl Work<'_> {
    fn put(&mut self, txn: &mut RwTxn<'_>, value: &[u8]) -> Result<(), WriteError> {
        self.digest.add(&self.key, value);
        if self.key > self.last {
            // Appended, so that pages are filled instead of split in halves.
            self.tree
                .put_with_flags(txn, PutFlags::APPEND, &self.key, value)?;
            self.last.clone_from(&self.key);
            return Ok(());
        }
        if let Some(former) = self.tree.get_or_put(txn, &self.key, value)? {
            self.digest.remove(&self.key, former);
            self.tree.put(txn, &self.key, value)?;
        }
        Ok(())
    }

    fn delete(&mut self, txn: &mut RwTxn<'_>) -> Result<(), WriteError> {
        if let Some(former) = self.tree.get(txn, &self.key)? {
            self.digest.remove(&self.key, former);
            self.tree.delete(txn, &self.key)?;
        }
        Ok(())
    }
}
