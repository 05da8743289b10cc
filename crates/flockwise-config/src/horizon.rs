//! A feature's horizon: `half_life`, `window` with `buckets`, or `lifetime`.

use flockwise_core::feature::{Aggregate, Horizon};

use crate::duration::Readable;
use crate::section::Section;
use crate::value::ConfigValue;

const BUCKETS: u32 = 30;
const MOST_BUCKETS: u32 = 400;

pub(crate) fn read(section: &mut Section<'_>, aggregate: Option<Aggregate>) -> Horizon {
    let half_life_ms = section.read("half_life", ConfigValue::span);
    let window = window(section);
    let is_lifetime = section.read("lifetime", ConfigValue::flag) == Some(true);
    check_choice(section, aggregate, is_lifetime);
    match (half_life_ms, window) {
        (Some(half_life_ms), _) => Horizon::HalfLife(half_life_ms),
        (None, Some(window)) => window,
        (None, None) => Horizon::Lifetime,
    }
}

/// A feature needs exactly one horizon. `recency` and `last` need none, because they use only the last event. What is not
/// weighted cannot have a half-life, because nothing decays.
fn check_choice(section: &Section<'_>, aggregate: Option<Aggregate>, is_lifetime: bool) {
    let given = [section.has("half_life"), section.has("window"), is_lifetime];
    let looks_at_last = matches!(aggregate, Some(Aggregate::Recency | Aggregate::Last));
    let is_weighted = aggregate.is_none_or(Aggregate::is_additive);
    match given.into_iter().filter(|is_given| *is_given).count() {
        // An invalid aggregate is reported elsewhere, and what it needs is unknown.
        0 if looks_at_last || aggregate.is_none() => {}
        0 => section.blame_whole("has no horizon; give half_life, window or lifetime = true"),
        1 if looks_at_last && section.has("half_life") => section.report(
            "half_life",
            "recency and last use only the last event, so nothing decays; give a window or leave it out",
        ),
        1 if section.has("half_life") && !is_weighted => section.report(
            "half_life",
            "min, max and mean_gap have no weights that decay; give window or lifetime = true",
        ),
        1 => {}
        _ => section.blame_whole("has several horizons; keep one of half_life, window and lifetime"),
    }
    if section.has("buckets") && !section.has("window") {
        section.report(
            "buckets",
            "belongs to a window, but there is none; leave it out",
        );
    }
}

fn window(section: &mut Section<'_>) -> Option<Horizon> {
    let span_ms = section.read("window", ConfigValue::span);
    let buckets = section.read("buckets", |found| found.whole(&(1..=MOST_BUCKETS)));
    let (span_ms, buckets) = (span_ms?, buckets.unwrap_or(BUCKETS));
    let divides = |buckets: &u32| span_ms % i64::from(*buckets) == 0;
    if !divides(&buckets) {
        let near = (1..=MOST_BUCKETS)
            .filter(divides)
            .min_by_key(|near| near.abs_diff(buckets))
            .unwrap_or(1);
        section.report(
            "window",
            &format!("{} cannot be split into {buckets} buckets of whole milliseconds; give buckets = {near}", Readable(span_ms)),
        );
    }
    Some(Horizon::Window { span_ms, buckets })
}
