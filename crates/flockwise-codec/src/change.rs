//! Changes of segment out, as JSON.

use flockwise_core::change::Change;
use flockwise_core::model::Model;
use flockwise_core::plan::Plan;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::time::write_time;

#[derive(Serialize)]
struct ChangeRecord<'a> {
    id: &'a str,
    r#type: &'static str,
    customer_id: &'a str,
    sequence: u32,
    occurred_at: &'a str,
    from: Option<Place<'a>>,
    to: Option<Place<'a>>,
    cause: &'static str,
    distance: Option<f64>,
    distance_from: Option<f64>,
    margin: Option<f64>,
    drivers: &'a [DriverRecord<'a>],
    model_version: u64,
    trigger: Option<TriggerRecord<'a>>,
}

#[derive(Serialize)]
struct Place<'a> {
    segment: u32,
    name: Option<&'a str>,
    strategic: Option<&'a str>,
}

#[derive(Serialize, Clone, Copy)]
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

/// What a change's record needs besides the change.
#[derive(Clone, Copy, Debug)]
pub struct ChangeContext<'a> {
    /// The pipeline's name, part of the id.
    pub app: &'a str,
    /// Names of the input topics.
    pub topics: &'a [String],
    /// Names of the features.
    pub plan: &'a Plan,
    /// The version that scored.
    pub model: &'a Model,
    /// The version before, for the name of a segment that is gone.
    pub previous: Option<&'a Model>,
}

/// Writes a change.
pub fn encode_change(
    context: &ChangeContext<'_>,
    customer_id: &str,
    change: &Change,
    out: &mut Vec<u8>,
) {
    let place = |segment: u32| Place {
        segment,
        name: context.name(segment),
        strategic: None,
    };
    let mut drivers = [DriverRecord {
        feature: "",
        value: 0.0,
        typical: 0.0,
        pull: 0.0,
    }; 3];
    let mut count = 0;
    for (record, driver) in drivers.iter_mut().zip(change.drivers.iter().flatten()) {
        *record = DriverRecord {
            feature: &context.plan.feature(driver.feature).name,
            value: driver.value,
            typical: driver.typical,
            pull: driver.pull,
        };
        count += 1;
    }
    let id = change_id(context.app, customer_id, change, out);
    let record = ChangeRecord {
        id: str::from_utf8(&id).unwrap_or_default(),
        r#type: "segment.changed",
        customer_id,
        sequence: change.sequence,
        occurred_at: &write_time(change.occurred_ms),
        from: change.from.map(place),
        to: change.to.map(place),
        cause: change.cause.name(),
        distance: change.distance,
        distance_from: change.distance_from,
        margin: change.margin,
        drivers: &drivers[..count],
        model_version: change.model_version,
        trigger: change.trigger.map(|trigger| TriggerRecord {
            topic: &context.topics[usize::from(trigger.input)],
            partition: trigger.partition,
            offset: trigger.offset,
        }),
    };
    // Plain structs of numbers and texts: nothing in them can fail to be written to memory.
    let _ = serde_json::to_writer(out, &record);
}

impl<'a> ChangeContext<'a> {
    fn name(&self, segment: u32) -> Option<&'a str> {
        [Some(self.model), self.previous]
            .into_iter()
            .flatten()
            .find_map(|model| {
                model
                    .index_of(segment)
                    .map(|index| model.segments()[index].name.as_str())
            })
    }
}

/// The same whenever the same change is computed again: 128 bits of XXH3 over what makes it this one.
/// The end of `scratch` is used and left as it was.
fn change_id(app: &str, customer_id: &str, change: &Change, scratch: &mut Vec<u8>) -> [u8; 32] {
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
    std::array::from_fn(|place| {
        let digit = (id >> (124 - 4 * place)) & 15;
        b"0123456789abcdef"[digit as usize]
    })
}
