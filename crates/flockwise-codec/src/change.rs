//! Encodes changes as JSON.

use std::sync::Arc;

use flockwise_core::change::{Change, Driver, Trigger};
use flockwise_core::lineage::Step;
use flockwise_core::model::Model;
use flockwise_core::plan::Plan;
use flockwise_core::task::Versions;
use xxhash_rust::xxh3::xxh3_128;

use crate::json_writer::{put_hex, put_integer, put_number, put_text};
use crate::time::put_time;

/// Encodes changes. Keeps the escaped names of topics, features and segments, which many changes share.
#[derive(Clone, Debug)]
pub struct ChangeEncoder {
    app: String,
    /// Names of input topics: those configured, then those that only other instances read.
    names: Vec<String>,
    /// For each name, the start of a trigger: `{"topic":"clicks","partition":`.
    topics: Vec<Vec<u8>>,
    /// For each feature, the start of a driver: `{"feature":"orders","value":`.
    features: Vec<Vec<u8>>,
    /// For each segment, ascending by id: `{"segment":4,"name":"frequent","strategic":null}`.
    places: Vec<(u32, Vec<u8>)>,
    /// The current and the previous version, from which `places` was made.
    models: [Option<Arc<Model>>; 2],
}

impl ChangeEncoder {
    /// An encoder for the pipeline `app`, whose name is part of every change's id. `topics` are the
    /// configured input topics.
    #[must_use]
    pub fn new(app: &str, topics: &[String], plan: &Plan) -> Self {
        Self {
            app: app.to_owned(),
            names: topics.to_vec(),
            topics: topics
                .iter()
                .map(|name| written("{\"topic\":", name, ",\"partition\":"))
                .collect(),
            features: plan
                .feature_names()
                .map(|name| written("{\"feature\":", name, ",\"value\":"))
                .collect(),
            places: Vec::new(),
            models: [None, None],
        }
    }

    /// The topic's number for [`Trigger::input`]. A topic that is not configured here, because another
    /// instance forwarded an event of it, gets the next free number.
    pub fn input(&mut self, topic: &str) -> u16 {
        if let Some(known) = self.names.iter().position(|name| name == topic) {
            return known as u16;
        }
        self.names.push(topic.to_owned());
        self.topics
            .push(written("{\"topic\":", topic, ",\"partition\":"));
        (self.names.len() - 1) as u16
    }

    /// Appends a change to `out`. The names of segments come from the current version, or from the previous
    /// one if the current version no longer has the segment.
    pub fn encode(
        &mut self,
        versions: &Versions,
        customer_id: &str,
        change: &Change,
        out: &mut Vec<u8>,
    ) {
        self.refresh(versions);
        let id = change_id(&self.app, customer_id, change, out);
        out.extend_from_slice(b"{\"id\":\"");
        id.iter().for_each(|byte| put_hex(*byte, out));
        out.extend_from_slice(b"\",\"type\":\"segment.changed\",\"customer_id\":");
        put_text(customer_id, out);
        out.extend_from_slice(b",\"sequence\":");
        put_integer(change.sequence, out);
        out.extend_from_slice(b",\"occurred_at\":\"");
        put_time(change.occurred_ms, out);
        out.extend_from_slice(b"\",\"from\":");
        self.put_segment(change.from, out);
        out.extend_from_slice(b",\"to\":");
        self.put_segment(change.to, out);
        out.extend_from_slice(b",\"cause\":\"");
        out.extend_from_slice(change.cause.name().as_bytes());
        out.extend_from_slice(b"\",\"distance\":");
        put_optional(change.distance, out);
        out.extend_from_slice(b",\"distance_from\":");
        put_optional(change.distance_from, out);
        out.extend_from_slice(b",\"margin\":");
        put_optional(change.margin, out);
        if change.is_outlier {
            out.extend_from_slice(b",\"outlier\":true");
        }
        out.extend_from_slice(b",\"drivers\":[");
        self.put_drivers(change, out);
        out.extend_from_slice(b"],\"model_version\":");
        put_integer(change.model_version, out);
        if let Some(before) = change.model_version_before {
            out.extend_from_slice(b",\"model_version_before\":");
            put_integer(before, out);
            out.extend_from_slice(b",\"lineage\":");
            put_step(step_of(&versions.current, change), out);
        }
        out.extend_from_slice(b",\"trigger\":");
        self.put_trigger(change.trigger, out);
        out.push(b'}');
    }

