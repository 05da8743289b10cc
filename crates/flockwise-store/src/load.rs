//! Reading a copy: once to check all of it, and once more to hand it over.

use std::path::Path;

use flockwise_runtime::store::Wanted;

use crate::page::Meta;
use crate::page_file::PageFile;
use crate::record::{Digest, SEAL, unpack};
use crate::refusal::Refusal;
use crate::seal::Seal;
use crate::walk::Walk;

/// Which copy is expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) app: &'a str,
    pub(crate) task: u32,
    pub(crate) wanted: &'a Wanted,
    /// A file that tells of more is wrong.
    pub(crate) map_bytes: usize,
}

/// A copy that was handed over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    /// From here on the changelog tells more.
    pub(crate) offset: i64,
    /// Length of the file.
    pub(crate) bytes: u64,
}

/// Calls `each` with every record of the copy in a file, if all of them are what was written.
pub(crate) fn load(
    file: &Path,
    expected: Expected<'_>,
    each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<Loaded, Refusal> {
    let mut file = PageFile::open(file)?;
    if file.bytes() == 0 {
        return Err(Refusal::Unfinished);
    }
    let meta = Meta::read(&mut file)?;
    if meta.records.entries == 0 && meta.records.root.is_none() {
        return Err(Refusal::Unfinished);
    }
    let mut walk = Walk::new(&file, meta, expected.map_bytes)?;
    let offset = check(&mut walk, meta.transaction, expected)?;
    hand_over(&mut walk, each)?;
    let bytes = file.bytes();
    Ok(Loaded { offset, bytes })
}

fn check(walk: &mut Walk<'_>, transaction: u64, expected: Expected<'_>) -> Result<i64, Refusal> {
    let (mut found, mut digest) = (None, Digest::default());
    walk.records(|key, value| {
        if found.is_some() {
            digest.add(key, value);
            return Ok(());
        }
        // The seal comes first, so that a copy which is not wanted is not read to its end.
        found = Some(opened(key, value, expected)?);
        Ok(())
    })?;
    walk.free_pages()?;
    match found {
        Some((seal, offset)) if (seal.digest, seal.transaction) == (digest, transaction) => {
            Ok(offset)
        }
        _ => Err(Refusal::Unusable(
            "its records are not those that were written".to_owned(),
        )),
    }
}

fn opened(key: &[u8], value: &[u8], expected: Expected<'_>) -> Result<(Seal, i64), Refusal> {
    if key != SEAL {
        let what = "it does not say whose it is".to_owned();
        return Err(Refusal::Unusable(what));
    }
    let seal = Seal::decode(value)?;
    let offset = seal.judge(expected.app, expected.task, expected.wanted)?;
    Ok((seal, offset))
}

fn hand_over(
    walk: &mut Walk<'_>,
    each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), Refusal> {
    walk.records(|key, value| {
        if key == SEAL {
            return Ok(());
        }
        let is_of_use = unpack(key, value).is_some_and(|(key, value)| each(key, value));
        let refused = || Refusal::Unusable("one of its records cannot be used".to_owned());
        is_of_use.then_some(()).ok_or_else(refused)
    })
}
