//! `[[input]]` and `[format.NAME]`

use std::collections::BTreeMap;
use std::path::PathBuf;

use flockwise_codec::format::{AvroFraming, Encoding, Format, TimeRules, UnknownSchema};
use flockwise_codec::normalization::IdNormalization;
use flockwise_vocabulary::topics::{Topics, is_kafka_name};
use jiff::tz::{TimeZone, TimeZoneName};

use crate::order_rules;
use crate::pointers::{ids, optional, required_pointers};
use crate::section::{Section, read_or_report};
use crate::suggestion::{hint, nearest};
use crate::value::{ConfigValue, Read, date};
use crate::{InitialStart, Input};

/// The inputs, and the formats that are declared, whether an input has them or not.
pub(crate) fn read_all(root: &mut Section<'_>, app: &str) -> (Vec<Input>, Vec<Format>) {
    let formats = formats(root);
    let mut inputs: Vec<Input> = Vec::new();
    for mut section in root.tables("input", "topic") {
        let topic = section.required("topic", "the name of a Kafka topic", |found| {
            topic(found, app, &inputs)
        });
        let start = section.read("start", start).unwrap_or_default();
        let is_native = !section.has("format");
        let format = section
            .read("format", |found| format(found, &formats))
            .or_else(|| Format::builtin("native").filter(|_| is_native));
        section.finish();
        if let (Some(topic), Some(format)) = (topic, format) {
            inputs.push(Input {
                topic,
                start,
                format,
            });
        }
    }
    root.need_some(
        "input",
        "there is none; give at least one topic to read, under [[input]]",
    );
    (inputs, formats.into_values().collect())
}

fn topic(found: &ConfigValue<'_>, app: &str, inputs: &[Input]) -> Read<String> {
    let topic = found.text()?;
    if !is_kafka_name(&topic, 249) || topic == "." || topic == ".." {
        return Err(
            found.unexpected("a name that Kafka allows: 1 to 249 of the letters a-z A-Z 0-9 . _ -")
        );
    }
    if inputs.iter().any(|input| *input.topic == *topic) {
        return Err(found.unexpected("each topic once"));
    }
    if Topics::is_internal(app, &topic) {
        return Err(found.unexpected("another topic: Flockwise itself writes to this one"));
    }
    Ok(topic.into_owned())
}

fn start(found: &ConfigValue<'_>) -> Read<InitialStart> {
    let text = match date(found.value) {
        Some(date) => date.into(),
        None => found.text()?,
    };
    match &*text {
        "earliest" => Ok(InitialStart::Earliest),
        "latest" => Ok(InitialStart::Latest),
        time => match time.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(InitialStart::Time(time.as_millisecond())),
            Err(_) => Err(found.unexpected("\"earliest\", \"latest\" or a time with its zone, such as \"2026-01-31T00:00:00Z\"")),
        },
    }
}

fn format(found: &ConfigValue<'_>, formats: &BTreeMap<String, Format>) -> Read<Format> {
    let name = found.text()?;
    if let Some(format) = formats.get(&*name) {
        return Ok(format.clone());
    }
    Format::builtin(&name).ok_or_else(|| {
        let known = Format::BUILTIN
            .into_iter()
            .chain(formats.keys().map(String::as_str));
        format!(
            "there is no format \"{name}\"; {}; or declare it under [format.{name}]",
            hint(&name, known)
        )
    })
}

fn formats(root: &mut Section<'_>) -> BTreeMap<String, Format> {
    let mut formats = BTreeMap::new();
    for (name, section) in root.named("format") {
        if Format::BUILTIN.contains(&name) {
            section.blame_whole(&format!(
                "this is the name of a built-in format; choose another, such as [format.my-{name}], with like = \"{name}\""
            ));
        }
        formats.insert(name.to_owned(), declared(name, section));
    }
    formats
}

