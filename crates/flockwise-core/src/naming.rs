//! Names of segments, made from what sets them apart.

use crate::model::{Scaler, Segment};
use crate::plan::Plan;

/// A feature counts for a name from this many standard deviations off the mean on.
const NOTABLE: f64 = 0.35;
/// Words in a name, at most.
const WORDS: usize = 3;

/// Names the segments that have none, or whose name no longer holds, so that no two are alike.
///
/// A name is made of the words (`low` and `high` of a feature's wording) of the features whose mean in
/// the segment is furthest off that of all customers, in standard deviations; as few as tell it from
/// the others, two if there are two.
pub fn name_segments(plan: &Plan, scaler: &Scaler, segments: &mut [Segment]) {
    for index in 0..segments.len() {
        let traits = traits(plan, scaler, &segments[index]);
        if holds(&segments[index].name, &traits) {
            continue;
        }
        let taken: Vec<String> = segments
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .map(|(_, segment)| segment.name.clone())
            .collect();
        segments[index].name = name(&traits, &taken, segments[index].id);
    }
}

/// Words for a segment, strongest first.
fn traits(plan: &Plan, scaler: &Scaler, segment: &Segment) -> Vec<String> {
    let mut traits: Vec<(f64, String)> = (0..plan.len())
        .filter_map(|index| {
            let off = deviation(scaler, segment, index);
            (off.abs() >= NOTABLE).then(|| (off.abs(), word(plan, index, off > 0.0)))
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
    let deviation = scaler.variances[index].sqrt();
    if deviation > 0.0 {
        (segment.centroid[index] - scaler.means[index]) / deviation
    } else {
        0.0
    }
}

fn word(plan: &Plan, index: usize, is_high: bool) -> String {
    let wording = plan.wording(index);
    let own = if is_high { &wording.high } else { &wording.low };
    own.clone().unwrap_or_else(|| {
        let label = wording
            .label
            .as_deref()
            .unwrap_or(&plan.feature(index).name);
        format!("{} {label}", if is_high { "high" } else { "low" })
    })
}

/// A name holds while all of its words still apply.
fn holds(name: &str, traits: &[String]) -> bool {
    let base = name.split(" #").next().unwrap_or_default();
    !base.is_empty()
        && base
            .split(", ")
            .all(|word| word == ORDINARY || traits.iter().any(|known| known == word))
}

/// What a segment is called that is like everybody.
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
