//! `[kafka]`

use std::collections::BTreeMap;

use figment::value::Value;
use flockwise_vocabulary::kafka_properties::reserved;

use crate::section::{Section, read_or_report};
use crate::value::ConfigValue;
use crate::{Kafka, LostRecords};

/// The brokers abort transactions that stay open too long.
const LONGEST_COMMIT_INTERVAL_MS: i64 = 30_000;

pub(crate) fn read(mut section: Section<'_>) -> Kafka {
    delivery(&mut section);
    let kafka = Kafka {
        bootstrap_servers: section
            .read("bootstrap_servers", ConfigValue::text)
            .map_or_else(|| "localhost:9092".to_owned(), std::borrow::Cow::into_owned),
        commit_interval_ms: section
            .read("commit_interval", commit_interval)
            .unwrap_or(100),
        lost_records: section
            .read("lost_records", |found| {
                found.choice(&[("stop", LostRecords::Stop), ("skip", LostRecords::Skip)])
            })
            .unwrap_or_default(),
        properties: section
            .find("properties")
            .map(|found| properties(&found))
            .unwrap_or_default(),
    };
    section.finish();
    kafka
}

fn delivery(section: &mut Section<'_>) {
    let exactly_once = section.read("delivery", |found| {
        found.choice(&[("exactly_once", true), ("at_least_once", false)])
    });
    if exactly_once == Some(false) {
        section.report(
            "delivery",
            "\"at_least_once\" is not supported yet; give \"exactly_once\" or leave the key out",
        );
    }
}

fn commit_interval(found: &ConfigValue<'_>) -> Result<u64, String> {
    let interval_ms = found.span()?;
    if interval_ms > LONGEST_COMMIT_INTERVAL_MS {
        return Err(found.unexpected(
            "at most \"30s\": brokers abort transactions that stay open for too long",
        ));
    }
    Ok(interval_ms.unsigned_abs())
}

fn properties(found: &ConfigValue<'_>) -> BTreeMap<String, String> {
    let mut leaves = Vec::new();
    let Some(table) = read_or_report(found, ConfigValue::table) else {
        return BTreeMap::new();
    };
    for (name, value) in table {
        flatten(name, &found.member(name, value), &mut leaves);
    }
    // If a property is given in both spellings, the one from the environment comes last and wins.
    leaves.sort_by_key(|(_, found)| found.sources.is_from_environment(found.value));
    leaves
        .into_iter()
        .filter_map(|(name, found)| {
            Some((
                name.clone(),
                read_or_report(&found, |found| property(&name, found))?,
            ))
        })
        .collect()
}

/// Flattens nested tables: `security.protocol = ..` without quotes is a table in a table in TOML.
fn flatten<'a>(name: &str, found: &ConfigValue<'a>, leaves: &mut Vec<(String, ConfigValue<'a>)>) {
    match found.value {
        Value::Dict(_, table) => {
            for (key, value) in table {
                flatten(&format!("{name}.{key}"), &found.member(key, value), leaves);
            }
        }
        value => leaves.push((
            name.to_owned(),
            ConfigValue {
                sources: found.sources,
                path: found.path.clone(),
                value,
            },
        )),
    }
}

fn property(name: &str, found: &ConfigValue<'_>) -> Result<String, String> {
    match reserved(name) {
        Some(why) => Err(format!("cannot be set here: {why}")),
        None => found.text_or_plain(),
    }
}
