//! Reads a checkpoint's file: once to check all of it, and once more to pass its records on.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use crate::checkpoint_format::{
    BLOCK_HEAD, BlockHead, BlockKind, FILE_HEAD, FIRST_CHAIN, FieldReader, MAGIC, VERSION,
    take_record,
};
use crate::load_error::LoadError;
use crate::manifest::Manifest;

/// A file that is read block by block.
#[derive(Debug)]
pub(crate) struct LogReader {
    file: File,
    /// Length of the file.
    bytes: u64,
    /// Position of the next block.
    at: u64,
    /// The chain of the block before.
    chain: u64,
    body: Vec<u8>,
}

/// The file up to the end of its last complete batch.
#[derive(Debug)]
pub(crate) struct LogScan {
    /// The manifest of that batch.
    pub(crate) manifest: Manifest,
    /// Where the batch ends.
    pub(crate) end: u64,
    /// The chain of its last block.
    pub(crate) chain: u64,
    /// For each record in the file: is it the latest of its key, and not a removal?
    is_live: Vec<bool>,
}

impl LogReader {
    /// Opens a regular file. Any other kind of file is an error.
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        // Opening a pipe would block until a process writes to it.
        if !path.metadata()?.is_file() {
            return Err(LoadError::Unusable("it is not a regular file".to_owned()));
        }
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self {
            file,
            bytes,
            at: 0,
            chain: FIRST_CHAIN,
            body: Vec::new(),
        })
    }

    /// Checks the file and finds its last complete batch.
    ///
    /// A batch that is damaged or incomplete is ignored if it is the last one: the disk may not have confirmed it.
    /// Damage before is an error.
    pub(crate) fn scan(&mut self) -> Result<LogScan, LoadError> {
        let confirmed = self.confirmed()?;
        let (found, ended) = self.scan_to(self.bytes);
        if found.as_ref().map_or(0, |scan| scan.end) < confirmed {
            ended?;
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let scan = found.ok_or(LoadError::Unfinished)?;
        if scan.end == self.bytes {
            return Ok(scan);
        }
        // Records after the last complete batch may have superseded records of it.
        let (found, ended) = self.scan_to(scan.end);
        ended?;
        found.ok_or(LoadError::Unfinished)
    }

    /// Calls `each` with every record that is live, in the order of the file. Stops when it returns `false`.
    pub(crate) fn replay(
        &mut self,
        scan: &LogScan,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), LoadError> {
        let mut is_live = scan.is_live.iter();
        self.rewind()?;
        while let Some(head) = self.block(scan.end)? {
            if head.kind == BlockKind::Manifest {
                continue;
            }
            let mut body = self.body.as_slice();
            while !body.is_empty() {
                let (key, value) = take_record(&mut body).ok_or_else(|| damaged(self.at))?;
                let is_live = *is_live.next().ok_or_else(|| damaged(self.at))?;
                if let Some(value) = value.filter(|_| is_live)
                    && !each(key, value)
                {
                    let what = "one of its records cannot be used".to_owned();
                    return Err(LoadError::Unusable(what));
                }
            }
        }
        Ok(())
    }

    /// Reads the head. Returns up to where the file is known to have been written.
    fn confirmed(&mut self) -> Result<u64, LoadError> {
        let unusable = |what: &str| LoadError::Unusable(what.to_owned());
        let mut head = Vec::with_capacity(FILE_HEAD);
        (&mut self.file)
            .take(FILE_HEAD as u64)
            .read_to_end(&mut head)?;
        let magic = &MAGIC[..MAGIC.len().min(head.len())];
        if !head.starts_with(magic) {
            return Err(unusable("it is not a checkpoint of Flockwise"));
        }
        let mut input = FieldReader(&head[magic.len()..]);
        let (Some(version), Some(confirmed)) = (input.u32(), input.u64()) else {
            return Err(LoadError::Unfinished);
        };
        if version != VERSION {
            return Err(LoadError::Unusable(format!(
                "it has format {version}, and this version reads format {VERSION}"
            )));
        }
        let hash = input.u64().ok_or(LoadError::Unfinished)?;
        if hash != xxh3_64(&head[..FILE_HEAD - size_of::<u64>()]) {
            return Err(unusable("its head is damaged"));
        }
        Ok(confirmed)
    }

    /// The last complete batch before `limit`, and why the scan ended: `Ok` at the limit.
    fn scan_to(&mut self, limit: u64) -> (Option<LogScan>, Result<(), LoadError>) {
        let (mut latest, mut found) = (LatestRecords::default(), None);
        let ended = self.scan_blocks(limit, &mut latest, &mut found);
        let scan = found.map(|(manifest, end, chain)| LogScan {
            manifest,
            end,
            chain,
            is_live: latest.is_live,
        });
        (scan, ended)
    }

    fn scan_blocks(
        &mut self,
        limit: u64,
        latest: &mut LatestRecords,
        found: &mut Option<(Manifest, u64, u64)>,
    ) -> Result<(), LoadError> {
        self.rewind()?;
        while let Some(head) = self.block(limit)? {
            match head.kind {
                BlockKind::Records => {
                    let mut body = self.body.as_slice();
                    while !body.is_empty() {
                        let (key, value) =
                            take_record(&mut body).ok_or_else(|| damaged(self.at))?;
                        let too_many = || LoadError::Unusable("it has too many records".to_owned());
                        latest.add(key, value.is_some()).ok_or_else(too_many)?;
                    }
                }
                BlockKind::Manifest => {
                    *found = Some((Manifest::decode(&self.body)?, self.at, self.chain));
                }
            }
        }
        Ok(())
    }

    fn rewind(&mut self) -> io::Result<()> {
        (self.at, self.chain) = (FILE_HEAD as u64, FIRST_CHAIN);
        self.file.seek(SeekFrom::Start(self.at)).map(|_| ())
    }

    /// Reads the next block into `body`; `None` at the limit.
    fn block(&mut self, limit: u64) -> Result<Option<BlockHead>, LoadError> {
        if self.at == limit {
            return Ok(None);
        }
        let mut head = [0; BLOCK_HEAD];
        self.file.read_exact(&mut head)?;
        let head = BlockHead::decode(&head, self.chain).ok_or_else(|| damaged(self.at))?;
        let end = self.at + BLOCK_HEAD as u64 + u64::from(head.bytes);
        // Checked before the allocation: a torn block may name more bytes than there are.
        if end > limit {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.body.resize(head.bytes as usize, 0);
        self.file.read_exact(&mut self.body)?;
        if !head.fits(&self.body) {
            return Err(damaged(self.at));
        }
        (self.at, self.chain) = (end, head.chain);
        Ok(Some(head))
    }
}

fn damaged(at: u64) -> LoadError {
    LoadError::Unusable(format!("the block at byte {at} of the file is damaged"))
}

/// 96 bits of a key's hash. With the number of a record it fills 16 bytes.
type KeyHash = [u32; 3];

/// Finds the latest record of each key, by a hash of the key. Two keys have the same hash with a probability of 2^-96;
/// the seed is random, so that nobody can choose such keys.
struct LatestRecords {
    by_key: HashMap<KeyHash, u32, BuildHasherDefault<HashedKey>>,
    is_live: Vec<bool>,
    seed: u64,
}

impl Default for LatestRecords {
    fn default() -> Self {
        Self {
            by_key: HashMap::default(),
            is_live: Vec::new(),
            seed: RandomState::new().hash_one(0),
        }
    }
}

impl LatestRecords {
    /// Adds the next record. `None`: there are too many.
    fn add(&mut self, key: &[u8], has_value: bool) -> Option<()> {
        let number = u32::try_from(self.is_live.len()).ok()?;
        self.is_live.push(has_value);
        let hash = xxh3_128_with_seed(key, self.seed);
        let hash = [hash as u32, (hash >> 32) as u32, (hash >> 64) as u32];
        if let Some(former) = self.by_key.insert(hash, number) {
            self.is_live[former as usize] = false;
        }
        Some(())
    }
}

/// The hash of a key that is a hash already.
#[derive(Default)]
struct HashedKey(u64);

impl Hasher for HashedKey {
    fn finish(&self) -> u64 {
        self.0
    }

    /// Takes the first eight bytes of a key's hash.
    fn write(&mut self, bytes: &[u8]) {
        let first = bytes.first_chunk().copied().unwrap_or_default();
        self.0 = u64::from_ne_bytes(first);
    }

    /// Ignores the length of the key's hash.
    fn write_usize(&mut self, _length: usize) {}
}
