//! Rolling features of one row: adding an event, and evaluating the row at a point in time.
//!
//! A row has [`Plan::stride`] columns and a reference time, the latest event time seen. Decaying sums are kept as
//! of the reference time. A late event adds what it is worth by then, so the order of events does not matter.

use std::f64::consts::TAU;

use crate::event::{Event, Values};
use crate::feature::{Aggregate, DAY_MS};
use crate::feature_inputs::{FeatureInputs, InputCounts};
use crate::orders::{OrderEntries, Sums, count_order, reverse};
use crate::plan::{Cell, Compiled, Plan};

/// The reference time of a row without events.
pub const NEVER_MS: i64 = i64::MIN;

/// For a feature with reversals or replaced orders, a denominator up to this is rounding left over from zero.
const RESIDUE: f64 = 1e-9;

/// The columns of a row without events.
#[must_use]
pub fn empty(plan: &Plan) -> Vec<f64> {
    let mut columns = vec![0.0; plan.stride()];
    for feature in &plan.features {
        match feature.cell {
            Cell::Windowed { at, .. } | Cell::Latest { at, .. } => columns[at] = f64::NEG_INFINITY,
            Cell::Decayed { .. } | Cell::Lifetime { .. } => {}
        }
    }
    columns
}

/// Adds an event to a row. `orders` has what is remembered of the order that it is about, if features need that: see
/// [`OrderEntries`]. `inputs` counts what the features find in the event.
pub fn observe(
    plan: &Plan,
    columns: &mut [f64],
    reference_ms: &mut i64,
    event: &Event,
    inputs: &mut FeatureInputs,
    orders: &mut OrderEntries,
) {
    move_on(plan, columns, reference_ms, event.time_ms);
    let own = event.name.and_then(|name| orders.newest(name));
    for touch in plan.touched(event.name) {
        let feature = &plan.features[touch.feature];
        let mut add = |(first, second), time_ms| {
            let added = Added {
                first,
                second,
                time_ms,
            };
            add(plan, feature, columns, *reference_ms, &added);
        };
        if touch.reverses {
            let inputs = inputs.of(touch.feature);
            reverse(plan, touch.feature, event, orders, inputs, &mut add);
        } else if let Some(own) = own {
            let terms = || terms(feature, event, inputs.of(touch.feature));
            count_order(plan, touch.feature, event, own, orders, terms, &mut add);
        } else if let Some(sums) = terms(feature, event, inputs.of(touch.feature)) {
            add(sums, event.time_ms);
        }
    }
    if let Some(own) = own {
        orders.set_time(own, event.time_ms);
    }
}

/// Decays a row's sums from its reference time to a later one.
fn move_on(plan: &Plan, columns: &mut [f64], reference_ms: &mut i64, time_ms: i64) {
    if time_ms <= *reference_ms {
        return;
    }
    if *reference_ms != NEVER_MS {
        let elapsed = (time_ms - *reference_ms) as f64;
        for decay in &plan.decay {
            let factor = (-elapsed / decay.half_life_ms).exp2();
            for column in &mut columns[decay.columns.clone()] {
                *column *= factor;
            }
        }
    }
    *reference_ms = time_ms;
}

