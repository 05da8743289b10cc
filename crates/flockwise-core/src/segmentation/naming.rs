//! Segment names, made from what sets segments apart.

use super::scaler::Scaler;
use super::segment::Segment;
use crate::plan::Plan;

/// A feature counts for a name from this many standard deviations off the mean.
const NOTABLE: f64 = 0.35;
/// Maximum number of words in a name.
const WORDS: usize = 3;
/// A name is kept while its words are among this many strongest traits. That is more than it has, so that two
/// traits that change places do not rename a segment.
const STRONGEST: usize = WORDS + 1;

/// Names the segments that have no name or whose name no longer fits. No two names are equal.
///
/// A name consists of the words (`low` and `high` of a feature's wording) of the features whose mean in the
/// segment is furthest from that of all customers, in standard deviations. It has as few words as distinguish it
/// from the other names, but two if there are two.
pub fn name_segments(plan: &Plan, scaler: &Scaler, segments: &mut [Segment]) {
    for index in 0..segments.len() {
        let traits = traits(plan, scaler, &segments[index]);
        let name_now = &segments[index].name;
        let is_alone = segments[..index]
            .iter()
            .all(|other| other.name != *name_now);
        if is_alone && holds(plan, name_now, &traits) {
            continue;
        }
        rename(segments, index, &traits);
    }
}

/// Names the segments that have no name. Names given by people stay.
pub fn name_unnamed(plan: &Plan, scaler: &Scaler, segments: &mut [Segment]) {
    for index in 0..segments.len() {
        if segments[index].name.is_empty() {
            let traits = traits(plan, scaler, &segments[index]);
            rename(segments, index, &traits);
        }
    }
}

fn rename(segments: &mut [Segment], index: usize, traits: &[String]) {
    let taken: Vec<String> = segments
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != index)
        .map(|(_, segment)| segment.name.clone())
        .collect();
    segments[index].name = name(traits, &taken, segments[index].id);
}

/// The words for a segment, strongest first.
fn traits(plan: &Plan, scaler: &Scaler, segment: &Segment) -> Vec<String> {
    let mut traits: Vec<(f64, String)> = (0..plan.len())
        .filter_map(|index| {
            let off = deviation(scaler, segment, index);
            let word = word(plan, index, off > 0.0).filter(|_| off.abs() >= NOTABLE)?;
            Some((off.abs(), word))
        })
        .collect();
    traits.sort_by(|left, right| right.0.total_cmp(&left.0));
    let mut words: Vec<String> = Vec::new();
    for (_, word) in traits {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

fn deviation(scaler: &Scaler, segment: &Segment, index: usize) -> f64 {
    match scaler.deviation(index) {
        0.0 => 0.0,
        deviation => (segment.centroid[index] - scaler.means[index]) / deviation,
    }
}

/// A feature's word for one side; `None` if only the other side has one, which makes this side not worth
/// mentioning.
fn word(plan: &Plan, index: usize, is_high: bool) -> Option<String> {
    let wording = plan.wording(index);
    match (&wording.low, &wording.high, is_high) {
        (_, Some(high), true) => Some(high.clone()),
        (Some(low), _, false) => Some(low.clone()),
        (None, None, _) => {
            let label = wording
                .label
                .as_deref()
                .unwrap_or(&plan.feature(index).name);
            Some(format!("{} {label}", if is_high { "high" } else { "low" }))
        }
        _ => None,
    }
}

/// Whether a name still fits: all of its words are among the strongest traits. A name given by a person, with
/// words that no feature has, always fits.
fn holds(plan: &Plan, name: &str, traits: &[String]) -> bool {
    let base = name.split(" #").next().unwrap_or_default();
    if traits.is_empty() || base.is_empty() {
        return base == ORDINARY;
    }
    let strongest = &traits[..traits.len().min(STRONGEST)];
    let mut words = base.split(", ");
    words.clone().any(|word| !is_ours(plan, word))
        || words.all(|word| strongest.iter().any(|known| known == word))
}

fn is_ours(plan: &Plan, word: &str) -> bool {
    let speaks = |index| {
        [true, false]
            .into_iter()
            .any(|is_high| self::word(plan, index, is_high).is_some_and(|known| known == word))
    };
    word == ORDINARY || (0..plan.len()).any(speaks)
}

/// Name of a segment without any trait.
const ORDINARY: &str = "ordinary";

fn name(traits: &[String], taken: &[String], id: u32) -> String {
    let most = traits.len().min(WORDS);
    for words in most.min(2)..=most {
        let name = if words == 0 {
            ORDINARY.to_owned()
        } else {
            traits[..words].join(", ")
        };
        if !taken.contains(&name) {
            return name;
        }
    }
    let words = traits[..most].join(", ");
    format!("{} #{id}", if words.is_empty() { ORDINARY } else { &words })
}
