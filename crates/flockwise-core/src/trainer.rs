//! The trainer: learns segments from a sample of customers, those of late weighing more, and lets no version
//! move more of them than it may without being told to.

mod command;
mod drift_monitor;
mod initial_version;
mod moments;
mod next_version;
mod outlier_filter;
mod outlier_threshold;
mod sampling_progress;
mod scaled_space;
mod structure;
mod warm_up;
mod window;

pub use command::{Audit, CommandAction, CommandError, Publication, TrainerCommand};
pub use sampling_progress::{CAUGHT_UP, Sampled};
pub use warm_up::WarmUp;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::aggregate::NEVER_MS;
use crate::drift::Drift;
use crate::impact::{Impact, impact};
use crate::lineage::Step;
use crate::model::{Model, ModelParts, Scaler};
use crate::naming::name_segments;
use crate::plan::Plan;
use crate::policy::{HistoryPolicy, LearningPolicy};
use sampling_progress::SamplingProgress;
use scaled_space::ScaledSpace;
use window::{KEPT_HALF_LIVES, Window};

/// Customers in the trainer's window, at most.
const SAMPLE_BOUND: usize = 65_536;
/// Customers that the first model is made from, at most: more would not make it better, and the worker
/// that is the trainer stands still meanwhile.
const FITTED: usize = 10_000;
/// By how much of itself the quantisation error must fall for each share of the customers that get another nearest
/// segment. On continuous data k-means has many solutions that are as good, and who follows each moves everybody
/// again and again. At 0 the nearest segment of a customer of a year of real orders changes by the model alone eight
/// times, at 0.1 three times, at no cost in inertia; at 0.2 once, but the model is then some percent behind
/// (BENCHMARKS.md).
const WORTH_A_MOVE: f64 = 0.1;

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
pub enum TrainerInput {
    /// By a task.
    MiniBatch(MiniBatch),
    /// By a person.
    Command(TrainerCommand),
    /// How far tasks have sampled.
    Sampled(BTreeMap<u32, Sampled>),
}

/// Learns the model. Its state is the last published versions, the live one and the one held, and the customers
/// sampled lately; a new owner has the latter from the mini-batches again, from [`Trainer::window_offset`] on.
#[derive(Clone, Debug)]
pub struct Trainer {
    plan: Arc<Plan>,
    policy: LearningPolicy,
    window: Window,
    /// How far the tasks have sampled, as far as they have said.
    progress: SamplingProgress,
    /// Mini-batches of instants that not all tasks have come to, with their offsets.
    ahead: Vec<(MiniBatch, i64)>,
    vectors_ahead: usize,
    /// The latest instant of a mini-batch.
    latest_ms: i64,
    first_ms: Option<i64>,
    now_ms: i64,
    live: Option<ModelParts>,
    held: Option<ModelParts>,
    margin: f64,
    history: HistoryPolicy,
    seen: Seen,
}

/// What was seen of the customers since the version that it learns on from.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Whether they are changing.
    drift: Drift,
    /// Up to when.
    until_ms: i64,
    /// Periods after the version in which it was last looked.
    periods: i64,
}

impl Seen {
    fn with(version: Option<&ModelParts>) -> Self {
        version.map_or_else(Self::default, |version| Self {
            drift: version.drift.clone(),
            until_ms: version.trained_ms,
            periods: 0,
        })
    }
}

impl Trainer {
    /// A trainer that starts from the version in use. It looks at what it has learnt once in
    /// [`LearningPolicy::look_ms`].
    #[must_use]
    pub fn new(plan: Arc<Plan>, policy: LearningPolicy, live: Option<ModelParts>) -> Self {
        Self {
            window: Window::new(plan.len(), SAMPLE_BOUND),
            progress: SamplingProgress::default(),
            ahead: Vec::new(),
            vectors_ahead: 0,
            latest_ms: NEVER_MS,
            now_ms: live.as_ref().map_or(NEVER_MS, |model| model.trained_ms),
            first_ms: None,
            margin: 0.0,
            history: HistoryPolicy::default(),
            seen: Seen::with(live.as_ref()),
            plan,
            policy,
            live,
            held: None,
        }
    }

    /// The same, for customers who stay where they are unless another segment is nearer by more than a margin, a
    /// share of the distance.
    #[must_use]
    pub fn with_margin(mut self, margin: f64) -> Self {
        self.margin = margin;
        self
    }

    /// The same, for a pipeline that began with history. While that is read no version is held: the first are learnt from
    /// customers who have hardly begun, those after them move many, and there is nobody yet whom that surprises.
    #[must_use]
    pub fn with_history(mut self, history: HistoryPolicy) -> Self {
        self.history = history;
        self
    }

    /// The same, with a version that is held back: it goes on learning from that one.
    #[must_use]
    pub fn holding(mut self, held: Option<ModelParts>) -> Self {
        let held_ms = held.as_ref().map_or(NEVER_MS, |held| held.trained_ms);
        self.now_ms = self.now_ms.max(held_ms);
        self.held = held;
        self.seen = Seen::with(self.latest());
        self
    }

