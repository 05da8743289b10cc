//! The trainer: learns segments from a sample of customers, those of late weighing more, and lets no version
//! move more of them than it may without being told to.

mod first;
mod moments;
mod next;
mod order;
mod organiser;
mod space;
mod watching;
mod window;

pub use order::{Audit, Order, Publication, What};

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::aggregate::NEVER_MS;
use crate::lineage::Step;
use crate::model::{Model, ModelError, ModelParts, Scaler};
use crate::naming::name_segments;
use crate::plan::Plan;
use crate::policy::LearningPolicy;
use crate::review::{Review, review};
use space::Space;
use window::{KEPT_HALF_LIVES, Window};

/// Customers in the trainer's window, at most.
const SAMPLE_BOUND: usize = 65_536;
/// Customers that the first model is made from, at most: more would not make it better, and the shard
/// that is the trainer stands still meanwhile.
const FITTED: usize = 10_000;
/// Versions a half-life, at most: in between little is learnt.
const VERSIONS_A_HALF_LIFE: i64 = 24;

/// Customers of a task, on their way to the trainer.
#[derive(Clone, Debug, PartialEq)]
pub struct MiniBatch {
    /// Event time up to which it speaks, milliseconds since the epoch.
    pub at_ms: i64,
    /// Vectors of customers, by the hash of their ids.
    pub sample: Vec<(u64, Vec<f64>)>,
}

/// What the trainer is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Lesson {
    /// By a task.
    MiniBatch(MiniBatch),
    /// By a person.
    Order(Order),
}

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another version than the one held, or none is.
    #[error(
        "version {version} is not held: {}; see `flockwise model list`",
        held.map_or("none is".to_owned(), |held| format!("version {held} is"))
    )]
    NotHeld {
        /// The one to be approved.
        version: u64,
        /// The one that is held.
        held: Option<u64>,
    },
    /// The model does not go with the plan.
    #[error(transparent)]
    Unfit(#[from] ModelError),
}

/// Learns the model. Its state is the last published versions, the live one and the one held, and the customers
/// sampled lately; a new owner has the latter from the mini-batches again, from [`Trainer::window_offset`] on.
#[derive(Clone, Debug)]
pub struct Trainer {
    plan: Arc<Plan>,
    policy: LearningPolicy,
    publish_ms: i64,
    window: Window,
    first_ms: Option<i64>,
    now_ms: i64,
    live: Option<ModelParts>,
    held: Option<ModelParts>,
}

