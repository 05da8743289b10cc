//! Invalid events, duplicates and reversals.

use std::collections::BTreeMap;

use flockwise_codec::decode::LARGEST_EVENT;
use flockwise_memory::CommittedRecord;
use flockwise_runtime::topics::Topic;

use super::{PARTITIONS, plain, well_keyed, wrongly_keyed};
use crate::checks::header;
use crate::events::{InputRecord, generated, record};
use crate::test_broker::TestBroker;
use crate::worker_thread::WorkerThread;

/// Invalid events of every kind become dead letters with their raw bytes. All other events are processed.
pub fn bad_events_are_put_aside_whole<S: TestBroker>() {
    let Some(mut scenario) = plain::<S>() else {
        return;
    };
    let good = wrongly_keyed(generated(3_000, 150, 9));
    let bad = bad_events();
    let records = interleave(&good, &bad);
    let expected = expected_dead_letters(&records, &scenario.pipeline.topics.inputs[0]);
    assert_eq!(expected.len(), bad.len());
    let all: Vec<InputRecord> = records.into_iter().map(|(record, _)| record).collect();
    scenario.put(&all);
    let workers = ["a", "b"].map(|member| scenario.worker(member));
    scenario.wait_until_drained(&workers.each_ref());
    workers.into_iter().for_each(WorkerThread::leave);
    let dead_letters = scenario.broker.read(Topic::DeadLetters);
    assert_eq!(
        dead_letters
            .iter()
            .flatten()
            .map(dead_letter)
            .collect::<BTreeMap<_, _>>(),
        expected
    );
    assert_eq!(dead_letters.iter().flatten().count(), bad.len());
    assert_eq!(scenario.counter("dead_letters_total"), bad.len() as u64);
    scenario.check_all(&good);
}

/// Tombstones of a compacted input are skipped and counted, and are not dead letters. An empty value is a dead
/// letter.
pub fn tombstones_are_skipped<S: TestBroker>() {
    let Some(mut scenario) = plain::<S>() else {
        return;
    };
    let good = wrongly_keyed(generated(500, 50, 11));
    let mut records = good.clone();
    for index in [500, 333, 332, 0] {
        let value = None;
        records.insert(
            index,
            InputRecord {
                value,
                ..good[index.min(499)].clone()
            },
        );
    }
    let value = Some(Vec::new());
    records.push(InputRecord {
        value,
        ..good[7].clone()
    });
    scenario.put(&records);
    let worker = scenario.worker("a");
    scenario.wait_until_drained(&[&worker]);
    worker.leave();
    assert_eq!(scenario.counter("tombstones_total"), 4);
    assert_eq!(scenario.counter("events_total"), 501);
    let dead_letters = scenario.broker.read(Topic::DeadLetters);
    let mut dead_letters = dead_letters.iter().flatten();
    let dead_letter = dead_letters.next().expect("a dead letter");
    assert_eq!(header(dead_letter, "flockwise.reason"), "empty");
    assert_eq!(dead_letters.count(), 0);
    scenario.check_all(&good);
}

/// Origin of a dead letter: partition and offset.
type Origin = (String, String);
/// Topic, reason, key and value of a dead letter.
type DeadLetter = (String, String, Option<Vec<u8>>, Option<Vec<u8>>);

fn dead_letter(record: &CommittedRecord) -> (Origin, DeadLetter) {
    assert!(!header(record, "flockwise.detail").is_empty());
    assert!(header(record, "flockwise.timestamp").parse::<i64>().is_ok());
    let index = (
        header(record, "flockwise.partition"),
        header(record, "flockwise.offset"),
    );
    let topic = header(record, "flockwise.topic");
    let reason = header(record, "flockwise.reason");
    (
        index,
        (topic, reason, record.key.clone(), record.value.clone()),
    )
}

