//! A checkpoint that is open for writing: one LMDB environment. This is the only module that calls LMDB.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use flockwise_runtime::store::CheckpointBatch;
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, MdbError, PutFlags, RwTxn};

use crate::manifest::Manifest;
use crate::page::LONGEST_KEY;
use crate::record::{Digest, MANIFEST, RecordSlot};

/// The one tree of a checkpoint. `'static`, because it is stored beside its environment.
type RecordTree = Database<'static, Bytes, Bytes>;

/// Why a batch was not written. The checkpoint must then be discarded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The disk or LMDB failed.
    #[error(transparent)]
    Lmdb(#[from] heed::Error),
    /// The records do not belong to this checkpoint.
    #[error("{0}")]
    Unfit(&'static str),
}

impl WriteError {
    /// What the operator can do about it, for the log.
    pub(crate) fn remedy(&self) -> &'static str {
        let io = match self {
            Self::Unfit(_) => return "nothing to do: a new checkpoint is written",
            Self::Lmdb(heed::Error::Mdb(MdbError::MapFull)) => {
                return "the checkpoint is larger than the address space of its LMDB file: checkpoints of more `state_partitions` are \
                        smaller, but only `flockwise reset` or a new `app` can change their number";
            }
            Self::Lmdb(heed::Error::Io(error)) => error.kind(),
            Self::Lmdb(_) => io::ErrorKind::Other,
        };
        match io {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => {
                "free space on the disk, or set `directory` under [state] to another disk"
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "let this user write to the folder, or set `directory` under [state] to another one"
            }
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                "remove the file that is in the folder's place, or set `directory` under [state] to another one"
            }
            // LMDB returns EIO if a full disk took only a part of a page.
            _ => "check whether the disk is full or failing",
        }
    }
}

/// One task's checkpoint, open for writing.
#[derive(Debug)]
pub(crate) struct Environment {
    env: Env,
    tree: RecordTree,
}

impl Environment {
    /// Opens the environment in a folder, or creates both. Other users may not read them.
    pub(crate) fn open(folder: &Path, map_bytes: usize) -> Result<Self, WriteError> {
        private_folder(folder).map_err(heed::Error::Io)?;
        let mut options = EnvOpenOptions::new();
        options.map_size(map_bytes);
        // SAFETY: LMDB maps the file and trusts it. Either this process created the file, or `load` has checked all
        // of it. Nothing else changes or truncates it meanwhile: the lock on the state directory excludes our other
        // processes. Within this process only the writer's thread opens environments, each once (`heed` enforces
        // that too). This thread runs its transactions one after the other and reads only inside them. So LMDB's
        // own lock is not needed, which `NO_LOCK` requires; its lock file is shared memory, and a full disk would
        // end the process with a signal. The map is read-only (no `WRITE_MAP`): writes are calls that can fail. No
        // flag weakens the syncs of a commit.
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
            .ok_or(WriteError::Unfit("the checkpoint's tree was not opened"))?;
        Ok(Self { env, tree })
    }

    /// Length of the file in bytes; 0 if the file cannot be read.
    pub(crate) fn bytes(&self) -> u64 {
        self.env.real_disk_size().unwrap_or(0)
    }

    /// Writes a batch in one transaction, and syncs it to the disk. If `is_new`, the checkpoint must be empty;
    /// otherwise it must have a manifest.
    pub(crate) fn write(
        &self,
        (app, task): (&str, u32),
        batch: &CheckpointBatch,
        is_new: bool,
    ) -> Result<(), WriteError> {
        let mut txn = self.env.write_txn()?;
        let former = self.tree.get(&txn, MANIFEST)?.map(Manifest::decode);
        let former = former.transpose();
        let former =
            former.map_err(|_| WriteError::Unfit("the checkpoint's manifest is damaged"))?;
        if former.is_none() != is_new {
            return Err(WriteError::Unfit("it is not as the last batch left it"));
        }
        let mut manifest = former.unwrap_or_else(|| new_manifest(app, task, batch));
        if (&manifest.changelog, manifest.plan) != (&batch.changelog, batch.plan) {
            return Err(WriteError::Unfit(
                "the batch belongs to another changelog or feature plan",
            ));
        }
        self.put(&mut txn, batch, &mut manifest.digest)?;
        if batch.offset.is_some() {
            // Both together: the age of a checkpoint is that of its offset.
            (manifest.offset, manifest.committed_ms) = (batch.offset, batch.committed_ms);
        }
        manifest.transaction = txn.id() as u64;
        self.tree.put(&mut txn, MANIFEST, &manifest.encode())?;
        Ok(txn.commit()?)
    }

    fn put(
        &self,
        txn: &mut RwTxn<'_>,
        batch: &CheckpointBatch,
        digest: &mut Digest,
    ) -> Result<(), WriteError> {
        // In key order, each page is touched once. If a key has two records, the later one is kept.
        let records: BTreeMap<&[u8], Option<&[u8]>> = batch.records().collect();
        let mut slot = RecordSlot::default();
        let mut work = BatchWriter {
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

fn new_manifest(app: &str, task: u32, batch: &CheckpointBatch) -> Manifest {
    Manifest {
        app: app.to_owned(),
        task,
        changelog: batch.changelog.clone(),
        plan: batch.plan,
        offset: None,
        committed_ms: batch.committed_ms,
        digest: Digest::default(),
        transaction: 0,
    }
}

/// Writes records in key order.
struct BatchWriter<'d> {
    tree: RecordTree,
    /// No key of the tree is greater than this.
    last: Vec<u8>,
    key: Vec<u8>,
    digest: &'d mut Digest,
}

impl BatchWriter<'_> {
    fn put(&mut self, txn: &mut RwTxn<'_>, value: &[u8]) -> Result<(), WriteError> {
        self.digest.add(&self.key, value);
        if self.key > self.last {
            // Appended, so that LMDB fills pages instead of splitting them in halves.
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
