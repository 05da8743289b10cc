//! The format of a checkpoint's file: a head, then a log of blocks. All numbers are little endian.
//!
//! Head: [`MAGIC`], version u32, confirmed u64, and the hash of all before, u64. Every byte before `confirmed` is known
//! to be on the disk. It is updated in place at the start of a batch, and names the end of the batch before.
//!
//! Block: kind u8, length of the body in bytes u32, hash of the body u64, *chain* u64, body. The chain is the hash of
//! the three fields before, seeded with the chain of the block before. So an exchanged, repeated or lost block shows.
//! All hashes are xxh3. A batch is blocks of records, then one with the manifest.
//!
//! Record: length of the key u32, length of the value u32 or [`REMOVED`], key, value.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The first bytes of every checkpoint.
pub(crate) const MAGIC: [u8; 8] = *b"flocklog";
/// The version of the whole format. Version 1 was an LMDB file of another name.
pub(crate) const VERSION: u32 = 2;
/// Length of the file's head in bytes.
pub(crate) const FILE_HEAD: usize = 28;
/// Length of a block's head in bytes.
pub(crate) const BLOCK_HEAD: usize = 21;
/// The chain before the first block.
pub(crate) const FIRST_CHAIN: u64 = 0;
/// The length of a value that removes its key.
const REMOVED: u32 = u32::MAX;

/// A record: key and value. A value of `None` removes the key.
pub(crate) type CheckpointRecord<'b> = (&'b [u8], Option<&'b [u8]>);

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    Records = 1,
    /// Ends a batch.
    Manifest = 2,
}

/// The head of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHead {
    pub(crate) kind: BlockKind,
    /// Length of the body.
    pub(crate) bytes: u32,
    hash: u64,
    /// Seeds the next block's chain.
    pub(crate) chain: u64,
}

impl BlockHead {
    /// The head of this body, and its encoding. `None`: the body is too long.
    pub(crate) fn new(
        kind: BlockKind,
        body: &[u8],
        former_chain: u64,
    ) -> Option<(Self, [u8; BLOCK_HEAD])> {
        let bytes = u32::try_from(body.len()).ok()?;
        let hash = xxh3_64(body);
        let mut out = [0; BLOCK_HEAD];
        out[0] = kind as u8;
        out[1..5].copy_from_slice(&bytes.to_le_bytes());
        out[5..13].copy_from_slice(&hash.to_le_bytes());
        let chain = xxh3_64_with_seed(&out[..13], former_chain);
        out[13..].copy_from_slice(&chain.to_le_bytes());
        let head = Self {
            kind,
            bytes,
            hash,
            chain,
        };
        Some((head, out))
    }

    /// Decodes the head of the block that follows `former_chain`. `None`: it is damaged, or another block's.
    pub(crate) fn decode(head: &[u8; BLOCK_HEAD], former_chain: u64) -> Option<Self> {
        let mut input = FieldReader(head);
        let [kind] = input.take()?;
        let (bytes, hash, chain) = (input.u32()?, input.u64()?, input.u64()?);
        let kind = match kind {
            1 => BlockKind::Records,
            2 => BlockKind::Manifest,
            _ => return None,
        };
        let is_right = chain == xxh3_64_with_seed(&head[..13], former_chain);
        is_right.then_some(Self {
            kind,
            bytes,
            hash,
            chain,
        })
    }

    /// Is this the body that was written?
    pub(crate) fn fits(&self, body: &[u8]) -> bool {
        xxh3_64(body) == self.hash
    }
}

/// The head of a file.
pub(crate) fn file_head(confirmed: u64) -> [u8; FILE_HEAD] {
    let mut out = [0; FILE_HEAD];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[12..20].copy_from_slice(&confirmed.to_le_bytes());
    let hash = xxh3_64(&out[..20]);
    out[20..].copy_from_slice(&hash.to_le_bytes());
    out
}

/// Appends a record. `None`: it is too long; nothing is appended.
pub(crate) fn push_record(body: &mut Vec<u8>, (key, value): CheckpointRecord<'_>) -> Option<()> {
    let key_bytes = u32::try_from(key.len()).ok()?;
    let value_bytes = match value {
        Some(value) => u32::try_from(value.len())
            .ok()
            .filter(|bytes| *bytes != REMOVED)?,
        None => REMOVED,
    };
    body.extend_from_slice(&key_bytes.to_le_bytes());
    body.extend_from_slice(&value_bytes.to_le_bytes());
    body.extend_from_slice(key);
    body.extend_from_slice(value.unwrap_or_default());
    Some(())
}

/// Takes the first record off a body. `None`: its lengths are wrong.
pub(crate) fn take_record<'b>(body: &mut &'b [u8]) -> Option<CheckpointRecord<'b>> {
    let mut input = FieldReader(body);
    let (key_bytes, value_bytes) = (input.u32()?, input.u32()?);
    let key = input.bytes(key_bytes)?;
    let value = match value_bytes {
        REMOVED => None,
        bytes => Some(input.bytes(bytes)?),
    };
    *body = input.0;
    Some((key, value))
}

/// Reads fields one after the other; `None` at the end of the input.
pub(crate) struct FieldReader<'a>(pub(crate) &'a [u8]);

impl<'a> FieldReader<'a> {
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn bytes(&mut self, length: u32) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let length = self.u32()?;
        String::from_utf8(self.bytes(length)?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wrong_byte_of_a_block_passes() {
        let body = b"a body";
        let (head, bytes) = BlockHead::new(BlockKind::Records, body, 5).unwrap();
        assert_eq!(BlockHead::decode(&bytes, 5), Some(head));
        assert_eq!(BlockHead::decode(&bytes, 6), None);
        assert!(head.fits(body) && !head.fits(b"a bodY"));
        for at in 0..BLOCK_HEAD {
            let mut wrong = bytes;
            wrong[at] ^= 0x01;
            assert_eq!(BlockHead::decode(&wrong, 5), None, "byte {at}");
        }
    }

    #[test]
    fn records_come_back_and_cut_ones_do_not() {
        let records: [CheckpointRecord<'_>; 3] =
            [(b"", Some(b"")), (b"key", None), (b"k", Some(b"value"))];
        let mut body = Vec::new();
        for record in records {
            push_record(&mut body, record).unwrap();
        }
        let mut rest = body.as_slice();
        for record in records {
            assert_eq!(take_record(&mut rest), Some(record));
        }
        assert!(rest.is_empty());
        assert_eq!(
            take_record(&mut &body[body.len() - 13..body.len() - 1]),
            None
        );
    }
}
