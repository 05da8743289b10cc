//! Changes, the changelog and mini-batches.
use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_codec::Malformed;
use flockwise_codec::change::ChangeEncoder;
use flockwise_codec::changelog::{
    ChangelogError, StoredRow, decode_row, decode_task_position, encode_row, encode_task_position,
    row_key,
};
use flockwise_codec::trainer_input::{decode_mini_batch, encode_mini_batch};
use flockwise_core::change::{Change, Driver, Trigger};
use flockwise_core::decide::{Candidate, Cause, Standing};
use flockwise_core::dedup::{DedupMemory, OrderSums, RecentIds};
use flockwise_core::model::Model;
use flockwise_core::task::{Progress, TaskPosition, Versions};
use flockwise_core::trainer::MiniBatch;

use crate::{plan, version};

const CHANGE: &str = include_str!("change.json");
const FIRST_CHANGE: &str = include_str!("first_change.json");
const ROW: &str = include_str!("row.hex");
const ROW_BEFORE_COST: &str = include_str!("row_before_cost.hex");
const ROW_BEFORE_SUMS: &str = include_str!("row_before_sums.hex");
const TASK_POSITION: &str = include_str!("task_position.json");
const TASK_POSITION_WITH_EPOCH: &str = include_str!("task_position_with_epoch.json");
const SAMPLE: &str = include_str!("sample.hex");

const PLAN: u64 = 0x0123_4567_89ab_cdef;

fn topics() -> Vec<String> {
    ["clicks", "orders"].map(str::to_owned).to_vec()
}

/// 64 hexadecimal digits a line.
fn hex(bytes: &[u8]) -> String {
    let digits =
        |line: &[u8]| -> String { line.iter().map(|byte| format!("{byte:02x}")).collect() };
    bytes.chunks(32).map(|line| digits(line) + "\n").collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    assert!(rest.is_empty(), "whole bytes");
    pairs
        .iter()
        .map(|[high, low]| (high * 16 + low) as u8)
        .collect()
}

fn change() -> Change {
    let driver = |feature, value, typical, pull| {
        Some(Driver {
            feature,
            value,
            typical,
            pull,
        })
    };
    Change {
        row: 0,
        sequence: 7,
        occurred_ms: 1_767_323_045_678,
        from: Some(12),
        to: Some(4),
        cause: Cause::Behaviour,
        distance: Some(0.41),
        distance_from: Some(0.77),
        margin: Some(0.47),
        is_outlier: false,
        drivers: [driver(0, 3.2, 0.4, 0.61), driver(1, 0.5, 402.0, 0.39), None],
        model_version: 42,
        model_version_before: None,
        trigger: Some(Trigger {
            input: 0,
            partition: 3,
            offset: 912,
        }),
    }
}

