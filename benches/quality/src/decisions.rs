//! What calms decisions down, and what that costs.

use anyhow::Result;
use flockwise_benches::report::{Table, write};
use flockwise_config::Config;
use flockwise_core::change::Change;
use flockwise_core::policy::DecisionPolicy;
use serde::Serialize;

use crate::Settings;
use crate::inertia::JOURNEY;
use crate::jobs::on_all_cores;
use crate::lasting::Delay;
use crate::movement::{DAY_MS, Movement};
use crate::picture::{Curve, Picture};
use crate::shop::{self, Year};

const K: usize = 16;
const MARGINS: [f64; 6] = [0.0, 0.1, 0.15, 0.2, 0.3, 0.4];
const PATIENCES: [f64; 6] = [0.2, 0.3, 0.35, 0.4, 0.6, 1.0];
/// The margin at which patience is tried.
const APART: f64 = 0.15;
/// Dwells, each with the days after a change in which there is no other.
const CALMING: [(u16, i64); 3] = [(1, 0), (2, 0), (1, 1)];

/// When customers are scored.
struct Occasion {
    name: &'static str,
    title: &'static str,
    sweep_ms: Option<i64>,
    aim: Calm,
}

const OCCASIONS: [Occasion; 2] = [
    Occasion {
        name: "orders",
        title: "scored at orders",
        sweep_ms: None,
        aim: Calm {
            a_month: 0.15,
            back: 0.005,
            given_up: 0.06,
        },
    },
    Occasion {
        name: "daily",
        title: "scored at orders and daily",
        sweep_ms: Some(DAY_MS),
        aim: Calm {
            a_month: 0.35,
            back: 0.06,
            given_up: 0.065,
        },
    },
];

/// How calm customers are, and what it costs.
#[derive(Clone, Copy, Serialize)]
struct Calm {
    a_month: f64,
    back: f64,
    given_up: f64,
}

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Setting {
    margin: f64,
    patience: f64,
    dwell: u16,
    cooldown_days: i64,
}

/// The nearest segment, always: it gives nothing up.
const PLAIN: Setting = Setting {
    margin: 0.0,
    patience: 0.0,
    dwell: 1,
    cooldown_days: 0,
};

/// What a configuration has that says nothing.
const DEFAULT: Setting = Setting {
    margin: APART,
    patience: 0.35,
    ..PLAIN
};

/// A setting, and what comes of it.
#[derive(Clone, Copy, Serialize)]
struct Run {
    occasion: &'static str,
    setting: Setting,
    calm: Calm,
    delay: Delay,
    is_met: bool,
}

pub(crate) fn measure(settings: &Settings) -> Result<()> {
    let lines = JOURNEY.lines()?;
    let config = JOURNEY.config(K, 0)?;
    let year = shop::play(&config, &lines)?;
    let mut runs = Vec::new();
    for occasion in &OCCASIONS {
        let plain = occasion.play(&config, &lines, &year, PLAIN)?.changes;
        runs.extend(on_all_cores(&tried(), |setting| {
            eprintln!("{}: {setting:?}", occasion.name);
            let year = occasion.play(&config, &lines, &year, *setting)?;
            Ok(Run::of(&year, &plain, occasion, *setting))
        })?);
    }
    write("quality-decisions", &runs)?;
    for occasion in &OCCASIONS {
        draw(occasion, &runs, settings)?;
    }
    table(&runs).publish(settings.print)
}

fn tried() -> Vec<Setting> {
    let calming = CALMING.iter().flat_map(|(dwell, cooldown_days)| {
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
    calming.chain(patient).collect()
}

impl Occasion {
    /// The year again, with the same versions of the model.
    fn play(&self, config: &Config, lines: &[String], year: &Year, by: Setting) -> Result<Year> {
        let mut config = config.clone();
        config.time.sweep_ms = self.sweep_ms;
        config.decision = DecisionPolicy {
            margin: by.margin,
            patience: by.patience,
            dwell: by.dwell,
            cooldown_ms: by.cooldown_days * DAY_MS,
        };
        shop::play_again(&config, lines, year)
    }
}

impl Run {
    fn of(year: &Year, plain: &[Change], occasion: &Occasion, setting: Setting) -> Self {
        let span_ms = (year.since_ms(), year.until_ms);
        let Movement { a_month, back } = Movement::of(&year.changes, year.vectors.len(), span_ms);
        let calm = Calm {
            a_month,
            back,
            given_up: year.given_up.share(),
        };
        Self {
            occasion: occasion.name,
            setting,
            calm,
            delay: Delay::of(&year.changes, plain),
            is_met: calm.is_within(occasion.aim),
        }
    }
}

impl Calm {
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
    let aims = OCCASIONS.iter().flat_map(|occasion| {
        let [changes, back, given_up] = occasion.aim.cells();
        [changes, back, given_up, String::new()]
    });
    let aims: Vec<String> = ["aim".to_owned()].into_iter().chain(aims).collect();
    table.row(&aims);
    let (orders, daily) = runs.split_at(runs.len() / OCCASIONS.len());
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
    /// In bold where all three are what is aimed at.
    fn cells(&self) -> [String; 4] {
        let Delay { half, most, never } = self.delay;
        let delay = format!("{half:.0}, {most:.0} ({:.0} %)", 100.0 * never);
        let [changes, back, given_up] = self.calm.cells().map(|cell| match self.is_met {
            true => format!("**{cell}**"),
            false => cell,
        });
        [changes, back, given_up, delay]
    }
}

fn draw(occasion: &Occasion, runs: &[Run], settings: &Settings) -> Result<()> {
    let curve = |name: String, is_own: &dyn Fn(Setting) -> bool| {
        let own = runs.iter().filter(|run| run.occasion == occasion.name);
        let own = own.filter(|run| is_own(run.setting));
        Curve {
            name,
            points: own.map(|run| point(run.calm)).collect(),
            is_dotted: true,
        }
    };
    let mut curves: Vec<Curve> = CALMING
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
        name: occasion.name,
        title: format!("{}: margins 0 (right) to .4 (left)", occasion.title),
        axes: ["changes a customer and month", "inertia given up, %"],
        curves,
        aim: Some(point(occasion.aim)),
    }
    .draw(settings.print)
}

fn point(calm: Calm) -> (f64, f64) {
    (calm.a_month, 100.0 * calm.given_up)
}
