//! From distances to a decision: margin, patience, dwell, cooldown.

use crate::feature::DAY_MS;
use crate::policy::DecisionPolicy;

/// Why a customer changed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The customer did something.
    Behaviour,
    /// Time passed.
    Time,
    /// A new version of the model came into use.
    Model,
    /// The customer got a first segment at an event time before the pipeline's first start.
    Backfill,
    /// An operator had the customer erased.
    Erasure,
}

impl Cause {
    /// All causes. Rows hold the index of one, so a new cause comes last.
    pub const ALL: [Self; 5] = [
        Self::Behaviour,
        Self::Time,
        Self::Model,
        Self::Backfill,
        Self::Erasure,
    ];

    /// The name in records and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Behaviour => "behaviour",
            Self::Time => "time",
            Self::Model => "model",
            Self::Backfill => "backfill",
            Self::Erasure => "erasure",
        }
    }
}

/// A customer's segment and the state of the decision on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Segment id; `None` before the first change.
    pub segment: Option<u32>,
    /// Number of changes so far.
    pub sequence: u32,
    /// When the segment last changed, milliseconds since the epoch.
    pub changed_ms: i64,
    /// Time of the last scoring, milliseconds since the epoch; [`crate::aggregate::NEVER_MS`] before the first.
    pub as_of_ms: i64,
    /// Version of the model at the last scoring; 0 if there was no model.
    pub version: u64,
    /// The segment that the customer may move to.
    pub candidate: Option<Candidate>,
}

/// A segment that consecutive scorings found nearer by more than the margin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Segment id.
    pub segment: u32,
    /// Cost of staying up to the last scoring, in the unit of [`DecisionPolicy::patience`]. It adds up while any
    /// other segment is nearer by more than the margin. 0 if patience is disabled.
    pub cost: f32,
    /// Cost of staying from then on, per day.
    pub price: f32,
    /// Number of scorings in a row that agreed on the segment.
    pub agreed: u16,
    /// Cause of the first of them.
    pub cause: Cause,
}

impl Standing {
    /// The standing of a customer who was never scored.
    pub const NEW: Self = Self {
        segment: None,
        sequence: 0,
        changed_ms: crate::aggregate::NEVER_MS,
        as_of_ms: crate::aggregate::NEVER_MS,
        version: 0,
        candidate: None,
    };
}

/// One scoring, the input of [`decide`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scoring {
    /// Id of the nearest segment.
    pub nearest: u32,
    /// Distance to the nearest segment.
    pub distance: f64,
    /// Distance to the customer's present segment; `None` if there is none or the model no longer has it.
    pub distance_from: Option<f64>,
    /// Variance of all customers, in the squared unit of the distances.
    pub variance: f64,
    /// Time since the previous scoring, milliseconds.
    pub waited_ms: i64,
    /// Time of the scoring, milliseconds since the epoch.
    pub at_ms: i64,
    /// Cause of a change that this scoring may lead to.
    pub cause: Cause,
}

/// The decision on a scoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The present segment is the nearest.
    Stay,
    /// Another segment is nearer, but the customer does not move.
    Suppressed(Suppression),
    /// The customer moves to the nearest segment.
    Change(Cause),
}

/// Why a customer does not move to a nearer segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suppression {
    /// It is not nearer by more than the margin.
    Margin,
    /// Staying has not cost enough yet.
    Patience,
    /// Too few scorings in a row agree.
    Dwell,
    /// The last change is too recent.
    Cooldown,
}

impl Suppression {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Margin, Self::Patience, Self::Dwell, Self::Cooldown];

    /// The name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Margin => "margin",
            Self::Patience => "patience",
            Self::Dwell => "dwell",
            Self::Cooldown => "cooldown",
        }
    }
}