fn encoded(change: &Change) -> String {
    let plan = plan();
    let versions = Versions {
        current: Arc::new(Model::new(&plan, version()).unwrap()),
        previous: None,
    };
    let mut out = Vec::new();
    ChangeEncoder::new("shop", &topics(), &plan).encode(&versions, "h\"1\u{e9}", change, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_change() {
    assert_eq!(encoded(&change()), CHANGE.trim_end());
}

/// The key `outlier` appears only for an outlier. The bytes of all other changes stay the same.
#[test]
fn a_change_of_an_outlier_says_so() {
    let change = Change {
        is_outlier: true,
        ..change()
    };
    let expected = CHANGE.replacen("\"drivers\"", "\"outlier\":true,\"drivers\"", 1);
    assert_eq!(encoded(&change), expected.trim_end());
}

#[test]
fn a_first_change_by_a_sweep_has_neither_from_nor_trigger() {
    let change = Change {
        sequence: 1,
        from: None,
        to: Some(99),
        cause: Cause::Time,
        distance_from: None,
        drivers: [None; 3],
        trigger: None,
        ..change()
    };
    assert_eq!(encoded(&change), FIRST_CHANGE.trim_end());
}

fn read_row(id: &[u8], value: &[u8], plan: u64) -> Result<StoredRow, ChangelogError> {
    let mut row = StoredRow::default();
    decode_row(id, value, plan, &mut row).map(|()| row)
}

fn row() -> StoredRow {
    StoredRow {
        customer_id: "h0001\u{e9}".to_owned(),
        reference_ms: 1_767_323_045_678,
        columns: vec![3.2, 0.0, f64::NEG_INFINITY, -0.0],
        standing: Standing {
            segment: Some(12),
            sequence: 7,
            changed_ms: 1_767_000_000_000,
            as_of_ms: 1_767_323_999_999,
            version: 42,
            candidate: Some(Candidate {
                segment: 4,
                cost: 0.375,
                price: 0.5,
                agreed: 2,
                cause: Cause::Time,
            }),
        },
        dedup: memory(),
    }
}

fn memory() -> DedupMemory {
    let mut memory = DedupMemory::default();
    memory.set_sums(OrderSums {
        len: 2,
        layout: 0x1234_5678,
    });
    memory.set_recent(RecentIds {
        span: 2_945_538,
        now: 1,
        before: 1,
    });
    memory.push_id(1);
    memory.push_id(u64::MAX);
    memory.push_order(5, -6);
    memory.push_sum(19.99_f64.to_bits());
    memory.push_sum(0);
    memory
}

#[test]
fn a_row_of_the_changelog() {
    let row = row();
    let mut value = Vec::new();
    encode_row(&row.as_row(), PLAN, &mut value);
    assert_eq!(hex(&value), ROW);
    assert_eq!(
        read_row(row.customer_id.as_bytes(), &unhex(ROW), PLAN),
        Ok(row)
    );
    let mut key = Vec::new();
    row_key("h1", &mut key);
    assert_eq!(key, b"\x01h1");
}

#[test]
fn a_row_from_before_candidates_had_a_cost() {
    let mut row = row();
    row.dedup = without_sums();
    let read = read_row(row.customer_id.as_bytes(), &unhex(ROW_BEFORE_COST), PLAN);
    let candidate = row.standing.candidate.as_mut().unwrap();
    (candidate.cost, candidate.price) = (0.0, 0.0);
    assert_eq!(read, Ok(row));
}

#[test]
fn a_row_from_before_orders_had_sums() {
    let mut row = row();
    row.dedup = without_sums();
    let read = read_row(row.customer_id.as_bytes(), &unhex(ROW_BEFORE_SUMS), PLAN);
    assert_eq!(read, Ok(row));
}

fn without_sums() -> DedupMemory {
    DedupMemory::restore(vec![1, u64::MAX], vec![(5, -6)])
}

#[test]
fn a_row_of_another_plan_or_a_later_format_says_what_to_do() {
    let told = |value: &[u8], plan| read_row(b"h", value, plan).unwrap_err().to_string();
    assert_eq!(
        told(&unhex(ROW), 7),
        "the state was made with another feature plan (0123456789abcdef, now 0000000000000007): bring the former features back, or give the pipeline a new `app` name so that it reads its inputs again from the start"
    );
    assert_eq!(
        told(&[4], PLAN),
        "a changelog record has format 4, this version reads up to 3: use the version that wrote it or a later one"
    );
    assert!(matches!(
        decode_task_position(
            TASK_POSITION
                .replace("\"format\":3", "\"format\":9")
                .as_bytes(),
            &topics()
        ),
        Err(ChangelogError::Version { found: 9 })
    ));
}

#[test]
fn a_row_cut_short_or_too_long_is_malformed() {
    let whole = unhex(ROW);
    for length in 0..whole.len() {
        let found = read_row(b"h", &whole[..length], PLAN);
        assert!(
            matches!(found, Err(ChangelogError::Malformed(_))),
            "{length}"
        );
    }
    let longer = [whole.as_slice(), b"\0"].concat();
    assert!(matches!(
        read_row(b"h", &longer, PLAN),
        Err(ChangelogError::Malformed(_))
    ));
    assert!(matches!(
        read_row(b"\xff", &whole, PLAN),
        Err(ChangelogError::Malformed(_))
    ));
}

#[test]
fn a_row_that_claims_to_be_huge_takes_no_memory() {
    let start = [&[1][..], &PLAN.to_le_bytes(), &[0; 7]].concat();
    for count in [
        [0xff, 0xff, 0xff, 0xff, 0x0f],
        [0xff, 0xff, 0xff, 0xff, 0x7f],
    ] {
        for shorter in [&[][..], &[0], &[0, 0]] {
            let value = [&start, shorter, &count, &[0; 9]].concat();
            let found = read_row(b"h", &value, PLAN);
            assert!(matches!(found, Err(ChangelogError::Malformed(_))));
        }
    }
}

fn progress(next_offset: i64, time_ms: i64) -> Progress {
    Progress {
        next_offset,
        time_ms,
        leader_epoch: None,
    }
}

#[test]
fn a_task_position() {
    let position = TaskPosition {
        inputs: BTreeMap::from([
            ((0, 3), progress(912, 1_767_323_045_678)),
            ((1, 0), progress(0, i64::MIN)),
        ]),
        other_inputs: BTreeMap::from([(("refunds".to_owned(), 7), progress(5, 6))]),
        topic_ids: BTreeMap::from([("clicks".to_owned(), "c.1".to_owned())]),
        repartition_offset: 17,
        stream_ms: 1_767_323_045_678,
        swept_ms: Some(490_923_068),
        passed_ms: 1_767_323_045_678,
        sampled_ms: 1_767_323_045_678,
        leap: None,
        version: 42,
        version_since_ms: Some(490_923_000),
        customers: None,
    };
    let mut out = Vec::new();
    encode_task_position(&position, &topics(), Some("shop-1"), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), TASK_POSITION.trim_end());
    assert_eq!(
        decode_task_position(TASK_POSITION.as_bytes(), &topics()),
        Ok((position, Some("shop-1".to_owned())))
    );
}

#[test]
fn a_task_position_has_the_leader_epochs_that_are_known() {
    let (mut position, owner) = decode_task_position(TASK_POSITION.as_bytes(), &topics()).unwrap();
    let known = position.inputs.get_mut(&(0, 3)).unwrap();
    known.leader_epoch = Some(14);
    let mut out = Vec::new();
    encode_task_position(&position, &topics(), owner.as_deref(), &mut out);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, TASK_POSITION_WITH_EPOCH.trim_end());
    assert_eq!(
        decode_task_position(text.as_bytes(), &topics()),
        Ok((position, owner))
    );
}