fn expected_dead_letters(
    records: &[(InputRecord, Option<&'static str>)],
    topic: &str,
) -> BTreeMap<Origin, DeadLetter> {
    let mut offsets = [0; PARTITIONS as usize];
    let mut dead_letters = BTreeMap::new();
    for (record, reason) in records {
        let offset = &mut offsets[record.partition as usize];
        let index = (record.partition.to_string(), offset.to_string());
        *offset += 1;
        let Some(reason) = reason else { continue };
        let mut value = record.value.clone();
        value
            .iter_mut()
            .for_each(|value| value.truncate(LARGEST_EVENT));
        let dead_letter = (
            topic.to_owned(),
            (*reason).to_owned(),
            Some(record.key.clone()),
            value,
        );
        dead_letters.insert(index, dead_letter);
    }
    dead_letters
}

/// Spreads bad events evenly among the good ones and over all partitions.
fn interleave(
    good: &[InputRecord],
    bad: &[(Option<Vec<u8>>, &'static str)],
) -> Vec<(InputRecord, Option<&'static str>)> {
    let step = good.len() / (bad.len() + 1);
    let mut records: Vec<_> = good.iter().map(|record| (record.clone(), None)).collect();
    for (number, (value, reason)) in bad.iter().enumerate().rev() {
        let index = (number + 1) * step;
        let record = InputRecord {
            key: format!("bad-{number}").into_bytes(),
            value: value.clone(),
            ..good[index].clone()
        };
        records.insert(
            index,
            (record.at(0, number as u32 % PARTITIONS), Some(*reason)),
        );
    }
    records
}

fn bad_events() -> Vec<(Option<Vec<u8>>, &'static str)> {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let time = r#""timestamp":"2026-02-01T00:00:00Z""#;
    let texts = [
        ("", "empty"),
        (" \t\r ", "empty"),
        ("{", "not_json"),
        ("nonsense", "not_json"),
        (r#"{"userId":"anna"} {"userId":"anna"}"#, "not_json"),
        ("[1,2,3]", "not_json"),
        ("null", "not_json"),
        (&deep, "not_json"),
        (
            &format!(r#"{{"type":"track","event":"x",{time}}}"#),
            "missing_field",
        ),
        (&format!(r#"{{"userId":"anna",{time}}}"#), "missing_field"),
        (
            r#"{"type":"track","event":"x","userId":"anna"}"#,
            "missing_field",
        ),
        (
            &format!(r#"{{"event":"x","userId":{{"id":1}},{time}}}"#),
            "wrong_type",
        ),
        (
            &format!(r#"{{"event":7,"userId":"anna",{time}}}"#),
            "wrong_type",
        ),
        (
            r#"{"event":"x","userId":"anna","timestamp":"yesterday"}"#,
            "bad_time",
        ),
        (
            r#"{"event":"x","userId":"anna","timestamp":"2026-02-30T00:00:00Z"}"#,
            "bad_time",
        ),
        (
            &format!(
                r#"{{"event":"Order Completed","userId":"anna",{time},"properties":{{"revenue":1e300}}}}"#
            ),
            "number_out_of_range",
        ),
        (
            r#"{"event":"x","userId":"anna","timestamp":"2020-01-01T00:00:00Z"}"#,
            "too_late",
        ),
        (
            r#"{"event":"x","userId":"anna","timestamp":"9000-01-01T00:00:00Z"}"#,
            "too_far_ahead",
        ),
    ];
    let mut bad: Vec<_> = texts
        .into_iter()
        .map(|(text, reason)| (Some(text.as_bytes().to_vec()), reason))
        .collect();
    bad.push((Some(b"{\"userId\":\"\xff\xfe\"}".to_vec()), "not_json"));
    bad.push((Some(vec![b'x'; LARGEST_EVENT + 1]), "too_large"));
    bad
}

/// Repeats every tenth record immediately and every twentieth again later. Also returns the number of repetitions.
fn with_repeats(once: &[InputRecord]) -> (Vec<InputRecord>, u64) {
    let (mut records, mut later) = (Vec::new(), Vec::new());
    for (number, record) in once.iter().enumerate() {
        records.push(record.clone());
        records.extend((number % 10 == 0).then(|| record.clone()));
        later.extend((number % 20 == 0).then(|| record.clone()));
        if number % 200 == 199 {
            records.append(&mut later);
        }
    }
    let repeated = records.len() - once.len();
    (records, repeated as u64)
}

/// Duplicates change nothing. Refunds subtract what the order added.
pub fn duplicates_and_refunds_count_as_they_should<S: TestBroker>() {
    let Some(mut scenario) = plain::<S>() else {
        return;
    };
    let once = well_keyed(generated(2_000, 100, 10));
    let order = |id: &str, event: &str, message: &str, revenue: f64, day: u32| {
        let line = format!(
            r#"{{"type":"track","event":"{event}","messageId":"{message}","userId":"refunder","timestamp":"2026-03-{day:02}T12:00:00Z","properties":{{"order_id":"{id}","revenue":{revenue},"currency":"EUR","products":[{{"category":"toys","quantity":1}}]}}}}"#
        );
        record("segment", &line)
    };
    let own = well_keyed(vec![
        order("o-1", "Order Completed", "m-1", 100.0, 2),
        order("o-1", "Order Completed", "m-2", 100.0, 2),
        order("o-2", "Order Completed", "m-3", 40.0, 3),
        order("o-1", "Order Refunded", "m-4", 30.0, 4),
        order("o-1", "Order Refunded", "m-4", 30.0, 4),
        order("o-1", "Order Refunded", "m-5", 70.0, 5),
    ]);
    let is_repeated = [false, true, false, false, true, false];
    let (mut records, repeated) = with_repeats(&once);
    records.extend(own.iter().cloned());
    let repeated = repeated + 2;
    scenario.put(&records);
    let workers = ["a", "b"].map(|member| scenario.worker(member));
    scenario.wait_until_drained(&workers.each_ref());
    workers.into_iter().for_each(WorkerThread::leave);
    // The generated shop repeats some of its own lines as well.
    let counted = scenario.counter("duplicates_total");
    assert!(counted >= repeated, "{counted} of {repeated}");
    let singles = own.into_iter().zip(is_repeated).filter(|(_, again)| !again);
    let mut clean = once;
    clean.extend(singles.map(|(record, _)| record));
    scenario.check_all(&clean);
    let tasks = scenario.restored();
    let refunder = tasks
        .iter()
        .find_map(|task| Some(task.rows().row(task.rows().find("refunder")?)));
    let plan = &scenario.pipeline.task.plan;
    let row = refunder.expect("the customer with refunds");
    let seen =
        flockwise_core::customer_view::customer_view(plan, None, &row, row.standing.as_of_ms);
    let ever = plan
        .feature_names()
        .position(|name| name == "spend_ever")
        .expect("a feature");
    assert!(
        (seen.features[ever] - 40.0).abs() < 1e-9,
        "{}",
        seen.features[ever]
    );
}
