//! Processes a shop's year with the pure core: one task and one trainer, in order of time.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use flockwise_codec::decode::Decoder;
use flockwise_config::Config;
use flockwise_core::change::{Change, Trigger};
use flockwise_core::customer_view::customer_view;
use flockwise_core::event::Event;
use flockwise_core::model::Model;
use flockwise_core::plan::Plan;
use flockwise_core::policy::HistoryPolicy;
use flockwise_core::task::{Output, Task, TaskSettings, Versions};
use flockwise_core::trainer::Trainer;

use crate::inertia_given_up::GivenUp;
use crate::movement::DAY_MS;

/// One of this many customers is measured once a day.
const MEASURED_SHARE: u32 = 4;
/// Event name of an order.
const ORDER: &str = "Order Completed";

/// The result of a year.
#[derive(Default)]
pub(crate) struct Year {
    /// All model versions in order, each with the offset of the event that caused it.
    pub(crate) versions: Vec<(i64, Arc<Model>)>,
    /// All changes of segment, in order.
    pub(crate) changes: Vec<Change>,
    /// Every customer's vector at the end.
    pub(crate) vectors: Vec<Vec<f64>>,
    /// Share of customers that each version moves.
    pub(crate) moved: Vec<f64>,
    /// Times of each customer's orders, in order of events.
    pub(crate) orders_ms: HashMap<u32, Vec<i64>>,
    /// Inertia given up, over all scorings.
    pub(crate) given_up: GivenUp,
    /// Event time of the latest event.
    pub(crate) until_ms: i64,
}

impl Year {
    /// When the first version was trained; the end of the year if there is none.
    pub(crate) fn since_ms(&self) -> i64 {
        let first = self.versions.first();
        first.map_or(self.until_ms, |(_, model)| model.as_version().trained_ms)
    }
}

/// Where model versions come from. They do not depend on the decision policy, so those of one year are reused for
/// others.
enum VersionSource<'y> {
    Trainer(Box<Trainer>),
    Known(&'y [(i64, Arc<Model>)]),
}

struct Shop<'y> {
    plan: Arc<Plan>,
    task: Task,
    version_source: VersionSource<'y>,
    versions: Option<Versions>,
    is_swept: bool,
    day: i64,
    order: Option<u16>,
    year: Year,
}

/// Reads the lines of a zstd file.
pub(crate) fn lines(file: &Path) -> Result<Vec<String>> {
    let open = std::fs::File::open(file).with_context(|| {
        format!(
            "cannot open {}: `cargo xtask data` creates the data sets that are not in the repository",
            file.display()
        )
    })?;
    let reader = BufReader::new(zstd::Decoder::new(open)?);
    Ok(reader.lines().collect::<std::io::Result<_>>()?)
}

/// Processes events and learns from them.
pub(crate) fn run(config: &Config, lines: &[String]) -> Result<Year> {
    let plan = Arc::new(config.plan());
    let trainer =
        Trainer::new(Arc::clone(&plan), config.learning, None).with_margin(config.decision.margin);
    Shop::new(config, plan, VersionSource::Trainer(Box::new(trainer))).run(config, lines)
}

/// Processes events with the model versions of another year.
pub(crate) fn run_with_versions(config: &Config, lines: &[String], other: &Year) -> Result<Year> {
    let plan = Arc::new(config.plan());
    let mut config = config.clone();
    config.learning.learn = false;
    Shop::new(&config, plan, VersionSource::Known(&other.versions)).run(&config, lines)
}

impl<'y> Shop<'y> {
    fn new(config: &Config, plan: Arc<Plan>, version_source: VersionSource<'y>) -> Self {
        let task = Task::new(Arc::new(TaskSettings {
            plan: Arc::clone(&plan),
            decision: config.decision,
            time: config.time,
            learning: config.learning,
            history: HistoryPolicy::default(),
            tasks: 1,
        }));
        Self {
            task,
            version_source,
            versions: None,
            is_swept: config.time.sweep_ms.is_some(),
            day: i64::MIN,
            order: plan.name(ORDER),
            plan,
            year: Year::default(),
        }
    }