/// The terms that an event adds to a feature's sums, before weighting: that of the sum or numerator, and that of
/// the denominator. `None` if the event does not count.
fn terms(feature: &Compiled, event: &Event, inputs: &mut InputCounts) -> Option<Sums> {
    if !feature.base.iter().all(|check| check.holds(event)) {
        return None;
    }
    let holds = feature.conditions.iter().all(|check| check.holds(event));
    if !holds && feature.spec.aggregate != Aggregate::Share {
        return None;
    }
    inputs.events += 1;
    match feature.spec.aggregate {
        Aggregate::Share => Some((f64::from(u8::from(holds)), 1.0)),
        Aggregate::Count | Aggregate::Recency | Aggregate::MeanGap => Some((1.0, 0.0)),
        Aggregate::HourSin => Some((time_of_day(event.time_ms).sin(), 1.0)),
        Aggregate::HourCos => Some((time_of_day(event.time_ms).cos(), 1.0)),
        Aggregate::Min | Aggregate::Max => {
            let mut extreme = None;
            each_number(event, feature.value?, inputs, |number| {
                let further = |known| extreme_of(feature.spec.aggregate, known, number);
                extreme = Some(extreme.map_or(number, further));
            });
            extreme.map(|value| (value, 0.0))
        }
        Aggregate::Sum | Aggregate::Mean => {
            let mut sum = (0.0, 0.0);
            each_number(event, feature.value?, inputs, |number| {
                sum = (sum.0 + number, sum.1 + 1.0);
            });
            (sum.1 > 0.0).then_some(sum)
        }
        Aggregate::Last => {
            let mut last = None;
            each_number(event, feature.value?, inputs, |number| last = Some(number));
            last.map(|value| (value, 0.0))
        }
    }
}

/// The UTC time of day as an angle: a full turn is a day.
fn time_of_day(time_ms: i64) -> f64 {
    TAU * time_ms.rem_euclid(DAY_MS as i64) as f64 / DAY_MS
}

/// The smaller of two numbers for `min`, otherwise the larger.
fn extreme_of(aggregate: Aggregate, left: f64, right: f64) -> f64 {
    match aggregate {
        Aggregate::Min => left.min(right),
        _ => left.max(right),
    }
}

/// Passes the numbers at a pointer to `take`, and counts them and all other values.
fn each_number(
    event: &Event,
    pointer: Values,
    inputs: &mut InputCounts,
    mut take: impl FnMut(f64),
) {
    let mut is_missing = true;
    for slot in event.values(pointer) {
        is_missing = false;
        match event.number(slot) {
            Some(number) => {
                inputs.used += 1;
                take(number);
            }
            None => inputs.count_other(slot),
        }
    }
    inputs.missing += u64::from(is_missing);
}

struct Added {
    first: f64,
    second: f64,
    time_ms: i64,
}

fn add(plan: &Plan, feature: &Compiled, columns: &mut [f64], reference_ms: i64, added: &Added) {
    match feature.cell {
        Cell::Lifetime { at } => merge(feature, &mut columns[at..], 1, added, 1.0),
        Cell::Decayed { at, decay } => {
            let age = (reference_ms - added.time_ms) as f64;
            let weight = if age == 0.0 {
                1.0
            } else {
                (-age / plan.decay[decay].half_life_ms).exp2()
            };
            merge(feature, &mut columns[at..], 1, added, weight);
        }
        Cell::Windowed {
            at,
            buckets,
            width_ms,
        } => {
            let bucket = bucket(added.time_ms, width_ms);
            turn(
                &mut columns[at..],
                buckets,
                crate::plan::sums(feature.spec.aggregate),
                bucket,
            );
            if bucket as f64 > columns[at] - buckets as f64 {
                let first = at + 1 + bucket.rem_euclid(buckets as i64) as usize;
                merge(feature, &mut columns[first..], buckets, added, 1.0);
            }
        }
        Cell::Latest { at, .. } => {
            if added.time_ms as f64 >= columns[at] {
                columns[at] = added.time_ms as f64;
                if feature.spec.aggregate == Aggregate::Last {
                    columns[at + 1] = added.first;
                }
            }
        }
    }
}

