//! The table of segments that ends `demo` and `replay`.

use flockwise_core::plan::Plan;

use crate::local::segment_stats::SegmentStats;
use crate::reports::table::empty_table;
use crate::reports::wording::{feature, label, number, readable};

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