/// A format as declared. What it does not say is as in the format that it is `like`.
fn declared(name: &str, mut section: Section<'_>) -> Format {
    let like = section.read("like", |found| {
        let name = found.text()?;
        Format::builtin(&name).ok_or_else(|| {
            let hint = hint(&name, Format::BUILTIN);
            format!("there is no built-in format \"{name}\"; {hint}")
        })
    });
    let is_complete = section.has("like");
    let base = like.unwrap_or_else(|| Format::empty(name));
    let mut required = |key, what, pointers| match is_complete {
        true => optional(&mut section, key, pointers),
        false => required_pointers(&mut section, key, what),
    };
    let customer_id = required(
        "customer_id",
        "the pointer to the customer id, such as \"/customer\"",
        base.customer_id,
    );
    let event = required(
        "event",
        "the pointer to the event name, such as \"/kind\"",
        base.event,
    );
    let time = required(
        "time",
        "the pointer to the event time, such as \"/at\"",
        base.time,
    );
    let format = Format {
        name: name.to_owned(),
        encoding: encoding(&mut section),
        customer_id,
        normalization: normalization(&mut section),
        no_customer: section.texts("no_customer"),
        event,
        time,
        time_rules: TimeRules {
            zone: section.read("time_zone", time_zone),
            ..TimeRules::default()
        },
        event_id: ids(&mut section, "event_id", base.event_id),
        order_id: ids(&mut section, "order_id", base.order_id),
        repeats: order_rules::repeats(section.table("repeats"), base.repeats),
        reversal: order_rules::reversal(section.table("reversal"), base.reversal),
    };
    section.finish();
    format
}

/// How customer ids are normalised: not at all, unless `normalize_customer_id` says how.
fn normalization(section: &mut Section<'_>) -> IdNormalization {
    let mut normalization = IdNormalization::default();
    let Some(found) = section.find("normalize_customer_id") else {
        return normalization;
    };
    for step in found.one_or_many() {
        match read_or_report(&step, |step| {
            step.choice(&[("lowercase", true), ("nfc", false)])
        }) {
            Some(true) => normalization.lowercase = true,
            Some(false) => normalization.nfc = true,
            None => {}
        }
    }
    normalization
}

/// How records are encoded: JSON, unless `encoding` says otherwise.
fn encoding(section: &mut Section<'_>) -> Encoding {
    let is_avro = section.read("encoding", |found| match &*found.text()? {
        "json" => Ok(false),
        "avro" => Ok(true),
        _ => Err(found.unexpected("\"json\" or \"avro\"")),
    });
    let schema = path(section, "schema");
    let schemas = path(section, "schemas");
    let unknown_schema = section.read("unknown_schema", |found| match &*found.text()? {
        "wait" => Ok(UnknownSchema::Wait),
        "dead_letter" => Ok(UnknownSchema::Reject),
        _ => Err(found.unexpected("\"wait\" or \"dead_letter\"")),
    });
    if unknown_schema.is_some() && schemas.is_none() {
        section.report("unknown_schema", "is only valid with `schemas`");
    }
    let avro = |framing, schemas| Encoding::Avro {
        framing,
        schemas,
        unknown_schema: unknown_schema.unwrap_or_default(),
    };
    match (is_avro.unwrap_or(false), schema, schemas) {
        (true, Some(file), None) => return avro(AvroFraming::Plain, file),
        (true, None, Some(directory)) => return avro(AvroFraming::SingleObject, directory),
        (true, None, None) => section.blame_whole(
            "encoding = \"avro\" needs `schema`, a file, or `schemas`, a directory for single-object encoding",
        ),
        (true, Some(_), Some(_)) => {
            section.report("schemas", "cannot be combined with `schema`; give one of the two");
        }
        (false, None, None) => {}
        (false, schema, _) => {
            let key = if schema.is_some() { "schema" } else { "schemas" };
            section.report(key, "is only valid with encoding = \"avro\"");
        }
    }
    Encoding::Json
}

/// The zone of times that are written without one.
fn time_zone(found: &ConfigValue<'_>) -> Read<TimeZone> {
    let name = found.text()?;
    let zone = TimeZone::get(&name).ok().filter(|zone| !zone.is_unknown());
    zone.ok_or_else(|| {
        let names: Vec<_> = jiff::tz::db().available().collect();
        let nearest = nearest(&name, names.iter().map(TimeZoneName::as_str));
        let hint = nearest.map_or(String::new(), |nearest| {
            format!("; did you mean `{nearest}`?")
        });
        let expected = "the name of a time zone, such as \"Europe/Berlin\" or \"UTC\"";
        found.unexpected(format_args!("{expected}{hint}"))
    })
}

fn path(section: &mut Section<'_>, key: &'static str) -> Option<PathBuf> {
    let text = section.read(key, ConfigValue::text)?;
    Some(PathBuf::from(text.into_owned()))
}
