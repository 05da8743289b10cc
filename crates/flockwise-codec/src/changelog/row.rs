//! A customer's row: binary, little endian.
//!
//! | field | encoding |
//! |---|---|
//! | version of this format | u8 |
//! | fingerprint of the plan | u64 |
//! | latest event time | signed |
//! | segment + 1, 0: none | number |
//! | sequence, model version | number each |
//! | last change, last scoring: milliseconds after the latest event time | signed each |
//! | candidate: 0, or its cause + 1, segment and scorings agreed | number each |
//! | with a candidate, from version 2 on: what staying has cost, and costs a day | f32 each |
//! | count of columns | number |
//! | which columns are not zero | a bit each, the first lowest, in whole bytes |
//! | the columns that are not zero | f64 each |
//! | event ids | count as number, then u64 each |
//! | from version 3 on: event ids of the present span and of the one before; if not both 0, the number of the span | number each |
//! | orders | count as number |
//! | with orders, from version 3 on: sums per order, and with sums the identity of their layout | number, u64 |
//! | each order: key, milliseconds before the latest event time, sums | u64, signed, f64 each |
//!
//! A number is LEB128: seven bits a byte, the lowest first, the top bit set if another byte follows. A signed
//! number is in zigzag code first: 0, -1, 1, -2 become 0, 1, 2, 3. Time differences wrap, so that
//! `i64::MIN`, which stands for no time, needs no special case.

use flockwise_core::decide::{Candidate, Cause, Standing};
use flockwise_core::dedup::{DedupMemory, OrderSums, RecentIds};
use flockwise_core::rows::Row;

use super::error::{ChangelogError, VERSION};
use crate::little_endian::{Malformed, Reader, put_number, put_signed};

/// The first version of the format that stores a candidate's cost.
const WITH_COST: u8 = 2;
/// The first version of the format that stores what each order added, and how many ids are recent.
const WITH_SUMS: u8 = 3;

/// Appends a row's value to `out`.
pub fn encode_row(row: &Row<'_>, fingerprint: u64, out: &mut Vec<u8>) {
    out.push(VERSION);
    out.extend_from_slice(&fingerprint.to_le_bytes());
    put_signed(row.reference_ms, out);
    let standing = &row.standing;
    put_number(standing.segment.map_or(0, |id| u64::from(id) + 1), out);
    put_number(u64::from(standing.sequence), out);
    put_number(standing.version, out);
    put_signed(standing.changed_ms.wrapping_sub(row.reference_ms), out);
    put_signed(standing.as_of_ms.wrapping_sub(row.reference_ms), out);
    put_candidate(standing.candidate, out);
    put_columns(row.columns, out);
    put_ids(row.dedup.id_halves(), out);
    put_recent(row.dedup.recent(), out);
    put_orders(row, out);
}

fn put_recent(recent: RecentIds, out: &mut Vec<u8>) {
    put_number(u64::from(recent.now), out);
    put_number(u64::from(recent.before), out);
    if (recent.now, recent.before) != (0, 0) {
        put_number(u64::from(recent.span), out);
    }
}

fn put_orders(row: &Row<'_>, out: &mut Vec<u8>) {
    let count = row.dedup.orders().count();
    put_number(count as u64, out);
    if count == 0 {
        return;
    }
    let OrderSums { len, layout } = row.dedup.sums();
    put_number(len as u64, out);
    if len > 0 {
        out.extend_from_slice(&layout.to_le_bytes());
    }
    for order in row.dedup.orders() {
        out.extend_from_slice(&order.key.to_le_bytes());
        put_signed(row.reference_ms.wrapping_sub(order.time_ms), out);
        for sum in order.sums {
            out.extend_from_slice(&sum.to_le_bytes());
        }
    }
}

fn put_candidate(candidate: Option<Candidate>, out: &mut Vec<u8>) {
    let Some(candidate) = candidate else {
        return out.push(0);
    };
    out.push(candidate.cause as u8 + 1);
    put_number(u64::from(candidate.segment), out);
    put_number(u64::from(candidate.agreed), out);
    out.extend_from_slice(&candidate.cost.to_le_bytes());
    out.extend_from_slice(&candidate.price.to_le_bytes());
}

/// Leaves out zeros: most columns of most rows are exactly zero, for things that a customer never did and
/// for days without a visit.
fn put_columns(columns: &[f64], out: &mut Vec<u8>) {
    put_number(columns.len() as u64, out);
    let start = out.len();
    let mut end = start + columns.len().div_ceil(8);
    // Reserve room for all columns. Each one is written without a branch; a zero is overwritten by the next.
    out.resize(end + 8 * columns.len(), 0);
    for (place, column) in columns.iter().enumerate() {
        // -0.0 counts as not zero, so that every column is restored to the bit.
        let bits = column.to_bits();
        let is_kept = bits != 0;
        out[start + place / 8] |= u8::from(is_kept) << (place % 8);
        out[end..end + 8].copy_from_slice(&bits.to_le_bytes());
        end += 8 * usize::from(is_kept);
    }
    out.truncate(end);
}

fn put_ids(halves: [&[u64]; 2], out: &mut Vec<u8>) {
    put_number((halves[0].len() + halves[1].len()) as u64, out);
    for ids in halves {
        let start = out.len();
        out.resize(start + size_of_val(ids), 0);
        let (places, _) = out[start..].as_chunks_mut();
        for (place, id) in places.iter_mut().zip(ids) {
            *place = id.to_le_bytes();
        }
    }
}

