//! Figures of several rounds, as tables and as JSON.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::workspace;

/// Minimum, median and maximum of several figures.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// The lowest.
    pub min: f64,
    /// The median: the middle figure, or the mean of the two in the middle.
    pub median: f64,
    /// The highest.
    pub max: f64,
}

impl Spread {
    /// The spread of some figures; NaN if there are none.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
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

    /// `min / median / max` with `digits` decimals; empty if there are no figures.
    #[must_use]
    pub fn shown(self, digits: usize) -> String {
        let Self { min, median, max } = self;
        if median.is_nan() {
            return String::new();
        }
        format!("{min:.digits$} / {median:.digits$} / {max:.digits$}")
    }
}

/// The spread of one figure over several rounds, with `digits` decimals.
#[must_use]
pub fn cell<R>(rounds: &[&R], digits: usize, figure: impl Fn(&R) -> Option<f64>) -> String {
    Spread::of(rounds.iter().filter_map(|round| figure(round))).shown(digits)
}

/// A table of BENCHMARKS.md.
pub struct Table {
    name: &'static str,
    text: String,
}

impl Table {
    /// An empty table. `name` is that of its markers in the document, `head` the column titles.
    #[must_use]
    pub fn new(name: &'static str, head: &[&str]) -> Self {
        let text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
        Self { name, text }
    }

    /// Adds a row with one cell per column.
    pub fn row(&mut self, cells: &[String]) {
        self.text += &format!("| {} |\n", cells.join(" | "));
    }

    /// Prints the table and, unless `only_print`, replaces the one of its name in BENCHMARKS.md.
    ///
    /// # Errors
    /// If BENCHMARKS.md has no markers for it or cannot be written.
    pub fn publish(&self, only_print: bool) -> Result<()> {
        println!("\n{}:\n\n{}", self.name, self.text);
        if only_print {
            return Ok(());
        }
        let path = workspace("BENCHMARKS.md");
        let document = fs::read_to_string(&path)?;
        let document = replaced(&document, self.name, &self.text)?;
        fs::write(&path, document).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Replaces the table between the markers of this name.
fn replaced(document: &str, name: &str, table: &str) -> Result<String> {
    let (open, close) = (format!("<!-- table: {name} -->\n"), "<!-- /table -->");
    let missing =
        || format!("BENCHMARKS.md has no table {name}: it stands between {open}and {close}");
    let (before, rest) = document.split_once(&open).with_context(missing)?;
    let (old, after) = rest.split_once(close).with_context(missing)?;
    ensure!(!old.contains("<!-- table: "), missing());
    Ok(format!("{before}{open}\n{table}\n{close}{after}"))
}

/// Writes every round's figures to `target/bench/NAME.json`.
///
/// # Errors
/// If the file cannot be written.
pub fn write(name: &str, rounds: &impl Serialize) -> Result<()> {
    let folder = workspace("target/bench");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(rounds)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("figures of every round: {}", path.display());
    Ok(())
}
