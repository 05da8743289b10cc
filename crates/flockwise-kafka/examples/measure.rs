//! What the broker itself costs: `measure HOST:PORT [throughput|latency|restore] [COUNT] [PROPERTY=VALUE...]`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flockwise_kafka::{KafkaBroker, KafkaSettings, admin};
use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{Broker, Failure, Outgoing, Start, Turn};
use flockwise_runtime::topics::{Source, Topic, Topics};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

const PARTITIONS: u32 = 12;
const T: Duration = Duration::from_secs(60);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let servers = arguments.get(1).map_or("127.0.0.1:29092", String::as_str);
    let what = arguments.get(2).map_or("throughput", String::as_str);
    let count: u64 = arguments
        .get(3)
        .and_then(|n| n.parse().ok())
        .unwrap_or(2_000_000);
    let app = format!("measure-{}", std::process::id());
    let topics = Topics {
        inputs: vec![format!("{app}-in")],
        app,
        state_partitions: PARTITIONS,
    };
    let mut settings = KafkaSettings::new(servers, &topics.app, &topics.app);
    for pair in arguments.iter().skip(4) {
        let (key, value) = pair.split_once('=').expect("key=value");
        settings.properties.insert(key.into(), value.into());
    }
    let admin: AdminClient<DefaultClientContext> = client(servers).create().expect("admin");
    let topic = NewTopic::new(
        &topics.inputs[0],
        PARTITIONS as i32,
        TopicReplication::Fixed(1),
    );
    drop(admin.create_topics([&topic], &AdminOptions::new()));
    admin::ensure_topics(&settings, &topics)?;
    match what {
        "latency" => latency(&settings, &topics, servers),
        "restore" => restore(&settings, &topics, count),
        _ => throughput(&settings, &topics, servers, count),
    }
}

fn client(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config
}

fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("stat");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("fields")
        .split_whitespace()
        .collect();
    (fields[11].parse::<f64>().expect("n") + fields[12].parse::<f64>().expect("n")) / 100.0
}

