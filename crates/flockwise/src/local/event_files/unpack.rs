//! Decompresses files by what they hold, whatever their names are.

use std::io::{self, BufReader, Cursor, Read};

/// Bytes at the front that show how a file is compressed.
const SIGNATURE_BYTES: usize = 4;
/// Compressions within each other that are unpacked, at most.
const MAX_LAYERS: usize = 4;
/// Bytes that are read at once.
const BUFFER: usize = 1 << 18;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A skippable frame, with which some compressors begin. The low half of its first byte is free.
const ZSTD_SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// Bytes that may be compressed with gzip or zstd, also within each other.
pub(crate) fn unpack(packed: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut bytes: Box<dyn Read + Send> = Box::new(packed);
    for _ in 0..MAX_LAYERS {
        let mut signature = Vec::with_capacity(SIGNATURE_BYTES);
        bytes
            .by_ref()
            .take(SIGNATURE_BYTES as u64)
            .read_to_end(&mut signature)?;
        let is_zstd = signature.starts_with(&ZSTD)
            || signature.first().is_some_and(|byte| byte & 0xf0 == 0x50)
                && signature[1..] == ZSTD_SKIPPABLE;
        let is_gzip = signature.starts_with(&GZIP);
        let whole = Cursor::new(signature).chain(bytes);
        bytes = match (is_gzip, is_zstd) {
            (true, _) => {
                let buffered = BufReader::with_capacity(BUFFER, whole);
                Box::new(flate2::bufread::MultiGzDecoder::new(buffered))
            }
            (_, true) => Box::new(zstd::stream::read::Decoder::new(whole)?),
            _ => return Ok(Box::new(whole)),
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    fn unpacked(bytes: Vec<u8>) -> String {
        let mut text = String::new();
        let mut reader = unpack(Cursor::new(bytes)).unwrap();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn layers_members_and_frames_are_all_unpacked() {
        let skippable = [&b"\x55\x2a\x4d\x18\x03\0\0\0abc"[..], &zstd(b"ab")].concat();
        for (bytes, text) in [
            (b"".to_vec(), ""),
            (b"a".to_vec(), "a"),
            (b"plain".to_vec(), "plain"),
            (gzip(b""), ""),
            (gzip(b"ab"), "ab"),
            (zstd(b"ab"), "ab"),
            ([gzip(b"ab"), gzip(b"cd")].concat(), "abcd"),
            ([zstd(b"ab"), zstd(b"cd")].concat(), "abcd"),
            (gzip(&zstd(b"ab")), "ab"),
            (zstd(&gzip(&[gzip(b"ab"), gzip(b"cd")].concat())), "abcd"),
            (skippable, "ab"),
        ] {
            assert_eq!(unpacked(bytes), text);
        }
    }

    #[test]
    fn what_is_cut_is_an_error() {
        for mut packed in [gzip(b"a text"), zstd(b"a text"), gzip(&zstd(b"a text"))] {
            packed.truncate(packed.len() - 3);
            let mut bytes = Vec::new();
            let read =
                unpack(Cursor::new(packed)).and_then(|mut reader| reader.read_to_end(&mut bytes));
            assert!(read.is_err());
        }
    }
}