/// A decoded row, which owns what [`Row`] borrows. Reuse it from row to row to reuse its buffers.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRow {
    /// The customer id.
    pub customer_id: String,
    /// The customer's latest event time, milliseconds since the epoch.
    pub reference_ms: i64,
    /// The columns, in the plan's order.
    pub columns: Vec<f64>,
    /// Segment, sequence number, last change and scoring, candidate.
    pub standing: Standing,
    /// Hashes of the event ids and order ids that were seen.
    pub dedup: DedupMemory,
}

impl Default for StoredRow {
    fn default() -> Self {
        Self {
            customer_id: String::new(),
            reference_ms: 0,
            columns: Vec::new(),
            standing: Standing::NEW,
            dedup: DedupMemory::default(),
        }
    }
}

impl StoredRow {
    /// Borrows the row in the form that a task restores.
    #[must_use]
    pub fn as_row(&self) -> Row<'_> {
        Row {
            customer_id: &self.customer_id,
            reference_ms: self.reference_ms,
            columns: &self.columns,
            standing: self.standing,
            dedup: self.dedup.view(),
        }
    }
}

/// Decodes a record into `row`. `id` is the record's key without its first byte.
///
/// # Errors
/// If the record is malformed, has a later format or belongs to another plan. `row` then has no meaning.
pub fn decode_row(
    id: &[u8],
    value: &[u8],
    fingerprint: u64,
    row: &mut StoredRow,
) -> Result<(), ChangelogError> {
    let mut input = Reader(value);
    let version = input.u8()?;
    if version > VERSION {
        return Err(ChangelogError::Version { found: version });
    }
    let found = input.u64()?;
    if found != fingerprint {
        return Err(ChangelogError::Plan {
            found,
            expected: fingerprint,
        });
    }
    let id = str::from_utf8(id).map_err(|error| ChangelogError::Malformed(error.to_string()))?;
    row.customer_id.clear();
    row.customer_id.push_str(id);
    row.reference_ms = input.signed()?;
    row.standing = standing(&mut input, row.reference_ms, version)?;
    columns(&mut input, &mut row.columns)?;
    dedup(&mut input, row.reference_ms, version, &mut row.dedup)?;
    Ok(input.end()?)
}

fn standing(input: &mut Reader<'_>, reference_ms: i64, version: u8) -> Result<Standing, Malformed> {
    let segment = input.number()?.checked_sub(1).map(u32::try_from);
    Ok(Standing {
        segment: segment.transpose().map_err(|_| Malformed)?,
        sequence: input.fitting()?,
        version: input.number()?,
        changed_ms: reference_ms.wrapping_add(input.signed()?),
        as_of_ms: reference_ms.wrapping_add(input.signed()?),
        candidate: candidate(input, version)?,
    })
}

fn candidate(input: &mut Reader<'_>, version: u8) -> Result<Option<Candidate>, Malformed> {
    let Some(cause) = usize::from(input.u8()?).checked_sub(1) else {
        return Ok(None);
    };
    Ok(Some(Candidate {
        cause: *Cause::ALL.get(cause).ok_or(Malformed)?,
        segment: input.fitting()?,
        agreed: input.fitting()?,
        cost: cost(input, version)?,
        price: cost(input, version)?,
    }))
}

fn cost(input: &mut Reader<'_>, version: u8) -> Result<f32, Malformed> {
    if version < WITH_COST {
        return Ok(0.0);
    }
    input.f32()
}

fn columns(input: &mut Reader<'_>, columns: &mut Vec<f64>) -> Result<(), Malformed> {
    let count: u32 = input.fitting()?;
    let bits = input.bytes(u64::from(count.div_ceil(8)))?;
    columns.clear();
    columns.resize(count as usize, 0.0);
    for (byte, columns) in bits.iter().zip(columns.chunks_mut(8)) {
        let mut left = *byte;
        while left != 0 {
            let column = columns.get_mut(left.trailing_zeros() as usize);
            *column.ok_or(Malformed)? = f64::from_bits(input.u64()?);
            left &= left - 1;
        }
    }
    Ok(())
}

fn dedup(
    input: &mut Reader<'_>,
    reference_ms: i64,
    version: u8,
    dedup: &mut DedupMemory,
) -> Result<(), Malformed> {
    dedup.clear();
    for _ in 0..input.number()? {
        dedup.push_id(input.u64()?);
    }
    if version >= WITH_SUMS {
        dedup.set_recent(recent(input)?);
    }
    let count = input.number()?;
    if count > 0 && version >= WITH_SUMS {
        dedup.set_sums(order_sums(input)?);
    }
    let sums = dedup.view().sums().len;
    for _ in 0..count {
        let (key, before_ms) = (input.u64()?, input.signed()?);
        dedup.push_order(key, reference_ms.wrapping_sub(before_ms));
        for _ in 0..sums {
            dedup.push_sum(input.u64()?);
        }
    }
    Ok(())
}

fn recent(input: &mut Reader<'_>) -> Result<RecentIds, Malformed> {
    let (now, before) = (input.fitting()?, input.fitting()?);
    let span = match (now, before) {
        (0, 0) => 0,
        _ => input.fitting()?,
    };
    Ok(RecentIds { span, now, before })
}

fn order_sums(input: &mut Reader<'_>) -> Result<OrderSums, Malformed> {
    let len: u32 = input.fitting()?;
    Ok(OrderSums {
        len: len as usize,
        layout: if len > 0 { input.u64()? } else { 0 },
    })
}
