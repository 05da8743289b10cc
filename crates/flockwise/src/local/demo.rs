//! `flockwise demo`: plays a year of a real shop's orders.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flockwise_config::Config;
use flockwise_core::feature::DAY_MS;
use flockwise_core::plan::Plan;
use flockwise_http::{Answers, Readiness};
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::queries::Queries;
use flockwise_runtime::topics::Topic;
use prometheus::Registry;
use serde::Deserialize;

use crate::args::DemoArguments;
use crate::build_pipeline::pipeline;
use crate::exit::{Failed, outln};
use crate::local::event_files::{self, Order, Router, Source, Stop};
use crate::local::local_pipeline::Session;
use crate::local::replay::{PARTITIONS, print};
use crate::local::segment_stats::segment_stats;
use crate::local::summary_counts::Tally;
use crate::local::terminal_progress::ProgressLine;
use crate::reports::customer;
use crate::reports::wording::feature;
use crate::reports::wording::{label, readable};
use crate::service::expose_process_metrics;
use crate::service::shared_view::SharedView;

/// The orders of a British gift shop, 2010-12-01 to 2011-12-09.
const ORDERS: &[u8] = include_bytes!("../../data/online-retail.jsonl.zst");
const CONFIG: &str = include_str!("../../../../config/web-shop.toml");
/// At most one change is shown per this many milliseconds, so that a person can read them.
const SHOWN_EVERY_MS: u64 = 150;
/// How often customer queries are answered while the demo waits, which bounds their delay.
const QUERY_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) fn demo(arguments: &DemoArguments) -> Result<(), Failed> {
    let config = Config::parse(CONFIG).map_err(Failed::runtime)?;
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).map_err(Failed::runtime)?;
    let readiness = Readiness::new(1);
    expose_process_metrics::register(&registry, &readiness)?;
    let mut presence = readiness.worker();
    let pipeline = pipeline(&config, PARTITIONS, None)?;
    let queries = Queries::new(1);
    let view = SharedView::new(&pipeline.task.plan, PARTITIONS);
    let answers = Answers {
        customer: customer::lookup(&queries, &pipeline.task.plan),
        documents: Arc::new(view.clone()),
    };
    let server = flockwise_http::start(arguments.listen, registry, Arc::clone(&readiness), answers)
        .map_err(Failed::invalid)?;
    let mut session = Session::start(pipeline, 1, None, &metrics, &queries)?;
    presence.assigned(PARTITIONS);
    outln!(
        "A year of orders of a British gift shop, {} days per second; metrics on http://{}/metrics\n\
         The first 60 days make the first segments; from then on customers move:\n",
        arguments.speed,
        server.address()
    );
    let tally = play(&config, &mut session, &view, arguments.speed)?;
    let customer_views = session.customer_views(None);
    let brings_in = config.brings_in.as_deref();
    if let Some(model) = session.model() {
        let plan = &session.pipeline.task.plan;
        let segments = segment_stats(plan, model, &customer_views, brings_in, &tally);
        outln!("");
        print(&session, &tally, &segments, brings_in);
    }
    if !arguments.once {
        outln!(
            "\nThe year is over. /metrics stays up, and `flockwise customer ID --ask http://{}` explains a customer. \
             Press Ctrl-C to exit.",
            server.address()
        );
        answer_until_signal(&session)?;
    }
    readiness.stop();
    drop(presence);
    server.stop();
    Ok(())
}

fn play(
    config: &Config,
    session: &mut Session,
    view: &SharedView,
    speed: f64,
) -> Result<Tally, Failed> {
    let reader = event_files::unpack(ORDERS).map_err(Failed::runtime)?;
    let name = (0, "the demo's orders".to_owned());
    let router = Router::new(config, 0, PARTITIONS, None, None);
    let sources = vec![Source::new(name, 0, reader, router)];
    let progress = ProgressLine::start();
    let mut tally = Tally::default();
    let mut pacer = Pacer::new(speed);
    let reading = event_files::start(sources, Order::AsRead)?;
    for chunk in reading.chunks() {
        for slice in chunk.slices(session.slices_ms()) {
            let time_ms = chunk
                .lines(slice.clone())
                .map(|(line, _)| line.time_ms)
                .max();
            pacer.wait(time_ms.filter(|_| session.model().is_some()), session);
            session.play(&chunk, slice)?;
            session.show_to(view)?;
            session
                .drain(Topic::DeadLetters)
                .iter()
                .for_each(|letter| tally.add_dead_letter(letter));
            session.discard(Topic::Lineage);
            for record in session.drain_changes() {
                if let Some(change) = record.value.as_deref().filter(|_| pacer.may_show()) {
                    progress.line(&sentence(&session.pipeline.task.plan, change)?);
                }
            }
            progress.show(session);
        }
    }
    reading.finish().map_err(Stop::failed)?;
    session.finish()?;
    session.show_to(view)?;
    session.count_moves(&mut tally);
    progress.done();
    Ok(tally)
}

