//! The pipeline record: what a pipeline's state was made with, and the first offsets of its inputs. JSON.
//!
//! A customer's state depends on the partitioner, the number of state partitions and the feature plan. An instance
//! with another configuration would misread the state, or keep the same customer twice. So an instance compares its
//! configuration with this record before it joins the group.

use flockwise_core::plan::Plan;
use serde::{Deserialize, Serialize};

use crate::partitioner::Partitioner;

const VERSION: u8 = 1;

/// What the state of a pipeline was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineRecord {
    format: u8,
    partitioner: String,
    /// Number of tasks.
    pub state_partitions: u32,
    /// Fingerprint of the feature plan, in hexadecimal digits.
    plan: String,
    features: Vec<FeatureRecord>,
    /// When the pipeline was first started, milliseconds since the epoch: earlier events are backfill. `None` if an
    /// earlier version of Flockwise wrote the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_started_ms: Option<i64>,
    /// Every input topic that any instance has ever read.
    pub inputs: Vec<InputRecord>,
}

/// A feature's fingerprint, to find the features that differ between two plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FeatureRecord {
    name: String,
    fingerprint: String,
}

/// An input topic as it was when the pipeline first read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRecord {
    /// The topic's name.
    pub topic: String,
    /// The topic's id, which differs from that of a deleted topic of the same name.
    pub id: String,
    /// For each partition that the topic had then, the first offset to read; `None`: from the oldest record. A
    /// partition added later is read from its oldest record.
    pub starts: Vec<Option<i64>>,
}

impl PipelineRecord {
    /// The record of a configuration, without start time and inputs.
    #[must_use]
    pub fn new(partitioner: Partitioner, state_partitions: u32, plan: &Plan) -> Self {
        let features = plan.feature_names().zip(plan.feature_fingerprints());
        Self {
            format: VERSION,
            partitioner: partitioner.name().to_owned(),
            state_partitions,
            plan: hex(plan.fingerprint()),
            features: features
                .map(|(name, fingerprint)| FeatureRecord {
                    name: name.to_owned(),
                    fingerprint: hex(fingerprint),
                })
                .collect(),
            first_started_ms: None,
            inputs: Vec::new(),
        }
    }

    /// Sets when the pipeline was first started, milliseconds since the epoch.
    #[must_use]
    pub fn started_at(mut self, at_ms: i64) -> Self {
        self.first_started_ms = Some(at_ms);
        self
    }

    /// The partitioner; `None` if this version does not know it.
    #[must_use]
    pub fn partitioner(&self) -> Option<Partitioner> {
        Partitioner::named(&self.partitioner)
    }

    /// Encodes the record for the pipeline topic.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Cannot fail: it writes to memory, and all map keys are text.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Decodes what [`PipelineRecord::encode`] wrote.
    ///
    /// # Errors
    /// If the record is malformed or has a later format. The text says what to do.
    pub fn decode(value: &[u8]) -> Result<Self, String> {
        let foreign = |error: serde_json::Error| format!("Flockwise did not write it: {error}");
        let RecordFormat { format } = serde_json::from_slice(value).map_err(foreign)?;
        if format > VERSION {
            return Err(format!(
                "it has format {format}, this version reads up to {VERSION}: use the version that wrote it or a later one"
            ));
        }
        serde_json::from_slice(value).map_err(foreign)
    }

    /// Why an instance with the record `configured` must not work on this state: one phrase for each
    /// difference. Empty if it may.
    #[must_use]
    pub fn differences(&self, configured: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        if self.partitioner != configured.partitioner {
            differences.push(format!(
                "partitioner is \"{}\" and was \"{}\"",
                configured.partitioner, self.partitioner
            ));
        }
        if self.state_partitions != configured.state_partitions {
            differences.push(format!(
                "state_partitions is {} and was {}",
                configured.state_partitions, self.state_partitions
            ));
        }
        if self.plan != configured.plan {
            differences.push(format!(
                "the features differ: {}",
                self.changed_features(configured)
            ));
        }
        differences
    }

