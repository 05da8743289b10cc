//! A forwarded event: all that the customer's task needs to count it, even if that instance does not have the input
//! configured.
//!
//! | field | encoding |
//! |---|---|
//! | version | u8: 2 with the amount of a reversal, else 1 |
//! | fingerprint of the plan | u64 |
//! | topic, partition, offset, timestamp of the record read | text, number, signed, signed |
//! | customer id, time | text, signed |
//! | event name | its number in the plan plus 1, or 0; then its hash, u64 |
//! | event id, order id | 0, or 1 and a hash, u64; each |
//! | version 2: the amount of a reversal | u8: 1 if there is one, plus 2 if amounts are so far; then kind and value |
//! | values | count, then index in the plan's pointers, kind, and the value |
//!
//! Numbers are LEB128, signed ones in zigzag code. Texts have their length in front. Kinds: 0 false, 1 true, 2 number
//! (f64), 3 text, 4 object or array. Under a pointer without `*`, an absent value is left out.

use flockwise_core::event::{Event, Slot};
use flockwise_core::plan::Plan;
use flockwise_core::pointer::Pointer;

use crate::little_endian::{Malformed, Reader, put_number, put_signed};

/// The latest version, of events that state what they take back. Earlier instances can read all others.
const VERSION: u8 = 2;
const WITHOUT_AMOUNT: u8 = 1;

const AMOUNT: u8 = 1;
const SO_FAR: u8 = 2;

const FALSE: u8 = 0;
const TRUE: u8 = 1;
const NUMBER: u8 = 2;
const TEXT: u8 = 3;
const COMPOSITE: u8 = 4;

/// The record in which an event was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Name of the input topic.
    pub topic: &'a str,
    /// The partition of the topic.
    pub partition: u32,
    /// The record's offset.
    pub offset: i64,
    /// The record's timestamp, milliseconds since the epoch.
    pub timestamp_ms: i64,
}

/// Why a record of the repartition topic cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// Flockwise did not write the record, or it is damaged.
    #[error("not an event that Flockwise forwarded: only Flockwise may write to this topic")]
    Malformed,
    /// A later version of Flockwise wrote the record.
    #[error(
        "a forwarded event has format {found}, this version reads format {VERSION}: another instance runs a later version; \
         run the same version on all instances"
    )]
    Version {
        /// The record's format.
        found: u8,
    },
    /// The sender has another feature plan.
    #[error(
        "a forwarded event was made with another feature plan ({found:016x}, here {expected:016x}): configure the same \
         features on all instances of the pipeline"
    )]
    Plan {
        /// The fingerprint of the sender's plan.
        found: u64,
        /// The fingerprint of this instance's plan.
        expected: u64,
    },
}

