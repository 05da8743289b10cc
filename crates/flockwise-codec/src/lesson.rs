//! Mini-batches on their way to the trainer. Binary, little endian: version u8, at i64, dimensions u16, count
//! u32, and of each customer the hash u64 and the vector, f64.

use flockwise_core::trainer::MiniBatch;

use crate::bytes::{Input, Malformed, put_f64s};

const VERSION: u8 = 2;

/// Writes a mini-batch.
pub fn encode_mini_batch(batch: &MiniBatch, out: &mut Vec<u8>) {
    let dimensions = batch.sample.first().map_or(0, |(_, vector)| vector.len());
    out.push(VERSION);
    out.extend_from_slice(&batch.at_ms.to_le_bytes());
    out.extend_from_slice(&(dimensions as u16).to_le_bytes());
    out.extend_from_slice(&(batch.sample.len() as u32).to_le_bytes());
    for (customer, vector) in &batch.sample {
        out.extend_from_slice(&customer.to_le_bytes());
        put_f64s(out, vector);
    }
}

/// Reads a mini-batch.
///
/// # Errors
/// Where the bytes are none.
pub fn decode_mini_batch(bytes: &[u8]) -> Result<MiniBatch, Malformed> {
    let mut input = Input(bytes);
    if input.u8()? != VERSION {
        return Err(Malformed);
    }
    let at_ms = input.i64()?;
    let dimensions = usize::from(input.u16()?);
    let count = input.u32()?;
    let customer = |_| Ok((input.u64()?, input.f64s(dimensions)?));
    let sample = (0..count).map(customer).collect::<Result<_, Malformed>>()?;
    input.end()?;
    Ok(MiniBatch { at_ms, sample })
}
