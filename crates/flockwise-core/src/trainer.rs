//! The trainer learns segments from a sample of customers, in which recent ones weigh more. It holds a version
//! that would move more customers than allowed until the version is approved.

mod command;
mod drift_monitor;
mod governance;
mod initial_version;
mod input;
mod next_version;
mod outlier_filter;
mod outlier_threshold;
mod retired_centroids;
mod robust_moments;
mod sampling_progress;
mod scaled_space;
mod structure;
mod warm_up;
mod window;

pub use command::{CommandAction, CommandError, TrainerCommand};
pub use input::{MiniBatch, TrainerInput};
pub use sampling_progress::{CAUGHT_UP, Sampled};
pub use warm_up::WarmUp;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::aggregate::NEVER_MS;
use crate::drift::Drift;
use crate::lineage::Step;
use crate::model::ModelVersion;
use crate::plan::Plan;
use crate::policy::{HistoryPolicy, LearningPolicy};
use crate::publication::Publication;
use crate::segmentation::{Impact, Scaler, Segmentation, name_segments};
use flockwise_vocabulary::task_id::TaskId;
use sampling_progress::SamplingProgress;
use window::{KEPT_HALF_LIVES, Window};

/// Maximum number of customers in the trainer's window.
const SAMPLE_BOUND: usize = 65_536;
/// Maximum number of customers for the first version. More would not improve it, and the worker that hosts the
/// trainer does nothing else meanwhile.
const FITTED: usize = 10_000;
/// How much the quantisation error must fall, relative to itself, per share of customers whose nearest segment
/// changes. On continuous data k-means has many equally good solutions; a trainer that follows each of them moves
/// everybody again and again. At 0, the model alone changes the nearest segment of a customer of a year of real
/// orders eight times. At 0.1 it does so three times, at no cost in inertia; at 0.2 once, but then the model lags
/// by a few percent (BENCHMARKS.md).
const WORTH_A_MOVE: f64 = 0.1;

/// Learns the model. Its state is the last published versions (the live one and the held one) and the recently
/// sampled customers. A new owner rebuilds the sample from the mini-batches, from [`Trainer::window_offset`] on.
#[derive(Clone, Debug)]
pub struct Trainer {
    plan: Arc<Plan>,
    policy: LearningPolicy,
    window: Window,
    /// How far the tasks have sampled, according to their reports.
    progress: SamplingProgress,
    /// Mini-batches of instants that not all tasks have reached, with their offsets.
    ahead: Vec<(MiniBatch, i64)>,
    vectors_ahead: usize,
    /// The latest instant of a mini-batch.
    latest_ms: i64,
    first_ms: Option<i64>,
    now_ms: i64,
    live: Option<ModelVersion>,
    held: Option<ModelVersion>,
    margin: f64,
    history: HistoryPolicy,
    seen: Seen,
}

/// What was observed since the version from which the trainer continues.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// State of the drift detection.
    drift: Drift,
    /// Event time up to which samples were checked for drift, milliseconds since the epoch.
    until_ms: i64,
    /// Number of periods between that version and the last look.
    periods: i64,
}

impl Seen {
    fn with(version: Option<&ModelVersion>) -> Self {
        version.map_or_else(Self::default, |version| Self {
            drift: version.drift.clone(),
            until_ms: version.trained_ms,
            periods: 0,
        })
    }
}