impl From<Malformed> for ForwardError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Appends an event to `out`, with the record that it was read in.
pub fn encode_forward(plan: &Plan, event: &Event, origin: &Origin<'_>, out: &mut Vec<u8>) {
    let has_amount = event.amount != Slot::Absent || event.is_so_far;
    out.push(if has_amount { VERSION } else { WITHOUT_AMOUNT });
    out.extend_from_slice(&plan.fingerprint().to_le_bytes());
    put_text(origin.topic, out);
    put_number(u64::from(origin.partition), out);
    put_signed(origin.offset, out);
    put_signed(origin.timestamp_ms, out);
    put_text(event.customer_id(), out);
    put_signed(event.time_ms, out);
    put_number(event.name.map_or(0, |name| u64::from(name) + 1), out);
    out.extend_from_slice(&event.name_hash.to_le_bytes());
    put_hash(event.id, out);
    put_hash(event.order, out);
    if has_amount {
        put_amount(event, out);
    }
    put_number(event.slots().count() as u64, out);
    for (pointer, slot) in event.slots() {
        put_number(pointer as u64, out);
        put_slot(event, slot, out);
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_number(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

fn put_hash(hash: Option<u64>, out: &mut Vec<u8>) {
    out.push(u8::from(hash.is_some()));
    hash.iter()
        .for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
}

fn put_amount(event: &Event, out: &mut Vec<u8>) {
    let has_amount = event.amount != Slot::Absent;
    out.push(AMOUNT * u8::from(has_amount) + SO_FAR * u8::from(event.is_so_far));
    put_slot(event, &event.amount, out);
}

fn put_slot(event: &Event, slot: &Slot, out: &mut Vec<u8>) {
    match slot {
        // An absent value is left out.
        Slot::Absent => {}
        Slot::Bool(flag) => out.push(if *flag { TRUE } else { FALSE }),
        Slot::Number(number) => {
            out.push(NUMBER);
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        Slot::Text(range) => {
            out.push(TEXT);
            put_text(event.text(range), out);
        }
        Slot::Composite => out.push(COMPOSITE),
    }
}

/// Decodes a forwarded event into `event`. Returns the record that it was first read in.
///
/// # Errors
/// If it was not written by [`encode_forward`] of this version with this plan. `event` then holds a part of it.
pub fn decode_forward<'a>(
    plan: &Plan,
    value: &'a [u8],
    event: &mut Event,
) -> Result<Origin<'a>, ForwardError> {
    let mut input = Reader(value);
    let version = input.u8()?;
    match version {
        WITHOUT_AMOUNT | VERSION => {}
        found if found > VERSION => return Err(ForwardError::Version { found }),
        _ => return Err(ForwardError::Malformed),
    }
    let (found, expected) = (input.u64()?, plan.fingerprint());
    if found != expected {
        return Err(ForwardError::Plan { found, expected });
    }
    let origin = Origin {
        topic: text(&mut input)?,
        partition: input.fitting()?,
        offset: input.signed()?,
        timestamp_ms: input.signed()?,
    };
    event.clear(plan.pointers().len());
    let customer_id = event.keep(text(&mut input)?);
    event.set_customer_id(customer_id);
    event.time_ms = input.signed()?;
    event.name = name(plan, input.number()?)?;
    event.name_hash = input.u64()?;
    event.id = hash(&mut input)?;
    event.order = hash(&mut input)?;
    if version == VERSION {
        amount(&mut input, event)?;
    }
    for _ in 0..input.number()? {
        let pointer: usize = input.fitting()?;
        let slot = slot(&mut input, event)?;
        let is_many = plan.pointers().get(pointer).map(Pointer::is_many);
        match is_many.ok_or(Malformed)? {
            true => event.add(pointer, slot),
            false => event.put(pointer, slot),
        }
    }
    input.end()?;
    Ok(origin)
}

fn text<'a>(input: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    let length = input.number()?;
    std::str::from_utf8(input.bytes(length)?).map_err(|_| Malformed)
}

fn name(plan: &Plan, number: u64) -> Result<Option<u16>, Malformed> {
    let Some(name) = number.checked_sub(1) else {
        return Ok(None);
    };
    let is_known = name < plan.names().len() as u64;
    u16::try_from(name)
        .ok()
        .filter(|_| is_known)
        .map(Some)
        .ok_or(Malformed)
}

fn hash(input: &mut Reader<'_>) -> Result<Option<u64>, Malformed> {
    match input.u8()? {
        0 => Ok(None),
        1 => input.u64().map(Some),
        _ => Err(Malformed),
    }
}

fn amount(input: &mut Reader<'_>, event: &mut Event) -> Result<(), Malformed> {
    let flags = input.u8()?;
    if flags > AMOUNT + SO_FAR {
        return Err(Malformed);
    }
    event.is_so_far = flags & SO_FAR != 0;
    if flags & AMOUNT != 0 {
        event.amount = slot(input, event)?;
    }
    Ok(())
}

fn slot(input: &mut Reader<'_>, event: &mut Event) -> Result<Slot, Malformed> {
    Ok(match input.u8()? {
        FALSE => Slot::Bool(false),
        TRUE => Slot::Bool(true),
        NUMBER => Slot::Number(f64::from_bits(input.u64()?)),
        TEXT => Slot::Text(event.keep(text(input)?)),
        COMPOSITE => Slot::Composite,
        _ => return Err(Malformed),
    })
}
