//! When lapsed customers change segment, although no event of theirs causes it.

use std::collections::HashSet;

use anyhow::{Context, Result};
use flockwise_benches::report::{Spread, Table};
use flockwise_core::change::Change;
use flockwise_core::decide::Cause;
use flockwise_core::model::Model;

use crate::Settings;
use crate::inertia::{RETAIL, percentiles};
use crate::jobs::on_all_cores;
use crate::movement::DAY_MS;
use crate::shop::{self, Year};

const RECENCY: &str = "days_since_order";
/// Number of segments in the configuration of the web shop.
const K: usize = 10;

pub(crate) fn measure(settings: &Settings) -> Result<()> {
    let lines = RETAIL.lines()?;
    let seeds: Vec<u64> = (0..settings.seeds.unwrap_or(5)).collect();
    let years = on_all_cores(&seeds, |seed| shop::run(&RETAIL.config(K, *seed)?, &lines))?;
    let mut table = Table::new(
        "lapsed",
        &[
            "entering",
            "days after the last order, p10",
            "p50",
            "p90",
            "times",
        ],
    );
    for (name, which) in [
        ("the most lapsed", Reached::Last),
        ("the first by time", Reached::First),
    ] {
        let days = years.iter().map(|year| days(year, which));
        table.row(&row(name, &days.collect::<Result<Vec<_>>>()?));
    }
    let reference = ["reference: the most lapsed", "40", "60", "97", ""];
    table.row(&reference.map(str::to_owned));
    table.publish(settings.print)
}

/// Which changes with the cause `time` count.
#[derive(Clone, Copy)]
enum Reached {
    /// The first change after an order, to any segment.
    First,
    /// Changes to the segment whose last order is longest ago.
    Last,
}

fn row(name: &str, years: &[Vec<f64>]) -> [String; 5] {
    let shares = [0.1, 0.5, 0.9];
    let days = years.iter().map(|days| percentiles(days.clone(), shares));
    let days: Vec<_> = days.collect();
    let [soon, half, late] =
        [0, 1, 2].map(|index| Spread::of(days.iter().map(|days| days[index])).shown(0));
    let times = Spread::of(years.iter().map(|days| days.len() as f64)).shown(0);
    [name.to_owned(), soon, half, late, times]
}

/// Days from a customer's last order to a change with the cause `time`.
fn days(year: &Year, reached: Reached) -> Result<Vec<f64>> {
    let mut days = Vec::new();
    let mut moved: HashSet<(u32, i64)> = HashSet::new();
    let by_time = year
        .changes
        .iter()
        .filter(|change| change.cause == Cause::Time);
    for change in by_time.filter(|change| change.from.is_some()) {
        let Some(order_ms) = last_order_ms(year, change) else {
            continue;
        };
        let is_meant = match reached {
            Reached::First => moved.insert((change.row, order_ms)),
            Reached::Last => change.to == Some(lapsed(year, change)?),
        };
        if is_meant {
            days.push((change.occurred_ms - order_ms) as f64 / DAY_MS as f64);
        }
    }
    Ok(days)
}

fn last_order_ms(year: &Year, change: &Change) -> Option<i64> {
    let orders_ms = year.orders_ms.get(&change.row)?.iter().copied();
    orders_ms.filter(|at_ms| *at_ms <= change.occurred_ms).max()
}

/// The segment whose last order is longest ago, in the version that made the change.
fn lapsed(year: &Year, change: &Change) -> Result<u32> {
    let mut versions = year.versions.iter().map(|(_, model)| model);
    let model: &Model = versions
        .find(|model| model.version() == change.model_version)
        .context("a change names an unknown model version")?;
    let features = &model.as_version().features;
    let recency = features.iter().position(|name| name == RECENCY);
    let recency = recency.context("the model has no feature days_since_order")?;
    let segments = model.segmentation().segments().iter();
    let longest =
        segments.max_by(|left, right| left.centroid[recency].total_cmp(&right.centroid[recency]));
    Ok(longest.context("no segments")?.id)
}