    fn run(mut self, config: &Config, lines: &[String]) -> Result<Year> {
        let input = config.inputs.first().context("no input")?;
        let decoder = Decoder::new(&input.format, &self.plan);
        let mut event = Event::default();
        for (line, offset) in lines.iter().zip(0..) {
            let decoded = decoder.decode(&self.plan, Some(line.as_bytes()), &mut event);
            let is_in_time = |task: &mut Task| task.judge_time((0, 0), event.time_ms, None).is_ok();
            if decoded.is_ok() && is_in_time(&mut self.task) {
                self.take(&event, offset)?;
            }
        }
        Ok(self.close())
    }

    fn take(&mut self, event: &Event, offset: i64) -> Result<()> {
        let mut output = Output::default();
        let trigger = Trigger {
            input: 0,
            partition: 0,
            offset,
        };
        let versions = self.versions.as_ref();
        self.task.process(event, trigger, versions, &mut output);
        self.task.commit();
        self.year.until_ms = self.year.until_ms.max(event.time_ms);
        if output.duplicates == [0; 2] {
            self.note(event);
        }
        self.measure_daily(event.time_ms);
        self.year.changes.append(&mut output.changes);
        self.learn(output, offset)
    }

    fn note(&mut self, event: &Event) {
        if let Some(row) = self.task.rows().find(event.customer_id()) {
            self.measure(row, 1.0);
            if event.name.is_some() && event.name == self.order {
                let orders_ms = self.year.orders_ms.entry(row).or_default();
                orders_ms.push(event.time_ms);
            }
        }
    }

    /// Measures customers once a day if there is a sweep, which scores all customers daily.
    fn measure_daily(&mut self, at_ms: i64) {
        let day = at_ms.div_euclid(DAY_MS);
        if !self.is_swept || day <= self.day {
            return;
        }
        self.day = day;
        let rows = self.task.rows().numbers();
        let rows: Vec<u32> = rows.filter(|row| row % MEASURED_SHARE == 0).collect();
        for row in rows {
            self.measure(row, f64::from(MEASURED_SHARE));
        }
    }

    /// Compares a customer's segment with the nearest one of the version that scored the customer last.
    fn measure(&mut self, row: u32, stands_for: f64) {
        let row = self.task.rows().row(row);
        let known = &self.year.versions;
        let version = row.standing.version;
        let Ok(index) = known.binary_search_by_key(&version, |(_, model)| model.version()) else {
            return;
        };
        let vector = customer_view(&self.plan, None, &row, row.standing.as_of_ms).vector;
        if let Some(segment) = row.standing.segment {
            let given_up = &mut self.year.given_up;
            given_up.add(&known[index].1, &vector, segment, stands_for);
        }
    }

    fn learn(&mut self, output: Output, offset: i64) -> Result<()> {
        match &mut self.version_source {
            VersionSource::Trainer(trainer) => {
                let batches = output.mini_batches.into_iter();
                let made: Vec<_> = batches
                    .filter_map(|batch| trainer.fold(batch, offset))
                    .collect();
                for publication in made {
                    let moved = publication.impact.map(|impact| impact.moved);
                    self.year.moved.extend(moved);
                    let model = Model::new(&self.plan, publication.model)?;
                    self.adopt(offset, Arc::new(model));
                }
            }
            VersionSource::Known(known) => {
                let due = known.partition_point(|(made, _)| *made <= offset);
                let (now, later) = known.split_at(due);
                *known = later;
                for (_, model) in now {
                    self.adopt(offset, Arc::clone(model));
                }
            }
        }
        Ok(())
    }

    fn adopt(&mut self, offset: i64, model: Arc<Model>) {
        self.year.versions.push((offset, Arc::clone(&model)));
        let previous = self.versions.take().map(|versions| versions.current);
        let is_first = previous.is_none();
        let versions = Versions {
            current: model,
            previous,
        };
        if is_first {
            let mut output = Output::default();
            self.task
                .assign_unassigned(0, u32::MAX, &versions, &mut output);
            self.year.changes.append(&mut output.changes);
        }
        self.versions = Some(versions);
    }

    fn close(mut self) -> Year {
        let (rows, at_ms) = (self.task.rows(), self.year.until_ms);
        let vector = |row| customer_view(&self.plan, None, &rows.row(row), at_ms).vector;
        self.year.vectors = rows.numbers().map(vector).collect();
        self.year
    }
}
