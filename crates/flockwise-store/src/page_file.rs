//! A file of pages, read by page number.
//!
//! The file is read with calls, not through a memory map: an unreadable page, or one that a truncated file no longer
//! has, is then an error. With a map it would end the process with a signal.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use crate::load_error::LoadError;

/// A file and the size of its pages.
#[derive(Debug)]
pub(crate) struct PageFile {
    file: File,
    bytes: u64,
    /// Set once the first meta page is read; 0 before.
    pub(crate) page_bytes: usize,
}

impl PageFile {
    /// Opens a regular file. Any other kind of file is an error.
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        // Opening a pipe would block until a process writes to it.
        if !path.metadata()?.is_file() {
            return Err(LoadError::Unusable("it is not a regular file".to_owned()));
        }
        let file = OpenOptions::new().read(true).open(path)?;
        let bytes = file.metadata()?.len();
        let page_bytes = 0;
        Ok(Self {
            file,
            bytes,
            page_bytes,
        })
    }

    /// Length of the file in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads `count` bytes from a position on.
    pub(crate) fn read(&self, at: u64, count: usize, into: &mut Vec<u8>) -> Result<(), LoadError> {
        // Checked before the allocation: a wrong number may ask for more memory than there is.
        if at
            .checked_add(count as u64)
            .is_none_or(|end| end > self.bytes)
        {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        into.resize(count, 0);
        Ok(read_exact_at(&self.file, into, at)?)
    }

    /// Reads `count` adjacent pages from `first` on.
    pub(crate) fn pages(
        &self,
        first: u64,
        count: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), LoadError> {
        let at = first.saturating_mul(self.page_bytes as u64);
        self.read(at, count.saturating_mul(self.page_bytes), into)
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, at)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(into)
}

/// The pages that were read last.
#[derive(Debug, Default)]
pub(crate) struct PageBuffer {
    bytes: Vec<u8>,
    first: u64,
    count: u64,
}

impl PageBuffer {
    /// Returns a page. If it is not in the buffer, reads `ahead` pages from it on.
    pub(crate) fn page(
        &mut self,
        file: &PageFile,
        number: u64,
        ahead: usize,
    ) -> Result<&[u8], LoadError> {
        if !(self.first..self.first + self.count).contains(&number) {
            self.count = 0;
            file.pages(number, ahead, &mut self.bytes)?;
            (self.first, self.count) = (number, ahead as u64);
        }
        let at = (number - self.first) as usize * file.page_bytes;
        Ok(&self.bytes[at..at + file.page_bytes])
    }
}
