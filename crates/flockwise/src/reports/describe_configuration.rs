//! Summarises what a configuration means.

use std::collections::BTreeMap;
use std::fmt::Write;

use flockwise_codec::time::write_time;
use flockwise_config::duration::Readable;
use flockwise_config::{Config, InitialStart, Input, LostRecords};
use flockwise_core::feature::{Aggregate, Feature, Horizon, Transform};
use flockwise_core::order_rules::Repeat;
use flockwise_core::policy::LearningPolicy;
use serde_json::{Value, json};

use crate::schema_files::SchemaFile;

/// The summary as text: one section per heading.
pub(crate) fn text(config: &Config, schemas: &[SchemaFile]) -> String {
    let features = columns(config.features.iter().map(|feature| {
        let Feature { name, .. } = feature;
        (
            name.as_str(),
            format!("{}, {}{}", what(feature), horizon(feature), shape(feature)),
        )
    }));
    let inputs = columns(config.inputs.iter().map(|input| {
        (
            input.topic.as_str(),
            format!("{}, from {}", input.format.name, start(input)),
        )
    }));
    let sections = [
        ("inputs", inputs),
        ("schemas", schemas.iter().map(schema_file).collect()),
        ("features", features),
        ("orders", orders(config)),
        ("model", vec![model(config)]),
        ("decision", vec![decision(config)]),
        ("sweep", vec![sweep(config)]),
        ("time", vec![time(config), expiry(config)]),
        ("kafka", kafka(config)),
        ("instance", instance(config)),
    ];
    let mut text = String::new();
    for (heading, lines) in sections {
        for (index, line) in lines.iter().enumerate() {
            let heading = if index == 0 { heading } else { "" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{heading:<10}{line}");
        }
    }
    text
}

/// The summary as JSON. Durations have the format of the configuration.
pub(crate) fn json(config: &Config, schemas: &[SchemaFile]) -> Value {
    let LearningPolicy { k_min, k_max, .. } = config.learning;
    json!({
        "app": config.app,
        "state_partitions": config.state_partitions,
        "shards": config.shards,
        "inputs": config.inputs.iter().map(|input| json!({
            "topic": input.topic,
            "format": input.format.name,
            "start": start(input),
        })).collect::<Vec<_>>(),
        "schemas": schemas.iter().map(|file| json!({
            "file": file.path,
            "name": file.schema.name(),
            "fingerprint": format!("{:016x}", file.schema.fingerprint()),
        })).collect::<Vec<_>>(),
        "features": config.features.iter().map(|feature| json!({
            "name": feature.name,
            "what": what(feature),
            "horizon": horizon(feature),
            "weight": feature.weight,
        })).collect::<Vec<_>>(),
        "repeats": repeats(config)
            .iter()
            .map(|(name, repeat)| (name.as_str(), repeat.name()))
            .collect::<BTreeMap<_, _>>(),
        "model": {
            "k": { "min": k_min, "max": k_max },
            "half_life": duration(config.learning.half_life_ms),
            "warm_up": {
                "customers": config.learning.warm_up_customers,
                "time": duration(config.learning.warm_up_ms),
            },
            "churn_budget": config.learning.churn_budget,
            "learn": config.learning.learn,
            "import": config.import,
        },
        "decision": {
            "margin": config.decision.margin,
            "patience": config.decision.patience,
            "dwell": config.decision.dwell,
            "cooldown": duration(config.decision.cooldown_ms),
        },
        "sweep": { "every": config.time.sweep_ms.map(duration) },
        "time": {
            "lateness": duration(config.time.lateness_ms),
            "max_ahead": config.time.max_ahead_ms.map(duration),
            "max_skew": duration(config.max_skew_ms),
            "idle_timeout": duration(config.idle_timeout.as_millis() as i64),
            "forget_after": config.time.forget_ms.map(duration),
        },
        "kafka": {
            "bootstrap_servers": config.kafka.bootstrap_servers,
            "commit_interval": duration(config.kafka.commit_interval_ms.cast_signed()),
            "lost_records": lost_records(config),
            "properties": config.kafka.properties.keys().collect::<Vec<_>>(),
        },
        "standbys": config.standbys,
        "state": { "directory": config.state_directory, "memory_bytes": config.memory },
        "http": { "listen": config.http_listen },
    })
}

fn schema_file(file: &SchemaFile) -> String {
    let (path, schema) = (file.path.display(), &file.schema);
    let (name, fingerprint) = (schema.name(), schema.fingerprint());
    format!("{path}: {name}, fingerprint {fingerprint:016x}")
}

/// Lines of a name and a text, with the texts aligned.
fn columns<'a>(rows: impl Iterator<Item = (&'a str, String)> + Clone) -> Vec<String> {
    let width = rows
        .clone()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    rows.map(|(name, text)| format!("{name:<width$}  {text}"))
        .collect()
}

