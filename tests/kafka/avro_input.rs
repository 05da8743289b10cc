//! An Avro input on real Kafka, written by another library, with a schema that is added while the program runs.

use std::fs;

use flockwise_tests::avro_events::{self, FORMAT, avro};
use flockwise_tests::eventually;
use flockwise_tests::kafka_pipeline::{FIRST, KafkaPipeline};
use flockwise_tests::process::{Process, flockwise, free_address, get, run};
use flockwise_tests::test_broker::TestBroker;

const EVENTS: usize = 5_000;
/// Events before the first one of the second schema.
const OF_FIRST: usize = 3_000;

#[test]
fn avro_events_give_what_the_same_events_give_as_json() {
    let Some(kafka_pipeline) = KafkaPipeline::create() else {
        return;
    };
    let records = kafka_pipeline.expect(EVENTS as u64, 500, 2_000);
    let records = records.iter().enumerate();
    let records = records.map(|(index, record)| avro(record, index >= OF_FIRST && index % 2 == 0));
    kafka_pipeline.kafka.put(&records.collect::<Vec<_>>());
    let config = fs::read_to_string(kafka_pipeline.path(FIRST)).expect("a configuration");
    let config = config.replace("format = \"segment\"", "format = \"shop\"");
    let path = kafka_pipeline.path("avro.toml");
    fs::write(&path, format!("{config}\n{FORMAT}")).expect("written");
    let check = || run(flockwise(&["check", "--config"]).arg(&path));
    check().expect(2, &["schemas: cannot read the directory"]);
    let schemas = kafka_pipeline.path("schemas");
    fs::create_dir(&schemas).expect("a directory");
    check().expect(
        2,
        &["no schema: expected at least one file that ends in .avsc"],
    );
    fs::write(schemas.join("first.avsc"), avro_events::FIRST).expect("written");
    check().expect(0, &[]);
    let checked = run(flockwise(&["check", "--json", "--config"]).arg(&path));
    assert!(
        checked.stdout.contains("\"4e33fedf904f18ff\""),
        "{checked:#?}"
    );
    let address = free_address();
    let mut command = kafka_pipeline.command_with("avro.toml", "only");
    let mut process = Process::start(command.env("FLOCKWISE__HTTP__LISTEN", address.to_string()));
    kafka_pipeline.wait_for(OF_FIRST as u64 / 2, &mut [&mut process]);
    eventually("partitions wait for the second schema", || {
        let metrics = get(address, "/metrics").unwrap_or_default();
        let mut lines = metrics.lines();
        lines.any(|line| {
            line.starts_with("flockwise_unknown_schema_partitions{") && !line.ends_with(" 0")
        })
    });
    fs::write(schemas.join("second.avsc"), avro_events::SECOND).expect("written");
    kafka_pipeline.wait_for(EVENTS as u64, &mut [&mut process]);
    kafka_pipeline.wait_until_drained();
    kafka_pipeline.check_changes();
    kafka_pipeline.check_customers();
}
