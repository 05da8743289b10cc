//! The JSON answer about a customer: an instance writes it, `flockwise customer` reads it.

use flockwise_codec::time::write_time;
use flockwise_core::customer_view::CustomerView;
use flockwise_core::explain::{Counterfactual, Explanation, Pull, Requirement};
use flockwise_core::model::Model;
use flockwise_core::plan::Plan;
use flockwise_core::task::Versions;
use flockwise_runtime::queries::CustomerAnswer;
use serde::{Deserialize, Serialize};

/// A customer, with the field names of the change records.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct CustomerDocument {
    pub(super) customer_id: String,
    /// `None` before the first version of the model.
    pub(super) segment: Option<NamedSegment>,
    pub(super) as_of: String,
    /// Number of the customer's changes so far.
    pub(super) sequence: u32,
    pub(super) model_version: Option<u64>,
    pub(super) distance: Option<f64>,
    /// 1 - `distance` / `distance_other`; negative if the other segment is nearer.
    pub(super) margin: Option<f64>,
    /// Whether the customer is an outlier; `None` if `distance` is.
    pub(super) outlier: Option<bool>,
    pub(super) nearest_other: Option<NamedSegment>,
    pub(super) distance_other: Option<f64>,
    /// By pull, the strongest first.
    pub(super) features: Vec<FeatureLine>,
    pub(super) counterfactuals: Vec<CounterfactualLine>,
    pub(super) typical_members: Vec<String>,
}

/// A segment, by id and name.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct NamedSegment {
    pub(super) segment: u32,
    /// `None` if neither the current nor the previous version has the segment.
    pub(super) name: Option<String>,
    pub(super) strategic: Option<String>,
}

/// A feature of the customer. Values are in the feature's own units.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct FeatureLine {
    pub(super) feature: String,
    pub(super) label: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) value: f64,
    /// The typical value of the customer's segment.
    pub(super) typical: Option<f64>,
    /// The typical value of the nearest other segment.
    pub(super) typical_other: Option<f64>,
    /// The feature's part of `distance_other`² - `distance`²; negative if it pulls to the other segment.
    pub(super) pull: Option<f64>,
}

/// The smallest change of one feature that moves the customer to a segment.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct CounterfactualLine {
    pub(super) to: NamedSegment,
    /// `None` if no single feature moves the customer there, or no change is needed.
    pub(super) feature: Option<String>,
    pub(super) value: Option<f64>,
    pub(super) needed: Option<f64>,
    /// Size of the change, in the units of `distance`: 0 if no change is needed, `None` if no single feature
    /// moves the customer there.
    #[serde(rename = "move")]
    pub(super) length: Option<f64>,
}

impl CustomerDocument {
    pub(super) fn of(plan: &Plan, known: &CustomerAnswer) -> Self {
        let (description, versions) = (&known.told, known.versions.as_ref());
        let view = &description.view;
        let model = versions.map(|versions| &*versions.current);
        let explained = description.explanation.as_ref().zip(model);
        let other = explained.and_then(|(explanation, model)| {
            let (index, distance) = explanation.other?;
            Some((NamedSegment::at(model, index), distance))
        });
        let (nearest_other, distance_other) = other.unzip();
        Self {
            customer_id: view.customer_id.clone(),
            segment: view.segment.map(|id| NamedSegment::of(versions, id)),
            as_of: write_time(view.as_of_ms),
            sequence: view.sequence,
            model_version: model.map(Model::version),
            distance: view.distance,
            margin: view.margin,
            outlier: view.is_outlier,
            nearest_other,
            distance_other,
            features: features(plan, view, description.explanation.as_ref()),
            counterfactuals: explained.map_or_else(Vec::new, |(explanation, model)| {
                let counterfactuals = explanation.counterfactuals.iter();
                counterfactuals
                    .map(|counterfactual| CounterfactualLine::of(plan, model, view, counterfactual))
                    .collect()
            }),
            typical_members: description.typical_members.clone(),
        }
    }

    pub(super) fn json(&self) -> String {
        // Cannot fail: only numbers and strings, written to memory.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl NamedSegment {
    fn at(model: &Model, index: usize) -> Self {
        let segment = &model.segmentation().segments()[index];
        Self::named(segment.id, Some(&segment.name))
    }

    /// The segment with this id. A segment that the current version lacks has its name in the previous version.
    fn of(versions: Option<&Versions>, id: u32) -> Self {
        let models = versions.into_iter();
        let mut models = models.flat_map(|v| [Some(&v.current), v.previous.as_ref()]);
        let found = models.find_map(|model| {
            let model = model?;
            let segmentation = model.segmentation();
            Some(&*segmentation.segments()[segmentation.index_of(id)?].name)
        });
        Self::named(id, found)
    }

    fn named(segment: u32, name: Option<&str>) -> Self {
        Self {
            segment,
            name: name.map(str::to_owned),
            strategic: None,
        }
    }
}

/// All features, by pull; in the order of the plan without an explanation.
fn features(
    plan: &Plan,
    view: &CustomerView,
    explanation: Option<&Explanation>,
) -> Vec<FeatureLine> {
    let line = |index: usize, pull: Option<&Pull>| {
        let feature = plan.feature(index);
        FeatureLine {
            feature: feature.name.clone(),
            label: feature.wording.label.clone(),
            unit: feature.wording.unit.clone(),
            value: view.features[index],
            typical: pull.map(|pull| pull.typical),
            typical_other: pull.and_then(|pull| pull.typical_other),
            pull: pull.map(|pull| pull.pull),
        }
    };
    match explanation {
        Some(explanation) => {
            let pulls = explanation.pulls.iter();
            pulls.map(|pull| line(pull.feature, Some(pull))).collect()
        }
        None => (0..plan.len()).map(|index| line(index, None)).collect(),
    }
}

impl CounterfactualLine {
    fn of(
        plan: &Plan,
        model: &Model,
        view: &CustomerView,
        counterfactual: &Counterfactual,
    ) -> Self {
        let by = match counterfactual.requirement {
            Requirement::By(by) => Some(by),
            Requirement::Already | Requirement::NotByOne => None,
        };
        Self {
            to: NamedSegment::at(model, counterfactual.segment),
            feature: by.map(|by| plan.feature(by.feature).name.clone()),
            value: by.map(|by| view.features[by.feature]),
            needed: by.map(|by| by.needed),
            length: match counterfactual.requirement {
                Requirement::By(by) => Some(by.length),
                Requirement::Already => Some(0.0),
                Requirement::NotByOne => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{known, plan};
    use super::*;

    /// Users' programs parse this JSON: change the golden file only on purpose.
    #[test]
    fn the_answer_is_as_it_was() {
        let versions = known(true).versions;
        let answers =
            [known(true), known(false)].map(|known| CustomerDocument::of(&plan(), &known));
        let gone = NamedSegment::of(versions.as_ref(), 99);
        let mut found: Vec<String> = answers
            .iter()
            .map(|answer| serde_json::to_string_pretty(answer).unwrap())
            .collect();
        found.push(serde_json::to_string(&gone).unwrap());
        let found = found.join("\n");
        assert_eq!(
            found.trim(),
            include_str!("golden/answer.json").trim(),
            "\n{found}"
        );
        for answer in answers {
            let again: CustomerDocument = serde_json::from_str(&answer.json()).unwrap();
            assert_eq!(again.json(), answer.json());
        }
    }
}
