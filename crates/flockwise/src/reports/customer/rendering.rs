//! Renders the answer about a customer as text.

use comfy_table::{CellAlignment, Table};

use super::answer::{CounterfactualLine, CustomerDocument, FeatureLine, NamedSegment};
use crate::reports::table;
use crate::reports::wording::readable;

/// The text that `flockwise customer` prints.
pub(super) fn text(answer: &CustomerDocument) -> String {
    let Some(segment) = &answer.segment else {
        return format!(
            "customer {}: no segment yet, as of {}\n\n{}",
            answer.customer_id,
            answer.as_of,
            features(answer)
        );
    };
    let mut parts = vec![header(answer, segment), features(answer).to_string()];
    if !answer.counterfactuals.is_empty() {
        parts.push(counterfactuals(answer).to_string());
    }
    if !answer.typical_members.is_empty() {
        parts.push(format!(
            "typical members: {}",
            answer.typical_members.join(", ")
        ));
    }
    parts.join("\n\n")
}

fn header(answer: &CustomerDocument, segment: &NamedSegment) -> String {
    let mut header = format!(
        "customer {}: {}, as of {}, after {} change{}",
        answer.customer_id,
        segment_text(segment),
        answer.as_of,
        answer.sequence,
        if answer.sequence == 1 { "" } else { "s" },
    );
    let (Some(distance), Some(margin)) = (answer.distance, answer.margin) else {
        header.push_str("\nthe model no longer has this segment: the next scoring assigns another");
        return header;
    };
    if let (Some(other), Some(distance_other)) = (&answer.nearest_other, answer.distance_other) {
        let nearer = if margin < 0.0 {
            "the other is nearer, but not by enough or for long enough to move the customer"
                .to_owned()
        } else {
            format!("the own segment is nearer by {:.0} %", margin * 100.0)
        };
        header.push_str(&format!(
            "\ndistance {distance:.3}; nearest other segment: {}, distance {distance_other:.3}; {nearer}",
            segment_text(other)
        ));
    }
    if answer.outlier == Some(true) {
        header.push_str(
            "\noutlier: far from every segment, so the segment describes this customer badly",
        );
    }
    header
}

/// `returner, lapsed (segment 4)`
fn segment_text(segment: &NamedSegment) -> String {
    let name = segment.name.as_deref().unwrap_or("former");
    format!("{name} (segment {})", segment.segment)
}

fn features(answer: &CustomerDocument) -> Table {
    let mut table = table::empty_table([
        "feature",
        "customer",
        "typical here",
        "typical of nearest other",
        "pull",
    ]);
    for line in &answer.features {
        let typical = |value: Option<f64>| value.map_or_else(String::new, |v| formatted(line, v));
        table.add_row([
            label(line),
            formatted(line, line.value),
            typical(line.typical),
            typical(line.typical_other),
            line.pull.map_or_else(String::new, signed),
        ]);
    }
    if answer.nearest_other.is_some() {
        let sum: f64 = answer.features.iter().filter_map(|line| line.pull).sum();
        let empty = String::new;
        table.add_row(["total".to_owned(), empty(), empty(), empty(), signed(sum)]);
    }
    if let Some(pulls) = table.column_mut(4) {
        pulls.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A pull in the units of squared distances.
fn signed(pull: f64) -> String {
    // Rounds first and adds +0.0, so that a small negative value is not shown as -0.00.
    let rounded = (pull * 100.0).round() / 100.0 + 0.0;
    format!("{rounded:+.2}")
}

fn counterfactuals(answer: &CustomerDocument) -> Table {
    let mut table =
        table::empty_table(["other segment", "smallest single change that leads there"]);
    let counterfactuals = answer.counterfactuals.iter();
    let reached =
        counterfactuals.filter_map(|counterfactual| Some((counterfactual.length?, counterfactual)));
    let mut reached: Vec<(f64, &CounterfactualLine)> = reached.collect();
    reached.sort_by(|left, right| left.0.total_cmp(&right.0));
    for (_, counterfactual) in &reached {
        table.add_row([
            segment_text(&counterfactual.to),
            needed(answer, counterfactual),
        ]);
    }
    let out_of_reach = answer.counterfactuals.len() - reached.len();
    if out_of_reach > 0 {
        let more = format!("{out_of_reach} more");
        table.add_row([more, "no single change leads there".to_owned()]);
    }
    table
}

/// `orders lately 8.4 instead of 3.2`
fn needed(answer: &CustomerDocument, counterfactual: &CounterfactualLine) -> String {
    let feature = counterfactual.feature.as_ref();
    let line = feature.and_then(|name| answer.features.iter().find(|l| l.feature == *name));
    let Some((line, needed)) = line.zip(counterfactual.needed) else {
        return "none needed: the next scorings decide".to_owned();
    };
    let (label, value, needed_text) = (
        label(line),
        formatted(line, line.value),
        formatted(line, needed),
    );
    if value != needed_text {
        format!("{label} {needed_text} instead of {value}")
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

fn formatted(line: &FeatureLine, value: f64) -> String {
    readable(value, line.unit.as_deref())
}

#[cfg(test)]
mod tests {
    use super::super::example::{known, plan};
    use super::*;

    #[test]
    fn a_customer_is_told_to_people() {
        let sheets =
            [known(true), known(false)].map(|known| text(&CustomerDocument::of(&plan(), &known)));
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
        let answer = CustomerDocument::of(&plan(), &known(true));
        let mut counterfactual = CounterfactualLine {
            to: NamedSegment {
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
            "none needed: the next scorings decide"
        );
        assert_eq!(segment_text(&counterfactual.to), "former (segment 7)");
    }
}
