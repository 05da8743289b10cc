//! `[[feature]]`

use flockwise_core::feature::{Aggregate, Feature, Transform, Wording};
use flockwise_core::pointer::Pointer;

use crate::section::Section;
use crate::value::{ConfigValue, Read};
use crate::{condition, horizon};

/// The most features: a customer's row has at least one column for each.
const MOST_FEATURES: usize = 256;

/// Aggregates that are planned but not supported yet.
const PLANNED: [&str; 2] = ["distinct", "sessions"];

const TRANSFORMS: [(&str, Transform); 3] = [
    ("none", Transform::None),
    ("log1p", Transform::Log1p),
    ("sqrt", Transform::Sqrt),
];

pub(crate) fn read_all(root: &mut Section<'_>) -> Vec<Feature> {
    let sections = root.tables("feature", "name");
    root.need_some(
        "feature",
        "there is none; give at least one, under [[feature]]",
    );
    if sections.len() > MOST_FEATURES {
        let found = sections.len();
        root.report(
            "feature",
            &format!("found {found} features, expected at most {MOST_FEATURES}"),
        );
    }
    let mut features: Vec<Feature> = Vec::new();
    for section in sections {
        let feature = read(section, &features);
        features.push(feature);
    }
    features
}

/// Reads a feature. After a problem, a placeholder stands in, so that the rest of the feature is checked too.
fn read(mut section: Section<'_>, before: &[Feature]) -> Feature {
    let name = section.required("name", "a name such as \"orders_30d\"", |found| {
        unused_name(found, before)
    });
    let aggregate = section.required("aggregate", &format!("one of {}", names()), aggregate);
    let events = section.texts("event");
    let feature = Feature {
        name: name.unwrap_or_default(),
        base: condition::read(&mut section, "base"),
        conditions: condition::read(&mut section, "where"),
        value: value(&mut section, aggregate),
        horizon: horizon::read(&mut section, aggregate),
        reversed_by: reversed_by(&mut section, aggregate, &events),
        default: default(&mut section, aggregate),
        transform: section
            .read("transform", |found| found.choice(&TRANSFORMS))
            .unwrap_or_default(),
        clip: section.read("clip", clip),
        weight: section.read("weight", weight).unwrap_or(1.0),
        wording: wording(&mut section),
        aggregate: aggregate.unwrap_or(Aggregate::Count),
        events,
    };
    section.not_yet("gap", "it needs sessions, which are not supported either");
    section.finish();
    feature
}

fn unused_name(found: &ConfigValue<'_>, before: &[Feature]) -> Read<String> {
    let name = found.text()?.into_owned();
    match before.iter().position(|feature| feature.name == name) {
        Some(index) => Err(format!(
            "feature[{}] has this name already; choose another",
            index + 1
        )),
        None => Ok(name),
    }
}

fn names() -> String {
    Aggregate::ALL.map(|(name, _)| name).join(", ")
}

fn aggregate(found: &ConfigValue<'_>) -> Read<Aggregate> {
    match found.value.as_str() {
        Some(name) if PLANNED.contains(&name) => Err(format!(
            "\"{name}\" is not supported yet; use one of {}",
            names()
        )),
        _ => found.choice(&Aggregate::ALL),
    }
}

fn value(section: &mut Section<'_>, aggregate: Option<Aggregate>) -> Option<Pointer> {
    let value = section.read("value", ConfigValue::pointer);
    match aggregate {
        Some(aggregate) if aggregate.has_value() && !section.has("value") => {
            section.report("value", "is missing; sum, mean, last, min and max need a JSON pointer to a number, such as \"/properties/revenue\"");
        }
        Some(aggregate) if !aggregate.has_value() && section.has("value") => {
            section.report("value", "only sum, mean, last, min and max use a value; remove the key, or make it a condition of where");
        }
        _ => {}
    }
    value
}

fn reversed_by(
    section: &mut Section<'_>,
    aggregate: Option<Aggregate>,
    events: &[String],
) -> Vec<String> {
    let reversals = section.texts("reversed_by");
    if !section.has("reversed_by") {
        return reversals;
    }
    if aggregate.is_some_and(|aggregate| !aggregate.is_additive()) {
        section.report(
            "reversed_by",
            "recency, last, min, max and mean_gap cannot be reversed; sums, counts, means and shares can",
        );
    }
    if !section.has("event") {
        section.report(
            "reversed_by",
            "needs event too: the names of the events that are reversed",
        );
    }
    if let Some(both) = reversals.iter().find(|name| events.contains(name)) {
        section.report(
            "reversed_by",
            &format!("\"{both}\" is in event too; an event cannot reverse itself"),
        );
    }
    reversals
}

fn default(section: &mut Section<'_>, aggregate: Option<Aggregate>) -> f64 {
    let what = match aggregate {
        Some(Aggregate::Recency) => {
            Some("the days to assume for a customer without such an event, such as 365.0")
        }
        Some(Aggregate::MeanGap) => {
            Some("the days to assume for a customer with fewer than two such events, such as 365.0")
        }
        _ => None,
    };
    if let Some(what) = what {
        return section
            .required("default", what, ConfigValue::number)
            .unwrap_or_default();
    }
    section
        .read("default", ConfigValue::number)
        .unwrap_or_default()
}

fn clip(found: &ConfigValue<'_>) -> Read<(f64, f64)> {
    let bounds: Option<Vec<f64>> = match found.value {
        figment::value::Value::Array(_, elements) => found
            .elements(elements)
            .iter()
            .map(|element| element.number().ok())
            .collect(),
        _ => None,
    };
    match bounds.as_deref() {
        Some([lowest, highest]) if lowest < highest => Ok((*lowest, *highest)),
        Some([lowest, highest]) => Err(format!(
            "found [{lowest}, {highest}], expected the lower number first and the higher second"
        )),
        _ => Err(found.unexpected("two numbers, lowest and highest, such as [0.0, 10.0]")),
    }
}

fn weight(found: &ConfigValue<'_>) -> Read<f64> {
    let weight = found.number()?;
    if weight > 0.0 {
        Ok(weight)
    } else {
        Err(found.unexpected("a number above zero; remove the feature if it should not count"))
    }
}

fn wording(section: &mut Section<'_>) -> Wording {
    let mut text = |key| section.read(key, |found| Ok(found.text()?.into_owned()));
    Wording {
        label: text("label"),
        unit: text("unit"),
        low: text("low"),
        high: text("high"),
    }
}
