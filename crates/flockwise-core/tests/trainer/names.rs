//! Segment names: unique, and stable while they fit.

use flockwise_core::segmentation::{Scaler, Segment, name_segments, name_unnamed};
use proptest::prelude::*;

use crate::support::plan;

fn scaler() -> Scaler {
    Scaler {
        means: vec![0.0; 3],
        variances: vec![1.0; 3],
        weight: 1.0,
    }
}

fn segments(centroids: &[[f64; 3]]) -> Vec<Segment> {
    let segment = |(index, centroid): (usize, &[f64; 3])| Segment {
        id: index as u32 + 1,
        name: String::new(),
        centroid: centroid.to_vec(),
        weight: 1.0,
        is_pinned: false,
        outlier_threshold: None,
    };
    centroids.iter().enumerate().map(segment).collect()
}

fn names(segments: &[Segment]) -> Vec<&str> {
    segments
        .iter()
        .map(|segment| segment.name.as_str())
        .collect()
}

fn named(centroids: &[[f64; 3]]) -> Vec<Segment> {
    let mut segments = segments(centroids);
    name_segments(&plan(3), &scaler(), &mut segments);
    segments
}

#[test]
fn a_name_says_what_sets_a_segment_apart() {
    let segments = named(&[
        [2.0, 0.0, 0.0],
        [-1.0, 3.0, 0.5],
        [0.1, 0.1, 0.1],
        [0.0; 3],
        [2.0, 0.1, 0.0],
        [2.0, -1.0, 0.0],
    ]);
    assert_eq!(
        names(&segments),
        [
            "high f0",
            "high f1, low f0",
            "ordinary",
            "ordinary #4",
            "high f0 #5",
            "high f0, low f1"
        ]
    );
}

#[test]
fn a_name_stays_while_its_words_apply_and_not_longer() {
    let mut segments = named(&[[2.0, 1.0, 0.0], [0.0; 3]]);
    let before = names(&segments).join("; ");
    // The order of strength changes, but the words still fit.
    segments[0].centroid = vec![1.0, 2.0, 3.0];
    name_segments(&plan(3), &scaler(), &mut segments);
    assert_eq!(names(&segments).join("; "), before);
    segments[0].centroid = vec![0.0, 2.0, 3.0];
    segments[1].centroid = vec![0.0, -2.0, 0.0];
    name_segments(&plan(3), &scaler(), &mut segments);
    assert_eq!(
        names(&segments),
        ["high f2, high f1", "low f1"],
        "an extreme is not ordinary"
    );
    segments[1].centroid = vec![0.0; 3];
    name_segments(&plan(3), &scaler(), &mut segments);
    assert_eq!(names(&segments), ["high f2, high f1", "ordinary"]);
}

#[test]
fn of_two_of_a_name_the_first_keeps_it() {
    let mut segments = segments(&[[2.0, 0.0, 0.0], [2.0, 1.0, 0.0]]);
    for segment in &mut segments {
        segment.name = "high f0".to_owned();
    }
    name_segments(&plan(3), &scaler(), &mut segments);
    assert_eq!(names(&segments), ["high f0", "high f0, high f1"]);
}

#[test]
fn names_that_people_gave_stay_when_others_are_named() {
    let mut segments = segments(&[[2.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0; 3]]);
    segments[1].name = "high f0".to_owned();
    segments[2].name = "VIP".to_owned();
    name_unnamed(&plan(3), &scaler(), &mut segments);
    assert_eq!(names(&segments), ["high f0 #1", "high f0", "VIP"]);
}

proptest! {
    #[test]
    fn names_are_unique_whatever_happens_and_settle(
        centroids in prop::collection::vec(prop::array::uniform3((-4_i32..4).prop_map(|x| f64::from(x) * 0.5)), 1..12),
        moves in prop::collection::vec((any::<prop::sample::Index>(), 0..3_usize, -2.0..2.0_f64), 0..20),
    ) {
        let mut segments = named(&centroids);
        for (which, column, to) in moves {
            let which = which.index(segments.len());
            segments[which].centroid[column] = to;
            name_segments(&plan(3), &scaler(), &mut segments);
            let mut unique = names(&segments);
            unique.sort_unstable();
            unique.dedup();
            prop_assert_eq!(unique.len(), segments.len(), "{:?}", names(&segments));
            let before = segments.clone();
            name_segments(&plan(3), &scaler(), &mut segments);
            prop_assert_eq!(&segments, &before, "nothing has changed");
        }
    }
}
