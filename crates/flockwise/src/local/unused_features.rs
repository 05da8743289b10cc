//! What the features found in the events, and which of them found nothing that they can use.

use flockwise_core::feature::Feature;
use flockwise_core::feature_inputs::{FeatureInputs, InputCounts};
use flockwise_core::plan::Plan;
use serde_json::{Map, Value, json};

use crate::reports::wording::number;

/// A line for each feature that no event matched, or that found values which it cannot use, or none in more than 1 % of
/// the events.
pub(crate) fn lines(plan: &Plan, inputs: &FeatureInputs) -> Vec<String> {
    let lines = features(plan, inputs).filter_map(|(feature, counts)| {
        let what = what(feature, &counts)?;
        Some(format!("feature {}: {what}", feature.name))
    });
    lines.collect()
}

/// All counts, for the summary.
pub(crate) fn summary(plan: &Plan, inputs: &FeatureInputs) -> Value {
    let features = features(plan, inputs).map(|(feature, counts)| {
        let kinds = InputCounts::KINDS.iter().zip(counts.values());
        let values: Map<String, Value> = kinds
            .filter(|_| feature.value.is_some())
            .map(|(kind, count)| ((*kind).to_owned(), json!(count)))
            .collect();
        json!({ "name": feature.name, "events": counts.events, "values": values })
    });
    features.collect()
}

fn features<'a>(
    plan: &'a Plan,
    inputs: &'a FeatureInputs,
) -> impl Iterator<Item = (&'a Feature, InputCounts)> {
    (0..plan.len()).map(|index| {
        let counts = inputs.counts().get(index).copied().unwrap_or_default();
        (plan.feature(index), counts)
    })
}

fn what(feature: &Feature, counts: &InputCounts) -> Option<String> {
    if counts.events == 0 {
        let conditions = feature.base.len() + feature.conditions.len();
        let given = match conditions {
            0 => "",
            _ => " that meets its conditions",
        };
        let names = match feature.events.is_empty() {
            true => "event".to_owned(),
            false => format!("event {}", quoted(&feature.events)),
        };
        return Some(format!("there was no {names}{given}"));
    }
    let pointer = feature.value.as_ref()?;
    let all = counts.values().iter().sum::<u64>();
    // A few events without a value are usual; their number is in the summary.
    let missing = match counts.missing.saturating_mul(100) > all {
        true => counts.missing,
        false => 0,
    };
    let kinds = [
        (missing, "missing"),
        (counts.text, "a text that is no number"),
        (counts.boolean, "true or false"),
        (counts.composite, "an object, an array or bytes"),
        (
            counts.no_order,
            "a reversal that took nothing back, because its order is not remembered",
        ),
    ];
    let wrong: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{} {kind}", number(*count as f64)))
        .collect();
    let all = number(all as f64);
    (!wrong.is_empty()).then(|| format!("of {all} values at {pointer}: {}", wrong.join(", ")))
}

fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flockwise_config::Config;

    #[test]
    fn a_feature_without_input_is_named() {
        let config = "app = \"shop\"\n[[input]]\ntopic = \"t\"\n\
            [[feature]]\nname = \"orders\"\nevent = \"Order Complete\"\naggregate = \"count\"\nlifetime = true\n\
            [[feature]]\nname = \"spend\"\naggregate = \"sum\"\nvalue = \"/revenue\"\nlifetime = true\n\
            [[feature]]\nname = \"fine\"\naggregate = \"count\"\nlifetime = true\n";
        let plan = Plan::compile(&Config::parse(config).unwrap().features);
        let mut inputs = FeatureInputs::default();
        *inputs.of(1) = InputCounts {
            events: 5_000,
            used: 2_999,
            missing: 1,
            text: 2_000,
            ..InputCounts::default()
        };
        inputs.of(2).events = 5_000;
        assert_eq!(
            lines(&plan, &inputs),
            [
                "feature orders: there was no event \"Order Complete\"",
                "feature spend: of 5,000 values at /revenue: 2,000 a text that is no number",
            ]
        );
        let summary = summary(&plan, &inputs);
        assert_eq!(summary[1]["values"]["text"], 2_000);
        assert_eq!(summary[2]["values"], json!({}));
    }
}
