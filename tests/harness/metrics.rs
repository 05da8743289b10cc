//! Parses the metrics in `docs/metrics.md` and in an instance's `/metrics`.

use std::collections::BTreeSet;
use std::fs;

use flockwise_runtime::metrics::Described;

use crate::process::workspace;

/// A row of the table in `docs/metrics.md`.
#[derive(Clone, Debug)]
pub struct DocumentedMetric {
    /// Name, type and labels, which can be compared with the program.
    pub metric: Described,
    /// The unit that it is counted or measured in.
    pub unit: String,
    /// The description.
    pub meaning: String,
}

/// Every row of `docs/metrics.md`.
///
/// # Panics
/// If the page cannot be read or a row lacks a cell.
#[must_use]
pub fn documented() -> Vec<DocumentedMetric> {
    let page = fs::read_to_string(workspace().join("docs/metrics.md")).expect("docs/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(row).collect()
}

fn row(line: &str) -> DocumentedMetric {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [name, kind, labels, unit, meaning, _] = cells[..] else {
        panic!("a row has six cells: {line}");
    };
    let labels = labels
        .split(',')
        .map(|label| label.trim().trim_matches('`'));
    let labels = labels.filter(|label| !label.is_empty());
    let kinds = ["counter", "gauge", "histogram"];
    let kind = kinds.into_iter().find(|known| *known == kind);
    DocumentedMetric {
        metric: Described {
            name: name.trim_matches('`').to_owned(),
            kind: kind.unwrap_or_else(|| panic!("unknown metric type: {line}")),
            labels: labels.map(str::to_owned).collect(),
        },
        unit: unit.to_owned(),
        meaning: meaning.to_owned(),
    }
}

/// The metrics in the text of `/metrics`, with their labels in alphabetical order.
///
/// # Panics
/// If the text is not in the Prometheus format.
#[must_use]
pub fn shown(text: &str) -> BTreeSet<Described> {
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    kinds
        .map(|line| {
            let (name, kind) = line.split_once(' ').expect("a name and a type");
            let known = ["counter", "gauge", "histogram"];
            let kind = known.into_iter().find(|known| *known == kind);
            Described {
                name: name.to_owned(),
                kind: kind.unwrap_or_else(|| panic!("unknown metric type: {line}")),
                labels: labels(text, name),
            }
        })
        .collect()
}

/// Label names of all series of a metric, except a histogram's `le`.
fn labels(text: &str, name: &str) -> Vec<String> {
    let series = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let rest = ["_bucket", "_sum", "_count"]
            .into_iter()
            .find_map(|suffix| rest.strip_prefix(suffix))
            .unwrap_or(rest);
        let (labels, _) = rest.strip_prefix('{')?.rsplit_once('}')?;
        Some(labels)
    });
    let pairs = series.flat_map(|labels| labels.split("\","));
    let names = pairs.filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
    let names: BTreeSet<String> = names.filter(|name| name != "le").collect();
    names.into_iter().collect()
}

/// The value of one series, named as in the Prometheus format, with labels; `None` if there is no such series.
///
/// # Panics
/// If the value is not a number.
#[must_use]
pub fn value(text: &str, series: &str) -> Option<f64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(value.parse().expect("a number"))
}