    /// Remakes `places` if the versions are not those it was made from.
    fn refresh(&mut self, versions: &Versions) {
        let [current, previous] = &self.models;
        let is_same = |known: &Option<Arc<Model>>, now: Option<&Arc<Model>>| {
            known.as_ref().map(Arc::as_ptr) == now.map(Arc::as_ptr)
        };
        if is_same(current, Some(&versions.current))
            && is_same(previous, versions.previous.as_ref())
        {
            return;
        }
        self.models = [
            Some(Arc::clone(&versions.current)),
            versions.previous.clone(),
        ];
        self.places.clear();
        let segments = self
            .models
            .iter()
            .flatten()
            .flat_map(|model| model.segmentation().segments());
        for segment in segments {
            self.places
                .push((segment.id, place(segment.id, Some(&segment.name))));
        }
        // The sort is stable and the first duplicate stays, so the current version's name wins.
        self.places.sort_by_key(|(id, _)| *id);
        self.places.dedup_by_key(|(id, _)| *id);
    }

    fn put_segment(&self, segment: Option<u32>, out: &mut Vec<u8>) {
        let Some(segment) = segment else {
            return out.extend_from_slice(b"null");
        };
        match self.places.binary_search_by_key(&segment, |(id, _)| *id) {
            Ok(index) => out.extend_from_slice(&self.places[index].1),
            Err(_) => out.extend_from_slice(&place(segment, None)),
        }
    }

    fn put_drivers(&self, change: &Change, out: &mut Vec<u8>) {
        for (place, driver) in change.drivers.iter().flatten().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            self.put_driver(driver, out);
        }
    }

    fn put_driver(&self, driver: &Driver, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.features[driver.feature]);
        put_number(driver.value, out);
        out.extend_from_slice(b",\"typical\":");
        put_number(driver.typical, out);
        out.extend_from_slice(b",\"pull\":");
        put_number(driver.pull, out);
        out.push(b'}');
    }

    fn put_trigger(&self, trigger: Option<Trigger>, out: &mut Vec<u8>) {
        let Some(trigger) = trigger else {
            return out.extend_from_slice(b"null");
        };
        out.extend_from_slice(&self.topics[usize::from(trigger.input)]);
        put_integer(trigger.partition, out);
        out.extend_from_slice(b",\"offset\":");
        put_integer(trigger.offset, out);
        out.push(b'}');
    }
}

/// A name as a JSON string between two constant parts.
fn written(before: &str, name: &str, after: &str) -> Vec<u8> {
    let mut out = before.as_bytes().to_vec();
    put_text(name, &mut out);
    out.extend_from_slice(after.as_bytes());
    out
}

/// A segment's JSON object. The name is null if neither version has the segment.
fn place(segment: u32, name: Option<&str>) -> Vec<u8> {
    let mut out = b"{\"segment\":".to_vec();
    put_integer(segment, &mut out);
    out.extend_from_slice(b",\"name\":");
    match name {
        Some(name) => put_text(name, &mut out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"strategic\":null}");
    out
}

/// The lineage step that explains a change with cause `model`. A step about the segment left takes
/// precedence over one about the segment reached.
fn step_of(model: &Model, change: &Change) -> Option<Step> {
    let lineage = &model.as_version().lineage;
    let ends = [change.from, change.to].into_iter().flatten();
    ends.into_iter()
        .find_map(|id| lineage.iter().find(|step| step.concerns(id)).copied())
}

fn put_step(step: Option<Step>, out: &mut Vec<u8>) {
    let Some(step) = step else {
        return out.extend_from_slice(b"null");
    };
    let (segment, into) = step.segments();
    out.extend_from_slice(b"{\"step\":\"");
    out.extend_from_slice(step.name().as_bytes());
    out.extend_from_slice(b"\",\"segment\":");
    put_integer(segment, out);
    if let Some(into) = into {
        out.extend_from_slice(b",\"into\":");
        put_integer(into, out);
    }
    out.push(b'}');
}

fn put_optional(number: Option<f64>, out: &mut Vec<u8>) {
    put_number(number.unwrap_or(f64::NAN), out);
}

/// The change's id: 128 bits of XXH3 over the fields that identify it. Computing the same change again
/// gives the same id. Uses the end of `scratch` and truncates it again.
fn change_id(app: &str, customer_id: &str, change: &Change, scratch: &mut Vec<u8>) -> [u8; 16] {
    let start = scratch.len();
    scratch.extend_from_slice(app.as_bytes());
    scratch.push(0);
    scratch.extend_from_slice(customer_id.as_bytes());
    scratch.push(0);
    scratch.extend_from_slice(&change.sequence.to_le_bytes());
    scratch.extend_from_slice(&change.occurred_ms.to_le_bytes());
    scratch.extend_from_slice(&change.from.map_or(-1, i64::from).to_le_bytes());
    scratch.extend_from_slice(&change.to.unwrap_or(u32::MAX).to_le_bytes());
    let id = xxh3_128(&scratch[start..]);
    scratch.truncate(start);
    id.to_be_bytes()
}
