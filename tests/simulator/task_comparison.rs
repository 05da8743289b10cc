//! Compares two tasks.

use flockwise_core::rows::Row;
use flockwise_core::segment_sizes::SegmentSizes;
use flockwise_core::task::Task;
use flockwise_runtime::task_id::TaskId;

pub(super) use crate::changelog::restore;

/// Panics if two tasks differ in anything that can affect later output.
pub(super) fn same(expected: &Task, found: &Task, task_id: TaskId) {
    assert_eq!(
        found.position(),
        expected.position(),
        "position of task {task_id}"
    );
    let count = |task: &Task| task.rows().len();
    assert_eq!(count(found), count(expected), "customers of task {task_id}");
    for row in expected.rows().numbers() {
        let row = expected.rows().row(row);
        let found_row = found.rows().find(row.customer_id);
        let found_row =
            found_row.unwrap_or_else(|| panic!("{} is not in task {task_id}", row.customer_id));
        same_row(&row, &found.rows().row(found_row), found.position().version);
    }
    let counted = SegmentSizes::count(found.rows());
    assert_eq!(
        found.segment_sizes().sizes(),
        counted.sizes(),
        "segment sizes of task {task_id}"
    );
}

fn same_row(expected: &Row<'_>, found: &Row<'_>, version: u64) {
    let id = expected.customer_id;
    assert_eq!(
        found.reference_ms, expected.reference_ms,
        "{id}: latest event"
    );
    let bits = |row: &Row<'_>| row.columns.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(found), bits(expected), "{id}: columns");
    // Of a row's model version, only whether it is the current one has an effect.
    let standing = |row: &Row<'_>| {
        let mut standing = row.standing;
        standing.version = u64::from(standing.version == version);
        standing
    };
    assert_eq!(standing(found), standing(expected), "{id}: segment state");
    let dedup = |row: &Row<'_>| {
        let ids: Vec<u64> = row.dedup.ids().collect();
        let orders: Vec<_> = row
            .dedup
            .orders()
            .map(|order| (order.key, order.time_ms, order.sums.to_vec()))
            .collect();
        (ids, orders)
    };
    assert_eq!(dedup(found), dedup(expected), "{id}: dedup memory");
}
