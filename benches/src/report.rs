//! Figures of several rounds, for people and for programs.

use std::fs;

use anyhow::{Context, Result};
use flockwise_benches::workspace;
use serde::Serialize;

/// Lowest, middle and highest of several figures.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of at least one figure.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
        let last = figures.len().saturating_sub(1);
        Self {
            min: at(0),
            median: (at(last / 2) + at(last.div_ceil(2))) / 2.0,
            max: at(last),
        }
    }

    /// `min / median / max` with so many digits behind the point.
    pub(crate) fn shown(self, digits: usize) -> String {
        let Self { min, median, max } = self;
        format!("{min:.digits$} / {median:.digits$} / {max:.digits$}")
    }
}

/// Prints a table in Markdown.
pub(crate) fn print_table(head: &[&str], rows: &[Vec<String>]) {
    println!("| {} |", head.join(" | "));
    println!("|{}", "---|".repeat(head.len()));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
}

/// Writes every round's figures to `target/bench/NAME.json`.
pub(crate) fn write(name: &str, rounds: &impl Serialize) -> Result<()> {
    let path = workspace("target/bench").join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(rounds)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("every round: {}", path.display());
    Ok(())
}
