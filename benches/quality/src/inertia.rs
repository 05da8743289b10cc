//! Compares the inertia of the online model with that of batch k-means over all customers.

use std::path::PathBuf;

use anyhow::{Context, Result};
use flockwise_benches::report::{Spread, Table};
use flockwise_benches::workspace;
use flockwise_config::Config;

use crate::Settings;
use crate::final_inertia::Snapshot;
use crate::jobs::on_all_cores;
use crate::shop::{self, Year};

/// A shop's year and its target inertia.
pub(crate) struct Shop {
    table: &'static str,
    config: &'static str,
    data: &'static str,
    /// Numbers of segments, each with the target ratio of inertia.
    aims: &'static [(usize, f64)],
}

pub(crate) const JOURNEY: Shop = Shop {
    table: "journey",
    config: "benches/quality/journey.toml",
    data: "target/data/journey.jsonl.zst",
    aims: &[(8, 1.03), (16, 1.04), (32, 1.05)],
};

pub(crate) const RETAIL: Shop = Shop {
    table: "retail",
    config: "config/web-shop.toml",
    data: "crates/flockwise/data/online-retail.jsonl.zst",
    aims: &[(8, 1.02), (10, 1.03), (12, 1.03)],
};

impl Shop {
    /// Its configuration for `k` segments and this seed. No version is held.
    pub(crate) fn config(&self, k: usize, seed: u64) -> Result<Config> {
        let mut config = Config::load(&workspace(self.config), [])?;
        config.learning.k_min = k;
        config.learning.k_max = k;
        config.learning.seed = seed;
        config.learning.churn_budget = 1.0;
        Ok(config)
    }

    pub(crate) fn lines(&self) -> Result<Vec<String>> {
        let path: PathBuf = workspace(self.data);
        shop::lines(&path)
    }
}

struct Run {
    k: usize,
    inertia: f64,
    versions: usize,
    moved: Vec<f64>,
    snapshot: Snapshot,
}

pub(crate) fn measure(shop: &Shop, settings: &Settings) -> Result<()> {
    let lines = shop.lines()?;
    let seeds = settings.seeds.unwrap_or(5);
    let sizes = shop.aims.iter().map(|(k, _)| *k);
    let tasks: Vec<(usize, u64)> = sizes
        .flat_map(|k| (0..seeds).map(move |seed| (k, seed)))
        .collect();
    let runs = on_all_cores(&tasks, |(k, seed)| {
        eprintln!("{}: {k} segments, seed {seed}", shop.table);
        Run::of(*k, &shop::run(&shop.config(*k, *seed)?, &lines)?)
    })?;
    let snapshot = &runs.first().context("no seeds")?.snapshot;
    let best = on_all_cores(shop.aims, |(k, _)| Ok(snapshot.best_batch(*k)))?;
    let mut table = Table::new(
        shop.table,
        &[
            "segments",
            "inertia over the best of 50 batch runs",
            "aim",
            "versions",
            "moved by a version, p50",
            "p90",
            "max",
        ],
    );
    for ((k, aim), best) in shop.aims.iter().zip(best) {
        let own: Vec<&Run> = runs.iter().filter(|run| run.k == *k).collect();
        table.row(&row(&own, *aim, best));
    }
    table.publish(settings.print)
}

impl Run {
    fn of(k: usize, year: &Year) -> Result<Self> {
        let (_, model) = year.versions.last().context("no model was learned")?;
        // Vectors do not depend on the model, so they are the same in all runs of a shop.
        let snapshot = Snapshot::of(&year.vectors);
        Ok(Self {
            k,
            inertia: snapshot.inertia(model.as_version()),
            versions: year.versions.len(),
            moved: year.moved.clone(),
            snapshot,
        })
    }
}

fn row(runs: &[&Run], aim: f64, best: f64) -> [String; 7] {
    let ratios = runs.iter().map(|run| run.inertia / best);
    let moved = runs.iter().flat_map(|run| &run.moved).copied().collect();
    let [half, most, all] = percentiles(moved, [0.5, 0.9, 1.0]);
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    [
        runs[0].k.to_string(),
        Spread::of(ratios).shown(3),
        format!("{aim:.2}"),
        Spread::of(runs.iter().map(|run| run.versions as f64)).shown(0),
        percent(half),
        percent(most),
        percent(all),
    ]
}

/// The nearest-rank percentiles of the figures, for shares from 0 to 1; NaN if there are no figures.
pub(crate) fn percentiles<const N: usize>(mut figures: Vec<f64>, shares: [f64; N]) -> [f64; N] {
    figures.sort_by(f64::total_cmp);
    let place = |share: f64| (figures.len() as f64 * share).ceil() as usize;
    shares.map(|share| {
        let figure = figures.get(place(share).saturating_sub(1));
        figure.copied().unwrap_or(f64::NAN)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_figures() {
        let figures = (1..=10).rev().map(f64::from).collect();
        assert_eq!(
            percentiles(figures, [0.1, 0.5, 0.9, 1.0]),
            [1.0, 5.0, 9.0, 10.0]
        );
        assert!(percentiles(Vec::new(), [0.5])[0].is_nan());
    }
}
