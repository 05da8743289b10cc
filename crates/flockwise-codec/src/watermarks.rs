//! Watermarks: how far tasks have read their inputs, on the topic of forwarded events.
//!
//! | what | bytes |
//! |---|---|
//! | kind and version | u8, 0x81 |
//! | number of tasks | number |
//! | for each: its number, its watermark | number, signed |
//!
//! Numbers have seven bits a byte. A watermark is an event time in milliseconds since the epoch: the task has read, and
//! forwarded, every event before it. `i64::MAX` says that it has read all there is.

use std::collections::BTreeMap;

use crate::bytes::{Input, Malformed, put_number, put_signed};

/// No forwarded event begins with it: see [`crate::forward`].
const KIND: u8 = 0x81;

/// Does a record hold watermarks?
#[must_use]
pub fn holds_watermarks(value: &[u8]) -> bool {
    value.first() == Some(&KIND)
}

/// Writes watermarks by task.
pub fn encode_watermarks(watermarks: &BTreeMap<u32, i64>, out: &mut Vec<u8>) {
    out.push(KIND);
    put_number(watermarks.len() as u64, out);
    for (task, watermark_ms) in watermarks {
        put_number(u64::from(*task), out);
        put_signed(*watermark_ms, out);
    }
}

/// Reads watermarks by task.
///
/// # Errors
/// Where they were not written by [`encode_watermarks`].
pub fn decode_watermarks(value: &[u8]) -> Result<BTreeMap<u32, i64>, Malformed> {
    let mut input = Input(value);
    if input.u8()? != KIND {
        return Err(Malformed);
    }
    let count = input.number()?;
    let mut watermarks = BTreeMap::new();
    for _ in 0..count {
        let task = input.fitting()?;
        watermarks.insert(task, input.signed()?);
    }
    input.end()?;
    Ok(watermarks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_have_a_fixed_form() {
        let watermarks = BTreeMap::from([(0, i64::MAX), (3, 1_767_225_600_000), (300, i64::MIN)]);
        let mut value = Vec::new();
        encode_watermarks(&watermarks, &mut value);
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "810300feffffffffffffffff010380a0d5edee66ac02ffffffffffffffffff01"
        );
        assert!(holds_watermarks(&value));
        assert_eq!(decode_watermarks(&value), Ok(watermarks));
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_refused() {
        let mut value = Vec::new();
        encode_watermarks(&BTreeMap::from([(1, 2), (3, 4)]), &mut value);
        for end in 0..value.len() {
            assert_eq!(decode_watermarks(&value[..end]), Err(Malformed), "{end}");
        }
        value.push(0);
        assert_eq!(decode_watermarks(&value), Err(Malformed));
    }
}