    /// Takes a mini-batch in again that the version it started from has learnt from.
    pub fn replay(&mut self, batch: MiniBatch, offset: i64) {
        if !self.policy.learn {
            return;
        }
        self.latest_ms = self.latest_ms.max(batch.at_ms);
        self.vectors_ahead += batch.sample.len();
        self.ahead.push((batch, offset));
        if self.vectors_ahead > SAMPLE_BOUND {
            self.let_count(self.latest_ms);
        }
    }

    /// [`Trainer::absorb`], and [`Trainer::learn_from_window`] where that is due; returns a version where one is to be published.
    pub fn fold(&mut self, batch: MiniBatch, offset: i64) -> Option<Publication> {
        if self.absorb(batch, offset) {
            self.learn_from_window()
        } else {
            None
        }
    }

    /// Takes in the mini-batch at an offset. It counts once all tasks with a backlog have sampled up to its instant.
    /// `true`: call [`Trainer::learn_from_window`] before anything else, else the versions are not those of a trainer
    /// that reads the same records again.
    pub fn absorb(&mut self, batch: MiniBatch, offset: i64) -> bool {
        self.replay(batch, offset);
        self.advance()
    }

    /// Tasks say at an offset how far they have sampled. `true`: as with [`Trainer::absorb`].
    pub fn hear(&mut self, sampled: &BTreeMap<u32, Sampled>, offset: i64) -> bool {
        self.replay_sampled(sampled, offset);
        self.advance()
    }

    /// Takes in again what tasks said before the version that it started from was learnt. That moves no time on: what a
    /// task said before the first record that is read again is not known, so the others may seem to be all.
    pub fn replay_sampled(&mut self, sampled: &BTreeMap<u32, Sampled>, offset: i64) {
        self.progress.note(sampled, offset);
    }

    /// Event time in which all tasks of a backlog wait for it once, milliseconds.
    #[must_use]
    pub fn period_ms(&self) -> u64 {
        self.policy.period_ms(self.live.is_some()).unsigned_abs()
    }

    /// Has every task said how far it has sampled?
    #[must_use]
    pub fn has_heard(&self, tasks: u32) -> bool {
        self.progress.is_of_all(tasks)
    }

    /// The instant up to which all tasks have sampled, [`CAUGHT_UP`] where none has a backlog; and the customers that they
    /// had then.
    #[must_use]
    pub fn sampled(&self) -> Sampled {
        self.progress.total()
    }

    fn advance(&mut self) -> bool {
        let complete_ms = match self.sampled().to_ms {
            CAUGHT_UP => self.latest_ms,
            to_ms => to_ms,
        };
        self.let_count(complete_ms);
        if self.first_ms.is_none() {
            return false;
        }
        self.now_ms = self.now_ms.max(complete_ms);
        match self.latest() {
            None => self.warm_up().is_complete(),
            Some(model) if self.periods_since(model) > self.seen.periods => self.has_enough(),
            Some(_) => false,
        }
    }

    fn let_count(&mut self, complete_ms: i64) {
        let is_complete = |(batch, _): &mut (MiniBatch, i64)| batch.at_ms <= complete_ms;
        for (batch, offset) in self.ahead.extract_if(.., is_complete) {
            let first_ms = self.first_ms.unwrap_or(batch.at_ms).min(batch.at_ms);
            self.first_ms = Some(first_ms);
            self.vectors_ahead -= batch.sample.len();
            self.window.take(batch, offset);
        }
    }

    /// Learns from the window: the first version, or the one after the latest; `None` where the latest is as good.
    /// This takes long, seconds to minutes for many features and segments.
    pub fn learn_from_window(&mut self) -> Option<Publication> {
        let publication = match self.latest() {
            None => Some(self.first_version()),
            Some(_) => self.next_version(),
        };
        if publication.is_some() {
            self.seen = Seen::with(self.latest());
        }
        publication
    }

    /// The lowest offset of what a successor has to know: mini-batches that it learns from, and what tasks with a backlog
    /// said last. It reads from there.
    #[must_use]
    pub fn window_offset(&self) -> Option<i64> {
        let ahead = self.ahead.iter().map(|(_, offset)| *offset);
        let others = [self.progress.first_offset(), self.window.first_offset()];
        ahead.chain(others.into_iter().flatten()).min()
    }

    /// Carries an order out.
    ///
    /// # Errors
    /// Where it cannot be; nothing is different then.
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

