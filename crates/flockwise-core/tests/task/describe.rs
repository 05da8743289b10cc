//! The description of a customer, against the views of all customers.

use std::sync::Arc;

use flockwise_core::customer_view::{CustomerView, customer_view};
use flockwise_core::explain::Requirement;
use flockwise_core::task::{Output, Task};
use proptest::prelude::*;

use crate::shop::{
    AT_ONCE, Act, DAY_MS, HOUR_MS, acts, decision, fixed, play, settings, with_days,
};

fn portraits(task: &Task, at_ms: i64) -> Vec<CustomerView> {
    let (settings, versions) = (settings(AT_ONCE, None), fixed());
    let rows = task.rows().numbers();
    let drawn = rows.map(|row| {
        let row = task.rows().row(row);
        customer_view(&settings.plan, Some(&versions.current), &row, at_ms)
    });
    drawn.collect()
}

proptest! {
    #[test]
    fn a_customer_is_told_as_of_now_with_others_of_the_segment(acts in acts(), decision in decision()) {
        let settings = settings(decision, Some(DAY_MS));
        let (task, _) = play(&settings, &with_days(&acts));
        let versions = fixed();
        let everybody = portraits(&task, task.stream_ms());
        for own in &everybody {
            let described = task.describe(&own.customer_id, Some(&versions.current)).unwrap();
            prop_assert_eq!(&described.view, own);
            let is_like = |other: &&CustomerView| {
                other.segment == own.segment && other.customer_id != own.customer_id
            };
            let mut members: Vec<&CustomerView> = everybody.iter().filter(is_like).collect();
            members.sort_by(|left, right| left.distance.unwrap().total_cmp(&right.distance.unwrap()));
            let found: Vec<f64> = described.typical_members.iter().map(|id| {
                let member = everybody.iter().find(|other| other.customer_id == *id);
                member.unwrap().distance.unwrap()
            }).collect();
            let expected: Vec<f64> = members.iter().take(5).map(|member| member.distance.unwrap()).collect();
            prop_assert_eq!(found, expected);
            let explanation = described.explanation.unwrap();
            for way in &explanation.counterfactuals {
                let Requirement::By(by) = way.requirement else { continue };
                let centroids = versions.current.segmentation().segments().iter().map(|s| &s.centroid);
                let vectors = everybody.iter().map(|other| &other.vector).chain(centroids);
                let values = vectors.map(|vector| vector[by.feature]);
                let highest = values.fold(f64::NEG_INFINITY, f64::max);
                let mut needed = [by.needed];
                settings.plan.feature(by.feature).transform.apply(&mut needed);
                prop_assert!(needed[0] <= highest + 1e-9, "{} is above {highest}", needed[0]);
            }
            let (_, distance_other) = explanation.other.unwrap();
            let margin = 1.0 - own.distance.unwrap() / distance_other;
            prop_assert!((margin - own.margin.unwrap()).abs() < 1e-12);
        }
    }
}

#[test]
fn who_is_unknown_or_has_no_segment_is_told_as_such() {
    let settings = settings(AT_ONCE, None);
    let mut task = Task::new(Arc::clone(&settings));
    let act = Act::order(1, HOUR_MS);
    act.give_by(&mut task, &settings.plan, None, &mut Output::default());
    assert_eq!(task.describe("customer 2", None), None);
    let described = task.describe("customer 1", None).unwrap();
    assert_eq!(
        (described.view.segment, described.explanation),
        (None, None)
    );
    // Now there is a model, but it has not scored the customer yet.
    let described = task.describe("customer 1", Some(&fixed().current)).unwrap();
    assert_eq!(
        (described.view.segment, described.explanation),
        (None, None)
    );
    assert!(described.typical_members.is_empty());
}

#[test]
fn of_many_customers_some_are_looked_at() {
    let settings = settings(AT_ONCE, None);
    let (mut task, mut output) = (Task::new(Arc::clone(&settings)), Output::default());
    let versions = fixed();
    let trigger = flockwise_core::change::Trigger::default();
    for number in 0..25_000_u32 {
        let mut event = Act::order(0, HOUR_MS).event(&settings.plan);
        let name = event.keep(&format!("customer {number}"));
        event.set_customer_id(name);
        task.process(&event, trigger, Some(&versions), &mut output);
    }
    let described = task
        .describe("customer 7", Some(&versions.current))
        .unwrap();
    // All customers are alike, and among those the first rows come first.
    let expected = [0, 3, 6, 9, 12].map(|number| format!("customer {number}"));
    assert_eq!(described.typical_members, expected);
}
