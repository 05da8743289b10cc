//! The description of a customer, for queries.

use super::Task;
use super::customer_description::CustomerDescription;
use crate::customer_view::customer_view;
use crate::explain::{explain, survey};
use crate::model::Model;

impl Task {
    /// Describes a customer as of stream time; `None` if the task has no such customer. Changes nothing.
    #[must_use]
    pub fn describe(
        &self,
        customer_id: &str,
        model: Option<&Model>,
    ) -> Option<CustomerDescription> {
        let number = self.rows.find(customer_id)?;
        let row = self.rows.row(number);
        let as_of_ms = self.position.stream_ms.max(row.reference_ms);
        let as_of_ms = as_of_ms.max(row.standing.as_of_ms);
        let plan = &self.settings.plan;
        let view = customer_view(plan, model, &row, as_of_ms);
        let segmentation = model.map(Model::segmentation);
        let place = segmentation.zip(row.standing.segment);
        let place =
            place.and_then(|(segmentation, id)| Some((segmentation, segmentation.index_of(id)?)));
        let explained = place.map(|(segmentation, own)| {
            let survey = survey(plan, segmentation, &self.rows, own, number, as_of_ms);
            let (margin, seen) = (self.settings.decision.margin, &survey.ranges);
            let explanation = explain(plan, segmentation, margin, own, &view.vector, seen);
            let typical = survey.typical.into_iter().map(str::to_owned);
            (explanation, typical.collect())
        });
        let (explanation, typical_members): (_, Option<Vec<String>>) = explained.unzip();
        Some(CustomerDescription {
            typical_members: typical_members.unwrap_or_default(),
            explanation,
            view,
        })
    }
}
