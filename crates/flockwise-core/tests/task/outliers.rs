//! A customer far from every segment is marked in changes and in customer views, and counted by the sweep.

use std::sync::Arc;

use flockwise_core::customer_view::customer_view;
use flockwise_core::model::{Model, ModelVersion};
use flockwise_core::plan::Plan;
use flockwise_core::segmentation::{Segment, SegmentScorer};
use flockwise_core::task::{Output, Task, Versions};
use flockwise_kmeans::Scratch;
use proptest::prelude::*;

use crate::shop::{AT_ONCE, Act, DAY_MS, HOUR_MS, acts, model, settings};

/// The shop's model with an outlier threshold for each segment.
fn with_thresholds(plan: &Plan, thresholds: [Option<f64>; 3]) -> Arc<Model> {
    let mut parts: ModelVersion = model(1, 0.0).as_version().clone();
    let segments = &mut Arc::make_mut(&mut parts.artefacts.segmentation).segments;
    let segments = segments.iter_mut().zip(thresholds);
    segments.for_each(|(segment, threshold)| segment.outlier_threshold = threshold);
    Arc::new(Model::new(plan, parts).unwrap())
}

fn threshold() -> impl Strategy<Value = Option<f64>> {
    prop::option::weighted(0.8, 0.0..3.0_f64)
}

/// Whether a point is beyond the outlier threshold of every segment, computed the plain way.
fn is_far(segmentation: &SegmentScorer, scaled: &[f64]) -> bool {
    let distance = |segment: &Segment| {
        let columns = segment
            .centroid
            .iter()
            .zip(segmentation.scale())
            .zip(scaled);
        let squares = columns.map(|((centroid, scale), x)| (centroid * scale - x).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let mut segments = segmentation.segments().iter();
    segments.all(|segment| {
        let threshold = segment.outlier_threshold;
        threshold.is_some_and(|threshold| distance(segment) > threshold)
    })
}

proptest! {
    #[test]
    fn an_outlier_is_beyond_the_threshold_of_every_segment(
        scaled in prop::array::uniform3(-6.0..6.0_f64),
        thresholds in prop::array::uniform3(threshold()),
    ) {
        let model = with_thresholds(&settings(AT_ONCE, None).plan, thresholds);
        let segmentation = model.segmentation();
        let (index, distance) = segmentation.score(&scaled, &mut Scratch::default());
        prop_assert_eq!(segmentation.is_outlier(&scaled, index, distance), is_far(segmentation, &scaled));
    }

    #[test]
    fn changes_portraits_and_the_sweep_say_the_same(acts in acts(), threshold in 0.0..2.0_f64) {
        let settings = settings(AT_ONCE, Some(6 * HOUR_MS));
        let plan = &settings.plan;
        let current = with_thresholds(plan, [Some(threshold); 3]);
        let versions = Versions { current: Arc::clone(&current), previous: None };
        let (mut task, mut output) = (Task::new(Arc::clone(&settings)), Output::default());
        for act in &acts {
            act.give(&mut task, plan, &versions, &mut output);
        }
        for change in &output.changes {
            let is_first_event = change.from.is_none() && change.trigger.is_some();
            let is_far = change.distance.is_some_and(|distance| distance > threshold);
            prop_assert_eq!(change.is_outlier, is_far && !is_first_event);
        }
        prop_assert!(output.swept_outliers <= output.swept);
        for row in task.rows().numbers() {
            let row = task.rows().row(row);
            let found = customer_view(plan, Some(&current), &row, row.standing.as_of_ms);
            let mut scaled = Vec::new();
            current.segmentation().scaled(&found.vector, &mut scaled);
            prop_assert_eq!(found.is_outlier, Some(is_far(current.segmentation(), &scaled)));
            let unassigned = customer_view(plan, None, &row, row.standing.as_of_ms);
            prop_assert_eq!(unassigned.is_outlier, None);
        }
    }
}

/// Every scoring by the sweep finds an outlier, or none does.
#[test]
fn the_sweep_counts_those_who_are_far_off() {
    let settings = settings(AT_ONCE, Some(DAY_MS));
    for (threshold, is_far) in [(0.0, true), (1e9, false)] {
        let current = with_thresholds(&settings.plan, [Some(threshold); 3]);
        let versions = Versions {
            current,
            previous: None,
        };
        let (mut task, mut output) = (Task::new(Arc::clone(&settings)), Output::default());
        for day in 0..10 {
            let act = Act::order(1, day * DAY_MS);
            act.give(&mut task, &settings.plan, &versions, &mut output);
        }
        assert!(output.swept >= 8, "{}", output.swept);
        let expected = if is_far { output.swept } else { 0 };
        assert_eq!(output.swept_outliers, expected);
    }
}