/// Decides on a scoring and updates the candidate. The caller carries out a change.
///
/// A customer without a segment, or whose segment is gone, gets the nearest one at once. Otherwise the nearest
/// must be nearer than the present one by more than `margin` of the latter's distance, staying must have cost
/// `patience`, `dwell` scorings in a row must agree, and `cooldown` must have passed since the last change. The
/// cause is that of the first of the scorings that agree.
///
/// Staying costs the squared distance that it gives up, as a share of the variance. This scoring counts once. Each
/// earlier one since the margin was passed counts times the days until the next scoring, at most one. A customer
/// far past the margin therefore moves at once; one slightly past it moves only if that persists. This is a
/// cumulative sum after Page (1954), which detects a change soonest at a given rate of false alarms. A burst of
/// events counts no more than its last event, and an hourly sweep no more than a daily one.
pub fn decide(policy: &DecisionPolicy, standing: &mut Standing, scoring: &Scoring) -> Verdict {
    let Some(distance_from) = scoring.distance_from else {
        standing.candidate = None;
        return Verdict::Change(scoring.cause);
    };
    if standing.segment == Some(scoring.nearest) {
        standing.candidate = None;
        return Verdict::Stay;
    }
    if scoring.distance >= distance_from * (1.0 - policy.margin) {
        standing.candidate = None;
        return Verdict::Suppressed(Suppression::Margin);
    }
    let given_up = (distance_from.powi(2) - scoring.distance.powi(2)) / scoring.variance;
    let so_far = standing.candidate.map_or(0.0, |before| {
        f64::from(before.cost) + f64::from(before.price) * days(scoring.waited_ms)
    });
    let mut candidate = agreeing(standing.candidate, scoring);
    if policy.patience > 0.0 {
        (candidate.cost, candidate.price) = (so_far as f32, given_up as f32);
    }
    standing.candidate = Some(candidate);
    if so_far + given_up < policy.patience {
        return Verdict::Suppressed(Suppression::Patience);
    }
    if candidate.agreed < policy.dwell {
        return Verdict::Suppressed(Suppression::Dwell);
    }
    if scoring.at_ms.saturating_sub(standing.changed_ms) < policy.cooldown_ms {
        return Verdict::Suppressed(Suppression::Cooldown);
    }
    standing.candidate = None;
    Verdict::Change(candidate.cause)
}

/// The candidate after this scoring. The caller sets its cost.
fn agreeing(before: Option<Candidate>, scoring: &Scoring) -> Candidate {
    match before {
        Some(before) if before.segment == scoring.nearest => Candidate {
            agreed: before.agreed.saturating_add(1),
            ..before
        },
        _ => Candidate {
            segment: scoring.nearest,
            cost: 0.0,
            price: 0.0,
            agreed: 1,
            cause: scoring.cause,
        },
    }
}

