//! Avro events of a schema that is not known yet: their partition waits, the others are read on, and nothing is lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flockwise_codec::decode::{AvroSchema, SchemaId};
use flockwise_memory::{CommittedRecord, MemoryBroker, MemoryClient};
use flockwise_runtime::clock::Clock;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::{Pipeline, TimeMode};
use flockwise_runtime::schema_source::SchemaSource;
use flockwise_runtime::topics::Topic;
use flockwise_runtime::worker::Worker;
use flockwise_tests::avro_events::{FIRST, FORMAT, SECOND, avro};
use flockwise_tests::checks;
use flockwise_tests::events::{InputRecord, generated};
use flockwise_tests::memory::append;
use flockwise_tests::reference;
use flockwise_tests::scenario_pipeline::{AT_ONCE, FIXED, config, model, pipeline};
use flockwise_tests::test_broker::topics;
use prometheus::Registry;

const NOW_MS: i64 = 1_800_000_000_000;
/// Events of partition 0 before the first one of the second schema.
const READABLE: usize = 500;

/// Schemas that a test adds one after the other.
#[derive(Debug, Default)]
struct GrowingSchemas(Mutex<HashMap<SchemaId, Arc<AvroSchema>>>);

impl GrowingSchemas {
    fn add(&self, text: &str) {
        let schema = AvroSchema::parse(text).expect("a schema");
        let id = SchemaId::Fingerprint(schema.fingerprint());
        self.0
            .lock()
            .expect("no panic")
            .insert(id, Arc::new(schema));
    }
}

impl SchemaSource for GrowingSchemas {
    fn find(&self, _: u16, id: SchemaId) -> Option<Arc<AvroSchema>> {
        self.0.lock().expect("no panic").get(&id).cloned()
    }
}

struct Scenario {
    pipeline: Arc<Pipeline>,
    broker: MemoryBroker,
    clock: Clock,
    registry: Registry,
    metrics: Metrics,
    schemas: Arc<GrowingSchemas>,
    worker: Worker<MemoryClient>,
}

fn join(
    broker: &MemoryBroker,
    name: &str,
    pipeline: &Arc<Pipeline>,
    clock: &Clock,
    metrics: &Metrics,
) -> Worker<MemoryClient> {
    let time_mode = TimeMode::Live(clock.clone());
    let client = broker.worker(name);
    Worker::new(0, client, pipeline.clone(), time_mode, metrics.clone())
}

impl Scenario {
    fn create() -> Self {
        let schemas = Arc::new(GrowingSchemas::default());
        schemas.add(FIRST);
        let config = config(&["shop"], &[FORMAT, AT_ONCE, FIXED]);
        let pipeline = Pipeline {
            schemas: schemas.clone(),
            ..pipeline(&config, topics(2, 1), Some(model()))
        };
        let broker = MemoryBroker::new(pipeline.topics.clone(), &[2]);
        let (clock, registry) = (Clock::simulated(NOW_MS), Registry::new());
        let metrics = Metrics::register(&registry).expect("a new registry");
        let pipeline = Arc::new(pipeline);
        Self {
            worker: join(&broker, "first", &pipeline, &clock, &metrics),
            pipeline,
            broker,
            clock,
            registry,
            metrics,
            schemas,
        }
    }

    /// Stops the worker, and continues with another one.
    fn replace_worker(mut self) -> Self {
        let Self {
            broker,
            pipeline,
            clock,
            metrics,
            ..
        } = &self;
        let next = join(broker, "second", pipeline, clock, metrics);
        std::mem::replace(&mut self.worker, next)
            .leave()
            .expect("no failure");
        self
    }

    /// Runs the worker for so much simulated time.
    fn run_for(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.worker.run_once(Duration::ZERO).expect("no failure");
            self.clock.advance(Duration::from_millis(100));
        }
    }

    /// A metric, over all its series.
    fn sum(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.expect("a metric").get_metric().iter();
        let values =
            metrics.map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value());
        values.sum()
    }

    fn changes(&self) -> Vec<Vec<CommittedRecord>> {
        let partitions = 0..2;
        partitions
            .map(|partition| self.broker.read(Topic::SegmentChanges, partition, 0))
            .collect()
    }
}

#[test]
fn a_partition_waits_for_a_schema_and_loses_nothing() {
    let records = generated(4_000, 300, 7);
    let records = records
        .into_iter()
        .map(|record| record.keyed(flockwise_codec::partitioner::Partitioner::Crc32, 2));
    let records: Vec<InputRecord> = records.collect();
    let mut scenario = Scenario::create();
    let mut of_first = 0;
    for record in &records {
        of_first += usize::from(record.partition == 0);
        let is_second = record.partition == 0 && of_first > READABLE && of_first % 3 == 0;
        append(&scenario.broker, &avro(record, is_second));
    }
    let of_other = records.len() - of_first;
    let events = |scenario: &Scenario| scenario.sum("flockwise_events_total") as usize;
    scenario.run_for(20);
    assert!(
        events(&scenario) < of_other,
        "within idle_timeout, the other partition waits"
    );
    scenario.run_for(60);
    assert_eq!(scenario.sum("flockwise_unknown_schema_partitions"), 1.0);
    let read = events(&scenario);
    assert!(
        (of_other + READABLE..of_other + READABLE + 3).contains(&read),
        "{read} events are read, {of_other} of the other partition"
    );
    // Another worker takes over, and waits at the same record.
    scenario = scenario.replace_worker();
    scenario.run_for(60);
    assert_eq!(scenario.sum("flockwise_unknown_schema_partitions"), 1.0);
    assert_eq!(events(&scenario), read);
    scenario.schemas.add(SECOND);
    scenario.run_for(20);
    assert_eq!(scenario.sum("flockwise_unknown_schema_partitions"), 0.0);
    assert_eq!(scenario.sum("flockwise_events_total"), records.len() as f64);
    assert!(scenario.broker.read(Topic::DeadLetters, 0, 0).is_empty());
    let changes = scenario.changes();
    checks::sequences(&changes);
    let config = config(&["segment"], &[AT_ONCE, FIXED]);
    let as_json = pipeline(&config, scenario.pipeline.topics.clone(), Some(model()));
    let reference = reference::run(&as_json, &records);
    checks::same_changes(checks::values(&changes), checks::values(&reference.changes));
}