    fn approved(&self, version: u64) -> Result<ModelParts, CommandError> {
        let held = self.held.as_ref();
        let meant = held.filter(|held| held.version == version);
        let meant = meant.ok_or(CommandError::NotHeld {
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
    fn replaced(&self, model: &ModelParts) -> Result<ModelParts, CommandError> {
        Model::new(&self.plan, model.clone())?;
        let Some(latest) = self.latest() else {
            return Ok(ModelParts {
                trained_ms: self.now_ms,
                ..model.clone()
            });
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

    /// The version in use; 0: there is none.
    #[must_use]
    pub fn live_version(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| live.version)
    }

    fn latest(&self) -> Option<&ModelParts> {
        self.held.as_ref().or(self.live.as_ref())
    }

    fn first_version(&mut self) -> Publication {
        let first = self.first_model();
        self.live = Some(first.clone());
        Publication::live(first)
    }

    /// Periods are counted from the version on, so that a successor, who goes on from it, looks when this one does.
    fn periods_since(&self, model: &ModelParts) -> i64 {
        self.age_ms(model) / self.policy.look_ms()
    }

    /// A version that does not say when it is from is from the epoch.
    fn age_ms(&self, model: &ModelParts) -> i64 {
        self.now_ms.saturating_sub(model.trained_ms.max(0))
    }

    /// Forgets what is too old to count. `false` where fewer customers are left than a first model needs: a gap in
    /// which nobody was seen teaches nothing, and an imported model stands until enough is known.
    fn has_enough(&mut self) -> bool {
        let sampled = self.policy.sampled();
        let kept = sampled.saturating_mul(KEPT_HALF_LIVES as usize);
        self.window
            .forget(self.now_ms, self.policy.half_life_ms, kept);
        self.window.len() >= self.policy.warm_up_customers.clamp(1, sampled)
    }

    /// The next version, if it is worth it.
    fn next_version(&mut self) -> Option<Publication> {
        let latest = self.latest()?.clone();
        self.seen.periods = self.periods_since(&latest);
        let weighed = self.window.weighed(self.now_ms, self.half_life_ms());
        let shifts = self.watch(&latest, &weighed);
        let next = self.next_model(&latest, weighed);
        let reviewed = next.map(|next| (self.impact(&latest, &next), next));
        let worth = reviewed.filter(|(impact, next)| is_worth_it(impact.as_ref(), next));
        let (impact, next) = match worth {
            // Where none is held, the latest is the one in use.
            Some((impact, next)) => (impact.filter(|_| self.held.is_none()), next),
            None if shifts.is_empty() && !self.is_overdue(&latest) && !self.is_calm() => {
                return None;
            }
            None => (None, self.unmoved(&latest)),
        };
        let impact = impact.or_else(|| self.against_live(&next));
        let next = ModelParts {
            drift: self.seen.drift.clone(),
            ..next
        };
        Some(Publication {
            shifts,
            ..self.govern(next, impact)
        })
    }

    /// Nothing has been published for a half-life: a successor has to look again at all that came since.
    fn is_overdue(&self, latest: &ModelParts) -> bool {
        self.age_ms(latest) >= self.policy.half_life_ms
    }

    /// The version that is held would move no more than it may by now.
    fn is_calm(&self) -> bool {
        let impact = self.held.as_ref().and_then(|held| self.against_live(held));
        impact.is_some_and(|impact| impact.moved <= self.policy.churn_budget)
    }

    /// The same version again, as of now.
    fn unmoved(&self, latest: &ModelParts) -> ModelParts {
        ModelParts {
            version: latest.version + 1,
            trained_ms: self.now_ms,
            lineage: Vec::new(),
            ..latest.clone()
        }
    }

    /// A version goes live that moves no more customers than it may; else it is held, until it is approved or
    /// one after it calms down. What was held before is part of it.
    fn govern(&mut self, mut next: ModelParts, impact: Option<Impact>) -> Publication {
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

    fn against_live(&self, next: &ModelParts) -> Option<Impact> {
        self.live.as_ref().and_then(|now| self.impact(now, next))
    }

    /// What a version does to the customers of the window, against another. Those sampled at a place that was left
    /// since are elsewhere.
    fn impact(&self, now: &ModelParts, next: &ModelParts) -> Option<Impact> {
        let mut weighed = self.window.weighed(self.now_ms, self.policy.half_life_ms);
        let space = ScaledSpace::new(&self.plan, &next.scaler);
        next_version::mask_retired(&mut weighed, next, &next.ghosts, &space);
        let now = Model::new(&self.plan, now.clone()).ok()?;
        let next = Model::new(&self.plan, next.clone()).ok()?;
        Some(impact(&now, &next, self.margin, &weighed.points))
    }

    fn finished(&self, mut model: ModelParts) -> ModelParts {
        round(&mut model.scaler);
        model.segments.sort_by_key(|segment| segment.id);
        name_segments(&self.plan, &model.scaler, &mut model.segments);
        model
    }
}

/// Nobody is moved without a reason: the segments changed, or the customers lie so much nearer to them as pays for those
/// who have another nearest one.
fn is_worth_it(impact: Option<&Impact>, next: &ModelParts) -> bool {
    let Some(impact) = impact else { return true };
    let gain = impact.error_before - impact.error_after;
    !next.lineage.is_empty()
        || impact.other_nearest == 0.0
        || gain >= WORTH_A_MOVE * impact.other_nearest * impact.error_after
}

/// Makes variances squares of deviations, as which they are written: who goes on from the published
/// version has the very same numbers.
fn round(scaler: &mut Scaler) {
    for variance in &mut scaler.variances {
        let deviation = variance.sqrt();
        *variance = deviation * deviation;
    }
}