fn duration(span_ms: i64) -> String {
    Readable(span_ms).to_string()
}

fn start(input: &Input) -> String {
    match input.start {
        InitialStart::Earliest => "the earliest event".to_owned(),
        InitialStart::Latest => "the first start".to_owned(),
        InitialStart::Time(time_ms) => write_time(time_ms),
    }
}

/// What a second event with the same order id means, by the event names that features list.
fn repeats(config: &Config) -> Vec<(String, Repeat)> {
    let plan = config.plan();
    let lists = |feature: &Feature, name: &String| {
        feature.events.contains(name) || feature.reversed_by.contains(name)
    };
    let names = (0..).zip(plan.names());
    names
        .filter(|(_, name)| config.features.iter().any(|feature| lists(feature, name)))
        .filter_map(|(index, name)| Some((name.clone(), plan.repeat(index)?)))
        .collect()
}

fn orders(config: &Config) -> Vec<String> {
    let repeats = repeats(config);
    columns(repeats.iter().map(|(name, repeat)| {
        let meaning = match repeat {
            Repeat::First => "the first event with an order id counts",
            Repeat::Last => "the last event with an order id counts",
            Repeat::Each => "each event with an order id counts",
        };
        (name.as_str(), meaning.to_owned())
    }))
}

fn what(feature: &Feature) -> String {
    let events = if feature.events.is_empty() {
        "every event".to_owned()
    } else {
        feature.events.join(", ")
    };
    let value = feature
        .value
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let what = match feature.aggregate {
        Aggregate::Count => format!("count of {events}"),
        Aggregate::Sum => format!("sum of {value} of {events}"),
        Aggregate::Mean => format!("mean of {value} of {events}"),
        Aggregate::Last => format!("last {value} of {events}"),
        Aggregate::Share => format!("share of {events}"),
        Aggregate::Recency => format!("days since {events}"),
        Aggregate::Min => format!("smallest {value} of {events}"),
        Aggregate::Max => format!("largest {value} of {events}"),
        Aggregate::MeanGap => format!("days between {events}"),
        Aggregate::HourSin => format!("sine of the hour of {events}"),
        Aggregate::HourCos => format!("cosine of the hour of {events}"),
    };
    let conditions = feature.base.len() + feature.conditions.len();
    let given = match conditions {
        0 => String::new(),
        1 => " with 1 condition".to_owned(),
        _ => format!(" with {conditions} conditions"),
    };
    let less = if feature.reversed_by.is_empty() {
        String::new()
    } else {
        format!(" minus {}", feature.reversed_by.join(", "))
    };
    format!("{what}{given}{less}")
}

fn horizon(feature: &Feature) -> String {
    match feature.horizon {
        Horizon::HalfLife(half_life_ms) => format!("half-life {}", duration(half_life_ms)),
        Horizon::Window { span_ms, buckets } => {
            format!("window {} in {buckets} buckets", duration(span_ms))
        }
        Horizon::Lifetime => "lifetime".to_owned(),
    }
}

/// Transform, clip and weight, if the feature has any.
fn shape(feature: &Feature) -> String {
    let transform = match feature.transform {
        Transform::None => "",
        Transform::Log1p => ", log1p",
        Transform::Sqrt => ", sqrt",
    };
    let clip = feature
        .clip
        .map(|(lowest, highest)| format!(", clipped to {lowest} to {highest}"));
    let weight = (feature.weight != 1.0).then(|| format!(", weight {}", feature.weight));
    format!(
        "{transform}{}{}",
        clip.unwrap_or_default(),
        weight.unwrap_or_default()
    )
}

