//! Another producer's open transaction on an input.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flockwise_kafka::{KafkaBroker, KafkaMetrics};
use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{GroupConsumer, Start, WorkerEvent};
use flockwise_runtime::topics::{Topic, TopicPartition};
use prometheus::{Registry, TextEncoder};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::support::{PATIENCE, eventually, kafka, put, settings, topics};

const HELD: TopicPartition = TopicPartition {
    topic: Topic::Input(0),
    partition: 0,
};
const FREE: TopicPartition = TopicPartition {
    partition: 1,
    ..HELD
};

/// Captures the log of this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a transaction on partition 0, and leaves it open.
fn foreign_transaction(servers: &str, topic: &str) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("transactional.id", format!("{topic}-foreign"))
        .set("transaction.timeout.ms", "300000")
        .create()
        .expect("a producer");
    producer.init_transactions(PATIENCE).expect("initialised");
    producer.begin_transaction().expect("begun");
    let record = BaseRecord::<str, str>::to(topic)
        .partition(0)
        .payload("open");
    producer
        .send(record)
        .map_err(|(error, _)| error)
        .expect("sent");
    producer.flush(PATIENCE).expect("delivered");
    producer
}

/// Polls once. Returns how many records of this partition were read.
fn read(broker: &mut KafkaBroker, of: TopicPartition) -> usize {
    let mut batch = Batch::default();
    let turn = broker.poll(Duration::from_millis(50), 100, &mut batch);
    if let WorkerEvent::Assigned(_) = turn.expect("polled") {
        let reads = [(HELD, Start::Earliest), (FREE, Start::Earliest)];
        broker.open(&reads).expect("opened");
    }
    let records = batch
        .records()
        .filter(|record| record.topic_partition == of);
    records.count()
}

#[test]
fn a_transaction_that_stays_open_is_measured_and_told_of_with_what_to_do() {
    let Some(servers) = kafka() else { return };
    let topics = topics(&servers, 1, &[2]);
    let input = topics.inputs[0].clone();
    let mut settings = settings(&servers, &topics, "a");
    settings.statistics_interval = Duration::from_millis(200);
    settings.long_transaction = Duration::from_secs(1);
    let registry = Registry::new();
    let metrics = KafkaMetrics::register(&registry).expect("registered");
    let broker = KafkaBroker::connect(settings, topics.clone()).expect("connected");
    let mut broker = broker.metered(&metrics, 0);
    let shown = || {
        let text = TextEncoder::new().encode_to_string(&registry.gather());
        let text = text.expect("text");
        let series = format!(
            "flockwise_input_open_transaction_seconds{{partition=\"0\",topic=\"{input}\"}} "
        );
        let value = text.lines().find_map(|line| line.strip_prefix(&series));
        value.map(|value| value.parse::<f64>().expect("a number"))
    };
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _this_thread = tracing::subscriber::set_default(subscriber);

    let foreign = foreign_transaction(&servers, &input);
    put(
        &servers,
        &input,
        2,
        (0..20).map(|number| number.to_string()),
    );
    let (mut of_held, mut of_free) = (0, 0);
    eventually(|| {
        of_held += read(&mut broker, HELD);
        of_free += read(&mut broker, FREE);
        shown() > Some(1.0)
    });
    assert_eq!(of_held, 0, "they lie behind the open transaction");
    assert_eq!(broker.lag(HELD), Some(11));
    assert_eq!(broker.lag(FREE), Some(0));
    let text = log.text();
    let command = format!(
        "kafka-transactions.sh --bootstrap-server HOST:PORT abort --topic {input} --partition 0 --start-offset 0"
    );
    assert!(text.contains(&command), "{text}");
    assert_eq!(text.matches(&command).count(), 1, "{text}");

    foreign.abort_transaction(PATIENCE).expect("aborted");
    eventually(|| {
        of_held += read(&mut broker, HELD);
        of_held == 10 && shown() == Some(0.0)
    });
    assert!(
        log.text().contains("has ended; reading continues"),
        "{}",
        log.text()
    );
    drop(broker);
    assert_eq!(shown(), None, "nobody reads it any more");
}
