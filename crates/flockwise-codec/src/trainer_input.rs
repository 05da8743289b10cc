//! The trainer's input: the records of the samples topic. The first byte gives the kind.
//!
//! 2: a mini-batch. Binary, little endian: at i64, dimensions u16, count u32, and for each customer the hash u64
//! and the vector, f64. `{`: a command, JSON. 0x82: how far tasks have sampled, see [`crate::watermarks`].

use flockwise_core::model::ModelVersion;
use flockwise_core::plan::Plan;
use flockwise_core::publication::Publication;
use flockwise_core::trainer::{CommandAction, MiniBatch, TrainerCommand, TrainerInput};
use serde::{Deserialize, Serialize};

use crate::little_endian::{Malformed, Reader, put_f64s};
use crate::model::{ModelRecord, publication, record};
use crate::time::{parse_time, write_time};
use crate::watermarks::{decode_sampled, is_sampled};

const MINI_BATCH: u8 = 2;

/// Appends a mini-batch to `out`.
pub fn encode_mini_batch(batch: &MiniBatch, out: &mut Vec<u8>) {
    let dimensions = batch.sample.first().map_or(0, |(_, vector)| vector.len());
    out.push(MINI_BATCH);
    out.extend_from_slice(&batch.at_ms.to_le_bytes());
    out.extend_from_slice(&(dimensions as u16).to_le_bytes());
    out.extend_from_slice(&(batch.sample.len() as u32).to_le_bytes());
    for (customer, vector) in &batch.sample {
        out.extend_from_slice(&customer.to_le_bytes());
        put_f64s(out, vector);
    }
}

/// Decodes a mini-batch.
///
/// # Errors
/// If the bytes are not a mini-batch.
pub fn decode_mini_batch(bytes: &[u8]) -> Result<MiniBatch, Malformed> {
    let mut input = Reader(bytes);
    if input.u8()? != MINI_BATCH {
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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandRecord {
    command: CommandKind,
    /// The version to approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// The model to import or to roll back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<Box<ModelRecord>>,
    who: String,
    why: String,
    at: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CommandKind {
    Approve,
    Import,
    Rollback,
}

/// Encodes a command.
#[must_use]
pub fn encode_command(command: &TrainerCommand) -> Vec<u8> {
    let whole = |model: &ModelVersion| {
        let live = Publication::live(model.clone());
        Some(Box::new(record(&live, None)))
    };
    let (kind, version, model) = match &command.what {
        CommandAction::Approve { version } => (CommandKind::Approve, Some(*version), None),
        CommandAction::Import(model) => (CommandKind::Import, None, whole(model)),
        CommandAction::Rollback(model) => (CommandKind::Rollback, None, whole(model)),
    };
    let command = CommandRecord {
        command: kind,
        version,
        model,
        who: command.who.clone(),
        why: command.why.clone(),
        at: write_time(command.at_ms),
    };
    // Cannot fail: it writes texts and numbers to memory.
    serde_json::to_vec(&command).unwrap_or_default()
}

fn decode_command(bytes: &[u8], plan: &Plan) -> Result<TrainerCommand, String> {
    let record: CommandRecord =
        serde_json::from_slice(bytes).map_err(|error| format!("not a command: {error}"))?;
    let at_ms = parse_time(&record.at)
        .ok_or_else(|| format!("command: at `{}` is not RFC 3339", record.at))?;
    let model = record.model.map(|model| publication(*model, plan));
    let model = model.transpose()?.map(|found| Box::new(found.model));
    let what = match (record.command, record.version, model) {
        (CommandKind::Approve, Some(version), None) => CommandAction::Approve { version },
        (CommandKind::Import, None, Some(model)) => CommandAction::Import(model),
        (CommandKind::Rollback, None, Some(model)) => CommandAction::Rollback(model),
        _ => return Err("a command needs a version to approve, or else a model".to_owned()),
    };
    Ok(TrainerCommand {
        what,
        who: record.who,
        why: record.why,
        at_ms,
    })
}

/// Decodes any record of the samples topic.
///
/// # Errors
/// If the record is of no known kind or is malformed. The text says what is wrong.
pub fn decode_trainer_input(bytes: &[u8], plan: &Plan) -> Result<TrainerInput, String> {
    if bytes.first() == Some(&b'{') {
        return decode_command(bytes, plan).map(TrainerInput::Command);
    }
    let input = match is_sampled(bytes) {
        true => decode_sampled(bytes).map(TrainerInput::Sampled),
        false => decode_mini_batch(bytes).map(TrainerInput::MiniBatch),
    };
    input.map_err(|_| "neither a mini-batch nor a command".to_owned())
}
