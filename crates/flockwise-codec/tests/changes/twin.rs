//! A change as serde_json writes it, from plain structs.

use flockwise_core::change::Change;
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
    drivers: Vec<DriverRecord<'a>>,
    model_version: u64,
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
        drivers: drivers
            .map(|driver| DriverRecord {
                feature: &plan.feature(driver.feature).name,
                value: driver.value,
                typical: driver.typical,
                pull: driver.pull,
            })
            .collect(),
        model_version: change.model_version,
        trigger: change.trigger.map(|trigger| TriggerRecord {
            topic: &topics[usize::from(trigger.input)],
            partition: trigger.partition,
            offset: trigger.offset,
        }),
    };
    serde_json::to_string(&record).unwrap()
}

fn name(versions: &Versions, segment: u32) -> Option<&str> {
    let models = [Some(&versions.current), versions.previous.as_ref()];
    models.into_iter().flatten().find_map(|model| {
        let index = model.index_of(segment)?;
        Some(model.segments()[index].name.as_str())
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
