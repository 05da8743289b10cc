//! How LMDB holds a changelog record.
//!
//! Key: one byte, [`RECORD`], then the changelog's key. Value: the changelog's value. LMDB's keys have at most
//! 511 bytes. A longer key is cut and ends with a hash of the whole key; its value then begins with the length of the
//! whole key (u32, little endian) and the key. So cut keys are ordered only by their beginning. The [`MANIFEST`]
//! comes before all records.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::page::LONGEST_KEY;

/// Key of the manifest.
pub(crate) const MANIFEST: &[u8] = &[0];
const RECORD: u8 = 1;
const HASH_BYTES: usize = 16;
/// Keys shorter than this are not cut. A cut key is longer, so that the two cannot be confused.
const CUT_BYTES: usize = LONGEST_KEY - 1;

/// Encodes records for LMDB. Reuse it to reuse its buffers.
#[derive(Debug, Default)]
pub(crate) struct RecordSlot {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl RecordSlot {
    /// The key in LMDB of a changelog key.
    pub(crate) fn key(&mut self, key: &[u8]) -> &[u8] {
        self.key.clear();
        self.key.push(RECORD);
        if key.len() < CUT_BYTES {
            self.key.extend_from_slice(key);
        } else {
            self.key.extend_from_slice(&key[..CUT_BYTES - HASH_BYTES]);
            self.key.extend_from_slice(&xxh3_128(key).to_le_bytes());
        }
        &self.key
    }

    /// The value in LMDB of a changelog key and value.
    pub(crate) fn value<'v>(&'v mut self, key: &[u8], value: &'v [u8]) -> &'v [u8] {
        if key.len() < CUT_BYTES {
            return value;
        }
        self.value.clear();
        self.value
            .extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.value.extend_from_slice(key);
        self.value.extend_from_slice(value);
        &self.value
    }
}

/// The changelog's key and value of a record in LMDB; `None` if it is not a record.
pub(crate) fn unpack<'r>(key: &'r [u8], value: &'r [u8]) -> Option<(&'r [u8], &'r [u8])> {
    let key = key.strip_prefix(&[RECORD])?;
    if key.len() < CUT_BYTES {
        return Some((key, value));
    }
    let (length, rest) = value.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// A digest of all records of a checkpoint. Any difference in keys or values changes it, except with a probability
/// of 2^-64. Its update costs one hash for each changed record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    /// Number of records.
    pub(crate) records: u64,
    /// Sum of their hashes.
    pub(crate) sum: u64,
}

impl Digest {
    /// Adds a record, as LMDB has it.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.records = self.records.wrapping_add(1);
        self.sum = self.sum.wrapping_add(hash(key, value));
    }

    /// Removes a record, as LMDB has it.
    pub(crate) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.records = self.records.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(hash(key, value));
    }
}

/// Hashes the two hashes together, so that two records with swapped values have another sum.
fn hash(key: &[u8], value: &[u8]) -> u64 {
    let both = [xxh3_64(key).to_le_bytes(), xxh3_64(value).to_le_bytes()];
    xxh3_64(both.as_flattened())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_any_length_come_back() {
        let mut slot = RecordSlot::default();
        for length in [0, 1, 20, 493, 494, 508, 509, 510, 511, 512, 5_000] {
            let id = vec![7; length];
            let key = slot.key(&id).to_vec();
            assert!(key.len() <= LONGEST_KEY && key.as_slice() > MANIFEST);
            let value = slot.value(&id, b"value").to_vec();
            assert_eq!(unpack(&key, &value), Some((id.as_slice(), &b"value"[..])));
        }
    }

    #[test]
    fn what_is_no_record_is_none() {
        let long = [RECORD; LONGEST_KEY];
        let cases: [(&[u8], &[u8]); 5] = [
            (b"", b""),
            (MANIFEST, b""),
            (&long, b""),
            (&long, &[9, 0, 0, 0, 1]),
            (&long, &[255, 255, 255, 255, 1]),
        ];
        for (key, value) in cases {
            assert_eq!(unpack(key, value), None);
        }
    }

    #[test]
    fn a_digest_knows_what_is_there_and_not_how_it_came() {
        let mut digest = Digest::default();
        digest.add(b"a", b"1");
        digest.add(b"b", b"2");
        let mut swapped = Digest::default();
        swapped.add(b"a", b"2");
        swapped.add(b"b", b"1");
        assert_ne!(digest, swapped);
        swapped.remove(b"b", b"1");
        swapped.remove(b"a", b"2");
        swapped.add(b"b", b"2");
        swapped.add(b"a", b"1");
        assert_eq!(digest, swapped);
    }
}
