//! How far tasks and the trainer are in event time.
//!
//! On the topic of forwarded events, the watermarks that a worker knows:
//!
//! | what | bytes |
//! |---|---|
//! | kind and version | u8, 0x81 |
//! | number of tasks | number |
//! | for each: its number, its watermark | number, signed |
//! | is the trainer's progress known? | u8, 0 or 1 |
//! | if so: learnt to, live version, customers, length of a period | signed, number, number, number |
//! | does the worker ask the others for theirs? | u8, 0 or 1 |
//!
//! On the samples topic, how far a worker's tasks have sampled:
//!
//! | what | bytes |
//! |---|---|
//! | kind and version | u8, 0x82 |
//! | number of tasks | number |
//! | for each: its number, sampled to, customers | number, signed, number |
//!
//! Numbers have seven bits a byte. Times are event times in milliseconds since the epoch. A task's watermark says that it
//! has read, and forwarded, every event before it; `i64::MAX` says that it has read all there is.

use std::collections::BTreeMap;

use flockwise_core::trainer::Sampled;

use crate::bytes::{Malformed, Reader, put_number, put_signed};

/// No forwarded event begins with it: see [`crate::forward`].
const WATERMARKS: u8 = 0x81;
/// No mini-batch and no order begins with it: see [`crate::trainer_input`].
const SAMPLED: u8 = 0x82;

/// What a worker tells all tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watermarks {
    /// By task.
    pub tasks: BTreeMap<u32, i64>,
    /// From the worker that is the trainer.
    pub trainer: Option<Learnt>,
    /// The worker has just got its tasks and has heard of nobody: the others are to say how far theirs are.
    pub asks: bool,
}

/// How far the trainer has learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// It has learnt from every sample up to this instant.
    pub to_ms: i64,
    /// The version in use from there on; 0: none.
    pub version: u64,
    /// Customers of all tasks then.
    pub customers: u64,
    /// Event time in which all tasks wait for it once, milliseconds: instances with another half-life go by it too.
    /// 0: not known.
    pub period_ms: u64,
}

/// Does a record of forwarded events hold watermarks?
#[must_use]
pub fn holds_watermarks(value: &[u8]) -> bool {
    value.first() == Some(&WATERMARKS)
}

/// Does a record of the samples topic say how far tasks have sampled?
pub(crate) fn holds_sampled(value: &[u8]) -> bool {
    value.first() == Some(&SAMPLED)
}

/// Writes watermarks.
pub fn encode_watermarks(watermarks: &Watermarks, out: &mut Vec<u8>) {
    out.push(WATERMARKS);
    put_number(watermarks.tasks.len() as u64, out);
    for (task, watermark_ms) in &watermarks.tasks {
        put_number(u64::from(*task), out);
        put_signed(*watermark_ms, out);
    }
    out.push(u8::from(watermarks.trainer.is_some()));
    if let Some(learnt) = watermarks.trainer {
        put_signed(learnt.to_ms, out);
        put_number(learnt.version, out);
        put_number(learnt.customers, out);
        put_number(learnt.period_ms, out);
    }
    out.push(u8::from(watermarks.asks));
}

/// Reads watermarks.
///
/// # Errors
/// Where they were not written by [`encode_watermarks`].
pub fn decode_watermarks(value: &[u8]) -> Result<Watermarks, Malformed> {
    let mut input = Reader(value);
    if input.u8()? != WATERMARKS {
        return Err(Malformed);
    }
    let count = input.number()?;
    let mut watermarks = Watermarks::default();
    for _ in 0..count {
        let task = input.fitting()?;
        watermarks.tasks.insert(task, input.signed()?);
    }
    if flag(&mut input)? {
        watermarks.trainer = Some(Learnt {
            to_ms: input.signed()?,
            version: input.number()?,
            customers: input.number()?,
            period_ms: input.number()?,
        });
    }
    watermarks.asks = flag(&mut input)?;
    input.end()?;
    Ok(watermarks)
}

