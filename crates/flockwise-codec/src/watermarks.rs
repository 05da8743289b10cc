//! Progress of the tasks and of the trainer in event time.
//!
//! On the repartition topic, the watermarks that a worker knows:
//!
//! | field | encoding |
//! |---|---|
//! | kind and version | u8, 0x81 |
//! | count of tasks | number |
//! | for each task: its number, its watermark | number, signed |
//! | whether the trainer's progress is known | u8, 0 or 1 |
//! | if so: learnt to, live version, customers, length of a period | signed, number, number, number |
//! | whether the worker asks the others for their watermarks | u8, 0 or 1 |
//!
//! On the samples topic, how far a worker's tasks have sampled:
//!
//! | field | encoding |
//! |---|---|
//! | kind and version | u8, 0x82 |
//! | count of tasks | number |
//! | for each task: its number, sampled to, customers | number, signed, number |
//!
//! Numbers are LEB128, signed ones in zigzag code. Times are event times in milliseconds since the epoch. A task has
//! read, and forwarded, every event before its watermark; `i64::MAX` means that it has read its inputs to the end.

use std::collections::BTreeMap;

use flockwise_core::trainer::Sampled;
use flockwise_vocabulary::task_id::TaskId;

use crate::little_endian::{Malformed, Reader, put_number, put_signed};

/// Differs from the first byte of a forwarded event: see [`crate::forward`].
const WATERMARKS: u8 = 0x81;
/// Differs from the first byte of a mini-batch and of a command: see [`crate::trainer_input`].
const SAMPLED: u8 = 0x82;

/// What a worker sends to all tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watermarks {
    /// Watermarks by task, milliseconds since the epoch; `i64::MAX`: the task has read its inputs to the end.
    pub tasks: BTreeMap<TaskId, i64>,
    /// The trainer's progress; `None` if the worker does not know it.
    pub trainer: Option<Learnt>,
    /// The worker has new tasks and knows no other watermarks yet: the other workers must send theirs.
    pub asks: bool,
}

/// How far the trainer has learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// The trainer has learnt from every sample up to this instant, milliseconds since the epoch.
    pub to_ms: i64,
    /// The version in use from that instant on; 0: none.
    pub version: u64,
    /// Customers of all tasks at that instant.
    pub customers: u64,
    /// All tasks wait for the trainer once in each period of this length, milliseconds of event time. Instances
    /// configured with another half-life use it too. 0: unknown.
    pub period_ms: u64,
}

/// Whether a record of the repartition topic holds watermarks.
#[must_use]
pub fn holds_watermarks(value: &[u8]) -> bool {
    value.first() == Some(&WATERMARKS)
}

/// Whether a record of the samples topic holds how far tasks have sampled.
pub(crate) fn is_sampled(value: &[u8]) -> bool {
    value.first() == Some(&SAMPLED)
}

/// Appends watermarks to `out`.
pub fn encode_watermarks(watermarks: &Watermarks, out: &mut Vec<u8>) {
    out.push(WATERMARKS);
    put_number(watermarks.tasks.len() as u64, out);
    for (task, watermark_ms) in &watermarks.tasks {
        put_number(u64::from(task.0), out);
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

/// Decodes watermarks.
///
/// # Errors
/// If [`encode_watermarks`] did not write the bytes.
pub fn decode_watermarks(value: &[u8]) -> Result<Watermarks, Malformed> {
    let mut input = Reader(value);
    if input.u8()? != WATERMARKS {
        return Err(Malformed);
    }
    let count = input.number()?;
    let mut watermarks = Watermarks::default();
    for _ in 0..count {
        let task = TaskId(input.fitting()?);
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

/// Appends to `out` how far tasks have sampled, by task.
pub fn encode_sampled(sampled: &BTreeMap<TaskId, Sampled>, out: &mut Vec<u8>) {
    out.push(SAMPLED);
    put_number(sampled.len() as u64, out);
    for (task, sampled) in sampled {
        put_number(u64::from(task.0), out);
        put_signed(sampled.to_ms, out);
        put_number(sampled.customers, out);
    }
}

/// Decodes how far tasks have sampled, by task.
///
/// # Errors
/// If [`encode_sampled`] did not write the bytes.
pub fn decode_sampled(value: &[u8]) -> Result<BTreeMap<TaskId, Sampled>, Malformed> {
    let mut input = Reader(value);
    if input.u8()? != SAMPLED {
        return Err(Malformed);
    }
    let count = input.number()?;
    let mut tasks = BTreeMap::new();
    for _ in 0..count {
        let task = TaskId(input.fitting()?);
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
            tasks: BTreeMap::from([
                (TaskId(0), i64::MAX),
                (TaskId(3), 1_767_225_600_000),
                (TaskId(300), i64::MIN),
            ]),
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
        assert!(holds_watermarks(&value) && !is_sampled(&value));
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
        let sampled = BTreeMap::from([
            (TaskId(0), sampled(i64::MAX, 0)),
            (TaskId(3), sampled(1_000, 300)),
        ]);
        let mut value = Vec::new();
        encode_sampled(&sampled, &mut value);
        assert_eq!(hex(&value), "820200feffffffffffffffff010003d00fac02");
        assert!(is_sampled(&value) && !holds_watermarks(&value));
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
        encode_sampled(&BTreeMap::from([(TaskId(1), sampled)]), &mut value);
        for end in 0..value.len() {
            assert_eq!(decode_sampled(&value[..end]), Err(Malformed), "{end}");
        }
        value.push(0);
        assert_eq!(decode_sampled(&value), Err(Malformed));
    }
}
