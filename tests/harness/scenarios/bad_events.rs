//! Invalid events, duplicates and reversals.

use std::collections::BTreeMap;

use flockwise_codec::decode::LARGEST_EVENT;
use flockwise_memory::Committed;
use flockwise_runtime::topics::Topic;

use super::{PARTITIONS, plain, well_keyed, wrongly_keyed};
use crate::checks::header;
use crate::events::{InputRecord, generated, put};
use crate::test_broker::TestBroker;
use crate::worker_thread::WorkerThread;

/// Invalid events of every kind become dead letters with their raw bytes. All other events are processed.
pub fn bad_events_are_put_aside_whole<S: TestBroker>() {
    let Some(mut scenario) = plain::<S>() else {
        return;
    };
    let good = wrongly_keyed(generated(3_000, 150, 9));
    let bad = bad_events();
    let records = among(&good, &bad);
    let expected = expected_letters(&records, &scenario.pipeline.topics.inputs[0]);
    assert_eq!(expected.len(), bad.len());
    let all: Vec<InputRecord> = records.into_iter().map(|(put, _)| put).collect();
    scenario.put(&all);
    let workers = ["a", "b"].map(|member| scenario.worker(member));
    scenario.wait_until_drained(&workers.each_ref());
    workers.into_iter().for_each(WorkerThread::leave);
    let letters = scenario.broker.read(Topic::DeadLetters);
    assert_eq!(
        letters
            .iter()
            .flatten()
            .map(letter)
            .collect::<BTreeMap<_, _>>(),
        expected
    );
    assert_eq!(letters.iter().flatten().count(), bad.len());
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
    for place in [500, 333, 332, 0] {
        let value = None;
        records.insert(
            place,
            InputRecord {
                value,
                ..good[place.min(499)].clone()
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
    let letters = scenario.broker.read(Topic::DeadLetters);
    let mut letters = letters.iter().flatten();
    let letter = letters.next().expect("a dead letter");
    assert_eq!(header(letter, "flockwise.reason"), "empty");
    assert_eq!(letters.count(), 0);
    scenario.check_all(&good);
}

/// Origin of a dead letter: partition and offset.
type Place = (String, String);
/// Topic, reason, key and value of a dead letter.
type Letter = (String, String, Option<Vec<u8>>, Option<Vec<u8>>);

fn letter(record: &Committed) -> (Place, Letter) {
    assert!(!header(record, "flockwise.detail").is_empty());
    assert!(header(record, "flockwise.timestamp").parse::<i64>().is_ok());
    let place = (
        header(record, "flockwise.partition"),
        header(record, "flockwise.offset"),
    );
    let topic = header(record, "flockwise.topic");
    let reason = header(record, "flockwise.reason");
    (
        place,
        (topic, reason, record.key.clone(), record.value.clone()),
    )
}

fn expected_letters(
    records: &[(InputRecord, Option<&'static str>)],
    topic: &str,
) -> BTreeMap<Place, Letter> {
    let mut offsets = [0; PARTITIONS as usize];
    let mut letters = BTreeMap::new();
    for (put, reason) in records {
        let offset = &mut offsets[put.partition as usize];
        let place = (put.partition.to_string(), offset.to_string());
        *offset += 1;
        let Some(reason) = reason else { continue };
        let mut value = put.value.clone();
        value
            .iter_mut()
            .for_each(|value| value.truncate(LARGEST_EVENT));
        let letter = (
            topic.to_owned(),
            (*reason).to_owned(),
            Some(put.key.clone()),
            value,
        );
        letters.insert(place, letter);
    }
    letters
}

/// Spreads bad events evenly among the good ones and over all partitions.
fn among(
    good: &[InputRecord],
    bad: &[(Option<Vec<u8>>, &'static str)],
) -> Vec<(InputRecord, Option<&'static str>)> {
    let step = good.len() / (bad.len() + 1);
    let mut records: Vec<_> = good.iter().map(|put| (put.clone(), None)).collect();
    for (number, (value, reason)) in bad.iter().enumerate().rev() {
        let place = (number + 1) * step;
        let put = InputRecord {
            key: format!("bad-{number}").into_bytes(),
            value: value.clone(),
            ..good[place].clone()
        };
        records.insert(
            place,
            (put.at(0, number as u32 % PARTITIONS), Some(*reason)),
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
    for (number, put) in once.iter().enumerate() {
        records.push(put.clone());
        records.extend((number % 10 == 0).then(|| put.clone()));
        later.extend((number % 20 == 0).then(|| put.clone()));
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
        put("segment", &line)
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
    clean.extend(singles.map(|(put, _)| put));
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