impl Trainer {
    /// A trainer that publishes at most once in `publish_ms` of event time and starts from the version in use.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        policy: LearningPolicy,
        publish_ms: i64,
        live: Option<ModelParts>,
    ) -> Self {
        Self {
            window: Window::new(plan.len(), SAMPLE_BOUND),
            now_ms: live.as_ref().map_or(NEVER_MS, |model| model.trained_ms),
            publish_ms: publish_ms.max(policy.half_life_ms / VERSIONS_A_HALF_LIFE),
            first_ms: None,
            plan,
            policy,
            live,
            held: None,
        }
    }

    /// The same, with a version that is held back: it goes on learning from that one.
    #[must_use]
    pub fn holding(mut self, held: Option<ModelParts>) -> Self {
        let held_ms = held.as_ref().map_or(NEVER_MS, |held| held.trained_ms);
        self.now_ms = self.now_ms.max(held_ms);
        self.held = held;
        self
    }

    /// Takes a mini-batch in again that the version it started from has learnt from.
    pub fn recall(&mut self, batch: MiniBatch, offset: i64) {
        if self.policy.learn {
            self.window.take(batch, offset);
        }
    }

    /// Takes in the mini-batch at an offset; returns a version where one is to be published.
    pub fn fold(&mut self, batch: MiniBatch, offset: i64) -> Option<Publication> {
        if !self.policy.learn {
            return None;
        }
        let at_ms = batch.at_ms;
        self.now_ms = self.now_ms.max(at_ms);
        self.window.take(batch, offset);
        match self.latest() {
            None => self.warm_up(at_ms),
            Some(model) if self.is_due(model) => self.learn(),
            Some(_) => None,
        }
    }

    /// Where the oldest mini-batch lies that its window holds: a successor reads from there.
    #[must_use]
    pub fn window_offset(&self) -> Option<i64> {
        self.window.first_offset()
    }

    /// Carries an order out.
    ///
    /// # Errors
    /// Where it cannot be; nothing is different then.
    pub fn obey(&mut self, order: &Order) -> Result<Publication, Refused> {
        let live = match &order.what {
            What::Approve { version } => self.approved(*version)?,
            What::Import(model) | What::Rollback(model) => self.replaced(model)?,
        };
        let reviewed = self.reviewed(&live);
        self.live = Some(live.clone());
        self.held = None;
        Ok(Publication {
            review: reviewed,
            order: Some(order.audit()),
            ..Publication::live(live)
        })
    }

    fn approved(&self, version: u64) -> Result<ModelParts, Refused> {
        let held = self.held.as_ref();
        let meant = held.filter(|held| held.version == version);
        let meant = meant.ok_or(Refused::NotHeld {
            version,
            held: held.map(|held| held.version),
        })?;
        // From now on, so that everybody is looked at before the next one comes: a change has the version that
        // made it for its cause, and not one that came in between.
        Ok(ModelParts {
            trained_ms: self.now_ms,
            ..meant.clone()
        })
    }

    /// A model from outside as the next version.
    fn replaced(&self, model: &ModelParts) -> Result<ModelParts, Refused> {
        Model::new(&self.plan, model.clone())?;
        let Some(latest) = self.latest() else {
            return Ok(model.clone());
        };
        let ids = |model: &ModelParts| -> BTreeSet<u32> {
            model.segments.iter().map(|segment| segment.id).collect()
        };
        let before = ids(self.live.as_ref().unwrap_or(latest));
        let after = ids(model);
        let gone = before.difference(&after);
        let gone = gone.map(|segment| Step::Retired { segment: *segment });
        let come = after.difference(&before);
        let come = come.map(|segment| Step::Born { segment: *segment });
        Ok(self.finished(ModelParts {
            version: latest.version + 1,
            trained_ms: self.now_ms,
            next_id: model.next_id.max(latest.next_id),
            lineage: gone.chain(come).collect(),
            ghosts: latest.ghosts.clone(),
            drift: latest.drift.clone(),
            ..model.clone()
        }))
    }

    fn latest(&self) -> Option<&ModelParts> {
        self.held.as_ref().or(self.live.as_ref())
    }

    fn warm_up(&mut self, at_ms: i64) -> Option<Publication> {
        let first_ms = *self.first_ms.get_or_insert(at_ms);
        let wanted = self.policy.warm_up_customers.clamp(1, FITTED);
        let is_early = self.now_ms - first_ms < self.policy.warm_up_ms;
        if is_early || self.window.len() < wanted || self.window.each_once(wanted).len() < wanted {
            return None;
        }
        let first = self.first_model();
        self.live = Some(first.clone());
        Some(Publication::live(first))
    }

    fn is_due(&self, model: &ModelParts) -> bool {
        self.now_ms.saturating_sub(model.trained_ms) >= self.publish_ms
    }

    /// The next version, unless there are fewer customers to learn from than a first model needs: a gap
    /// in which nobody was seen teaches nothing, and an imported model stands until enough is known.
    fn learn(&mut self) -> Option<Publication> {
        let sampled = self.policy.sampled();
        let kept = sampled.saturating_mul(KEPT_HALF_LIVES as usize);
        self.window
            .forget(self.now_ms, self.policy.half_life_ms, kept);
        if self.window.len() < self.policy.warm_up_customers.clamp(1, sampled) {
            return None;
        }
        let latest = self.latest()?;
        let weighed = self.window.weighed(self.now_ms, self.half_life_ms(latest));
        let (drift, shifts) = self.watched(latest, &weighed);
        let next = self.next_model(latest, weighed)?;
        let next = ModelParts { drift, ..next };
        Some(Publication {
            shifts,
            ..self.govern(next)
        })
    }

    /// A version goes live that moves no more customers than it may; else it is held, until it is approved or
    /// one after it calms down. What was held before is part of it.
    fn govern(&mut self, mut next: ModelParts) -> Publication {
        if let Some(held) = self.held.take() {
            next.lineage = [held.lineage, next.lineage].concat();
        }
        let review = self.reviewed(&next);
        let moved = review.as_ref().map_or(0.0, |review| review.moved);
        let is_held = moved > self.policy.churn_budget;
        if is_held {
            self.held = Some(next.clone());
        } else {
            self.live = Some(next.clone());
        }
        Publication {
            model: next,
            is_held,
            review,
            order: None,
            shifts: Vec::new(),
        }
    }

    /// What a version does to the customers of the window, against the one in use. Those sampled at a place that
    /// was left since are elsewhere.
    fn reviewed(&self, next: &ModelParts) -> Option<Review> {
        let mut weighed = self.window.weighed(self.now_ms, self.policy.half_life_ms);
        let space = Space::new(&self.plan, &next.scaler);
        next::lay(&mut weighed, next, &next.ghosts, &space);
        let now = Model::new(&self.plan, self.live.clone()?).ok()?;
        let next = Model::new(&self.plan, next.clone()).ok()?;
        Some(review(&now, &next, &weighed.points))
    }

    fn finished(&self, mut model: ModelParts) -> ModelParts {
        round(&mut model.scaler);
        model.segments.sort_by_key(|segment| segment.id);
        name_segments(&self.plan, &model.scaler, &mut model.segments);
        model
    }
}

/// Makes variances squares of deviations, as which they are written: who goes on from the published
/// version has the very same numbers.
fn round(scaler: &mut Scaler) {
    for variance in &mut scaler.variances {
        let deviation = variance.sqrt();
        *variance = deviation * deviation;
    }
}
