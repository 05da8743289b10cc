//! Compares decision policies: how often customers move, and the inertia that is given up.

use anyhow::Result;
use flockwise_benches::report::{Table, write};
use flockwise_config::Config;
use flockwise_core::change::Change;
use flockwise_core::policy::DecisionPolicy;
use serde::Serialize;

use crate::Settings;
use crate::inertia::JOURNEY;
use crate::jobs::on_all_cores;
use crate::lasting_moves::Delay;
use crate::movement::{DAY_MS, Movement};
use crate::picture::{Curve, Picture};
use crate::shop::{self, Year};

const K: usize = 16;
const MARGINS: [f64; 6] = [0.0, 0.1, 0.15, 0.2, 0.3, 0.4];
const PATIENCES: [f64; 6] = [0.2, 0.3, 0.35, 0.4, 0.6, 1.0];
/// The margin with which patience is tried.
const APART: f64 = 0.15;
/// Pairs of a dwell and a cooldown in days.
const DWELLS_AND_COOLDOWNS: [(u16, i64); 3] = [(1, 0), (2, 0), (1, 1)];

/// When customers are scored, and the target.
struct ScoringTimes {
    name: &'static str,
    title: &'static str,
    sweep_ms: Option<i64>,
    aim: Movements,
}

const SCORING_TIMES: [ScoringTimes; 2] = [
    ScoringTimes {
        name: "orders",
        title: "scored at orders",
        sweep_ms: None,
        aim: Movements {
            a_month: 0.15,
            back: 0.005,
            given_up: 0.06,
        },
    },
    ScoringTimes {
        name: "daily",
        title: "scored at orders and daily",
        sweep_ms: Some(DAY_MS),
        aim: Movements {
            a_month: 0.35,
            back: 0.06,
            given_up: 0.065,
        },
    },
];

/// How often customers move, and the inertia that is given up.
#[derive(Clone, Copy, Serialize)]
struct Movements {
    a_month: f64,
    back: f64,
    given_up: f64,
}

/// A decision policy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Setting {
    margin: f64,
    patience: f64,
    dwell: u16,
    cooldown_days: i64,
}

/// Always the nearest segment. Gives no inertia up.
const PLAIN: Setting = Setting {
    margin: 0.0,
    patience: 0.0,
    dwell: 1,
    cooldown_days: 0,
};

/// The default of a configuration.
const DEFAULT: Setting = Setting {
    margin: APART,
    patience: 0.35,
    ..PLAIN
};

/// A decision policy and its results.
#[derive(Clone, Copy, Serialize)]
struct Run {
    scoring_times: &'static str,
    setting: Setting,
    movements: Movements,
    delay: Delay,
    is_met: bool,
}

pub(crate) fn measure(settings: &Settings) -> Result<()> {
    let lines = JOURNEY.lines()?;
    let config = JOURNEY.config(K, 0)?;
    let year = shop::run(&config, &lines)?;
    let mut runs = Vec::new();
    for scoring_times in &SCORING_TIMES {
        let plain = scoring_times.run(&config, &lines, &year, PLAIN)?.changes;
        runs.extend(on_all_cores(&settings_to_try(), |setting| {
            eprintln!("{}: {setting:?}", scoring_times.name);
            let year = scoring_times.run(&config, &lines, &year, *setting)?;
            Ok(Run::of(&year, &plain, scoring_times, *setting))
        })?);
    }
    write("quality-decisions", &runs)?;
    for scoring_times in &SCORING_TIMES {
        draw(scoring_times, &runs, settings)?;
    }
    table(&runs).publish(settings.print)
}

fn settings_to_try() -> Vec<Setting> {
    let dwells_and_cooldowns = DWELLS_AND_COOLDOWNS
        .iter()
        .flat_map(|(dwell, cooldown_days)| {
            MARGINS.map(|margin| Setting {
                margin,
                patience: 0.0,
                dwell: *dwell,
                cooldown_days: *cooldown_days,
            })
        });
    let patient = PATIENCES.map(|patience| Setting {
        patience,
        ..DEFAULT
    });
    dwells_and_cooldowns.chain(patient).collect()
}

impl ScoringTimes {
    /// Processes the year with a decision policy and the same model versions.
    fn run(&self, config: &Config, lines: &[String], year: &Year, by: Setting) -> Result<Year> {
        let mut config = config.clone();
        config.time.sweep_ms = self.sweep_ms;
        config.decision = DecisionPolicy {
            margin: by.margin,
            patience: by.patience,
            dwell: by.dwell,
            cooldown_ms: by.cooldown_days * DAY_MS,
        };
        shop::run_with_versions(&config, lines, year)
    }
}