fn throughput(
    settings: &KafkaSettings,
    topics: &Topics,
    servers: &str,
    count: u64,
) -> Result<(), Failure> {
    let producer: ThreadedProducer<_> = client(servers)
        .set("linger.ms", "20")
        .set("compression.type", "zstd")
        .set("queue.buffering.max.kbytes", "200000")
        .create()
        .expect("producer");
    let start_ms = (micros() / 1000) as i64;
    for n in 0..count {
        let value = format!(
            "{{\"type\":\"track\",\"messageId\":\"m{n:020}\",\"userId\":\"h{:09}\",\"properties\":{{\"revenue\":{},\"category\":\"c{}\"}},\"context\":{{\"page\":\"{}\"}}}}",
            n * 7919 % 98_960,
            n % 977,
            n % 13,
            "/shop/products/".repeat(11)
        );
        loop {
            let record = BaseRecord::<str, str>::to(&topics.inputs[0])
                .partition((n % u64::from(PARTITIONS)) as i32)
                .key("h000000001")
                .timestamp(start_ms + (n / 10) as i64)
                .payload(&value);
            if producer.send(record).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    producer.flush(T).expect("flushed");
    drop(producer);
    bare(servers, &topics.inputs[0], count);
    for share in [0, 1] {
        let mut settings = settings.clone();
        settings.group = format!("{}-{share}", settings.group);
        run(&settings, topics, count, share)?;
    }
    Ok(())
}

fn restore(settings: &KafkaSettings, topics: &Topics, count: u64) -> Result<(), Failure> {
    let mut broker = KafkaBroker::connect(settings.clone(), topics.clone())?;
    let value = [7; 180];
    for n in 0..count {
        broker.send(Outgoing {
            topic: Topic::Changelog,
            partition: (n % u64::from(PARTITIONS)) as u32,
            key: Some(format!("h{n:09}").as_bytes()),
            value: Some(&value),
            timestamp_ms: None,
            headers: &[],
        })?;
        if n % 50_000 == 0 {
            broker.commit(&[])?;
        }
    }
    broker.commit(&[])?;
    drop(broker);
    let mut broker = KafkaBroker::connect(settings.clone(), topics.clone())?;
    for _ in 0..2 {
        let (start, cpu) = (Instant::now(), cpu_s());
        let mut seen = 0;
        for partition in 0..PARTITIONS {
            let topic = Topic::Changelog;
            broker.replay(Source { topic, partition }, &mut |_| seen += 1)?;
        }
        let (wall, used) = (start.elapsed(), cpu_s() - cpu);
        println!(
            "restored {seen} of {count} in {wall:?}, {used:.2} CPU s, {}",
            rss()
        );
    }
    Ok(())
}

fn bare(servers: &str, name: &str, count: u64) {
    let consumer: BaseConsumer = client(servers)
        .set("group.id", "bare")
        .set("isolation.level", "read_committed")
        .set("fetch.queue.backoff.ms", "5")
        .create()
        .expect("reader");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS as i32 {
        list.add_partition_offset(name, partition, Offset::Offset(0))
            .expect("listed");
    }
    consumer.assign(&list).expect("assigned");
    let (mut seen, mut bytes) = (0, 0);
    let (mut start, mut cpu) = (Instant::now(), cpu_s());
    while seen < count {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            if seen == 0 {
                (start, cpu) = (Instant::now(), cpu_s());
            }
            seen += 1;
            bytes += message.payload_len();
        }
    }
    println!(
        "bare: {:.0} events/s {:.2} CPU s a million, {} bytes each, {}",
        count as f64 / start.elapsed().as_secs_f64(),
        (cpu_s() - cpu) * 1e6 / count as f64,
        bytes as u64 / count,
        rss()
    );
}

fn run(settings: &KafkaSettings, topics: &Topics, count: u64, share: u64) -> Result<(), Failure> {
    let t = Instant::now();
    let mut broker = KafkaBroker::connect(settings.clone(), topics.clone())?;
    println!("connect {:?}", t.elapsed());
    let mut batch = Batch::default();
    let (mut start, mut cpu) = (Instant::now(), cpu_s());
    let (mut seen, mut sent, mut polls, mut commits) = (0, 0u64, 0u64, 0u64);
    let mut committing = Duration::ZERO;
    let mut latest = Instant::now();
    let mut leads = vec![0i64; PARTITIONS as usize];
    let mut positions = vec![0i64; PARTITIONS as usize];
    let (mut spread, mut worst) = (0i64, 0i64);
    while seen < count {
        match broker.poll(Duration::from_millis(100), 2048, &mut batch)? {
            Turn::Assigned(sources) => {
                let mut reads: Vec<_> = sources.iter().map(|s| (*s, Start::Latest)).collect();
                reads.extend((0..PARTITIONS).map(|p| (input(p), Start::Earliest)));
                broker.open(&reads)?;
            }
            Turn::Records => {
                if seen == 0 {
                    println!("first record after {:?}", t.elapsed());
                    (start, cpu, latest) = (Instant::now(), cpu_s(), Instant::now());
                }
                polls += 1;
                for record in batch.records() {
                    seen += 1;
                    let p = record.source.partition as usize;
                    leads[p] = record.timestamp_ms;
                    positions[p] = record.offset + 1;
                    if share > 0 && seen % 2 == 0 {
                        sent += 1;
                        broker.send(Outgoing {
                            topic: Topic::SegmentChanges,
                            partition: record.source.partition,
                            key: record.key,
                            value: record.value.map(|v| &v[..150]),
                            timestamp_ms: None,
                            headers: &[],
                        })?;
                    }
                }
                for p in 0..PARTITIONS {
                    broker.lead(input(p), leads[p as usize]);
                }
                let (low, high) = (
                    leads.iter().min().expect("some"),
                    leads.iter().max().expect("some"),
                );
                if *low > 0 {
                    spread = high - low;
                    worst = worst.max(spread);
                }
                if share > 0 && latest.elapsed() > Duration::from_millis(100) {
                    let c = Instant::now();
                    let list: Vec<_> = (0..PARTITIONS)
                        .map(|p| (input(p), positions[p as usize]))
                        .collect();
                    broker.commit(&list)?;
                    committing += c.elapsed();
                    commits += 1;
                    latest = Instant::now();
                }
            }
            _ => {}
        }
    }
    broker.commit(&[])?;
    let (wall, used) = (start.elapsed().as_secs_f64(), cpu_s() - cpu);
    let millions = count as f64 / 1e6;
    println!(
        "share={share} {:.0} events/s, {:.2} CPU s a million, sent {sent}, {:.0} records a poll, \
         {commits} commits of {:.1} ms, spread {spread} worst {worst} ms, rss {}",
        count as f64 / wall,
        used / millions,
        count as f64 / polls as f64,
        committing.as_secs_f64() * 1e3 / commits.max(1) as f64,
        rss()
    );
    Ok(())
}

fn rss() -> String {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    status
        .lines()
        .filter(|l| l.starts_with("VmHWM") || l.starts_with("VmRSS"))
        .collect::<Vec<_>>()
        .join(" ")
}

fn input(partition: u32) -> Source {
    Source {
        topic: Topic::Input(0),
        partition,
    }
}

fn micros() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("now")
        .as_micros() as u64
}

