//! A checkpoint that is open for writing: appends batches, and rewrites the file when most of it is out of date.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use flockwise_runtime::store::CheckpointBatch;
use flockwise_runtime::task_id::TaskId;

use crate::load_error::LoadError;
use crate::log_reader::LogReader;
use crate::log_writer::LogWriter;
use crate::manifest::Manifest;

/// Shorter files are not rewritten. Others are, when they have grown by half since they held only live records.
const LEAST_BYTES: u64 = 1024 * 1024;

/// Why a batch was not written. The checkpoint must then be discarded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The records do not belong to this checkpoint, or it is damaged.
    #[error("{0}")]
    Unfit(String),
}

impl WriteError {
    /// What the operator can do about it, for the log.
    pub(crate) fn remedy(&self) -> &'static str {
        let error = match self {
            Self::Unfit(_) => return "nothing to do: a new checkpoint is written",
            Self::Io(error) => error,
        };
        match error.kind() {
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
            _ => "check whether the disk is full or failing",
        }
    }
}

impl From<LoadError> for WriteError {
    fn from(error: LoadError) -> Self {
        Self::Unfit(match error {
            LoadError::Unusable(found) => found,
            LoadError::Absent | LoadError::OldFormat | LoadError::Unfinished => {
                "it is not as the last batch left it".to_owned()
            }
        })
    }
}

/// One task's checkpoint, open for writing.
#[derive(Debug)]
pub(crate) struct CheckpointLog {
    path: PathBuf,
    log: LogWriter,
    /// The manifest of the last batch.
    manifest: Manifest,
}

impl CheckpointLog {
    /// Creates the checkpoint that begins with this batch. Other users may not read it or its folder.
    pub(crate) fn create(
        path: &Path,
        (app, task): (&str, TaskId),
        batch: &CheckpointBatch,
    ) -> Result<Self, WriteError> {
        if let Some(folder) = path.parent() {
            private_folder(folder)?;
        }
        let log = LogWriter::create(path)?;
        sync_folder(path)?;
        Ok(Self {
            path: path.to_owned(),
            log,
            manifest: Manifest::new(app, task, batch),
        })
    }

    /// Opens a checkpoint that has at least one batch.
    pub(crate) fn open(path: &Path) -> Result<Self, WriteError> {
        let scan = LogReader::open(path)?.scan()?;
        Ok(Self {
            path: path.to_owned(),
            log: LogWriter::open(path, &scan)?,
            manifest: scan.manifest,
        })
    }

    /// Length of the file in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Appends a batch and syncs it to the disk.
    pub(crate) fn write(&mut self, batch: &CheckpointBatch) -> Result<(), WriteError> {
        let manifest = &mut self.manifest;
        if (&manifest.changelog, manifest.plan) != (&batch.changelog, batch.plan) {
            let what = "the batch belongs to another changelog or feature plan";
            return Err(WriteError::Unfit(what.to_owned()));
        }
        self.log.begin()?;
        for record in batch.records() {
            self.log.push(record)?;
        }
        self.log.end_records()?;
        if batch.offset.is_some() {
            // Both together: the age of a checkpoint is that of its offset.
            (manifest.offset, manifest.committed_ms) = (batch.offset, batch.committed_ms);
            if manifest.compact_bytes == 0 {
                manifest.compact_bytes = self.log.bytes();
            }
        }
        self.log.finish(manifest)?;
        let growth = manifest.compact_bytes / 2;
        let most = LEAST_BYTES.max(manifest.compact_bytes.saturating_add(growth));
        if manifest.offset.is_some() && self.log.bytes() > most {
            self.rewrite()?;
        }
        Ok(())
    }

    /// Replaces the file by one with only the live records.
    fn rewrite(&mut self) -> Result<(), WriteError> {
        let new = self.path.with_extension("new");
        let mut reader = LogReader::open(&self.path)?;
        let scan = reader.scan()?;
        let mut log = LogWriter::create(&new)?;
        let mut written = Ok(());
        let replayed = reader.replay(&scan, &mut |key, value| {
            written = log.push((key, Some(value)));
            written.is_ok()
        });
        written?;
        replayed?;
        log.end_records()?;
        self.manifest.compact_bytes = log.bytes();
        log.finish(&self.manifest)?;
        fs::rename(&new, &self.path)?;
        sync_folder(&self.path)?;
        self.log = log;
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

/// Makes a new name in a file's folder outlast a power failure.
fn sync_folder(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) if cfg!(unix) => fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
