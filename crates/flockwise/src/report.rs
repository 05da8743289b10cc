//! The style of all tables, and the table of segments that ends `demo` and `replay`.

use comfy_table::{ContentArrangement, Row, Table, presets};
use flockwise_core::feature::Feature;
use flockwise_core::plan::Plan;

use crate::segment_stats::{SegmentStats, label, number, readable};

/// Width of a table, in characters.
const WIDTH: u16 = 120;

/// An empty table in the common style.
pub(crate) fn empty_table(header: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH);
    table.set_header(header);
    table
}

/// The table of segments. Its readers are marketers.
pub(crate) fn table(plan: &Plan, segments: &[SegmentStats], brings_in: Option<&str>) -> String {
    let money = brings_in.and_then(|name| feature(plan, name));
    let mut header = vec!["segment".to_owned(), "customers".to_owned()];
    header.extend(money.map(|_| "brings in".to_owned()));
    header.extend(["what sets it apart (all)", "joined", "left"].map(str::to_owned));
    let mut table = empty_table(header);
    for segment in segments {
        let mut row = vec![
            segment.name.clone(),
            format!(
                "{} ({:.0} %)",
                number(segment.customers as f64),
                segment.share * 100.0
            ),
        ];
        if let (Some(money), Some(sum)) = (money, segment.brings_in) {
            let share = segment.brings_in_share.unwrap_or(0.0) * 100.0;
            row.push(format!(
                "{} ({share:.0} %)",
                readable(sum, money.wording.unit.as_deref())
            ));
        }
        row.push(traits(plan, segment));
        row.push(number(segment.changes_in as f64));
        row.push(number(segment.changes_out as f64));
        table.add_row(row);
    }
    table.to_string()
}

fn traits(plan: &Plan, segment: &SegmentStats) -> String {
    let lines: Vec<String> = segment
        .traits
        .iter()
        .filter_map(|found| {
            let feature = feature(plan, &found.feature)?;
            let unit = feature.wording.unit.as_deref();
            let (here, everybody) = (readable(found.here, unit), readable(found.everybody, unit));
            (here != everybody).then(|| format!("{} {here} ({everybody})", label(feature)))
        })
        .collect();
    if lines.is_empty() {
        "like all customers".to_owned()
    } else {
        lines.join("\n")
    }
}

/// The feature with this name.
pub(crate) fn feature<'p>(plan: &'p Plan, name: &str) -> Option<&'p Feature> {
    let index = plan.feature_names().position(|known| known == name)?;
    Some(plan.feature(index))
}
