//! Governance: whether a version comes into use by itself, by a command, or not yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::retired_centroids::mask_retired;
use super::scaled_space::ScaledSpace;
use super::{CommandAction, CommandError, Seen, Trainer, TrainerCommand};
use crate::lineage::Step;
use crate::model::{Artefacts, Model, ModelVersion};
use crate::publication::Publication;
use crate::segmentation::{Impact, Segmentation, impact};

impl Trainer {
    /// Executes a command of an operator: the version that it names is in use from then on.
    ///
    /// # Errors
    /// If the command cannot be executed. Nothing has changed then.
    pub fn execute(&mut self, command: &TrainerCommand) -> Result<Publication, CommandError> {
        let live = match &command.what {
            CommandAction::Approve { version } => self.approved(*version)?,
            CommandAction::Import(model) | CommandAction::Rollback(model) => {
                self.replaced(model)?
            }
        };
        let impact = self.against_live(&live);
        self.live = Some(live.clone());
        self.held = None;
        self.seen = Seen::with(Some(&live));
        Ok(Publication {
            impact,
            command: Some(command.audit()),
            ..Publication::live(live)
        })
    }

    fn approved(&self, version: u64) -> Result<ModelVersion, CommandError> {
        let held = self.held.as_ref();
        let meant = held.filter(|held| held.version == version);
        let meant = meant.ok_or(CommandError::NotHeld {
            version,
            held: held.map(|held| held.version),
        })?;
        // The training time is now, so that every customer is scored before the next version comes. The cause of a
        // change is then the version that made it, and not one that came in between.
        Ok(ModelVersion {
            trained_ms: self.now_ms,
            ..meant.clone()
        })
    }

    /// Turns a model from outside into the next version.
    fn replaced(&self, model: &ModelVersion) -> Result<ModelVersion, CommandError> {
        Model::new(&self.plan, model.clone())?;
        let Some(latest) = self.latest() else {
            return Ok(ModelVersion {
                trained_ms: self.now_ms,
                ..model.clone()
            });
        };
        let ids = |model: &ModelVersion| -> BTreeSet<u32> {
            let segments = model.segmentation().segments.iter();
            segments.map(|segment| segment.id).collect()
        };
        let before = ids(self.live.as_ref().unwrap_or(latest));
        let after = ids(model);
        let gone = before.difference(&after);
        let gone = gone.map(|segment| Step::Retired { segment: *segment });
        let come = after.difference(&before);
        let come = come.map(|segment| Step::Born { segment: *segment });
        let (latest_segmentation, segmentation) = (latest.segmentation(), model.segmentation());
        let segmentation = self.finished(Segmentation {
            next_id: segmentation.next_id.max(latest_segmentation.next_id),
            retired_centroids: latest_segmentation.retired_centroids.clone(),
            ..segmentation.clone()
        });
        Ok(ModelVersion {
            version: latest.version + 1,
            trained_ms: self.now_ms,
            lineage: gone.chain(come).collect(),
            drift: latest.drift.clone(),
            artefacts: Artefacts {
                segmentation: Arc::new(segmentation),
                ..model.artefacts.clone()
            },
            ..model.clone()
        })
    }

    /// Makes a version live if it moves no more customers than allowed. Otherwise it is held until it is approved
    /// or a later one moves few enough. It includes the lineage of a version held before.
    pub(super) fn govern(&mut self, mut next: ModelVersion, impact: Option<Impact>) -> Publication {
        if let Some(held) = self.held.take() {
            next.lineage = [held.lineage, next.lineage].concat();
        }
        let moved = impact.as_ref().map_or(0.0, |impact| impact.moved);
        let is_held = moved > self.policy.churn_budget && !self.history.contains(self.now_ms);
        if is_held {
            self.held = Some(next.clone());
        } else {
            self.live = Some(next.clone());
        }
        Publication {
            model: next,
            is_held,
            impact,
            command: None,
            shifts: Vec::new(),
        }
    }

    pub(super) fn against_live(&self, next: &ModelVersion) -> Option<Impact> {
        self.live.as_ref().and_then(|now| self.impact(now, next))
    }

    /// The impact of a version on the customers of the window, compared with another version. Customers sampled
    /// near a retired centroid do not count: they have moved elsewhere since.
    pub(super) fn impact(&self, now: &ModelVersion, next: &ModelVersion) -> Option<Impact> {
        let mut weighed = self.window.weighed(self.now_ms, self.policy.half_life_ms);
        let Segmentation {
            scaler,
            segments,
            retired_centroids,
            ..
        } = next.segmentation();
        let space = ScaledSpace::new(&self.plan, scaler);
        mask_retired(&mut weighed, segments, retired_centroids, &space);
        let now = Model::new(&self.plan, now.clone()).ok()?;
        let next = Model::new(&self.plan, next.clone()).ok()?;
        let (now, next) = (now.segmentation(), next.segmentation());
        Some(impact(now, next, self.margin, &weighed.points))
    }

    /// Whether the held version would by now move no more customers than allowed.
    pub(super) fn is_calm(&self) -> bool {
        let impact = self.held.as_ref().and_then(|held| self.against_live(held));
        impact.is_some_and(|impact| impact.moved <= self.policy.churn_budget)
    }
}
