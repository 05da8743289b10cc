//! The decoders of `flockwise-codec`: events, and the records that instances leave for one another.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use flockwise_codec::changelog::{
    StoredRow, decode_row, decode_task_position, encode_row, encode_task_position,
};
use flockwise_codec::decode::Decoder;
use flockwise_codec::format::Format;
use flockwise_codec::forward::{Origin, decode_forward, encode_forward};
use flockwise_codec::model::{decode_publication, encode_publication, summary};
use flockwise_codec::partitioner::Partitioner;
use flockwise_codec::pipeline_record::PipelineRecord;
use flockwise_codec::task_command::{decode_task_command, encode_task_command};
use flockwise_codec::trainer_input::{decode_trainer_input, encode_command, encode_mini_batch};
use flockwise_codec::watermarks::{
    Learnt, Watermarks, decode_sampled, decode_watermarks, encode_sampled, encode_watermarks,
};
use flockwise_config::Config;
use flockwise_core::event::Event;
use flockwise_core::plan::Plan;
use flockwise_core::trainer::{MiniBatch, Sampled, TrainerInput};
use flockwise_runtime::task_id::TaskId;

/// The plan of the web shop, and its decoder.
static SHOP: LazyLock<(Plan, Decoder)> = LazyLock::new(|| {
    let config =
        Config::parse(include_str!("../../config/web-shop.toml")).expect("a configuration");
    let plan = config.plan();
    let decoder = Decoder::new(&config.inputs[0].format, &plan);
    (plan, decoder)
});

/// The plan that the golden model belongs to.
static GOLDEN: LazyLock<Plan> = LazyLock::new(|| {
    let feature = flockwise_core::feature::Feature::count;
    Plan::compile(&[feature("orders"), feature("days_since_order")])
});

/// Decodes and encodes the bytes, and what that gives once more: the same bytes must come out. Returns whether the bytes
/// were accepted.
fn is_stable(bytes: &[u8], recode: impl Fn(&[u8]) -> Option<Vec<u8>>) -> bool {
    let Some(first) = recode(bytes) else {
        return false;
    };
    let second = recode(&first).expect("what was encoded can be decoded");
    assert_eq!(first, second, "encoding is stable");
    true
}

pub(crate) fn event_seeds() -> Vec<Vec<u8>> {
    [
        r#"{"type":"track","event":"Order Completed","userId":"h0001","messageId":"m-1","timestamp":"2026-01-02T03:04:05.678Z","properties":{"order_id":"o-1","revenue":19.99,"products":[{"category":"a","price":1e3}]}}"#,
        r#"{"event":"Order Refunded","anonymousId":17,"sentAt":1767323045,"properties":{"order_id":7,"revenue":-0.0}}"#,
        r#"{"userId":"\u00e9\ud83d\ude00\n","type":"identify","timestamp":1767323045678000,"traits":[[[{}]]]}"#,
        r#"{"userId":"a","type":"page","timestamp":"2026-03-01 11:00:00.1234567891 +0100"}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

pub(crate) fn event(bytes: &[u8]) -> bool {
    let (plan, decoder) = &*SHOP;
    let mut event = Event::default();
    let is_event = decoder.decode(plan, Some(bytes), &mut event).is_ok();
    if is_event {
        assert!(!event.customer_id().is_empty(), "an event has a customer");
        let mut forwarded = Vec::new();
        encode_forward(plan, &event, &origin(), &mut forwarded);
        assert!(is_stable(&forwarded, forward_again));
    }
    let native = Decoder::new(&Format::builtin("native").expect("a format"), plan);
    native.decode(plan, Some(bytes), &mut event).is_ok() || is_event
}

fn origin() -> Origin<'static> {
    Origin {
        topic: "orders",
        partition: 3,
        offset: 912,
        timestamp_ms: 1_767_323_045_678,
    }
}

fn forward_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let plan = &SHOP.0;
    let mut event = Event::default();
    let origin = decode_forward(plan, bytes, &mut event).ok()?;
    let mut out = Vec::new();
    encode_forward(plan, &event, &origin, &mut out);
    Some(out)
}

pub(crate) fn forward_seeds() -> Vec<Vec<u8>> {
    let (plan, decoder) = &*SHOP;
    let events = event_seeds().into_iter().filter_map(|seed| {
        let mut event = Event::default();
        decoder.decode(plan, Some(&seed), &mut event).ok()?;
        let mut out = Vec::new();
        encode_forward(plan, &event, &origin(), &mut out);
        Some(out)
    });
    events.collect()
}

pub(crate) fn forward(bytes: &[u8]) -> bool {
    is_stable(bytes, forward_again)
}

pub(crate) fn watermarks_seeds() -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    encode_watermarks(
        &Watermarks {
            tasks: BTreeMap::from(
                [(0, 1_767_323_045_678), (7, i64::MAX), (11, i64::MIN)]
                    .map(|(task, at_ms)| (TaskId(task), at_ms)),
            ),
            trainer: Some(Learnt {
                to_ms: 1_767_323_000_000,
                version: 42,
                customers: 9_000,
                period_ms: 3_600_000,
            }),
            asks: true,
        },
        &mut out,
    );
    vec![out]
}

