//! The reference: encodes a change with serde_json, from plain structs.

use flockwise_core::change::Change;
use flockwise_core::lineage::Step;
use flockwise_core::plan::Plan;
use flockwise_core::task::Versions;
use serde::Serialize;

#[derive(Serialize)]
struct ChangeRecord<'a> {
    id: String,
    r#type: &'static str,
    customer_id: &'a str,
    sequence: u32,
    occurred_at: String,
    from: Option<Place<'a>>,
    to: Option<Place<'a>>,
    cause: &'static str,
    distance: Option<f64>,
    distance_from: Option<f64>,
    margin: Option<f64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    outlier: bool,
    drivers: Vec<DriverRecord<'a>>,
    model_version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version_before: Option<u64>,
    /// Present whenever `model_version_before` is, at least as null.
    #[serde(skip_serializing_if = "Option::is_none")]
    lineage: Option<Option<StepRecord>>,
    trigger: Option<TriggerRecord<'a>>,
}

#[derive(Serialize)]
struct Place<'a> {
    segment: u32,
    name: Option<&'a str>,
    strategic: Option<&'a str>,
}

#[derive(Serialize)]
struct DriverRecord<'a> {
    feature: &'a str,
    value: f64,
    typical: f64,
    pull: f64,
}

#[derive(Serialize)]
struct StepRecord {
    step: &'static str,
    segment: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    into: Option<u32>,
}

#[derive(Serialize)]
struct TriggerRecord<'a> {
    topic: &'a str,
    partition: u32,
    offset: i64,
}

pub(crate) fn encode(
    (app, topics, plan): (&str, &[String], &Plan),
    versions: &Versions,
    customer_id: &str,
    change: &Change,
) -> String {
    let place = |segment| Place {
        segment,
        name: name(versions, segment),
        strategic: None,
    };
    let drivers = change.drivers.iter().flatten();
    let record = ChangeRecord {
        id: id(app, customer_id, change),
        r#type: "segment.changed",
        customer_id,
        sequence: change.sequence,
        occurred_at: flockwise_codec::time::write_time(change.occurred_ms),
        from: change.from.map(place),
        to: change.to.map(place),
        cause: change.cause.name(),
        distance: change.distance,
        distance_from: change.distance_from,
        margin: change.margin,
        outlier: change.is_outlier,
        drivers: drivers
            .map(|driver| DriverRecord {
                feature: &plan.feature(driver.feature).name,
                value: driver.value,
                typical: driver.typical,
                pull: driver.pull,
            })
            .collect(),
        model_version: change.model_version,
        model_version_before: change.model_version_before,
        lineage: change.model_version_before.map(|_| step(versions, change)),
        trigger: change.trigger.map(|trigger| TriggerRecord {
            topic: &topics[usize::from(trigger.input)],
            partition: trigger.partition,
            offset: trigger.offset,
        }),
    };
    serde_json::to_string(&record).unwrap()
}

/// The step about the segment left, or else the one about the segment reached.
fn step(versions: &Versions, change: &Change) -> Option<StepRecord> {
    let about = |id: Option<u32>| {
        let steps = versions.current.as_version().lineage.iter();
        let known = steps.map(|step| match *step {
            Step::Born { segment } => ("born", segment, None),
            Step::Retired { segment } => ("retired", segment, None),
            Step::Split { segment, into } => ("split", segment, Some(into)),
            Step::Merged { segment, into } => ("merged", segment, Some(into)),
        });
        known
            .filter(|(_, segment, into)| Some(*segment) == id || (id.is_some() && *into == id))
            .map(|(step, segment, into)| StepRecord {
                step,
                segment,
                into,
            })
            .next()
    };
    about(change.from).or_else(|| about(change.to))
}

fn name(versions: &Versions, segment: u32) -> Option<&str> {
    let models = [Some(&versions.current), versions.previous.as_ref()];
    models.into_iter().flatten().find_map(|model| {
        let segmentation = model.segmentation();
        let index = segmentation.index_of(segment)?;
        Some(segmentation.segments()[index].name.as_str())
    })
}

fn id(app: &str, customer_id: &str, change: &Change) -> String {
    let numbers = [
        change.sequence.to_le_bytes().to_vec(),
        change.occurred_ms.to_le_bytes().to_vec(),
        change.from.map_or(-1, i64::from).to_le_bytes().to_vec(),
        change.to.unwrap_or(u32::MAX).to_le_bytes().to_vec(),
    ];
    let texts = [app.as_bytes(), b"\0", customer_id.as_bytes(), b"\0"];
    let bytes = [texts.concat(), numbers.concat()].concat();
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes))
}
