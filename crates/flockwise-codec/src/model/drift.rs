//! The drift state that a version carries.

use flockwise_core::drift::{ChangeDetector, Drift, Shift};
use flockwise_core::model::ModelVersion;
use serde::{Deserialize, Serialize};

use crate::time::instant;
use crate::time::write_time;

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DriftRecord {
    /// The model learns faster until this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fast_until: Option<String>,
    /// The detectors of the quantisation error and then of each feature: count, mean, variance, above, below.
    #[serde(default)]
    watches: Vec<[f64; 5]>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShiftRecord {
    /// `None`: the quantisation error.
    feature: Option<String>,
    /// Distance from the baseline in standard deviations, signed.
    off: f64,
}

impl DriftRecord {
    pub(super) fn is_nothing(&self) -> bool {
        self.fast_until.is_none() && self.watches.is_empty()
    }
}

impl From<&Drift> for DriftRecord {
    fn from(drift: &Drift) -> Self {
        let watch = |watch: &ChangeDetector| {
            [
                watch.count,
                watch.mean,
                watch.variance,
                watch.above,
                watch.below,
            ]
        };
        Self {
            fast_until: drift.fast_until_ms.map(write_time),
            watches: drift.watches.iter().map(watch).collect(),
        }
    }
}

impl TryFrom<DriftRecord> for Drift {
    type Error = String;

    fn try_from(record: DriftRecord) -> Result<Self, String> {
        let watch = |[count, mean, variance, above, below]: [f64; 5]| ChangeDetector {
            count,
            mean,
            variance,
            above,
            below,
        };
        let fast_until = record.fast_until.as_deref();
        let fast_until_ms = fast_until.map(|text| instant("drift: fast_until", text));
        Ok(Self {
            fast_until_ms: fast_until_ms.transpose()?,
            watches: record.watches.into_iter().map(watch).collect(),
        })
    }
}

impl ShiftRecord {
    pub(super) fn of(shift: &Shift, model: &ModelVersion) -> Self {
        Self {
            feature: shift
                .feature
                .and_then(|index| model.features.get(index).cloned()),
            off: shift.off,
        }
    }

    pub(super) fn read(self, model: &ModelVersion) -> Result<Shift, String> {
        let index = |name: String| {
            let place = model.features.iter().position(|known| *known == name);
            place.ok_or_else(|| format!("shifts: `{name}` is not a feature of the model"))
        };
        Ok(Shift {
            feature: self.feature.map(index).transpose()?,
            off: self.off,
        })
    }
}