fn flag(input: &mut Reader<'_>) -> Result<bool, Malformed> {
    match input.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}

/// Writes how far tasks have sampled.
pub fn encode_sampled(sampled: &BTreeMap<u32, Sampled>, out: &mut Vec<u8>) {
    out.push(SAMPLED);
    put_number(sampled.len() as u64, out);
    for (task, sampled) in sampled {
        put_number(u64::from(*task), out);
        put_signed(sampled.to_ms, out);
        put_number(sampled.customers, out);
    }
}

/// Reads how far tasks have sampled.
///
/// # Errors
/// Where it was not written by [`encode_sampled`].
pub fn decode_sampled(value: &[u8]) -> Result<BTreeMap<u32, Sampled>, Malformed> {
    let mut input = Reader(value);
    if input.u8()? != SAMPLED {
        return Err(Malformed);
    }
    let count = input.number()?;
    let mut tasks = BTreeMap::new();
    for _ in 0..count {
        let task = input.fitting()?;
        let sampled = Sampled {
            to_ms: input.signed()?,
            customers: input.number()?,
        };
        tasks.insert(task, sampled);
    }
    input.end()?;
    Ok(tasks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watermarks() -> Watermarks {
        Watermarks {
            tasks: BTreeMap::from([(0, i64::MAX), (3, 1_767_225_600_000), (300, i64::MIN)]),
            trainer: Some(Learnt {
                to_ms: 1_767_225_600_000,
                version: 7,
                customers: 1_000,
                period_ms: 108_000_000,
            }),
            asks: true,
        }
    }

    fn hex(value: &[u8]) -> String {
        value.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn watermarks_have_a_fixed_form() {
        let mut value = Vec::new();
        encode_watermarks(&watermarks(), &mut value);
        assert_eq!(
            hex(&value),
            "810300feffffffffffffffff010380a0d5edee66ac02ffffffffffffffffff010180a0d5edee6607e80780e6bf3301"
        );
        assert!(holds_watermarks(&value) && !holds_sampled(&value));
        assert_eq!(decode_watermarks(&value), Ok(watermarks()));
        let tasks_alone = Watermarks {
            trainer: None,
            asks: false,
            ..watermarks()
        };
        let mut value = Vec::new();
        encode_watermarks(&tasks_alone, &mut value);
        assert_eq!(
            hex(&value),
            "810300feffffffffffffffff010380a0d5edee66ac02ffffffffffffffffff010000"
        );
        assert_eq!(decode_watermarks(&value), Ok(tasks_alone));
    }

    #[test]
    fn what_was_sampled_has_a_fixed_form() {
        let sampled = |to_ms, customers| Sampled { to_ms, customers };
        let sampled = BTreeMap::from([(0, sampled(i64::MAX, 0)), (3, sampled(1_000, 300))]);
        let mut value = Vec::new();
        encode_sampled(&sampled, &mut value);
        assert_eq!(hex(&value), "820200feffffffffffffffff010003d00fac02");
        assert!(holds_sampled(&value) && !holds_watermarks(&value));
        assert_eq!(decode_sampled(&value), Ok(sampled));
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_refused() {
        let mut value = Vec::new();
        encode_watermarks(&watermarks(), &mut value);
        for end in 0..value.len() {
            assert_eq!(decode_watermarks(&value[..end]), Err(Malformed), "{end}");
        }
        value.push(0);
        assert_eq!(decode_watermarks(&value), Err(Malformed));
        let mut value = Vec::new();
        let sampled = Sampled {
            to_ms: 1,
            customers: 2,
        };
        encode_sampled(&BTreeMap::from([(1, sampled)]), &mut value);
        for end in 0..value.len() {
            assert_eq!(decode_sampled(&value[..end]), Err(Malformed), "{end}");
        }
        value.push(0);
        assert_eq!(decode_sampled(&value), Err(Malformed));
    }
}