/// Adds an event to the columns of a feature, which are `step` apart.
fn merge(feature: &Compiled, columns: &mut [f64], step: usize, added: &Added, weight: f64) {
    match feature.spec.aggregate {
        aggregate @ (Aggregate::Min | Aggregate::Max) => {
            let known = stored(columns[0]);
            let extreme = known.map_or(added.first, |known| {
                extreme_of(aggregate, known, added.first)
            });
            columns[0] = to_store(extreme);
        }
        Aggregate::MeanGap => {
            let time_ms = added.time_ms as f64;
            let is_first = columns[0] == 0.0;
            columns[0] += 1.0;
            if is_first || time_ms < columns[step] {
                columns[step] = time_ms;
            }
            if is_first || time_ms > columns[2 * step] {
                columns[2 * step] = time_ms;
            }
        }
        aggregate => {
            columns[0] += weight * added.first;
            if crate::plan::sums(aggregate) == 2 {
                columns[step] += weight * added.second;
            }
        }
    }
}

/// A column of an extreme: 0 if there is no value, which a row stores in no space; a value of 0 is -0.
fn to_store(value: f64) -> f64 {
    if value == 0.0 { -0.0 } else { value }
}

/// The value in a column of an extreme; `None` if there is none.
fn stored(column: f64) -> Option<f64> {
    let is_empty = column == 0.0 && column.is_sign_positive();
    (!is_empty).then_some(column + 0.0)
}

/// The bucket of an instant. Buckets are open below and closed above, so that at a time on the edge of a bucket
/// the window `T - w < t <= T` is a whole number of buckets.
fn bucket(time_ms: i64, width_ms: i64) -> i64 {
    (time_ms - 1).div_euclid(width_ms)
}

/// Makes `bucket` the newest if it is newer, and empties the buckets that fall out of the window.
fn turn(cell: &mut [f64], buckets: usize, sums: usize, bucket: i64) {
    let newest = cell[0];
    if (bucket as f64) <= newest {
        return;
    }
    if newest.is_finite() {
        let passed = ((bucket - newest as i64) as usize).min(buckets);
        for index in (bucket - passed as i64 + 1)..=bucket {
            let slot = 1 + index.rem_euclid(buckets as i64) as usize;
            for sum in 0..sums {
                cell[slot + sum * buckets] = 0.0;
            }
        }
    }
    cell[0] = bucket as f64;
}

/// Evaluates a row at a time not before its reference time. `raw` (length [`Plan::len`]) receives the features in
/// their own units, `vector` the features after transform and clip.
pub fn evaluate(
    plan: &Plan,
    columns: &[f64],
    reference_ms: i64,
    at_ms: i64,
    raw: &mut [f64],
    vector: &mut [f64],
) {
    let elapsed = at_ms.saturating_sub(reference_ms).max(0) as f64;
    for (feature, raw) in plan.features.iter().zip(raw.iter_mut()) {
        let value = value(plan, feature, columns, elapsed, at_ms);
        *raw = value.unwrap_or(feature.spec.default);
    }
    vector.copy_from_slice(raw);
    for (transform, features) in &plan.transforms {
        transform.apply(&mut vector[features.clone()]);
    }
    for (feature, value) in plan.features.iter().zip(vector) {
        if let Some((lowest, highest)) = feature.spec.clip {
            *value = value.clamp(lowest, highest);
        }
    }
}

fn value(
    plan: &Plan,
    feature: &Compiled,
    columns: &[f64],
    elapsed_ms: f64,
    at_ms: i64,
) -> Option<f64> {
    if !feature.spec.aggregate.is_additive() {
        return unweighted(feature, columns, at_ms);
    }
    let (first, second) = match feature.cell {
        Cell::Latest { .. } => return None,
        Cell::Lifetime { at } => (columns[at], columns.get(at + 1)),
        Cell::Decayed { at, decay } => {
            let ratio = crate::plan::sums(feature.spec.aggregate) == 2;
            let factor = if ratio || elapsed_ms == 0.0 {
                1.0
            } else {
                (-elapsed_ms / plan.decay[decay].half_life_ms).exp2()
            };
            (columns[at] * factor, columns.get(at + 1))
        }
        Cell::Windowed {
            at,
            buckets,
            width_ms,
        } => {
            let current = bucket(at_ms, width_ms);
            let first = window_sum(columns[at], &columns[at + 1..=at + buckets], current);
            if crate::plan::sums(feature.spec.aggregate) == 1 {
                return Some(first);
            }
            let second = &columns[at + 1 + buckets..=at + 2 * buckets];
            return ratio(feature, first, window_sum(columns[at], second, current));
        }
    };
    match (crate::plan::sums(feature.spec.aggregate), second) {
        (2, Some(second)) => ratio(feature, first, *second),
        _ => Some(first),
    }
}