/// Milliseconds in days, at most one.
fn days(waited_ms: i64) -> f64 {
    (waited_ms as f64 / DAY_MS).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays scorings given as `nearest distance distance_from hour`, one per line (` t` at the end: by the
    /// sweep), and compares the verdicts.
    fn check(policy: DecisionPolicy, script: &str, expected: &str) {
        let mut standing = Standing {
            segment: Some(1),
            changed_ms: 0,
            ..Standing::NEW
        };
        let (mut story, mut before_ms) = (Vec::new(), 0);
        for line in script.trim().lines() {
            let word: Vec<f64> = line
                .split_whitespace()
                .take(4)
                .map(|word| word.parse().unwrap())
                .collect();
            let scoring = Scoring {
                nearest: word[0] as u32,
                distance: word[1],
                distance_from: Some(word[2]),
                variance: 1.0,
                waited_ms: word[3] as i64 * 3_600_000 - before_ms,
                at_ms: word[3] as i64 * 3_600_000,
                cause: if line.ends_with(" t") {
                    Cause::Time
                } else {
                    Cause::Behaviour
                },
            };
            before_ms = scoring.at_ms;
            let verdict = decide(&policy, &mut standing, &scoring);
            if let Verdict::Change(_) = verdict {
                standing.segment = Some(scoring.nearest);
                standing.changed_ms = scoring.at_ms;
            }
            story.push(match verdict {
                Verdict::Stay => "stay",
                Verdict::Suppressed(why) => why.name(),
                Verdict::Change(cause) => cause.name(),
            });
        }
        assert_eq!(story.join(" "), expected);
    }

    const NOTHING: DecisionPolicy = DecisionPolicy {
        margin: 0.0,
        patience: 0.0,
        dwell: 1,
        cooldown_ms: 0,
    };

    #[test]
    fn without_a_policy_the_nearest_wins_and_a_tie_changes_nothing() {
        check(
            NOTHING,
            "1 1 1 1\n2 0.9 1 1\n1 1 1 1",
            "stay behaviour margin",
        );
    }

    #[test]
    fn a_margin_is_a_share_of_the_present_distance() {
        let policy = DecisionPolicy {
            margin: 0.5,
            ..NOTHING
        };
        check(
            policy,
            "2 0.6 1 1\n2 0.5 1 1\n2 0.49 1 1",
            "margin margin behaviour",
        );
    }

    #[test]
    fn dwell_wants_agreement_in_a_row_and_keeps_the_first_cause() {
        let policy = DecisionPolicy {
            dwell: 2,
            ..NOTHING
        };
        check(
            policy,
            "2 0.1 1 1\n3 0.1 1 2\n3 0.1 1 3\n1 0.1 1 4 t\n1 0.1 1 5",
            "dwell dwell behaviour dwell time",
        );
        check(policy, "2 0.1 1 1\n1 1 1 2\n2 0.1 1 3", "dwell stay dwell");
    }

    const PATIENT: DecisionPolicy = DecisionPolicy {
        patience: 0.9,
        ..NOTHING
    };

    #[test]
    fn patience_waits_until_staying_has_cost_enough() {
        // Staying costs 0.4375 a day: for the first day, the second day, and the third scoring.
        check(
            PATIENT,
            "2 0.75 1 24\n2 0.75 1 48 t\n2 0.75 1 72",
            "patience patience behaviour",
        );
        check(PATIENT, "2 0.1 1 1", "behaviour");
        check(
            PATIENT,
            "2 0.75 1 24\n3 0.75 1 48\n3 0.75 1 72",
            "patience patience behaviour",
        );
    }

    #[test]
    fn patience_ends_where_staying_has_cost_just_as_much() {
        let policy = DecisionPolicy {
            patience: 0.4375,
            ..NOTHING
        };
        check(policy, "2 0.75 1 24", "behaviour");
    }

    #[test]
    fn without_patience_a_candidate_costs_nothing() {
        let policy = DecisionPolicy {
            dwell: 2,
            ..NOTHING
        };
        let mut standing = Standing {
            segment: Some(1),
            ..Standing::NEW
        };
        let scoring = Scoring {
            nearest: 2,
            distance: 0.5,
            distance_from: Some(1.0),
            variance: 1.0,
            waited_ms: 1,
            at_ms: 1,
            cause: Cause::Behaviour,
        };
        decide(&policy, &mut standing, &scoring);
        let candidate = standing.candidate.unwrap();
        assert_eq!((candidate.cost, candidate.price), (0.0, 0.0));
    }

    #[test]
    fn patience_begins_anew_where_the_customer_is_back() {
        check(
            PATIENT,
            "2 0.75 1 24\n2 0.75 1 48\n1 1 1 72\n2 0.75 1 96",
            "patience patience stay patience",
        );
    }

    /// Twenty hours in the own segment, then three clicks: the time before the clicks costs nothing.
    #[test]
    fn a_burst_counts_as_its_last_event() {
        let clicks = "1 1 1 1\n2 0.75 1 21\n2 0.75 1 21\n2 0.75 1 21";
        check(PATIENT, clicks, "stay patience patience patience");
        check(
            PATIENT,
            &format!("{clicks}\n2 0.1 1 21"),
            "stay patience patience patience behaviour",
        );
    }

    #[test]
    fn often_counts_no_more_than_long() {
        // Every hour of a day, then every 700 hours.
        let hourly: Vec<String> = (1..=24).map(|hour| format!("2 0.75 1 {hour}")).collect();
        check(
            PATIENT,
            &hourly.join("\n"),
            ["patience"; 24].join(" ").as_str(),
        );
        check(
            PATIENT,
            "2 0.75 1 700\n2 0.75 1 1400\n2 0.75 1 2100",
            "patience patience behaviour",
        );
    }

    #[test]
    fn a_cooldown_delays_but_does_not_forget() {
        let policy = DecisionPolicy {
            cooldown_ms: 24 * 3_600_000,
            ..NOTHING
        };
        check(
            policy,
            "2 0.1 1 1 t\n2 0.1 1 23\n2 0.1 1 24",
            "cooldown cooldown time",
        );
    }

    #[test]
    fn a_segment_that_is_gone_is_left_at_once() {
        let policy = DecisionPolicy {
            margin: 0.5,
            patience: f64::INFINITY,
            dwell: 9,
            cooldown_ms: i64::MAX,
        };
        let mut standing = Standing {
            segment: Some(9),
            changed_ms: 5,
            ..Standing::NEW
        };
        let scoring = Scoring {
            nearest: 1,
            distance: 1.0,
            distance_from: None,
            variance: 1.0,
            waited_ms: 1,
            at_ms: 6,
            cause: Cause::Model,
        };
        assert_eq!(
            decide(&policy, &mut standing, &scoring),
            Verdict::Change(Cause::Model)
        );
    }
}
