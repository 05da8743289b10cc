//! From distance to decision: margin, patience, dwell, cooldown.

use crate::feature::DAY_MS;
use crate::policy::DecisionPolicy;

/// Why a customer changed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Something the customer did.
    Behaviour,
    /// Nothing: time passed.
    Time,
    /// A new version of the model.
    Model,
    /// A first segment in history: the pipeline was started later than that.
    Backfill,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Behaviour, Self::Time, Self::Model, Self::Backfill];

    /// As records and metrics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Behaviour => "behaviour",
            Self::Time => "time",
            Self::Model => "model",
            Self::Backfill => "backfill",
        }
    }
}

/// Where a customer stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Segment id, once there is one.
    pub segment: Option<u32>,
    /// Changes so far.
    pub sequence: u32,
    /// When the segment last changed, milliseconds since the epoch.
    pub changed_ms: i64,
    /// Time of the last scoring; [`crate::aggregate::NEVER_MS`] before the first.
    pub as_of_ms: i64,
    /// Version of the model at the last scoring; 0: none.
    pub version: u64,
    /// A segment on the way to being the customer's.
    pub candidate: Option<Candidate>,
}

/// A segment that scorings in a row have found nearer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Segment id.
    pub segment: u32,
    /// What staying has cost up to the last scoring, as [`DecisionPolicy::patience`] counts, since another segment than
    /// the customer's is nearer by the margin; 0 where nobody asks.
    pub cost: f32,
    /// What it costs a day from then on.
    pub price: f32,
    /// Scorings in a row that agreed.
    pub agreed: u16,
    /// Why the first of them found it.
    pub cause: Cause,
}

impl Standing {
    /// Of a customer never scored.
    pub const NEW: Self = Self {
        segment: None,
        sequence: 0,
        changed_ms: crate::aggregate::NEVER_MS,
        as_of_ms: crate::aggregate::NEVER_MS,
        version: 0,
        candidate: None,
    };
}

/// One scoring, for [`decide`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scoring {
    /// The nearest segment's id.
    pub nearest: u32,
    /// Distance to it.
    pub distance: f64,
    /// Distance to the customer's present segment; `None` where there is none or it is gone.
    pub distance_from: Option<f64>,
    /// Variance of all customers, in the square of the unit of the distances.
    pub variance: f64,
    /// Time since the scoring before, milliseconds.
    pub waited_ms: i64,
    /// The time scored at, milliseconds since the epoch.
    pub at_ms: i64,
    /// What made the difference, should there be one.
    pub cause: Cause,
}

/// What comes of a scoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The present segment is the nearest.
    Stay,
    /// Another is nearer, but not so that the customer moves.
    Suppressed(Suppression),
    /// The customer moves to the nearest segment.
    Change(Cause),
}

/// Why a nearer segment did not become the customer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suppression {
    /// Not nearer by enough.
    Margin,
    /// Staying has not cost enough yet.
    Patience,
    /// Not often enough in a row.
    Dwell,
    /// Too soon after the last change.
    Cooldown,
}

impl Suppression {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Margin, Self::Patience, Self::Dwell, Self::Cooldown];

    /// As metrics have it.
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

/// Judges a scoring and updates the candidate; the caller carries a change out.
///
/// A customer without a segment, or whose segment is gone, gets the nearest at once. Otherwise the
/// nearest must be nearer than the present one by more than `margin` of the latter's distance, staying must have
/// cost `patience`, `dwell` scorings in a row must say so, and `cooldown` must have passed since the last change. The
/// cause is that of the first of the scorings that agree.
///
/// Staying costs the squared distance given up by it, as a share of the variance: that of this very scoring, and of
/// those before it since the margin was passed, each times the days until the next, one at most. So a
/// customer who is somewhere else altogether moves at once, and who is a little nearer to another segment does so when
/// that has lasted: a cumulative sum as of Page (1954), which finds a change soonest for how rarely it is wrong. A
/// burst of events counts no more than the last of them, and a sweep every hour no more than one a day.
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

/// The candidate with this scoring, whose cost is not told yet.
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

/// Days, one at most.
fn days(waited_ms: i64) -> f64 {
    (waited_ms as f64 / DAY_MS).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays scorings given as `nearest distance distance_from hour`, one a line, and writes what comes
    /// of each.
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
        // .4375 a day: one day of that, another, and the third scoring.
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
    fn patience_begins_anew_where_the_customer_is_back() {
        check(
            PATIENT,
            "2 0.75 1 24\n2 0.75 1 48\n1 1 1 72\n2 0.75 1 96",
            "patience patience stay patience",
        );
    }

    /// Twenty hours at home, then three clicks: the time before them is not held against the customer.
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
        // Hours of a day, then days after a month.
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
