//! A task from its changelog, and two tasks held against each other.

use std::sync::Arc;

use flockwise_codec::changelog::{BOOKMARK, StoredRow, decode_bookmark, decode_row};
use flockwise_core::rows::Row;
use flockwise_core::task::Task;
use flockwise_runtime::pipeline::Pipeline;

use super::ledger::Changelog;

/// A task as its changelog has it.
pub(super) fn restore(pipeline: &Pipeline, changelog: &Changelog) -> Task {
    let mut task = Task::new(Arc::clone(&pipeline.task));
    let (mut bookmark, mut row) = (None, StoredRow::default());
    for (key, value) in changelog {
        if *key == [BOOKMARK] {
            let found = decode_bookmark(value, &pipeline.topics.inputs);
            bookmark = Some(found.expect("a bookmark").0);
        } else {
            let fingerprint = pipeline.task.plan.fingerprint();
            decode_row(&key[1..], value, fingerprint, &mut row).expect("a row");
            task.restore_row(&row.as_row());
        }
    }
    if let Some(bookmark) = bookmark {
        task.restore_bookmark(bookmark);
    }
    task
}

/// Fails where two tasks differ in anything that may ever matter.
pub(super) fn same(expected: &Task, found: &Task, number: u32) {
    assert_eq!(
        found.bookmark(),
        expected.bookmark(),
        "bookmark of task {number}"
    );
    let count = |task: &Task| task.rows().len();
    assert_eq!(count(found), count(expected), "customers of task {number}");
    for row in expected.rows().numbers() {
        let row = expected.rows().row(row);
        let place = found.rows().find(row.customer_id);
        let place = place.unwrap_or_else(|| panic!("{} is not in task {number}", row.customer_id));
        same_row(&row, &found.rows().row(place), found.bookmark().version);
    }
}

fn same_row(expected: &Row<'_>, found: &Row<'_>, version: u64) {
    let id = expected.customer_id;
    assert_eq!(
        found.reference_ms, expected.reference_ms,
        "{id}: latest event"
    );
    let bits = |row: &Row<'_>| row.columns.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(found), bits(expected), "{id}: columns");
    // Whether a standing is of the present version is all that is ever asked.
    let standing = |row: &Row<'_>| {
        let mut standing = row.standing;
        standing.version = u64::from(standing.version == version);
        standing
    };
    assert_eq!(standing(found), standing(expected), "{id}: standing");
    let remembered = |row: &Row<'_>| {
        let ids: Vec<u64> = row.remembered.ids().collect();
        let orders: Vec<(u64, i64)> = row.remembered.orders().collect();
        (ids, orders)
    };
    assert_eq!(
        remembered(found),
        remembered(expected),
        "{id}: remembered ids"
    );
}