fn model(config: &Config) -> String {
    let LearningPolicy {
        k_min,
        k_max,
        half_life_ms,
        warm_up_customers,
        warm_up_ms,
        churn_budget,
        learn,
        ..
    } = config.learning;
    let segments = if k_min == k_max {
        format!("{k_min} segments")
    } else {
        format!("{k_min} to {k_max} segments")
    };
    let first = match &config.import {
        Some(path) => format!("starts with {}", path.display()),
        None if warm_up_ms > 0 => {
            format!(
                "first version after {warm_up_customers} customers and {}",
                duration(warm_up_ms)
            )
        }
        None => format!("first version after {warm_up_customers} customers"),
    };
    let learning = if learn && churn_budget < 1.0 {
        format!(
            "learns with half-life {}; holds versions that move more than {} % of customers",
            duration(half_life_ms),
            churn_budget * 100.0
        )
    } else if learn {
        format!("learns with half-life {}", duration(half_life_ms))
    } else {
        "does not learn".to_owned()
    };
    format!("{segments}; {first}; {learning}")
}

fn decision(config: &Config) -> String {
    let policy = &config.decision;
    let dwell = match policy.dwell {
        1 => String::new(),
        dwell => format!(", in {dwell} scorings in a row"),
    };
    let patience = match policy.patience {
        0.0 => String::new(),
        patience => format!(" and staying has cost {patience} of the variance"),
    };
    let cooldown = match policy.cooldown_ms {
        0 => String::new(),
        cooldown_ms => format!("; then no change for {}", duration(cooldown_ms)),
    };
    format!(
        "moves a customer when another segment is nearer by more than {} %{patience}{dwell}{cooldown}",
        policy.margin * 100.0,
    )
}

fn sweep(config: &Config) -> String {
    match config.time.sweep_ms {
        Some(sweep_ms) => format!("scores every customer again every {}", duration(sweep_ms)),
        None => "off: customers are scored only at their events".to_owned(),
    }
}

fn time(config: &Config) -> String {
    let ahead = config
        .time
        .max_ahead_ms
        .map(|ahead_ms| format!(" and {} ahead", duration(ahead_ms)));
    format!(
        "accepts events up to {} late{}; reads partitions in step to within {}",
        duration(config.time.lateness_ms),
        ahead.unwrap_or_default(),
        duration(config.max_skew_ms)
    )
}

/// When customers expire.
fn expiry(config: &Config) -> String {
    match (config.time.forget_ms, config.time.sweep_ms) {
        (Some(forget_ms), Some(_)) => format!(
            "removes customers after {} without an event",
            duration(forget_ms)
        ),
        (Some(_), None) => "never removes customers: that needs a sweep".to_owned(),
        (None, _) => "never removes customers".to_owned(),
    }
}

fn lost_records(config: &Config) -> &'static str {
    match config.kafka.lost_records {
        LostRecords::Stop => "stop",
        LostRecords::Skip => "skip",
    }
}

fn kafka(config: &Config) -> Vec<String> {
    let kafka = &config.kafka;
    let interval = duration(kafka.commit_interval_ms.cast_signed());
    let mut lines = vec![format!(
        "{}, group {}, exactly once, commits every {interval} under load",
        kafka.bootstrap_servers, config.app
    )];
    lines.push(match kafka.lost_records {
        LostRecords::Stop => "halts a partition whose events are lost".to_owned(),
        LostRecords::Skip => "skips lost events".to_owned(),
    });
    if !kafka.properties.is_empty() {
        let names: Vec<&str> = kafka.properties.keys().map(String::as_str).collect();
        lines.push(format!("properties: {}", names.join(", ")));
    }
    lines
}

fn instance(config: &Config) -> Vec<String> {
    let shards = match config.shards {
        Some(shards) => format!("{shards} workers"),
        None => "one worker per core".to_owned(),
    };
    let memory = match config.memory {
        Some(bytes) => format!("at most {} MiB", bytes >> 20),
        None => "any amount".to_owned(),
    };
    let standbys = match config.standbys {
        0 => "no standbys".to_owned(),
        count => format!("standbys: {count} on each side of each of its own tasks"),
    };
    vec![
        format!(
            "{shards}; identity and state in {}; HTTP on {}",
            config.state_directory.display(),
            config.http_listen
        ),
        format!("{standbys}; customers may use {memory} of memory"),
    ]
}
