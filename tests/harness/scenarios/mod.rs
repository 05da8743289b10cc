//! Scenarios that every broker must pass.

mod bad_events;
mod faults;
mod handover;
mod keying;
mod learning;

pub use bad_events::{
    bad_events_are_put_aside_whole, duplicates_and_refunds_count_as_they_should,
    tombstones_are_skipped,
};
pub use faults::{
    a_transaction_made_void_by_the_broker_is_done_again, aborted_transactions_are_done_again,
    shards_that_die_around_commits_lose_and_double_nothing,
};
pub use handover::{a_second_shard_joins_and_the_first_leaves, everything_starts_again};
pub use keying::{
    two_inputs_of_different_shape_become_one_customer, well_keyed_events_are_not_forwarded,
    wrongly_keyed_events_are_forwarded_once,
};
pub use learning::a_model_is_learnt_published_adopted_and_handed_over;

use crate::events::InputRecord;
use crate::scenario::{Scenario, ScenarioSettings};
use crate::scenario_pipeline::{AT_ONCE, FIXED, model};
use flockwise_codec::partitioner::Partitioner;

/// Makes one test per scenario for one broker.
#[macro_export]
macro_rules! suite {
    ($broker:ty) => {
        $crate::suite!($broker:
            a_model_is_learnt_published_adopted_and_handed_over
            a_second_shard_joins_and_the_first_leaves
            a_transaction_made_void_by_the_broker_is_done_again
            aborted_transactions_are_done_again
            bad_events_are_put_aside_whole
            tombstones_are_skipped
            duplicates_and_refunds_count_as_they_should
            everything_starts_again
            shards_that_die_around_commits_lose_and_double_nothing
            two_inputs_of_different_shape_become_one_customer
            well_keyed_events_are_not_forwarded
            wrongly_keyed_events_are_forwarded_once
        );
    };
    ($broker:ty: $($scenario:ident)*) => {
        $(
            #[test]
            fn $scenario() {
                flockwise_tests::scenarios::$scenario::<$broker>();
            }
        )*
    };
}

const PARTITIONS: u32 = 4;

/// One input of four partitions, a fixed model, and a decision at every scoring.
const PLAIN: ScenarioSettings<'static> = ScenarioSettings {
    formats: &["segment"],
    partitions: &[PARTITIONS],
    state_partitions: PARTITIONS,
    sections: &[AT_ONCE, FIXED],
};

fn plain<S: crate::test_broker::TestBroker>() -> Option<Scenario<S>> {
    Scenario::create(&PLAIN, Some(model()))
}

/// Partitions records by CRC-32, not by the pipeline's own partitioner. Each customer's events stay in order.
fn wrongly_keyed(records: Vec<InputRecord>) -> Vec<InputRecord> {
    let keyed = |record: InputRecord| record.keyed(Partitioner::Crc32, PARTITIONS);
    records.into_iter().map(keyed).collect()
}

fn well_keyed(records: Vec<InputRecord>) -> Vec<InputRecord> {
    let keyed = |record: InputRecord| record.keyed(Partitioner::Murmur2, PARTITIONS);
    records.into_iter().map(keyed).collect()
}
