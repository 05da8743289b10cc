//! `[model]`, `[decision]`, `[sweep]` and `[time]`

use std::path::PathBuf;
use std::time::Duration;

use flockwise_codec::time::parse_time;
use flockwise_core::dedup::IdMemory;
use flockwise_core::feature::{Feature, trace_ms};
use flockwise_core::policy::{DecisionPolicy, LearningPolicy, TimePolicy};

use crate::duration;
use crate::section::Section;
use crate::value::{ConfigValue, Read, date};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

const FEWEST_SEGMENTS: usize = 8;
const MOST_SEGMENTS: usize = 32;

/// On two years of real orders with one version a day, a version moves 1 to 2 % of all customers in the median, 4 % in
/// one case in ten, and 10 % in one case in a hundred.
const CHURN_BUDGET: f64 = 0.1;

/// Measured on a year of groceries: BENCHMARKS.md, calm decisions.
const MARGIN: f64 = 0.15;
const PATIENCE: f64 = 0.35;

/// The most segments. Users cannot tell more apart, and each event is compared with all of them.
const SEGMENTS_LIMIT: usize = 1024;

/// The shortest sweep period. A shorter one leaves no time for events.
const SHORTEST_SWEEP_MS: i64 = 1_000;

pub(crate) fn model(
    mut section: Section<'_>,
    features: usize,
) -> (LearningPolicy, Option<PathBuf>) {
    let (k_min, k_max) = segments(&mut section);
    let import = section
        .read("import", ConfigValue::text)
        .map(|path| PathBuf::from(&*path));
    let (warm_up_customers, warm_up_ms) = warm_up(section.table("warm_up"));
    if import.is_none() && warm_up_customers < k_min {
        section.report(
            "warm_up",
            &format!("{warm_up_customers} customers cannot make the {k_min} segments that k asks for; give at least {k_min}"),
        );
    }
    let learning = LearningPolicy {
        k_min,
        k_max,
        half_life_ms: section
            .read("half_life", ConfigValue::span)
            .unwrap_or(30 * DAY_MS),
        warm_up_customers,
        warm_up_ms,
        churn_budget: section.read("churn_budget", share).unwrap_or(CHURN_BUDGET),
        learn: section.read("learn", ConfigValue::flag).unwrap_or(true),
        seed: section
            .read("seed", |found| found.whole(&(0..=i64::MAX.unsigned_abs())))
            .unwrap_or(42),
    };
    if let Some(problem) = too_slow(&learning, features) {
        section.report("k", &problem);
    }
    section.finish();
    (learning, import)
}

/// The error text if learning a version takes too long; `None` if it does not.
fn too_slow(learning: &LearningPolicy, features: usize) -> Option<String> {
    let (seconds, most) = (
        learning.learning_seconds(features),
        learning.most_learning_seconds(),
    );
    let is_too_slow = learning.learn && seconds > most;
    is_too_slow.then(|| {
        format!(
            "with {features} features and up to {} segments, learning a version takes about {seconds:.0} s of one core; expected \
             at most {most:.0} s (10 minutes, or a quarter of half_life / 24, after which the next version is due); give at \
             most {} segments, or fewer features, or a longer half_life",
            learning.k_max,
            learning.most_segments(features)
        )
    })
}

/// `k` is a number or `{ min, max }`.
fn segments(section: &mut Section<'_>) -> (usize, usize) {
    let Some(k) = section.find("k") else {
        return (FEWEST_SEGMENTS, MOST_SEGMENTS);
    };
    let range = 1..=SEGMENTS_LIMIT;
    let Ok(mut bounds) = Section::of(&k) else {
        let or_table = |found: &ConfigValue<'_>| {
            found
                .whole(&range)
                .map_err(|error| format!("{error}, or {{ min = 8, max = 32 }}"))
        };
        let only = section.read("k", or_table);
        return only.map_or((FEWEST_SEGMENTS, MOST_SEGMENTS), |only| (only, only));
    };
    let min = bounds.read("min", |found| found.whole(&range));
    let max = bounds.read("max", |found| found.whole(&range));
    bounds.finish();
    // If only one bound is given and contradicts the default of the other, the other follows it.
    let k_min = min.unwrap_or_else(|| FEWEST_SEGMENTS.min(max.unwrap_or(FEWEST_SEGMENTS)));
    let k_max = max.unwrap_or_else(|| MOST_SEGMENTS.max(k_min));
    if k_min > k_max {
        section.report("k", &format!("min {k_min} is above max {k_max}; swap them"));
    }
    (k_min, k_max.max(k_min))
}

fn warm_up(mut section: Section<'_>) -> (usize, i64) {
    let customers = section
        .read("customers", |found| found.whole(&(1..=10_000_000)))
        .unwrap_or(2_000);
    let time_ms = section.read("time", ConfigValue::duration).unwrap_or(0);
    section.finish();
    (customers, time_ms)
}

pub(crate) fn decision(mut section: Section<'_>) -> DecisionPolicy {
    let policy = DecisionPolicy {
        margin: section.read("margin", margin).unwrap_or(MARGIN),
        patience: section.read("patience", patience).unwrap_or(PATIENCE),
        dwell: section
            .read("dwell", |found| found.whole(&(1..=u16::MAX)))
            .unwrap_or(1),
        cooldown_ms: section.read("cooldown", ConfigValue::duration).unwrap_or(0),
    };
    section.finish();
    policy
}