/// Keeps event time at the requested speed, and limits how often changes are shown.
struct Pacer {
    ms_per_second: f64,
    began: Option<(Instant, i64)>,
    shown: Option<Instant>,
}

impl Pacer {
    fn new(speed: f64) -> Self {
        Self {
            ms_per_second: speed * DAY_MS,
            began: None,
            shown: None,
        }
    }

    /// Waits until event time `time_ms` is due. `None`, before the first model, does not wait.
    fn wait(&mut self, time_ms: Option<i64>, session: &Session) {
        let Some(time_ms) = time_ms else { return };
        let (began, first_ms) = *self.began.get_or_insert((Instant::now(), time_ms));
        let due =
            Duration::from_secs_f64(((time_ms - first_ms) as f64 / self.ms_per_second).max(0.0));
        while began.elapsed() < due {
            session.answer_queries();
            thread::sleep(QUERY_INTERVAL.min(due.saturating_sub(began.elapsed())));
        }
    }

    fn may_show(&mut self) -> bool {
        let gap = Duration::from_millis(SHOWN_EVERY_MS);
        if self.shown.is_some_and(|shown| shown.elapsed() < gap) {
            return false;
        }
        self.shown = Some(Instant::now());
        true
    }
}

/// The parts of a change record that are shown.
#[derive(Deserialize)]
struct ShownChange {
    customer_id: String,
    occurred_at: String,
    from: Option<ShownSegment>,
    /// `None` if the customer is removed.
    to: Option<ShownSegment>,
    cause: String,
    drivers: Vec<ShownDriver>,
}

#[derive(Deserialize)]
struct ShownSegment {
    name: Option<String>,
}

#[derive(Deserialize)]
struct ShownDriver {
    feature: String,
    value: f64,
    typical: f64,
}

/// `2011-03-04 customer 14911: newcomer → regular (behaviour; orders lately 6.2, not 1.1)`
fn sentence(plan: &Plan, change: &[u8]) -> Result<String, Failed> {
    let change: ShownChange = serde_json::from_slice(change).map_err(Failed::runtime)?;
    let why = change.drivers.first().and_then(|driver| {
        let feature = feature(plan, &driver.feature)?;
        let unit = feature.wording.unit.as_deref();
        let (value, typical) = (readable(driver.value, unit), readable(driver.typical, unit));
        Some(format!("; {} {value}, not {typical}", label(feature)))
    });
    Ok(format!(
        "{} customer {}: {} → {} ({}{})",
        &change.occurred_at[..10],
        change.customer_id,
        name(change.from.as_ref(), "no segment"),
        name(change.to.as_ref(), "removed"),
        change.cause,
        why.unwrap_or_default()
    ))
}

/// The name of a segment; `absent` if there is no segment.
fn name<'a>(place: Option<&'a ShownSegment>, absent: &'a str) -> &'a str {
    place.map_or(absent, |place| {
        place.name.as_deref().unwrap_or("a former segment")
    })
}

fn answer_until_signal(session: &Session) -> Result<(), Failed> {
    let signals = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];
    let mut signals = signal_hook::iterator::Signals::new(signals).map_err(Failed::runtime)?;
    while signals.pending().next().is_none() {
        session.answer_queries();
        thread::sleep(QUERY_INTERVAL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(from: &str, to: &str) -> String {
        let change = format!(
            r#"{{"customer_id":"17075","occurred_at":"2011-08-29T00:00:00.000Z","from":{from},"to":{to},"cause":"time","drivers":[]}}"#
        );
        sentence(&Plan::compile(&[]), change.as_bytes()).unwrap()
    }

    #[test]
    fn a_change_is_a_sentence_also_where_a_customer_comes_or_goes() {
        let (regular, former) = (
            r#"{"segment":1,"name":"regular"}"#,
            r#"{"segment":2,"name":null}"#,
        );
        for (from, to, counterfactual) in [
            (regular, former, "regular → a former segment"),
            ("null", regular, "no segment → regular"),
            (regular, "null", "regular → removed"),
        ] {
            let expected = format!("2011-08-29 customer 17075: {counterfactual} (time)");
            assert_eq!(shown(from, to), expected);
        }
    }
}