impl Trainer {
    /// A trainer that continues from the version in use. It looks at what it has learnt once in
    /// [`LearningPolicy::look_ms`].
    #[must_use]
    pub fn new(plan: Arc<Plan>, policy: LearningPolicy, live: Option<ModelVersion>) -> Self {
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

    /// Sets the margin: customers stay unless another segment is nearer by more than this share of the distance.
    #[must_use]
    pub fn with_margin(mut self, margin: f64) -> Self {
        self.margin = margin;
        self
    }

    /// Sets the history that the pipeline starts with. No version is held while history is read: the first
    /// versions are learnt from customers with few events, the ones after them move many, and nobody relies on the
    /// segments yet.
    #[must_use]
    pub fn with_history(mut self, history: HistoryPolicy) -> Self {
        self.history = history;
        self
    }

    /// Sets the held version. The trainer continues from that one.
    #[must_use]
    pub fn holding(mut self, held: Option<ModelVersion>) -> Self {
        let held_ms = held.as_ref().map_or(NEVER_MS, |held| held.trained_ms);
        self.now_ms = self.now_ms.max(held_ms);
        self.held = held;
        self.seen = Seen::with(self.latest());
        self
    }

    /// Takes in a mini-batch again that the version it started from has already learnt from.
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

    /// [`Trainer::absorb`], and then [`Trainer::learn_from_window`] if it is due. Returns a version if one is to
    /// be published.
    pub fn fold(&mut self, batch: MiniBatch, offset: i64) -> Option<Publication> {
        if self.absorb(batch, offset) {
            self.learn_from_window()
        } else {
            None
        }
    }

    /// Takes in the mini-batch at an offset. It counts once all tasks with a backlog have sampled up to its
    /// instant. On `true`, call [`Trainer::learn_from_window`] before anything else; otherwise the versions differ
    /// from those of a trainer that reads the same records again.
    pub fn absorb(&mut self, batch: MiniBatch, offset: i64) -> bool {
        self.replay(batch, offset);
        self.advance()
    }

    /// Takes in how far tasks have sampled, as reported at an offset. On `true`, proceed as with
    /// [`Trainer::absorb`].
    pub fn hear(&mut self, sampled: &BTreeMap<TaskId, Sampled>, offset: i64) -> bool {
        self.replay_sampled(sampled, offset);
        self.advance()
    }

    /// Takes in reports again from before the version it started from. They do not advance time: reports before
    /// the first record that is read again are unknown, so the known tasks may seem to be all tasks.
    pub fn replay_sampled(&mut self, sampled: &BTreeMap<TaskId, Sampled>, offset: i64) {
        self.progress.note(sampled, offset);
    }

    /// Event time between two waits of all tasks of a backlog for the trainer, milliseconds.
    #[must_use]
    pub fn period_ms(&self) -> u64 {
        self.policy.period_ms(self.live.is_some()).unsigned_abs()
    }

    /// Whether every task has reported how far it has sampled.
    #[must_use]
    pub fn has_heard(&self, tasks: u32) -> bool {
        self.progress.is_of_all(tasks)
    }

    /// The instant up to which all tasks have sampled, [`CAUGHT_UP`] if none has a backlog, and the number of
    /// customers that they had then.
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

    /// Learns from the window: the first version, or the one after the latest; `None` if the latest is as good.
    /// Takes seconds to minutes with many features and segments.
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

    /// The offset that a successor must read from: the lowest one of the mini-batches that the trainer learns from
    /// and of the latest reports of tasks with a backlog. `None` if there are none.
    #[must_use]
    pub fn window_offset(&self) -> Option<i64> {
        let ahead = self.ahead.iter().map(|(_, offset)| *offset);
        let others = [self.progress.first_offset(), self.window.first_offset()];
        ahead.chain(others.into_iter().flatten()).min()
    }

    /// The version in use; 0 if there is none.
    #[must_use]
    pub fn live_version(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| live.version)
    }

    fn latest(&self) -> Option<&ModelVersion> {
        self.held.as_ref().or(self.live.as_ref())
    }

    fn first_version(&mut self) -> Publication {
        let (segmentation, lineage) = self.first_segmentation();
        let first = self.fitted(1, segmentation, lineage);
        self.live = Some(first.clone());
        Publication::live(first)
    }

    /// Periods are counted from the version, so that a successor that continues from it looks at the same times.
    fn periods_since(&self, model: &ModelVersion) -> i64 {
        self.age_ms(model) / self.policy.look_ms()
    }

