//! Checks on the output: segment changes, restored tasks and headers.

use std::collections::{BTreeMap, BTreeSet};

use flockwise_core::customer_view::{CustomerView, customer_view};
use flockwise_core::plan::Plan;
use flockwise_core::task::Task;
use flockwise_memory::CommittedRecord;
use serde_json::Value;

/// Relative tolerance between two computations of the same feature.
const TOLERANCE: f64 = 1e-9;

/// Checks the sequence of each customer's changes: numbered 1..n without gap or repeat, `from` equals the previous
/// `to`, ids are unique, and all are in one partition under the customer's key. A customer that has expired (`to` is
/// null) or was erased begins at 1 again. If the same events follow, its changes have the same ids as before.
/// Returns the number of changes.
///
/// # Panics
/// If a check fails.
pub fn sequences(changes: &[Vec<CommittedRecord>]) -> usize {
    let mut last: BTreeMap<String, (usize, Value)> = BTreeMap::new();
    let is_gone = |change: &Value| change["to"].is_null();
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    let mut count = 0;
    for (partition, record) in in_order(changes) {
        let change = json(record);
        let customer = text(&change, "customer_id");
        assert_eq!(record.key.as_deref(), Some(customer.as_bytes()), "{change}");
        let before = last.get(&customer);
        if before.is_some_and(|(_, before)| is_gone(before)) {
            ids.retain(|_, known| *known != customer);
        }
        let known = ids.insert(text(&change, "id"), customer.clone());
        assert_eq!(known, None, "duplicate id: {change}");
        count += 1;
        let sequence = change["sequence"].as_u64();
        let home = before.map_or(partition, |(home, _)| *home);
        assert_eq!(home, partition, "moved to another partition: {change}");
        match before.filter(|(_, before)| !is_gone(before)) {
            None => {
                assert_eq!(sequence, Some(1), "does not begin at 1: {change}");
                assert!(
                    change["from"].is_null(),
                    "the first change has a `from`: {change}"
                );
                assert!(!is_gone(&change), "the first change has no `to`: {change}");
            }
            Some((_, before)) => {
                let next = before["sequence"].as_u64().map(|number| number + 1);
                assert_eq!(sequence, next, "a gap or a repeat: {before} then {change}");
                let (from, to) = (&change["from"]["segment"], &before["to"]["segment"]);
                assert_eq!(
                    from, to,
                    "`from` is not the previous `to`: {before} then {change}"
                );
                assert_ne!(
                    from, &change["to"]["segment"],
                    "`from` equals `to`: {change}"
                );
            }
        }
        last.insert(customer, (partition, change));
    }
    count
}

/// Checks that each customer in the restored tasks has the segment and sequence of their last change, and that no
/// expired customer is left.
///
/// # Panics
/// If they do not.
pub fn segments(changes: &[Vec<CommittedRecord>], restored: &[Task]) {
    let mut expected = BTreeMap::new();
    for (_, record) in in_order(changes) {
        let change = json(record);
        let standing = (
            change["to"]["segment"].as_u64(),
            change["sequence"].as_u64(),
        );
        expected.insert(text(&change, "customer_id"), standing);
    }
    expected.retain(|_, (segment, _)| segment.is_some());
    let rows = restored.iter().flat_map(rows_of);
    let rows = rows.map(|(task, row)| task.rows().row(row));
    let found: BTreeMap<_, _> = rows
        .filter(|row| row.standing.sequence > 0)
        .map(|row| {
            let segment = row.standing.segment.map(u64::from);
            let sequence = Some(u64::from(row.standing.sequence));
            (row.customer_id.to_owned(), (segment, sequence))
        })
        .collect();
    assert_eq!(
        found, expected,
        "restored segments and sequences, and those of the last changes"
    );
}