/// The value of an aggregate that has no weights.
fn unweighted(feature: &Compiled, columns: &[f64], at_ms: i64) -> Option<f64> {
    match feature.cell {
        Cell::Latest { at, span_ms } => latest(feature, &columns[at..], span_ms, at_ms),
        Cell::Lifetime { at } => over_buckets(feature, &columns[at..], 1, 0..1),
        Cell::Windowed {
            at,
            buckets,
            width_ms,
        } => {
            let live = live_buckets(columns[at], buckets, bucket(at_ms, width_ms));
            over_buckets(feature, &columns[at + 1..], buckets, live)
        }
        // The configuration refuses it.
        Cell::Decayed { .. } => None,
    }
}

/// The extreme, or the mean gap, of some buckets. Columns of one bucket are `step` apart.
fn over_buckets(
    feature: &Compiled,
    columns: &[f64],
    step: usize,
    buckets: impl Iterator<Item = usize>,
) -> Option<f64> {
    let aggregate = feature.spec.aggregate;
    if aggregate != Aggregate::MeanGap {
        let values = buckets.filter_map(|bucket| stored(columns[bucket]));
        return values.reduce(|left, right| extreme_of(aggregate, left, right));
    }
    let (mut events, mut first, mut last) = (0.0, f64::INFINITY, f64::NEG_INFINITY);
    for bucket in buckets.filter(|bucket| columns[*bucket] > 0.0) {
        events += columns[bucket];
        first = f64::min(first, columns[bucket + step]);
        last = f64::max(last, columns[bucket + 2 * step]);
    }
    (events >= 2.0).then(|| (last - first) / (events - 1.0) / DAY_MS)
}

/// The places of the buckets `(current - n, current]` of a row that keeps `(newest - n, newest]`.
fn live_buckets(newest: f64, buckets: usize, current: i64) -> impl Iterator<Item = usize> {
    let n = buckets as i64;
    let newest = newest.is_finite().then_some(newest as i64);
    let live = newest.map_or(0..0, |newest| {
        let first = current.max(newest) - n + 1;
        first..newest.max(first - 1) + 1
    });
    live.map(move |bucket| bucket.rem_euclid(n) as usize)
}

fn ratio(feature: &Compiled, numerator: f64, denominator: f64) -> Option<f64> {
    let least = if feature.can_shrink { RESIDUE } else { 0.0 };
    (denominator > least).then(|| numerator / denominator)
}

fn latest(feature: &Compiled, cell: &[f64], span_ms: Option<i64>, at_ms: i64) -> Option<f64> {
    let age = at_ms as f64 - cell[0];
    let seen = cell[0].is_finite() && span_ms.is_none_or(|span| age < span as f64);
    seen.then(|| match feature.spec.aggregate {
        Aggregate::Last => cell[1],
        _ => age / DAY_MS,
    })
}

/// The sum over the buckets `(current - n, current]`. The row keeps the buckets `(newest - n, newest]`.
fn window_sum(newest: f64, sums: &[f64], current: i64) -> f64 {
    if !newest.is_finite() {
        return 0.0;
    }
    let buckets = sums.len() as i64;
    let newest = newest as i64;
    if current <= newest {
        return sums.iter().sum();
    }
    // Folds from 0.0: an empty `sum()` is -0.0, which shows in records.
    ((current - buckets + 1)..=newest)
        .map(|index| sums[index.rem_euclid(buckets) as usize])
        .fold(0.0, |sum, bucket| sum + bucket)
}
