//! From an event produced to its change readable by others, exactly once.
//!
//! Events are due at fixed times whatever happens to those before, and their latency counts from when
//! they were due: one that could not be sent in time because the machine was busy waited as well.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Args;
use flockwise_codec::time::write_time;
use hdrhistogram::Histogram;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde::Serialize;

use crate::broker::{Kafka, all_partitions};
use crate::program::{Instance, Start};
use crate::report::{Spread, print_table, write};
use crate::{Settings, probe, program};

/// What a measurement of latency may be told.
#[derive(Args)]
pub(crate) struct LatencySettings {
    #[command(flatten)]
    common: Settings,
    /// Events a second
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// How long each round is measured
    #[arg(long, default_value_t = 40)]
    seconds: u32,
    /// How long before that events flow unmeasured
    #[arg(long, default_value_t = 10)]
    warm_up: u32,
}

/// The events of a round: when each is due.
#[derive(Clone, Copy)]
struct Schedule {
    start: Instant,
    rate: u32,
    warm_up: u64,
    total: u64,
}

#[derive(Serialize)]
struct Round {
    load: f64,
    events: u64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// Of one core, over the whole round.
    cpu_share: f64,
}

/// Measures several rounds, each under a new name.
pub(crate) fn measure(settings: &LatencySettings) -> Result<()> {
    let program = program::find(&settings.common)?;
    let kafka = Kafka::start()?;
    let rounds: Vec<Round> = (1..=settings.common.rounds)
        .map(|number| round(&kafka, &program, settings, number))
        .collect::<Result<_>>()?;
    print(settings, &rounds);
    write("latency", &rounds)
}

fn round(
    kafka: &Kafka,
    program: &Path,
    settings: &LatencySettings,
    number: usize,
) -> Result<Round> {
    let app = format!("latency-{}-{number}", std::process::id());
    let topic = format!("{app}-events");
    kafka.make_topic(&topic)?;
    let mut instance = Instance::start(&Start {
        program,
        app: &app,
        topic: &topic,
        servers: &kafka.servers,
        properties: &settings.common.properties,
    })?;
    instance.wait_until_ready()?;
    let reader = kafka.reader()?;
    reader.assign(&all_partitions(&reader, &format!("{app}-segment-changes"))?)?;

    let load = probe::load();
    let cpu = probe::cpu_seconds(instance.process())?;
    let schedule = Schedule::starting_now(settings);
    let histogram = thread::scope(|scope| {
        let writer = thread::Builder::new().name("writer".to_owned());
        let writer = writer.spawn_scoped(scope, || produce(kafka, &topic, schedule))?;
        let histogram = listen(&reader, schedule);
        writer.join().expect("the writer does not panic")?;
        histogram
    })?;
    let cpu = probe::cpu_seconds(instance.process())? - cpu;
    instance.stop()?;
    kafka.delete_topics(&app)?;
    let round = Round::of(
        &histogram,
        load,
        cpu / schedule.start.elapsed().as_secs_f64(),
    );
    eprintln!(
        "p50 {:.1} p90 {:.1} p99 {:.1} max {:.1} ms, load {load}",
        round.p50_ms, round.p90_ms, round.p99_ms, round.max_ms
    );
    Ok(round)
}

impl Schedule {
    fn starting_now(settings: &LatencySettings) -> Self {
        let rate = u64::from(settings.rate);
        let warm_up = rate * u64::from(settings.warm_up);
        Self {
            start: Instant::now() + Duration::from_secs(1),
            rate: settings.rate,
            warm_up,
            total: warm_up + rate * u64::from(settings.seconds),
        }
    }

    fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_secs(number) / self.rate
    }
}

impl Round {
    fn of(histogram: &Histogram<u64>, load: f64, cpu_share: f64) -> Self {
        let ms = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            load,
            events: histogram.len(),
            p50_ms: ms(0.5),
            p90_ms: ms(0.9),
            p99_ms: ms(0.99),
            max_ms: histogram.max() as f64 / 1e3,
            cpu_share,
        }
    }
}

/// Sends every event when it is due. Each is of a customer never seen before, so each gives a change.
fn produce(kafka: &Kafka, topic: &str, schedule: Schedule) -> Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> = kafka
        .client()
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "0")
        .create()?;
    for number in 0..schedule.total {
        let customer = format!("c{number:08}");
        let value = event(&customer)?;
        thread::sleep(
            schedule
                .due(number)
                .saturating_duration_since(Instant::now()),
        );
        producer
            .send(BaseRecord::to(topic).key(&customer).payload(&value))
            .map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(Duration::from_secs(30))?)
}

fn event(customer: &str) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let time = write_time(i64::try_from(now.as_millis())?);
    Ok(format!(
        r#"{{"type":"track","event":"Product Viewed","messageId":"m-{customer}","userId":"{customer}","timestamp":"{time}","context":{{"library":{{"name":"analytics.js","version":"4.1.2"}},"locale":"en-GB"}},"properties":{{"currency":"EUR","product_id":"p15885","category":"music","price":44.43,"quantity":1}}}}"#
    ))
}

/// Reads changes until there is one of every event; their latencies in microseconds.
fn listen(reader: &BaseConsumer, schedule: Schedule) -> Result<Histogram<u64>> {
    let mut histogram = Histogram::new(3)?;
    let mut is_seen = vec![false; usize::try_from(schedule.total)?];
    let mut missing = schedule.total;
    let end = schedule.due(schedule.total) + Duration::from_secs(30);
    while missing > 0 {
        ensure!(Instant::now() < end, "{missing} changes did not come");
        let Some(Ok(message)) = reader.poll(Duration::from_millis(100)) else {
            continue;
        };
        let now = Instant::now();
        let number = number(message.key()).context("a change of a customer nobody knows")?;
        let is_seen = is_seen
            .get_mut(usize::try_from(number)?)
            .context("a change of a customer nobody knows")?;
        ensure!(!*is_seen, "two changes for event {number}");
        *is_seen = true;
        missing -= 1;
        if number >= schedule.warm_up {
            let latency = now.saturating_duration_since(schedule.due(number));
            histogram.record(u64::try_from(latency.as_micros())?)?;
        }
    }
    Ok(histogram)
}

/// Of the event, from its customer's id.
fn number(key: Option<&[u8]>) -> Option<u64> {
    let id = std::str::from_utf8(key?).ok()?;
    id.strip_prefix('c')?.parse().ok()
}

fn print(settings: &LatencySettings, rounds: &[Round]) {
    let spread = |figure: fn(&Round) -> f64| Spread::of(rounds.iter().map(figure));
    print_table(
        &[
            "events a second",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "max ms",
            "CPU, cores",
            "load",
        ],
        &[vec![
            settings.rate.to_string(),
            spread(|round| round.p50_ms).shown(1),
            spread(|round| round.p90_ms).shown(1),
            spread(|round| round.p99_ms).shown(1),
            spread(|round| round.max_ms).shown(1),
            spread(|round| round.cpu_share).shown(2),
            spread(|round| round.load).shown(1),
        ]],
    );
}