fn latency(settings: &KafkaSettings, topics: &Topics, servers: &str) -> Result<(), Failure> {
    let (servers, topics) = (servers.to_owned(), topics.clone());
    let reader = {
        let (servers, name) = (servers.clone(), topics.name(Topic::SegmentChanges));
        std::thread::Builder::new()
            .spawn(move || read(&servers, &name))
            .expect("reader")
    };
    let mut broker = KafkaBroker::connect(settings.clone(), topics.clone())?;
    let mut batch = Batch::default();
    let mut open = false;
    let writer = {
        let name = topics.inputs[0].clone();
        move || write(&servers, &name)
    };
    let mut writer = Some(writer);
    let (mut arrival, mut commits) = (Vec::new(), Vec::new());
    let mut seen = 0;
    let start = Instant::now();
    while seen < 3_000 && start.elapsed() < Duration::from_secs(40) {
        match broker.poll(Duration::from_millis(100), 1000, &mut batch)? {
            Turn::Assigned(sources) => {
                let mut reads: Vec<_> = sources.iter().map(|s| (*s, Start::Latest)).collect();
                reads.extend((0..PARTITIONS).map(|p| (input(p), Start::Latest)));
                broker.open(&reads)?;
                open = true;
            }
            Turn::Records => {
                let mut positions = std::collections::BTreeMap::new();
                let polled = Instant::now();
                for record in batch.records() {
                    seen += 1;
                    let text = std::str::from_utf8(record.value.expect("a value")).expect("text");
                    arrival.push((micros() - text.parse::<u64>().expect("a number")) as f64 / 1e3);
                    positions.insert(record.source, record.offset + 1);
                    broker.send(Outgoing {
                        topic: Topic::SegmentChanges,
                        partition: record.source.partition,
                        key: record.key,
                        value: record.value,
                        timestamp_ms: None,
                        headers: &[],
                    })?;
                }
                let positions: Vec<_> = positions.into_iter().collect();
                broker.commit(&positions)?;
                commits.push(polled.elapsed().as_secs_f64() * 1e3);
            }
            _ => {}
        }
        if open && let Some(writer) = writer.take() {
            std::thread::Builder::new().spawn(writer).expect("writer");
        }
    }
    percentiles("event -> poll", &mut arrival);
    percentiles("poll -> committed", &mut commits);
    let mut all = reader.join().expect("reader");
    percentiles("event -> change readable", &mut all);
    Ok(())
}

fn write(servers: &str, name: &str) {
    std::thread::sleep(Duration::from_millis(500));
    let producer: ThreadedProducer<_> = client(servers)
        .set("linger.ms", "0")
        .create()
        .expect("producer");
    let start = Instant::now();
    let mut seed = 12345u64;
    let mut due = 0u64;
    for n in 0..3_000u64 {
        let value = micros().to_string();
        let record = BaseRecord::<str, str>::to(name)
            .partition((n % 12) as i32)
            .payload(&value);
        producer.send(record).map_err(|(e, _)| e).expect("sent");
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        due += 2_500 + seed % 5_000;
        std::thread::sleep(Duration::from_micros(due).saturating_sub(start.elapsed()));
    }
    producer.flush(T).expect("flushed");
    std::thread::sleep(Duration::from_secs(2));
}

fn read(servers: &str, name: &str) -> Vec<f64> {
    let consumer: BaseConsumer = client(servers)
        .set("group.id", "outside")
        .set("isolation.level", "read_committed")
        .create()
        .expect("reader");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS as i32 {
        list.add_partition_offset(name, partition, Offset::Offset(0))
            .expect("listed");
    }
    consumer.assign(&list).expect("assigned");
    let mut found = Vec::new();
    let start = Instant::now();
    while found.len() < 3_000 && start.elapsed() < Duration::from_secs(40) {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let text = std::str::from_utf8(message.payload().expect("a value")).expect("text");
            found.push((micros() - text.parse::<u64>().expect("a number")) as f64 / 1e3);
        }
    }
    found
}

fn percentiles(name: &str, values: &mut [f64]) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        values
            .get(((values.len() as f64 - 1.0) * share) as usize)
            .copied()
    };
    println!(
        "{name}: {} p50 {:.2?} p90 {:.2?} p99 {:.2?} max {:.2?} ms",
        values.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
}