impl Run {
    fn of(year: &Year, plain: &[Change], scoring_times: &ScoringTimes, setting: Setting) -> Self {
        let span_ms = (year.since_ms(), year.until_ms);
        let Movement { a_month, back } = Movement::of(&year.changes, year.vectors.len(), span_ms);
        let movements = Movements {
            a_month,
            back,
            given_up: year.given_up.share(),
        };
        Self {
            scoring_times: scoring_times.name,
            setting,
            movements,
            delay: Delay::of(&year.changes, plain),
            is_met: movements.is_within(scoring_times.aim),
        }
    }
}

impl Movements {
    fn is_within(self, aim: Self) -> bool {
        self.a_month <= aim.a_month && self.back <= aim.back && self.given_up <= aim.given_up
    }

    fn cells(self) -> [String; 3] {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        [
            format!("{:.3}", self.a_month),
            percent(self.back),
            percent(self.given_up),
        ]
    }
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new(
        "decisions",
        &[
            "margin, patience, dwell, cooldown",
            "at orders: changes a customer and month",
            "back within 7 days",
            "inertia given up",
            "lasting changes follow after days, p50, p90 (never)",
            "daily: changes a customer and month",
            "back within 7 days",
            "inertia given up",
            "lasting changes follow after days, p50, p90 (never)",
        ],
    );
    let aims = SCORING_TIMES.iter().flat_map(|scoring_times| {
        let [changes, back, given_up] = scoring_times.aim.cells();
        [changes, back, given_up, String::new()]
    });
    let aims: Vec<String> = ["aim".to_owned()].into_iter().chain(aims).collect();
    table.row(&aims);
    let (orders, daily) = runs.split_at(runs.len() / SCORING_TIMES.len());
    for (at_orders, daily) in std::iter::zip(orders, daily) {
        let both = [at_orders, daily].into_iter().flat_map(Run::cells);
        let name = [daily.setting.name()];
        table.row(&name.into_iter().chain(both).collect::<Vec<_>>());
    }
    table
}

impl Setting {
    fn name(self) -> String {
        let Self {
            margin,
            patience,
            dwell,
            cooldown_days,
        } = self;
        let default = if self == DEFAULT { " (default)" } else { "" };
        format!("{margin:.2}, {patience:.2}, {dwell}, {cooldown_days} d{default}")
    }
}

impl Run {
    /// The cells of a table row, in bold if all three targets are met.
    fn cells(&self) -> [String; 4] {
        let Delay { half, most, never } = self.delay;
        let delay = format!("{half:.0}, {most:.0} ({:.0} %)", 100.0 * never);
        let [changes, back, given_up] = self.movements.cells().map(|cell| match self.is_met {
            true => format!("**{cell}**"),
            false => cell,
        });
        [changes, back, given_up, delay]
    }
}

fn draw(scoring_times: &ScoringTimes, runs: &[Run], settings: &Settings) -> Result<()> {
    let curve = |name: String, is_own: &dyn Fn(Setting) -> bool| {
        let own = runs
            .iter()
            .filter(|run| run.scoring_times == scoring_times.name);
        let own = own.filter(|run| is_own(run.setting));
        Curve {
            name,
            points: own.map(|run| point(run.movements)).collect(),
            is_dotted: true,
        }
    };
    let mut curves: Vec<Curve> = DWELLS_AND_COOLDOWNS
        .iter()
        .map(|(dwell, cooldown_days)| {
            curve(
                format!("dwell {dwell}, cooldown {cooldown_days} d"),
                &|by| {
                    by.patience == 0.0 && (by.dwell, by.cooldown_days) == (*dwell, *cooldown_days)
                },
            )
        })
        .collect();
    curves.push(curve(format!("margin {APART}, patience .2 to 1"), &|by| {
        by.patience > 0.0
    }));
    Picture {
        name: scoring_times.name,
        title: format!("{}: margins 0 (right) to .4 (left)", scoring_times.title),
        axes: ["changes a customer and month", "inertia given up, %"],
        curves,
        aim: Some(point(scoring_times.aim)),
    }
    .draw(settings.print)
}

fn point(movements: Movements) -> (f64, f64) {
    (movements.a_month, 100.0 * movements.given_up)
}
