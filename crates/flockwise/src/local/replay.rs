//! `flockwise replay`: runs the pipeline over files of events.

use std::time::Instant;

use flockwise_codec::time::parse_time;
use flockwise_config::Config;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::queries::Queries;
use flockwise_runtime::topics::Topic;
use prometheus::Registry;

use crate::args::ReplayArguments;
use crate::build_pipeline::pipeline;
use crate::exit::{Failed, outln};
use crate::local::event_files::{self, Router};
use crate::local::local_pipeline::Session;
use crate::local::result_files::{Results, summary};
use crate::local::segment_stats::{SegmentStats, segment_stats};
use crate::local::segment_table;
use crate::local::summary_counts::Tally;
use crate::local::terminal_progress::ProgressLine;
use crate::local::unused_features;
use crate::reports::wording::number;

/// State partitions if the configuration has none: enough for any machine, and the same on all.
pub(crate) const PARTITIONS: u32 = 12;

pub(crate) fn replay(arguments: &ReplayArguments) -> Result<(), Failed> {
    let config = Config::load(&arguments.config, flockwise_config::environment())
        .map_err(Failed::invalid)?;
    let at_ms = arguments.at.as_deref().map(instant).transpose()?;
    let partitions = config.state_partitions.unwrap_or(PARTITIONS);
    let pipeline = pipeline(&config, partitions, arguments.model.as_deref())?;
    let sources = event_files::open(&arguments.files, &config)?;
    let mut results = arguments.out.as_deref().map(Results::create).transpose()?;
    let shards = arguments.shards.map(usize::from).or(config.shards);
    let metrics = Metrics::register(&Registry::new()).map_err(Failed::runtime)?;
    let mut session = Session::start(pipeline, shards.unwrap_or(1), &metrics, &Queries::new(0))?;

    let started = Instant::now();
    let progress = ProgressLine::start();
    let mut tally = Tally::default();
    for chunk in event_files::start(sources, Router::new(&config, partitions, at_ms))? {
        let chunk = chunk?;
        for slice in chunk.slices(session.slices_ms()) {
            session.play(&chunk, slice)?;
        }
        drain(&mut session, &mut tally, &mut results);
        progress.show(&session);
    }
    session.finish()?;
    if let Some(at_ms) = at_ms {
        session.advance_time(at_ms)?;
    }
    drain(&mut session, &mut tally, &mut results);
    session.count_moves(&mut tally);
    progress.done();
    let seconds = started.elapsed().as_secs_f64();

    let customer_views = session.customer_views(at_ms);
    let brings_in = config.brings_in.as_deref();
    let segments = session.model().map_or_else(Vec::new, |model| {
        segment_stats(
            &session.pipeline.task.plan,
            model,
            &customer_views,
            brings_in,
            &tally,
        )
    });
    let summary = summary(&session, &tally, &segments, at_ms);
    if let Some(results) = results {
        results.finish(&session, &customer_views, &summary)?;
    }
    if arguments.json {
        outln!("{summary:#}");
    } else {
        print(&session, &tally, &segments, brings_in);
    }
    eprintln!(
        "{} events in {seconds:.1} s ({} per second)",
        number(session.events as f64),
        number(session.events as f64 / seconds)
    );
    Ok(())
}

fn instant(text: &str) -> Result<i64, Failed> {
    parse_time(text).ok_or_else(|| {
        Failed::invalid(format!(
            "--at: found {text:?}, expected an RFC 3339 time such as 2026-01-02T03:04:05Z"
        ))
    })
}

fn drain(session: &mut Session, tally: &mut Tally, results: &mut Option<Results>) {
    let dead_letters = session.drain(Topic::DeadLetters);
    dead_letters
        .iter()
        .for_each(|letter| tally.add_dead_letter(letter));
    match results {
        Some(results) => {
            results.dead_letters.extend(dead_letters);
            results.changes.extend(session.drain_changes());
            results.lineage.extend(session.drain(Topic::Lineage));
        }
        None => {
            session.discard(Topic::SegmentChanges);
            session.discard(Topic::Lineage);
        }
    }
}

/// Prints the table of segments, and the counts of customers, changes and dead letters.
pub(crate) fn print(
    session: &Session,
    tally: &Tally,
    segments: &[SegmentStats],
    brings_in: Option<&str>,
) {
    if segments.is_empty() {
        let waits = session.warm_up().map_or_else(
            || "`learn` under [model] is false, and there is no model to start from; set it to true, or give a model with --model".to_owned(),
            |warm_up| warm_up.to_string(),
        );
        outln!("No segments: {waits}");
    } else {
        outln!(
            "{}",
            segment_table::table(&session.pipeline.task.plan, segments, brings_in)
        );
    }
    let causes: Vec<String> = tally
        .by_cause
        .iter()
        .map(|(cause, count)| format!("{cause} {}", number(*count as f64)))
        .collect();
    let causes = match causes.is_empty() {
        true => String::new(),
        false => format!(" ({})", causes.join(", ")),
    };
    outln!(
        "{} customers, {} segment changes{causes}",
        number(session.customers() as f64),
        number(tally.changes as f64),
    );
    for line in unused_features::lines(&session.pipeline.task.plan, &tally.inputs) {
        outln!("{line}");
    }
    for (reason, count) in &tally.dead_letters {
        outln!(
            "dead letters with reason {reason}: {}",
            number(*count as f64)
        );
    }
}