    /// Age of a version, milliseconds. A version without a training time counts as one from the epoch.
    fn age_ms(&self, model: &ModelVersion) -> i64 {
        self.now_ms.saturating_sub(model.trained_ms.max(0))
    }

    /// Forgets what is too old to count. Returns `false` if fewer customers are left than a first version needs.
    /// After a gap without customers there is nothing to learn from, and an imported model stays until there is
    /// enough.
    fn has_enough(&mut self) -> bool {
        let sampled = self.policy.sampled();
        let kept = sampled.saturating_mul(KEPT_HALF_LIVES as usize);
        self.window
            .forget(self.now_ms, self.policy.half_life_ms, kept);
        self.window.len() >= self.policy.warm_up_customers.clamp(1, sampled)
    }

    /// The next version, if it is worth publishing.
    fn next_version(&mut self) -> Option<Publication> {
        let latest = self.latest()?.clone();
        self.seen.periods = self.periods_since(&latest);
        let weighed = self.window.weighed(self.now_ms, self.half_life_ms());
        let shifts = self.watch(latest.segmentation(), &weighed);
        let next = self.next_segmentation(latest.segmentation(), weighed);
        let next = next
            .map(|(segmentation, lineage)| self.fitted(latest.version + 1, segmentation, lineage));
        let reviewed = next.map(|next| (self.impact(&latest, &next), next));
        let worth = reviewed.filter(|(impact, next)| is_worth_it(impact.as_ref(), next));
        let (impact, next) = match worth {
            // If no version is held, the latest is the one in use.
            Some((impact, next)) => (impact.filter(|_| self.held.is_none()), next),
            None if shifts.is_empty() && !self.is_overdue(&latest) && !self.is_calm() => {
                return None;
            }
            None => (None, self.unmoved(&latest)),
        };
        let impact = impact.or_else(|| self.against_live(&next));
        Some(Publication {
            shifts,
            ..self.govern(next, impact)
        })
    }

    /// Whether nothing was published for a half-life: a successor has to examine all samples since.
    fn is_overdue(&self, latest: &ModelVersion) -> bool {
        self.age_ms(latest) >= self.policy.half_life_ms
    }

    /// The latest version again, as of now.
    fn unmoved(&self, latest: &ModelVersion) -> ModelVersion {
        ModelVersion {
            version: latest.version + 1,
            trained_ms: self.now_ms,
            lineage: Vec::new(),
            drift: self.seen.drift.clone(),
            ..latest.clone()
        }
    }

    /// A version of artefacts that were just fitted.
    fn fitted(&self, version: u64, segmentation: Segmentation, lineage: Vec<Step>) -> ModelVersion {
        ModelVersion {
            version,
            trained_ms: self.now_ms,
            features: self.plan.feature_names().map(str::to_owned).collect(),
            lineage,
            artefacts: segmentation.into(),
            drift: self.seen.drift.clone(),
        }
    }

    fn finished(&self, mut segmentation: Segmentation) -> Segmentation {
        let Segmentation {
            scaler, segments, ..
        } = &mut segmentation;
        round(scaler);
        segments.sort_by_key(|segment| segment.id);
        name_segments(&self.plan, scaler, segments);
        segmentation
    }
}

/// Whether a version is worth publishing. Customers move only for a reason: the segments changed, or the error
/// falls by enough to pay for the customers whose nearest segment changes.
fn is_worth_it(impact: Option<&Impact>, next: &ModelVersion) -> bool {
    let Some(impact) = impact else { return true };
    let gain = impact.error_before - impact.error_after;
    !next.lineage.is_empty()
        || impact.other_nearest == 0.0
        || gain >= WORTH_A_MOVE * impact.other_nearest * impact.error_after
}

/// Makes variances the squares of deviations, which is how they are written. A successor that continues from the
/// published version then has exactly the same numbers.
fn round(scaler: &mut Scaler) {
    for variance in &mut scaler.variances {
        let deviation = variance.sqrt();
        *variance = deviation * deviation;
    }
}