pub(crate) fn watermarks(bytes: &[u8]) -> bool {
    let watermarks = is_stable(bytes, |bytes| {
        let mut out = Vec::new();
        encode_watermarks(&decode_watermarks(bytes).ok()?, &mut out);
        Some(out)
    });
    let sampled = is_stable(bytes, |bytes| {
        let mut out = Vec::new();
        encode_sampled(&decode_sampled(bytes).ok()?, &mut out);
        Some(out)
    });
    watermarks || sampled
}

pub(crate) fn task_command_seeds() -> Vec<Vec<u8>> {
    let erase = br#"{"command":"erase","customer_id":"h0001","at":"2026-01-02T03:04:05.678Z"}"#;
    vec![erase.to_vec()]
}

pub(crate) fn task_command(bytes: &[u8]) -> bool {
    let again = |bytes: &[u8]| Some(encode_task_command(&decode_task_command(bytes).ok()?));
    is_stable(bytes, again)
}

pub(crate) fn trainer_input_seeds() -> Vec<Vec<u8>> {
    let mut batch = Vec::new();
    encode_mini_batch(
        &MiniBatch {
            at_ms: 1_767_323_045_678,
            sample: vec![(7, vec![1.0, -0.5]), (9, vec![0.0, 1e300])],
        },
        &mut batch,
    );
    let mut sampled = Vec::new();
    let count = Sampled {
        to_ms: 1_767_323_000_000,
        customers: 100,
    };
    encode_sampled(&BTreeMap::from([(TaskId(3), count)]), &mut sampled);
    let command = br#"{"command":"approve","version":43,"who":"ann","why":"autumn","at":"2026-01-01T00:00:00.000Z"}"#;
    vec![batch, sampled, command.to_vec()]
}

pub(crate) fn trainer_input(bytes: &[u8]) -> bool {
    let again = |bytes: &[u8]| {
        let mut out = Vec::new();
        match decode_trainer_input(bytes, &GOLDEN).ok()? {
            TrainerInput::MiniBatch(batch) => encode_mini_batch(&batch, &mut out),
            TrainerInput::Sampled(sampled) => encode_sampled(&sampled, &mut out),
            TrainerInput::Command(command) => out = encode_command(&command),
        }
        Some(out)
    };
    is_stable(bytes, again)
}

/// Bytes of a golden file in hexadecimal.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    digits
        .chunks_exact(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

pub(crate) fn row_seeds() -> Vec<Vec<u8>> {
    [
        include_str!("../../crates/flockwise-codec/tests/golden/row.hex"),
        include_str!("../../crates/flockwise-codec/tests/golden/row_before_cost.hex"),
    ]
    .map(unhex)
    .to_vec()
}

pub(crate) fn row(bytes: &[u8]) -> bool {
    // Every plan is accepted: the row's own.
    let Some(fingerprint) = bytes.get(1..9).and_then(|bytes| bytes.try_into().ok()) else {
        return false;
    };
    let fingerprint = u64::from_le_bytes(fingerprint);
    let again = |bytes: &[u8]| {
        let mut row = StoredRow::default();
        decode_row(b"h0001", bytes, fingerprint, &mut row).ok()?;
        let mut out = Vec::new();
        encode_row(&row.as_row(), fingerprint, &mut out);
        Some(out)
    };
    is_stable(bytes, again)
}

pub(crate) fn task_position_seeds() -> Vec<Vec<u8>> {
    [
        &include_bytes!("../../crates/flockwise-codec/tests/golden/task_position.json")[..],
        include_bytes!("../../crates/flockwise-codec/tests/golden/task_position_with_epoch.json"),
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

pub(crate) fn task_position(bytes: &[u8]) -> bool {
    let topics = ["orders".to_owned(), "clicks".to_owned()];
    let again = |bytes: &[u8]| {
        let (position, owner) = decode_task_position(bytes, &topics).ok()?;
        let mut out = Vec::new();
        encode_task_position(&position, &topics, owner.as_deref(), &mut out);
        Some(out)
    };
    is_stable(bytes, again)
}

pub(crate) fn model_seeds() -> Vec<Vec<u8>> {
    vec![include_bytes!("../../crates/flockwise-codec/tests/golden/model.json").to_vec()]
}

pub(crate) fn model(bytes: &[u8]) -> bool {
    let again = |bytes: &[u8]| {
        let (publication, mini_batches) = decode_publication(bytes, &GOLDEN).ok()?;
        Some(encode_publication(&publication, mini_batches))
    };
    let is_accepted = is_stable(bytes, again);
    assert!(
        !is_accepted || summary(bytes).is_ok(),
        "what can be decoded can be glanced at"
    );
    is_accepted
}

pub(crate) fn pipeline_record_seeds() -> Vec<Vec<u8>> {
    let record = PipelineRecord::new(Partitioner::Murmur2, 12, &SHOP.0);
    vec![
        record.encode(),
        record.started_at(1_767_323_045_678).encode(),
    ]
}

pub(crate) fn pipeline_record(bytes: &[u8]) -> bool {
    let again = |bytes: &[u8]| {
        PipelineRecord::decode(bytes)
            .ok()
            .map(|found| found.encode())
    };
    is_stable(bytes, again)
}
