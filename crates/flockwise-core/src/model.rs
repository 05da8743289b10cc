//! One version of the model: an envelope, and the artefacts in it by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::aggregate::NEVER_MS;
use crate::drift::Drift;
use crate::lineage::Step;
use crate::plan::Plan;
use crate::segmentation::{SegmentScorer, Segmentation, SegmentationError};

/// A version in the form in which it is learnt, stored and exchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelVersion {
    /// Version number, from 1; each published version is one higher.
    pub version: u64,
    /// Event time up to which it has learnt, or at which a command put it into use, milliseconds since the epoch;
    /// [`NEVER_MS`] if unknown.
    pub trained_ms: i64,
    /// Names of the features, in the order of the vectors in all artefacts.
    pub features: Vec<String>,
    /// How the segments of the previous version became these.
    pub lineage: Vec<Step>,
    /// What the trainer has learnt, by name.
    pub artefacts: Artefacts,
    /// State of the trainer's drift detection, from which its successor continues. It does not score customers.
    pub drift: Drift,
}

/// The artefacts of a version. The trainer fits each to the sampled customers; [`Model`] applies them to one customer.
#[derive(Clone, Debug, PartialEq)]
pub struct Artefacts {
    /// The tactical segments and the scaler.
    pub segmentation: Arc<Segmentation>,
    /// Artefacts of a later release of Flockwise, by name, as JSON. They stay in the version that has them, also where
    /// it is approved, exported, imported or rolled back to. The trainer cannot fit them, so a version that it learns
    /// has none.
    pub unknown: BTreeMap<String, String>,
}

impl From<Segmentation> for Artefacts {
    fn from(segmentation: Segmentation) -> Self {
        Self {
            segmentation: Arc::new(segmentation),
            unknown: BTreeMap::new(),
        }
    }
}

impl ModelVersion {
    /// A version without a predecessor: number 1, no training time.
    #[must_use]
    pub fn hand_made(features: Vec<String>, artefacts: impl Into<Artefacts>) -> Self {
        Self {
            version: 1,
            trained_ms: NEVER_MS,
            features,
            lineage: Vec::new(),
            artefacts: artefacts.into(),
            drift: Drift::default(),
        }
    }

    /// The artefact that scores customers.
    #[must_use]
    pub fn segmentation(&self) -> &Segmentation {
        &self.artefacts.segmentation
    }
}

/// A version prepared for use with a plan.
#[derive(Clone, Debug)]
pub struct Model {
    version: ModelVersion,
    segmentation: SegmentScorer,
}

/// Why a model does not fit a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// It has other features, or the same in another order.
    #[error(
        "the model has the features [{found}], the configuration has [{expected}]: use the configuration that the model was made with, or make a new model"
    )]
    Features {
        /// The features of the model, separated by commas.
        found: String,
        /// The features of the plan, separated by commas.
        expected: String,
    },
    /// Its segments do not fit.
    #[error(transparent)]
    Segmentation(#[from] SegmentationError),
}

impl Model {
    /// Prepares a version for a plan.
    ///
    /// # Errors
    /// If the version does not fit the plan.
    pub fn new(plan: &Plan, mut version: ModelVersion) -> Result<Self, ModelError> {
        let features = version.features.iter().map(String::as_str);
        if !features.eq(plan.feature_names()) {
            return Err(ModelError::Features {
                found: version.features.join(", "),
                expected: plan.feature_names().collect::<Vec<_>>().join(", "),
            });
        }
        let segmentation = SegmentScorer::new(plan, Arc::clone(&version.artefacts.segmentation))?;
        version.artefacts.segmentation = Arc::clone(segmentation.segmentation());
        Ok(Self {
            version,
            segmentation,
        })
    }

    /// The version in the form in which it is stored.
    #[must_use]
    pub fn as_version(&self) -> &ModelVersion {
        &self.version
    }

    /// The version number.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.version
    }

    /// Its segments, ready to score a customer.
    #[must_use]
    pub fn segmentation(&self) -> &SegmentScorer {
        &self.segmentation
    }
}
