//! Loads a checkpoint: reads it once to check all of it, and once more to pass its records on.

use std::path::Path;

use flockwise_runtime::store::ExpectedCheckpoint;

use crate::btree_reader::BTreeReader;
use crate::load_error::LoadError;
use crate::manifest::Manifest;
use crate::page::Meta;
use crate::page_file::PageFile;
use crate::record::{Digest, MANIFEST, unpack};

/// The checkpoint that is expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) app: &'a str,
    pub(crate) task: u32,
    pub(crate) wanted: &'a ExpectedCheckpoint,
    /// The largest size that the file may have, bytes.
    pub(crate) map_bytes: usize,
}

/// A checkpoint whose records were passed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    /// The changelog offset from which to replay.
    pub(crate) offset: i64,
    /// Length of the file in bytes.
    pub(crate) bytes: u64,
}

/// Calls `each` with every record of the checkpoint in a file, after checking all of them.
pub(crate) fn load(
    file: &Path,
    expected: Expected<'_>,
    each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<Loaded, LoadError> {
    let mut file = PageFile::open(file)?;
    if file.bytes() == 0 {
        return Err(LoadError::Unfinished);
    }
    let meta = Meta::read(&mut file)?;
    if meta.records.entries == 0 && meta.records.root.is_none() {
        return Err(LoadError::Unfinished);
    }
    let mut reader = BTreeReader::new(&file, meta, expected.map_bytes)?;
    let offset = check(&mut reader, meta.transaction, expected)?;
    hand_over(&mut reader, each)?;
    let bytes = file.bytes();
    Ok(Loaded { offset, bytes })
}

fn check(
    reader: &mut BTreeReader<'_>,
    transaction: u64,
    expected: Expected<'_>,
) -> Result<i64, LoadError> {
    let (mut found, mut digest) = (None, Digest::default());
    reader.records(|key, value| {
        if found.is_some() {
            digest.add(key, value);
            return Ok(());
        }
        // The manifest comes first, so that an unwanted checkpoint is not read to its end.
        found = Some(opened(key, value, expected)?);
        Ok(())
    })?;
    reader.free_pages()?;
    match found {
        Some((manifest, offset))
            if (manifest.digest, manifest.transaction) == (digest, transaction) =>
        {
            Ok(offset)
        }
        _ => Err(LoadError::Unusable(
            "its records do not match its manifest".to_owned(),
        )),
    }
}

fn opened(key: &[u8], value: &[u8], expected: Expected<'_>) -> Result<(Manifest, i64), LoadError> {
    if key != MANIFEST {
        let what = "it does not begin with a manifest".to_owned();
        return Err(LoadError::Unusable(what));
    }
    let manifest = Manifest::decode(value)?;
    let offset = manifest.check(expected.app, expected.task, expected.wanted)?;
    Ok((manifest, offset))
}

fn hand_over(
    reader: &mut BTreeReader<'_>,
    each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), LoadError> {
    reader.records(|key, value| {
        if key == MANIFEST {
            return Ok(());
        }
        let is_of_use = unpack(key, value).is_some_and(|(key, value)| each(key, value));
        let refused = || LoadError::Unusable("one of its records cannot be used".to_owned());
        is_of_use.then_some(()).ok_or_else(refused)
    })
}
