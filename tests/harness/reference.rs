//! The expected result: one worker on one thread reads the same events in order, without faults.

use std::sync::Arc;
use std::time::Duration;

use flockwise_core::model::ModelVersion;
use flockwise_core::task::Task;
use flockwise_memory::{CommittedRecord, MemoryBroker};
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::{Pipeline, TimeMode};
use flockwise_runtime::topics::Topic;
use flockwise_runtime::worker::Worker;
use prometheus::Registry;

use crate::events::InputRecord;
use crate::memory::append;

/// Records appended between two runs of the worker. Small, so that new model versions are used soon.
const SLICE: usize = 50;

/// The state and output of a reference run.
#[derive(Debug)]
pub struct Reference {
    /// Every task, by state partition.
    pub tasks: Vec<Task>,
    /// The segment changes, by partition.
    pub changes: Vec<Vec<CommittedRecord>>,
    /// The model in use at the end; `None` if none was published.
    pub model: Option<ModelVersion>,
}

/// Runs the records through one worker, keyed by the pipeline's own partitioner, so that none is forwarded.
///
/// # Panics
/// If the worker fails.
#[must_use]
pub fn run(pipeline: &Pipeline, records: &[InputRecord]) -> Reference {
    let topics = &pipeline.topics;
    let partitions = vec![topics.state_partitions; topics.inputs.len()];
    let broker = MemoryBroker::new(topics.clone(), &partitions);
    let metrics = Metrics::register(&Registry::new()).expect("a new registry");
    let client = broker.worker("reference");
    let mut worker = Worker::new(
        0,
        client,
        Arc::new(pipeline.clone()),
        TimeMode::Replay { judged_at_ms: None },
        metrics,
    );
    for slice in records.chunks(SLICE) {
        for record in slice {
            let record = record
                .clone()
                .keyed(pipeline.partitioner, topics.state_partitions);
            append(&broker, &record);
        }
        run_until_idle(&mut worker);
    }
    let changes = (0..topics.state_partitions)
        .map(|partition| broker.read(Topic::SegmentChanges, partition, 0));
    Reference {
        tasks: worker.tasks().map(|(_, task)| task.clone()).collect(),
        changes: changes.collect(),
        model: worker
            .versions()
            .map(|versions| versions.current.as_version().clone()),
    }
}

fn run_until_idle<B: flockwise_runtime::broker::Broker>(worker: &mut Worker<B>) {
    while worker.run_once(Duration::ZERO).expect("no failure") || !worker.is_assigned() {}
}
