//! Appends blocks to a checkpoint's file.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use crate::checkpoint_format::{
    BlockHead, BlockKind, CheckpointRecord, FILE_HEAD, FIRST_CHAIN, file_head, push_record,
};
use crate::log_reader::LogScan;
use crate::manifest::Manifest;

/// A block of records is written once it has this many bytes.
const BLOCK_BYTES: usize = 256 * 1024;

/// A file that is open for appending.
#[derive(Debug)]
pub(crate) struct LogWriter {
    file: File,
    /// Length of the file.
    end: u64,
    /// The chain of the last block.
    chain: u64,
    body: Vec<u8>,
}

impl LogWriter {
    /// Creates a file, which other users may not read. Replaces one that is there.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.write_all(&file_head(0))?;
        Ok(Self::at(file, FILE_HEAD as u64, FIRST_CHAIN))
    }

    /// Opens a file to append to its last complete batch. Cuts off what follows, and syncs the rest.
    pub(crate) fn open(path: &Path, scan: &LogScan) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(scan.end)?;
        file.sync_all()?;
        Ok(Self::at(file, scan.end, scan.chain))
    }

    fn at(file: File, end: u64, chain: u64) -> Self {
        let body = Vec::new();
        Self {
            file,
            end,
            chain,
            body,
        }
    }

    /// Length of the file in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.end
    }

    /// Begins a batch. The batch before is on the disk, and from now on damage in it is an error.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        if self.end > FILE_HEAD as u64 {
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&file_head(self.end))?;
        }
        self.file.seek(SeekFrom::Start(self.end)).map(|_| ())
    }

    /// Appends a record to the batch.
    pub(crate) fn push(&mut self, record: CheckpointRecord<'_>) -> io::Result<()> {
        push_record(&mut self.body, record).ok_or(io::ErrorKind::InvalidInput)?;
        if self.body.len() < BLOCK_BYTES {
            return Ok(());
        }
        self.block(BlockKind::Records)
    }

    /// Ends the records of a batch: all are written, but not yet synced.
    pub(crate) fn end_records(&mut self) -> io::Result<()> {
        if self.body.is_empty() {
            return Ok(());
        }
        self.block(BlockKind::Records)
    }

    /// Ends the batch: writes its manifest and syncs the file.
    pub(crate) fn finish(&mut self, manifest: &Manifest) -> io::Result<()> {
        manifest.encode(&mut self.body);
        self.block(BlockKind::Manifest)?;
        self.file.sync_data()
    }

    fn block(&mut self, kind: BlockKind) -> io::Result<()> {
        let made = BlockHead::new(kind, &self.body, self.chain);
        let (head, bytes) = made.ok_or(io::ErrorKind::InvalidInput)?;
        self.file.write_all(&bytes)?;
        self.file.write_all(&self.body)?;
        self.end += (bytes.len() + self.body.len()) as u64;
        self.chain = head.chain;
        self.body.clear();
        Ok(())
    }
}
