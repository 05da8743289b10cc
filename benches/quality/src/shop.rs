//! A shop's year through the pure core: one task, one trainer, in the order of time.

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

use crate::given_up::GivenUp;
use crate::movement::DAY_MS;

/// Every so manieth customer is looked at once a day.
const LOOKED_AT: u32 = 4;
/// What the shops call an order.
const ORDER: &str = "Order Completed";

/// What came of a year.
#[derive(Default)]
pub(crate) struct Year {
    /// All versions of the model, in order, each with the offset of the event that made it.
    pub(crate) versions: Vec<(i64, Arc<Model>)>,
    /// All changes of segment, in order.
    pub(crate) changes: Vec<Change>,
    /// Everybody's vector at the end.
    pub(crate) vectors: Vec<Vec<f64>>,
    /// Share of customers that each version moves.
    pub(crate) moved: Vec<f64>,
    /// When each customer ordered, in the order of events.
    pub(crate) orders_ms: HashMap<u32, Vec<i64>>,
    /// Over all scorings.
    pub(crate) given_up: GivenUp,
    /// Event time of the latest event.
    pub(crate) until_ms: i64,
}

impl Year {
    /// From when on there was a model.
    pub(crate) fn since_ms(&self) -> i64 {
        let first = self.versions.first();
        first.map_or(self.until_ms, |(_, model)| model.parts().trained_ms)
    }
}

/// Where versions of the model come from. They do not depend on what decides over customers, so those of one year
/// serve many.
enum Teacher<'y> {
    Trainer(Box<Trainer>),
    Known(&'y [(i64, Arc<Model>)]),
}

struct Shop<'y> {
    plan: Arc<Plan>,
    task: Task,
    teacher: Teacher<'y>,
    versions: Option<Versions>,
    is_swept: bool,
    day: i64,
    order: Option<u16>,
    year: Year,
}

/// Lines of a compressed file.
pub(crate) fn lines(file: &Path) -> Result<Vec<String>> {
    let open = std::fs::File::open(file).with_context(|| {
        format!(
            "cannot open {}: `cargo xtask data` makes what is not in the repository",
            file.display()
        )
    })?;
    let reader = BufReader::new(zstd::Decoder::new(open)?);
    Ok(reader.lines().collect::<std::io::Result<_>>()?)
}

/// Plays events, and learns from them.
pub(crate) fn play(config: &Config, lines: &[String]) -> Result<Year> {
    let plan = Arc::new(Plan::compile(&config.features));
    let trainer =
        Trainer::new(Arc::clone(&plan), config.learning, None).with_margin(config.decision.margin);
    Shop::new(config, plan, Teacher::Trainer(Box::new(trainer))).play(config, lines)
}

/// Plays events with the versions of another year.
pub(crate) fn play_again(config: &Config, lines: &[String], other: &Year) -> Result<Year> {
    let plan = Arc::new(Plan::compile(&config.features));
    let mut config = config.clone();
    config.learning.learn = false;
    Shop::new(&config, plan, Teacher::Known(&other.versions)).play(&config, lines)
}

impl<'y> Shop<'y> {
    fn new(config: &Config, plan: Arc<Plan>, teacher: Teacher<'y>) -> Self {
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
            teacher,
            versions: None,
            is_swept: config.time.sweep_ms.is_some(),
            day: i64::MIN,
            order: plan.name(ORDER),
            plan,
            year: Year::default(),
        }
    }

    fn play(mut self, config: &Config, lines: &[String]) -> Result<Year> {
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
        if output.duplicates == 0 {
            self.note(event);
        }
        self.look_daily(event.time_ms);
        self.year.changes.append(&mut output.changes);
        self.learn(output, offset)
    }

    fn note(&mut self, event: &Event) {
        if let Some(row) = self.task.rows().find(event.customer_id()) {
            self.look(row, 1.0);
            if event.name.is_some() && event.name == self.order {
                let orders_ms = self.year.orders_ms.entry(row).or_default();
                orders_ms.push(event.time_ms);
            }
        }
    }

    /// Where the sweep scores, it scores everybody once a day.
    fn look_daily(&mut self, at_ms: i64) {
        let day = at_ms.div_euclid(DAY_MS);
        if !self.is_swept || day <= self.day {
            return;
        }
        self.day = day;
        let rows = self.task.rows().numbers();
        let rows: Vec<u32> = rows.filter(|row| row % LOOKED_AT == 0).collect();
        for row in rows {
            self.look(row, f64::from(LOOKED_AT));
        }
    }

    /// Holds the last scoring of a customer against the version that scored.
    fn look(&mut self, row: u32, stands_for: f64) {
        let row = self.task.rows().row(row);
        let known = &self.year.versions;
        let version = row.standing.version;
        let Ok(place) = known.binary_search_by_key(&version, |(_, model)| model.version()) else {
            return;
        };
        let vector = customer_view(&self.plan, None, &row, row.standing.as_of_ms).vector;
        if let Some(segment) = row.standing.segment {
            let given_up = &mut self.year.given_up;
            given_up.add(&known[place].1, &vector, segment, stands_for);
        }
    }

    fn learn(&mut self, output: Output, offset: i64) -> Result<()> {
        match &mut self.teacher {
            Teacher::Trainer(trainer) => {
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
            Teacher::Known(known) => {
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
