//! `flockwise model diff`: compares the segments of two versions.

use std::collections::BTreeMap;

use comfy_table::Table;
use flockwise_core::model::ModelVersion;
use flockwise_core::segmentation::{Scaler, Segment};
use serde::Serialize;
use serde_json::json;

use crate::args::DiffArguments;
use crate::exit::{Failed, outln};
use crate::reports::model::format;
use crate::reports::model::topic::Setup;
use crate::reports::table;

pub(crate) fn diff(arguments: &DiffArguments) -> Result<(), Failed> {
    let mut client = Setup::of(&arguments.config)?.connect()?;
    let versions = client.versions()?;
    let (before, after) = versions.pair(arguments.before, arguments.after)?;
    let (old, new) = (&before.published.model, &after.published.model);
    client.check(old)?;
    client.check(new)?;
    let differences = differences(old, new);
    if arguments.json {
        let (before, after) = (before.number(), after.number());
        outln!(
            "{:#}",
            json!({ "before": before, "after": after, "segments": differences })
        );
    } else {
        let [before, after] = [before, after]
            .map(|version| format!("{} ({})", version.number(), version.state.name()));
        outln!(
            "version {before} → version {after}\n{}",
            table(&differences)
        );
    }
    Ok(())
}

/// A segment in both versions.
#[derive(Debug, PartialEq, Serialize)]
struct Difference {
    segment: u32,
    /// `come`, `gone`, `renamed` or `stays`.
    change: &'static str,
    name_before: Option<String>,
    name_after: Option<String>,
    /// How far the centroid has moved, in standard deviations of the later version; `None` if one version lacks the
    /// segment.
    distance: Option<f64>,
    share_before: Option<f64>,
    share_after: Option<f64>,
}

fn differences(before: &ModelVersion, after: &ModelVersion) -> Vec<Difference> {
    let mut pairs: BTreeMap<u32, [Option<&Segment>; 2]> = BTreeMap::new();
    for (side, model) in [before, after].into_iter().enumerate() {
        for segment in &model.segmentation().segments {
            pairs.entry(segment.id).or_default()[side] = Some(segment);
        }
    }
    let difference = |(id, [old, new]): (u32, [Option<&Segment>; 2])| Difference {
        segment: id,
        change: change(old, new),
        name_before: old.map(|old| old.name.clone()),
        name_after: new.map(|new| new.name.clone()),
        distance: old
            .zip(new)
            .map(|(old, new)| distance(&after.segmentation().scaler, old, new)),
        share_before: old.map(|old| format::share(before, old)),
        share_after: new.map(|new| format::share(after, new)),
    };
    pairs.into_iter().map(difference).collect()
}

fn change(old: Option<&Segment>, new: Option<&Segment>) -> &'static str {
    match (old, new) {
        (None, _) => "come",
        (_, None) => "gone",
        (Some(old), Some(new)) if old.name != new.name => "renamed",
        _ => "stays",
    }
}

/// Distance between the centroids, in standard deviations. Features without variance do not count.
fn distance(scaler: &Scaler, old: &Segment, new: &Segment) -> f64 {
    let pairs = old.centroid.iter().zip(&new.centroid).enumerate();
    let squared = pairs.map(|(index, (old, new))| ((new - old) * scaler.scale(index, 1.0)).powi(2));
    squared.sum::<f64>().sqrt()
}

fn table(differences: &[Difference]) -> Table {
    let mut table = table::empty_table([
        "segment",
        "name",
        "",
        "moved (standard deviations)",
        "customers",
    ]);
    table.add_rows(differences.iter().map(row));
    table
}

fn row(difference: &Difference) -> [String; 5] {
    let both = |before: Option<String>, after: Option<String>| match (before, after) {
        (Some(before), Some(after)) if before != after => format!("{before} → {after}"),
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => String::new(),
    };
    let distance = difference.distance;
    [
        difference.segment.to_string(),
        both(
            difference.name_before.clone(),
            difference.name_after.clone(),
        ),
        difference.change.to_owned(),
        distance.map_or(String::new(), |distance| format!("{distance:.2}")),
        both(
            difference.share_before.map(format::percent),
            difference.share_after.map(format::percent),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::reports::model::example::{held, live, same};

    #[test]
    fn segments_come_go_and_get_other_names() {
        let (before, after) = (live(1).model, held(2).model);
        let found = table(&differences(&before, &after)).to_string();
        same(&found, include_str!("golden/diff.txt"));
    }

    #[test]
    fn a_feature_that_is_the_same_for_everybody_has_no_say() {
        let (before, mut after) = (live(1).model, held(2).model);
        let segmentation = Arc::make_mut(&mut after.artefacts.segmentation);
        segmentation.scaler.variances = vec![0.0, 1.0];
        let found = differences(&before, &after);
        assert_eq!(found[0].distance, Some(1.0));
    }
}