    fn changed_features(&self, configured: &Self) -> String {
        let mut changes = Vec::new();
        for feature in &configured.features {
            match self.feature(&feature.name) {
                None if self.has_alike(feature) => {}
                None => changes.push(format!("\"{}\" is new", feature.name)),
                Some(before) if before.fingerprint != feature.fingerprint => {
                    changes.push(format!("\"{}\" has another definition", feature.name));
                }
                Some(_) => {}
            }
        }
        for feature in &self.features {
            if configured.feature(&feature.name).is_none() && !configured.has_alike(feature) {
                changes.push(format!("\"{}\" is missing", feature.name));
            }
        }
        if changes.is_empty() {
            changes.push("their order has changed".to_owned());
        }
        changes.join(", ")
    }

    fn feature(&self, name: &str) -> Option<&FeatureRecord> {
        self.features.iter().find(|feature| feature.name == name)
    }

    /// Whether this record has the same feature, perhaps under another name.
    fn has_alike(&self, feature: &FeatureRecord) -> bool {
        self.features
            .iter()
            .any(|known| known.fingerprint == feature.fingerprint)
    }

    /// The input topic of this name; `None` if no instance has read it.
    #[must_use]
    pub fn input(&self, topic: &str) -> Option<&InputRecord> {
        self.inputs.iter().find(|input| input.topic == topic)
    }
}

#[derive(Deserialize)]
struct RecordFormat {
    format: u8,
}

fn hex(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

#[cfg(test)]
mod tests {
    use flockwise_core::feature::{Aggregate, Feature};

    use super::*;

    fn feature(name: &str, aggregate: Aggregate) -> Feature {
        Feature {
            aggregate,
            ..Feature::count(name)
        }
    }

    fn record(features: &[Feature]) -> PipelineRecord {
        PipelineRecord::new(Partitioner::Murmur2, 12, &Plan::compile(features))
    }

    #[test]
    fn its_bytes_stay_as_they_are() {
        let mut record = record(&[feature("orders", Aggregate::Count)]);
        record.inputs.push(InputRecord {
            topic: "shop.orders".to_owned(),
            id: "cluster.0123".to_owned(),
            starts: vec![None, Some(912)],
        });
        let golden = concat!(
            r#"{"format":1,"partitioner":"murmur2","state_partitions":12,"plan":"435dee0a3cb16de7","#,
            r#""features":[{"name":"orders","fingerprint":"b2c106646d2a90a4"}],"#,
            r#""inputs":[{"topic":"shop.orders","id":"cluster.0123","starts":[null,912]}]}"#
        );
        assert_eq!(String::from_utf8(record.encode()).unwrap(), golden);
        assert_eq!(
            PipelineRecord::decode(golden.as_bytes()),
            Ok(record.clone())
        );
        let started = golden.replace(r#""inputs""#, r#""first_started_ms":9,"inputs""#);
        let record = record.started_at(9);
        assert_eq!(String::from_utf8(record.encode()).unwrap(), started);
        assert_eq!(PipelineRecord::decode(started.as_bytes()), Ok(record));
    }

    #[test]
    fn every_difference_is_named() {
        let orders = feature("orders", Aggregate::Count);
        let recency = feature("recency", Aggregate::Recency);
        let before = record(&[orders.clone(), recency.clone()]);
        let differences = |features: &[Feature]| before.differences(&record(features)).join("; ");
        assert_eq!(differences(&[orders.clone(), recency.clone()]), "");
        let renamed = feature("orders_ever", Aggregate::Count);
        assert_eq!(differences(&[renamed, recency.clone()]), "");
        assert_eq!(
            differences(&[recency.clone(), orders.clone()]),
            "the features differ: their order has changed"
        );
        let other = feature("orders", Aggregate::Share);
        let last = feature("last", Aggregate::Last);
        assert_eq!(
            differences(&[other, last]),
            "the features differ: \"orders\" has another definition, \"last\" is new, \"recency\" is missing"
        );
        let plan = Plan::compile(&[orders, recency]);
        let crc32 = PipelineRecord::new(Partitioner::Crc32, 6, &plan);
        assert_eq!(
            before.differences(&crc32),
            [
                "partitioner is \"crc32\" and was \"murmur2\"",
                "state_partitions is 6 and was 12"
            ]
        );
    }

    #[test]
    fn a_later_format_is_named_and_anything_else_is_malformed() {
        let later = PipelineRecord::decode(br#"{"format":2,"other":1}"#);
        assert!(later.unwrap_err().contains("format 2"));
        for bytes in [&b""[..], b"{}", b"[1]", br#"{"format":1}"#] {
            assert!(PipelineRecord::decode(bytes).is_err());
        }
    }
}
