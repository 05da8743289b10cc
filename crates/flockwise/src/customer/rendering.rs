//! What is told of a customer, for people.

use comfy_table::{CellAlignment, Table};

use super::answer::{Answer, FeatureLine, Place, WayLine};
use crate::report;
use crate::segment_stats::readable;

/// The whole sheet.
pub(super) fn text(answer: &Answer) -> String {
    let Some(segment) = &answer.segment else {
        return format!(
            "customer {}: in no segment yet, as of {}\n\n{}",
            answer.customer_id,
            answer.as_of,
            features(answer)
        );
    };
    let mut parts = vec![head(answer, segment), features(answer).to_string()];
    if !answer.counterfactuals.is_empty() {
        parts.push(counterfactuals(answer).to_string());
    }
    if !answer.typical_members.is_empty() {
        parts.push(format!(
            "typical of the segment: {}",
            answer.typical_members.join(", ")
        ));
    }
    parts.join("\n\n")
}

fn head(answer: &Answer, segment: &Place) -> String {
    let mut head = format!(
        "customer {}: {}, as of {}, after {} change{}",
        answer.customer_id,
        named(segment),
        answer.as_of,
        answer.sequence,
        if answer.sequence == 1 { "" } else { "s" },
    );
    let (Some(distance), Some(margin)) = (answer.distance, answer.margin) else {
        head.push_str("\nthe model has this segment no more: the next scoring gives another");
        return head;
    };
    if let (Some(other), Some(distance_other)) = (&answer.nearest_other, answer.distance_other) {
        let nearer = if margin < 0.0 {
            "the other is nearer, and not by so much or for so long that the customer moves"
                .to_owned()
        } else {
            format!("nearer by {:.0} %", margin * 100.0)
        };
        head.push_str(&format!(
            "\nnearest other: {}; distance {distance:.3}, to the other {distance_other:.3}: {nearer}",
            named(other)
        ));
    }
    if answer.outlier == Some(true) {
        head.push_str(
            "\nan outlier: far from every segment, so take this one with a grain of salt",
        );
    }
    head
}

/// `returner, lapsed (segment 4)`
fn named(place: &Place) -> String {
    let name = place.name.as_deref().unwrap_or("a former one");
    format!("{name} (segment {})", place.segment)
}

fn features(answer: &Answer) -> Table {
    let mut table = report::blank([
        "feature",
        "customer",
        "typical here",
        "typical of the nearest other",
        "pull",
    ]);
    for line in &answer.features {
        let typical = |value: Option<f64>| value.map_or_else(String::new, |v| told(line, v));
        table.add_row([
            label(line),
            told(line, line.value),
            typical(line.typical),
            typical(line.typical_other),
            line.pull.map_or_else(String::new, signed),
        ]);
    }
    if answer.nearest_other.is_some() {
        let sum: f64 = answer.features.iter().filter_map(|line| line.pull).sum();
        let nothing = String::new;
        table.add_row([
            "together".to_owned(),
            nothing(),
            nothing(),
            nothing(),
            signed(sum),
        ]);
    }
    if let Some(pulls) = table.column_mut(4) {
        pulls.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A pull in the units of squared distances.
fn signed(pull: f64) -> String {
    // Rounded first: a little less than nothing is nothing.
    let rounded = (pull * 100.0).round() / 100.0 + 0.0;
    format!("{rounded:+.2}")
}

fn counterfactuals(answer: &Answer) -> Table {
    let mut table = report::blank(["another segment", "reached if this alone were otherwise"]);
    let counterfactuals = answer.counterfactuals.iter();
    let reached =
        counterfactuals.filter_map(|counterfactual| Some((counterfactual.length?, counterfactual)));
    let mut reached: Vec<(f64, &WayLine)> = reached.collect();
    reached.sort_by(|left, right| left.0.total_cmp(&right.0));
    for (_, counterfactual) in &reached {
        table.add_row([named(&counterfactual.to), needed(answer, counterfactual)]);
    }
    let out_of_reach = answer.counterfactuals.len() - reached.len();
    if out_of_reach > 0 {
        let more = format!("{out_of_reach} more");
        table.add_row([more, "not reachable by one feature alone".to_owned()]);
    }
    table
}

/// `orders lately 8.4, not 3.2`
fn needed(answer: &Answer, counterfactual: &WayLine) -> String {
    let feature = counterfactual.feature.as_ref();
    let line = feature.and_then(|name| answer.features.iter().find(|l| l.feature == *name));
    let Some((line, needed)) = line.zip(counterfactual.needed) else {
        return "near enough as it is: the next scorings decide".to_owned();
    };
    let (label, value, needed_told) = (label(line), told(line, line.value), told(line, needed));
    if value != needed_told {
        format!("{label} {needed_told}, not {value}")
    } else if needed > line.value {
        format!("{label} a little more than {value}")
    } else {
        format!("{label} a little less than {value}")
    }
}

fn label(line: &FeatureLine) -> String {
    let label = line.label.clone();
    label.unwrap_or_else(|| line.feature.replace('_', " "))
}

fn told(line: &FeatureLine, value: f64) -> String {
    readable(value, line.unit.as_deref())
}

#[cfg(test)]
mod tests {
    use super::super::example::{known, plan};
    use super::*;

    #[test]
    fn a_customer_is_told_to_people() {
        let sheets = [known(true), known(false)].map(|known| text(&Answer::of(&plan(), &known)));
        let found = sheets.join("\n\n");
        let lines = found.lines().map(str::trim_end);
        let found = lines.collect::<Vec<_>>().join("\n");
        assert_eq!(
            found.trim(),
            include_str!("golden/sheet.txt").trim(),
            "\n{found}"
        );
    }
    #[test]
    fn what_it_takes_reads_well_where_numbers_do_not() {
        let answer = Answer::of(&plan(), &known(true));
        let mut counterfactual = WayLine {
            to: Place {
                segment: 7,
                name: None,
                strategic: None,
            },
            feature: Some("orders_30d".to_owned()),
            value: Some(1.5625),
            needed: Some(1.5626),
            length: Some(1e-4),
        };
        assert_eq!(
            needed(&answer, &counterfactual),
            "orders lately a little more than 1.6"
        );
        counterfactual.needed = Some(1.5624);
        assert_eq!(
            needed(&answer, &counterfactual),
            "orders lately a little less than 1.6"
        );
        (
            counterfactual.feature,
            counterfactual.needed,
            counterfactual.length,
        ) = (None, None, Some(0.0));
        assert_eq!(
            needed(&answer, &counterfactual),
            "near enough as it is: the next scorings decide"
        );
        assert_eq!(named(&counterfactual.to), "a former one (segment 7)");
    }
}
