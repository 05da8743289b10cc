//! What calms decisions down, and what that costs.

use anyhow::Result;
use flockwise_benches::report::{Table, write};
use flockwise_config::Config;
use flockwise_core::policy::DecisionPolicy;
use serde::Serialize;

use crate::Settings;
use crate::inertia::JOURNEY;
use crate::jobs::on_all_cores;
use crate::movement::{DAY_MS, Movement};
use crate::picture::{Curve, Picture};
use crate::shop::{self, Year};

const K: usize = 16;
const MARGINS: [f64; 7] = [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4];
/// Those of the table; the curves have all.
const SHOWN: [f64; 5] = [0.0, 0.1, 0.15, 0.2, 0.3];
/// Dwells, each with the days after a change in which there is no other.
const CALMING: [(u16, i64); 4] = [(1, 1), (2, 1), (3, 1), (1, 7)];

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
#[derive(Clone, Copy, Debug, Serialize)]
struct Setting {
    margin: f64,
    dwell: u16,
    cooldown_days: i64,
}

/// The nearest segment, always: it gives nothing up.
const PLAIN: Setting = Setting {
    margin: 0.0,
    dwell: 1,
    cooldown_days: 0,
};

/// A setting, and what comes of it.
#[derive(Clone, Copy, Serialize)]
struct Run {
    occasion: &'static str,
    setting: Setting,
    calm: Calm,
    is_met: bool,
}

pub(crate) fn measure(settings: &Settings) -> Result<()> {
    let lines = JOURNEY.lines()?;
    let config = JOURNEY.config(K, 0)?;
    let year = shop::play(&config, &lines)?;
    let tasks: Vec<(&Occasion, Setting)> = OCCASIONS
        .iter()
        .flat_map(|occasion| tried().into_iter().map(move |setting| (occasion, setting)))
        .collect();
    let runs = on_all_cores(&tasks, |(occasion, setting)| {
        eprintln!("{}: {setting:?}", occasion.name);
        Run::play(&config, &lines, &year, occasion, *setting)
    })?;
    write("quality-decisions", &runs)?;
    for occasion in &OCCASIONS {
        draw(occasion, &runs, settings)?;
    }
    table(&runs).publish(settings.print)
}

fn tried() -> Vec<Setting> {
    let grid = CALMING.iter().flat_map(|(dwell, cooldown_days)| {
        MARGINS.map(|margin| Setting {
            margin,
            dwell: *dwell,
            cooldown_days: *cooldown_days,
        })
    });
    [PLAIN].into_iter().chain(grid).collect()
}

impl Run {
    fn play(
        config: &Config,
        lines: &[String],
        year: &Year,
        occasion: &Occasion,
        setting: Setting,
    ) -> Result<Self> {
        let mut config = config.clone();
        config.time.sweep_ms = occasion.sweep_ms;
        config.decision = DecisionPolicy {
            margin: setting.margin,
            dwell: setting.dwell,
            cooldown_ms: setting.cooldown_days * DAY_MS,
        };
        let year = shop::play_again(&config, lines, year)?;
        let span_ms = (year.since_ms(), year.until_ms);
        let Movement { a_month, back } = Movement::of(&year.changes, year.vectors.len(), span_ms);
        let calm = Calm {
            a_month,
            back,
            given_up: year.given_up.share(),
        };
        Ok(Self {
            occasion: occasion.name,
            setting,
            calm,
            is_met: calm.is_within(occasion.aim),
        })
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
            "margin, dwell, cooldown",
            "at orders: changes a customer and month",
            "back within 7 days",
            "inertia given up",
            "daily: changes a customer and month",
            "back within 7 days",
            "inertia given up",
        ],
    );
    let aims = OCCASIONS.iter().flat_map(|occasion| occasion.aim.cells());
    let aims: Vec<String> = ["aim".to_owned()].into_iter().chain(aims).collect();
    table.row(&aims);
    let (orders, daily) = runs.split_at(runs.len() / OCCASIONS.len());
    let pairs = orders.iter().zip(daily);
    for (at_orders, daily) in pairs.filter(|(run, _)| SHOWN.contains(&run.setting.margin)) {
        let both = [at_orders, daily].into_iter().flat_map(Run::cells);
        let Setting {
            margin,
            dwell,
            cooldown_days,
        } = daily.setting;
        let name = format!("{margin:.2}, {dwell}, {cooldown_days} d");
        table.row(&[name].into_iter().chain(both).collect::<Vec<_>>());
    }
    table
}

impl Run {
    /// In bold where all three are what is aimed at.
    fn cells(&self) -> [String; 3] {
        let cells = self.calm.cells();
        match self.is_met {
            true => cells.map(|cell| format!("**{cell}**")),
            false => cells,
        }
    }
}

fn draw(occasion: &Occasion, runs: &[Run], settings: &Settings) -> Result<()> {
    let curves = CALMING.map(|(dwell, cooldown_days)| {
        let own = runs.iter().filter(|run| {
            let setting = run.setting;
            let is_own = (setting.dwell, setting.cooldown_days) == (dwell, cooldown_days);
            run.occasion == occasion.name && is_own
        });
        Curve {
            name: format!("dwell {dwell}, cooldown {cooldown_days} d"),
            points: own.map(|run| point(run.calm)).collect(),
            is_dotted: true,
        }
    });
    Picture {
        name: occasion.name,
        title: format!("{}: margins 0 (right) to .4 (left)", occasion.title),
        axes: ["changes a customer and month", "inertia given up, %"],
        curves: curves.into(),
        aim: Some(point(occasion.aim)),
    }
    .draw(settings.print)
}

fn point(calm: Calm) -> (f64, f64) {
    (calm.a_month, 100.0 * calm.given_up)
}
