//! Reads the whole file, from top to bottom.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use flockwise_core::feature::{Aggregate, Feature};
use flockwise_vocabulary::topics::is_kafka_name;

use crate::problem::ConfigErrors;
use crate::section::Section;
use crate::sources::Sources;
use crate::suggestion::hint;
use crate::value::{ConfigValue, Read};
use crate::{Config, Partitioner, feature, input, kafka, order_rules, policies};

pub(crate) fn read(sources: &Sources) -> Result<Config, ConfigErrors> {
    let mut root = Section::root(sources);
    // After a problem, a placeholder stands in, so that the rest is checked too. `verdict` then returns the problems
    // and drops the placeholder.
    let app = root
        .required(
            "app",
            "a name for this pipeline, such as app = \"shop\"",
            app,
        )
        .unwrap_or_default();
    let state_partitions = root.read("state_partitions", |found| found.whole(&(1..=100_000)));
    let shards = root.read("shards", |found| found.whole(&(1..=1024)));
    let standbys = root.read("standbys", |found| found.whole(&(0..=16)));
    let partitioner = root.read("partitioner", partitioner).unwrap_or_default();
    let kafka = kafka::read(root.table("kafka"));
    let (mut inputs, formats) = input::read_all(&mut root, &app);
    let features = feature::read_all(&mut root);
    let (learning, import) = policies::model(root.table("model"), features.len());
    let decision = policies::decision(root.table("decision"));
    let (time, reading) = policies::time(root.table("time"), root.table("sweep"), &features);
    for input in &mut inputs {
        let rules = &mut input.format.time_rules;
        rules.earliest_ms = reading.earliest_ms.unwrap_or(rules.earliest_ms);
    }
    let (state_directory, memory) = state(root.table("state"));
    let http_listen = http(root.table("http"));
    let publishes_history = backfill(root.table("backfill"));
    let brings_in = report(root.table("report"), &features);
    root.finish();
    let report = |text| sources.report(None, text);
    let orders = order_rules::of_all(&inputs, &formats, &features, report);
    sources.verdict(Config {
        app,
        state_partitions,
        shards,
        standbys: standbys.unwrap_or(0),
        partitioner,
        kafka,
        inputs,
        features,
        orders,
        learning,
        import,
        decision,
        time,
        max_skew_ms: reading.max_skew_ms,
        idle_timeout: reading.idle_timeout,
        state_directory,
        memory,
        http_listen,
        publishes_history,
        brings_in,
    })
}

fn app(found: &ConfigValue<'_>) -> Read<String> {
    let name = found.text()?;
    if is_kafka_name(&name, 200) {
        return Ok(name.into_owned());
    }
    Err(found
        .unexpected("1 to 200 of the letters a-z A-Z 0-9 . _ -, since topics are named after it"))
}

fn partitioner(found: &ConfigValue<'_>) -> Read<Partitioner> {
    found.choice(&[
        ("murmur2", Partitioner::Murmur2),
        ("crc32", Partitioner::Crc32),
    ])
}

fn state(mut section: Section<'_>) -> (PathBuf, Option<u64>) {
    let directory = section.read("directory", |found| Ok(PathBuf::from(&*found.text()?)));
    let memory = section.read("memory", ConfigValue::size);
    section.finish();
    let directory = directory.unwrap_or_else(|| PathBuf::from("flockwise-state"));
    (directory, memory)
}

fn backfill(mut section: Section<'_>) -> bool {
    let publishes = section.read("publish", ConfigValue::flag);
    section.finish();
    publishes.unwrap_or(true)
}

fn http(mut section: Section<'_>) -> SocketAddr {
    let listen = section.read("listen", |found| {
        found.text()?.parse().map_err(|_| {
            found.unexpected("a numeric address and a port, such as \"127.0.0.1:8080\", or \"0.0.0.0:8080\" to be reachable from other machines")
        })
    });
    section.finish();
    listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))
}

fn report(mut section: Section<'_>, features: &[Feature]) -> Option<String> {
    let name = section.read("brings_in", |found| {
        let name = found.text()?.into_owned();
        match features.iter().find(|feature| feature.name == name) {
            Some(feature) if feature.aggregate == Aggregate::Sum => Ok(name),
            Some(_) => Err(found.unexpected("a feature with aggregate = \"sum\"")),
            None => {
                let names = features.iter().map(|feature| feature.name.as_str());
                Err(format!(
                    "there is no feature \"{name}\"; {}",
                    hint(&name, names)
                ))
            }
        }
    });
    section.finish();
    name
}
