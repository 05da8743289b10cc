//! Metrics as `docs/metrics.md` has them, and as an instance shows them.

use std::collections::BTreeSet;
use std::fs;

use flockwise_runtime::metrics::Described;

use crate::process::workspace;

/// A row of the table.
#[derive(Clone, Debug)]
pub struct DocumentedMetric {
    /// What can be compared with the program.
    pub metric: Described,
    /// In what it is counted or measured.
    pub unit: String,
    /// What it says.
    pub meaning: String,
}

/// Every row of `docs/metrics.md`.
///
/// # Panics
/// Where the page cannot be read or a row lacks a cell.
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
            kind: kind.unwrap_or_else(|| panic!("no type of metric: {line}")),
            labels: labels.map(str::to_owned).collect(),
        },
        unit: unit.to_owned(),
        meaning: meaning.to_owned(),
    }
}

/// The metrics of an answer of `/metrics`. Their labels are in the order of the alphabet.
///
/// # Panics
/// Where the text is none that Prometheus reads.
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
                kind: kind.unwrap_or_else(|| panic!("a type: {line}")),
                labels: labels(text, name),
            }
        })
        .collect()
}

/// Labels of all series of a metric, but for a histogram's bounds.
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

/// The value of one series, written as Prometheus writes it, labels included.
///
/// # Panics
/// Where it is no number.
#[must_use]
pub fn value(text: &str, series: &str) -> Option<f64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(value.parse().expect("a number"))
}