/// Checks that both hold the same changes. The trigger is ignored, since it names the offset where the event was
/// read.
///
/// # Panics
/// If one differs.
pub fn same_changes(found: Vec<Value>, expected: Vec<Value>) {
    let (found, expected) = (by_customer(found), by_customer(expected));
    let mut differing = expected
        .iter()
        .filter(|(key, change)| found.get(*key) != Some(change));
    if let Some((key, change)) = differing.next() {
        let found = found.get(key);
        panic!("{key:?}: expected {change}, found {found:?}");
    }
    assert_eq!(found.len(), expected.len(), "unexpected changes");
}

/// The changes of customers as JSON. Lineage steps, which have no key, are left out.
#[must_use]
pub fn values(records: &[Vec<CommittedRecord>]) -> Vec<Value> {
    let changes = records.iter().flatten();
    let changes = changes.filter(|record| is_of_customer(record));
    changes.map(json).collect()
}

/// Changes without their trigger, by customer id and sequence.
fn by_customer(changes: Vec<Value>) -> BTreeMap<(String, u64), Value> {
    let changes = changes.into_iter().map(|mut change| {
        change["trigger"] = Value::Null;
        let sequence = change["sequence"].as_u64().expect("a sequence");
        ((text(&change, "customer_id"), sequence), change)
    });
    changes.collect()
}

/// Checks that the restored tasks hold the same customers as the reference, with the same feature values at the
/// restored rows' `as_of` time.
///
/// # Panics
/// If they do not.
pub fn same_features(plan: &Plan, restored: &[Task], reference: &[Task]) {
    let ids = |tasks: &[Task]| -> BTreeSet<String> {
        let rows = tasks.iter().flat_map(rows_of);
        rows.map(|(task, row)| task.rows().customer_id(row).to_owned())
            .collect()
    };
    assert_eq!(ids(restored), ids(reference), "customers");
    let find = |id: &str| {
        let mut found = reference
            .iter()
            .filter_map(|task| Some((task, task.rows().find(id)?)));
        found.next().expect("the same customers")
    };
    for (task, row) in restored.iter().flat_map(rows_of) {
        let row = task.rows().row(row);
        let as_of_ms = row.standing.as_of_ms;
        let (known, place) = find(row.customer_id);
        let expected = customer_view(plan, None, &known.rows().row(place), as_of_ms);
        same_values(plan, &customer_view(plan, None, &row, as_of_ms), &expected);
    }
}

fn same_values(plan: &Plan, found: &CustomerView, expected: &CustomerView) {
    let values = found.features.iter().zip(&expected.features);
    for (name, (found_value, value)) in plan.feature_names().zip(values) {
        let customer = &found.customer_id;
        assert!(
            is_near(*found_value, *value),
            "{customer}: {name} is {found_value}, not {value}"
        );
    }
}

/// True if two values are equal except for rounding, within `TOLERANCE`.
#[must_use]
pub fn is_near(left: f64, right: f64) -> bool {
    (left - right).abs() <= TOLERANCE * left.abs().max(right.abs()).max(1.0)
}

fn rows_of(task: &Task) -> impl Iterator<Item = (&Task, u32)> {
    task.rows().numbers().map(move |row| (task, row))
}

fn in_order(changes: &[Vec<CommittedRecord>]) -> impl Iterator<Item = (usize, &CommittedRecord)> {
    changes
        .iter()
        .enumerate()
        .flat_map(|(partition, records)| records.iter().map(move |record| (partition, record)))
        .filter(|(_, record)| is_of_customer(record))
}

/// The topic also holds lineage steps, which belong to no customer and have no key.
fn is_of_customer(record: &CommittedRecord) -> bool {
    record.key.is_some()
}

fn json(record: &CommittedRecord) -> Value {
    let value = record.value.as_deref().expect("a value");
    serde_json::from_slice(value).expect("JSON")
}

fn text(change: &Value, key: &str) -> String {
    change[key].as_str().expect("a text").to_owned()
}

/// The text of a record's header.
///
/// # Panics
/// If the record has no header of this name.
#[must_use]
pub fn header(record: &CommittedRecord, name: &str) -> String {
    let mut found = record.headers.iter().filter(|(known, _)| known == name);
    let (_, value) = found.next().unwrap_or_else(|| panic!("no header {name}"));
    String::from_utf8_lossy(value).into_owned()
}
