//! Mini-batches on their way to the trainer. Binary, little endian: version u8, kind u8, at i64, then
//! for a sample: dimensions u16, count u32, and of each customer the hash u64 and the vector, f64; for a
//! delta: model version u64, k u16, dimensions u16, counts, sums, squares, f64.

use flockwise_core::trainer::{Lesson, MiniBatch};
use flockwise_kmeans::Delta;

use crate::bytes::{Input, Malformed, put_f64s};

const VERSION: u8 = 1;
const SAMPLE: u8 = 1;
const DELTA: u8 = 2;

/// Writes a mini-batch.
pub fn encode_mini_batch(batch: &MiniBatch, out: &mut Vec<u8>) {
    let kind = if matches!(batch.lesson, Lesson::Sample(_)) {
        SAMPLE
    } else {
        DELTA
    };
    out.extend_from_slice(&[VERSION, kind]);
    out.extend_from_slice(&batch.at_ms.to_le_bytes());
    match &batch.lesson {
        Lesson::Sample(sample) => {
            let dimensions = sample.first().map_or(0, |(_, vector)| vector.len());
            out.extend_from_slice(&(dimensions as u16).to_le_bytes());
            out.extend_from_slice(&(sample.len() as u32).to_le_bytes());
            for (customer, vector) in sample {
                out.extend_from_slice(&customer.to_le_bytes());
                put_f64s(out, vector);
            }
        }
        Lesson::Delta { version, delta } => {
            out.extend_from_slice(&version.to_le_bytes());
            out.extend_from_slice(&(delta.counts.len() as u16).to_le_bytes());
            out.extend_from_slice(&(delta.dimensions() as u16).to_le_bytes());
            put_f64s(out, &delta.counts);
            put_f64s(out, &delta.sums);
            put_f64s(out, &delta.squares);
        }
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
    let kind = input.u8()?;
    let at_ms = input.i64()?;
    let lesson = match kind {
        SAMPLE => {
            let dimensions = usize::from(input.u16()?);
            let count = input.u32()?;
            let customer = |_| Ok((input.u64()?, input.f64s(dimensions)?));
            Lesson::Sample((0..count).map(customer).collect::<Result<_, Malformed>>()?)
        }
        DELTA => {
            let version = input.u64()?;
            let (k, dimensions) = (usize::from(input.u16()?), usize::from(input.u16()?));
            // Before anything of that size is made: 65,535 squared would be 69 GB.
            if input.0.len() != 8 * k * (1 + 2 * dimensions) {
                return Err(Malformed);
            }
            let mut delta = Delta::new(k, dimensions);
            delta.counts = input.f64s(k)?;
            delta.sums = input.f64s(k * dimensions)?;
            delta.squares = input.f64s(k * dimensions)?;
            Lesson::Delta { version, delta }
        }
        _ => return Err(Malformed),
    };
    input.end()?;
    Ok(MiniBatch { at_ms, lesson })
}
