//! The artefacts of a version, by name. Those of a later release are kept as they are.

use std::collections::BTreeMap;
use std::fmt;

use flockwise_core::model::Artefacts;
use flockwise_core::plan::Plan;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::segmentation::SegmentationRecord;

#[derive(Serialize)]
pub(super) struct ArtefactsRecord {
    segmentation: SegmentationRecord,
    #[serde(flatten)]
    unknown: BTreeMap<String, Box<RawValue>>,
}

impl From<&Artefacts> for ArtefactsRecord {
    fn from(artefacts: &Artefacts) -> Self {
        let unknown = artefacts.unknown.iter().filter_map(|(name, json)| {
            // Always valid: it was read from a record.
            Some((name.clone(), RawValue::from_string(json.clone()).ok()?))
        });
        Self {
            segmentation: SegmentationRecord::from(&*artefacts.segmentation),
            unknown: unknown.collect(),
        }
    }
}

impl ArtefactsRecord {
    pub(super) fn read(self, plan: &Plan) -> Result<Artefacts, String> {
        let unknown = self.unknown.into_iter();
        Ok(Artefacts {
            segmentation: self.segmentation.read(plan)?.into(),
            unknown: unknown
                .map(|(name, json)| (name, json.get().to_owned()))
                .collect(),
        })
    }
}

impl<'de> Deserialize<'de> for ArtefactsRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ArtefactsVisitor)
    }
}

/// Derived code with `flatten` could not keep the text of an unknown artefact.
struct ArtefactsVisitor;

impl<'de> Visitor<'de> for ArtefactsVisitor {
    type Value = ArtefactsRecord;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("artefacts by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ArtefactsRecord, A::Error> {
        let (mut segmentation, mut unknown) = (None, BTreeMap::new());
        while let Some(name) = map.next_key::<String>()? {
            let is_repeated = if name == "segmentation" {
                segmentation.replace(map.next_value()?).is_some()
            } else {
                unknown.insert(name.clone(), map.next_value()?).is_some()
            };
            if is_repeated {
                return Err(A::Error::custom(format!("two artefacts `{name}`")));
            }
        }
        let segmentation = segmentation.ok_or_else(|| {
            A::Error::custom(
                "no artefact `segmentation`: without segments no customer can be scored",
            )
        })?;
        Ok(ArtefactsRecord {
            segmentation,
            unknown,
        })
    }
}