#[test]
fn a_task_position_keeps_positions_of_topics_that_are_no_inputs_and_follows_names() {
    let topics = ["orders".to_owned()];
    let (mut found, _) = decode_task_position(TASK_POSITION.as_bytes(), &topics).unwrap();
    assert_eq!(found.inputs.keys().collect::<Vec<_>>(), [&(0, 0)]);
    let others: Vec<_> = found.other_inputs.keys().cloned().collect();
    assert_eq!(
        others,
        [("clicks".to_owned(), 3), ("refunds".to_owned(), 7)]
    );
    // A configuration with one of the inputs writes the record, and one with more of them reads it.
    found.repartition_offset = 18;
    let mut out = Vec::new();
    encode_task_position(&found, &topics, None, &mut out);
    let topics = ["refunds", "clicks"].map(str::to_owned);
    let (back, _) = decode_task_position(&out, &topics).unwrap();
    let positions = back.inputs.into_iter();
    let positions: Vec<_> = positions
        .map(|(place, at)| (place, at.next_offset))
        .collect();
    assert_eq!(positions, [((0, 7), 5), ((1, 3), 912)]);
}

#[test]
fn a_task_position_need_not_say_whose_it_is() {
    let without = TASK_POSITION.replace(",\"owner\":\"shop-1\"", "");
    let (position, owner) = decode_task_position(without.as_bytes(), &topics()).unwrap();
    assert_eq!(owner, None);
    let mut out = Vec::new();
    encode_task_position(&position, &topics(), None, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), without.trim_end());
}

fn check_mini_batch(batch: &MiniBatch, golden: &str) {
    let mut out = Vec::new();
    encode_mini_batch(batch, &mut out);
    assert_eq!(hex(&out), golden);
    assert_eq!(decode_mini_batch(&unhex(golden)).as_ref(), Ok(batch));
    for length in 0..out.len() {
        assert_eq!(decode_mini_batch(&out[..length]), Err(Malformed));
    }
    out.push(0);
    assert_eq!(decode_mini_batch(&out), Err(Malformed));
}

#[test]
fn a_sample() {
    let sample = vec![(7, vec![1.0, -2.5]), (u64::MAX, vec![0.0, 1e15])];
    check_mini_batch(
        &MiniBatch {
            at_ms: 1_767_323_045_678,
            sample,
        },
        SAMPLE,
    );
}

#[test]
fn a_sample_that_claims_to_be_huge_takes_no_memory() {
    let mut bytes = vec![2];
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&[0xff; 6]);
    assert_eq!(decode_mini_batch(&bytes), Err(Malformed));
}