fn patience(found: &ConfigValue<'_>) -> Read<f64> {
    found
        .number()
        .ok()
        .filter(|patience| (0.0..=1000.0).contains(patience))
        .ok_or_else(|| {
            found.unexpected(
                "a number from 0 to 1000: with a higher one customers move later; 0.35 is the default, 0 disables patience",
            )
        })
}

fn share(found: &ConfigValue<'_>) -> Read<f64> {
    found
        .number()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| {
            found.unexpected(
                "a share of all customers from 0 to 1; 0.1 holds a version that would move more than one in ten, 1 holds none",
            )
        })
}

fn margin(found: &ConfigValue<'_>) -> Read<f64> {
    found
        .number()
        .ok()
        .filter(|margin| (0.0..1.0).contains(margin))
        .ok_or_else(|| {
            found.unexpected(
                "a share from 0 to below 1; 0.15, the default, asks the new segment to be nearer by 15 %",
            )
        })
}

/// What `[time]` says about the reading of inputs.
pub(crate) struct ReadingPolicy {
    pub(crate) max_skew_ms: i64,
    pub(crate) idle_timeout: Duration,
    /// Events before it are refused, milliseconds since the epoch. `None`: the default.
    pub(crate) earliest_ms: Option<i64>,
}

/// Reads the time policy of the tasks, and what concerns the reading of inputs.
pub(crate) fn time(
    mut section: Section<'_>,
    sweep: Section<'_>,
    features: &[Feature],
) -> (TimePolicy, ReadingPolicy) {
    let lateness_ms = section
        .read("lateness", ConfigValue::duration)
        .unwrap_or(30 * DAY_MS);
    let policy = TimePolicy {
        lateness_ms,
        max_ahead_ms: Some(
            section
                .read("max_ahead", ConfigValue::duration)
                .unwrap_or(HOUR_MS),
        ),
        sweep_ms: sweep_every(sweep),
        remembered_ids: IdMemory {
            least: section
                .read("remembered_ids", |found| found.whole(&(1..=1024)))
                .unwrap_or(32),
            span_ms: section
                .read("remembered_for", remembered_for)
                .unwrap_or(10 * MINUTE_MS),
        },
        forget_ms: forget_after(&mut section, lateness_ms, features),
    };
    let max_skew_ms = section
        .read("max_skew", ConfigValue::span)
        .unwrap_or(10 * MINUTE_MS);
    let idle_timeout_ms = section
        .read("idle_timeout", ConfigValue::span)
        .unwrap_or(30_000);
    let reading = ReadingPolicy {
        max_skew_ms,
        idle_timeout: Duration::from_millis(idle_timeout_ms.unsigned_abs()),
        earliest_ms: section.read("earliest", date_or_time),
    };
    section.finish();
    (policy, reading)
}

/// A date means its start in UTC.
fn date_or_time(found: &ConfigValue<'_>) -> Read<i64> {
    let text = match date(found.value) {
        Some(date) => date.into(),
        None => found.text()?,
    };
    parse_time(&text)
        .or_else(|| parse_time(&format!("{text}T00:00:00Z")))
        .ok_or_else(|| {
            found.unexpected("a date, such as \"2000-01-01\", or a time with its zone, such as \"2000-01-01T00:00:00Z\"")
        })
}

/// Reads when customers expire. Default: when all features of a customer have decayed and no late event can come.
fn forget_after(section: &mut Section<'_>, lateness_ms: i64, features: &[Feature]) -> Option<i64> {
    let after = section.read("forget_after", |found| match found.text()? {
        text if text == "off" => Ok(None),
        text => match duration::parse(&text) {
            Ok(span_ms) if span_ms >= lateness_ms => Ok(Some(span_ms)),
            Ok(_) => Err(found.unexpected(
                "at least time.lateness, since a late event of a removed customer would start a new one; or \"off\"",
            )),
            Err(error) => Err(format!("{error}; or \"off\"")),
        },
    });
    after.unwrap_or_else(|| trace_ms(features).map(|trace_ms| trace_ms.max(lateness_ms)))
}

fn sweep_every(mut section: Section<'_>) -> Option<i64> {
    let every = section.read("every", |found| match found.text()? {
        text if text == "off" => Ok(None),
        text => match duration::parse(&text) {
            Ok(span_ms) if span_ms >= SHORTEST_SWEEP_MS => Ok(Some(span_ms)),
            Ok(_) => Err(found.unexpected("at least \"1s\", or \"off\"")),
            Err(error) => Err(format!("{error}; or \"off\"")),
        },
    });
    section.finish();
    every.unwrap_or(Some(HOUR_MS))
}

/// For how long all event ids of a customer are remembered. Of more than 4096, only the latest are.
fn remembered_for(found: &ConfigValue<'_>) -> Read<i64> {
    let span_ms = found.duration()?;
    match span_ms {
        0..=DAY_MS => Ok(span_ms),
        _ => Err(found.unexpected("at most \"1d\"")),
    }
}
