//! `flockwise replay`: runs the pipeline over files of events.

use std::path::PathBuf;
use std::time::Instant;

use flockwise_codec::time::parse_time;
use flockwise_config::Config;
use flockwise_core::task::DuplicateBy;
use flockwise_runtime::clock::Clock;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::queries::Queries;
use flockwise_runtime::topics::Topic;
use prometheus::Registry;

use crate::args::ReplayArguments;
use crate::build_pipeline::pipeline;
use crate::exit::{Failed, outln};
use crate::local::dead_letters::{LocatedDeadLetter, Locator};
use crate::local::event_files::{self, EventFile, Order, Router, Stop, WhatWasRead};
use crate::local::local_pipeline::Session;
use crate::local::no_events;
use crate::local::result_files::{Results, summary};
use crate::local::segment_stats::{SegmentStats, segment_stats};
use crate::local::segment_table;
use crate::local::summary_counts::Tally;
use crate::local::terminal_progress::ProgressLine;
use crate::local::unused_features;
use crate::reports::wording::number;

/// State partitions if the configuration has none: enough for any machine, and the same on all.
pub(crate) const PARTITIONS: u32 = 12;

/// A replay that has been played to its end.
struct Played {
    session: Session,
    tally: Tally,
    results: Option<Results>,
    read: WhatWasRead,
}

/// What the command line and the configuration ask for.
struct FileReplay<'a> {
    arguments: &'a ReplayArguments,
    config: Config,
    files: Vec<EventFile>,
    /// For temporary files.
    temporary: PathBuf,
    partitions: u32,
    at_ms: Option<i64>,
    /// The time by which events from the future are refused: when the command started, milliseconds since the epoch.
    judged_at_ms: i64,
}

pub(crate) fn replay(arguments: &ReplayArguments) -> Result<(), Failed> {
    let config = Config::load(&arguments.config, flockwise_config::environment())
        .map_err(Failed::invalid)?;
    let temporary = match arguments.out.as_deref() {
        Some(out) => Results::create(out).map(|_| out.to_owned())?,
        None => std::env::temp_dir(),
    };
    let request = FileReplay {
        arguments,
        files: EventFile::find(&arguments.files, &temporary)?,
        temporary,
        partitions: config.state_partitions.unwrap_or(PARTITIONS),
        config,
        at_ms: arguments.at.as_deref().map(instant).transpose()?,
        judged_at_ms: Clock::System.latest_ms(),
    };
    let started = Instant::now();
    let played = request.play_in_order()?;
    let seconds = started.elapsed().as_secs_f64();
    let events = played.session.events as f64;
    let no_events = no_events::check(&played.read.files);
    request.report(played)?;
    eprintln!(
        "{} events in {seconds:.1} s ({} per second)",
        number(events),
        number(events / seconds)
    );
    no_events
}

impl FileReplay<'_> {
    /// Plays the files as they are if they are in order. Otherwise sorts the events, and plays them again from the start.
    fn play_in_order(&self) -> Result<Played, Failed> {
        let place = match self.play(Order::AsRead) {
            Err(Stop::OutOfOrder(place)) => place,
            played => return played.map_err(Stop::failed),
        };
        eprintln!("{place}. Sorting all events by time, and starting again");
        let played = self.play(Order::Sorted(self.temporary.clone()));
        let played = played.map_err(Stop::failed)?;
        if played.read.spilled_bytes > 0 {
            eprintln!(
                "sorted the events with {} MB of temporary files in {}",
                number(played.read.spilled_bytes as f64 / 1e6),
                self.temporary.display()
            );
        }
        Ok(played)
    }

    fn play(&self, order: Order) -> Result<Played, Stop> {
        let (arguments, config) = (self.arguments, &self.config);
        let pipeline = pipeline(config, self.partitions, arguments.model.as_deref())?;
        let mut locator = Locator::new(&pipeline.topics.inputs, self.partitions);
        let judged_at_ms = Some(self.judged_at_ms);
        let router = |input| Router::new(config, input, self.partitions, self.at_ms, judged_at_ms);
        let sources = event_files::open(&self.files, config, router)?;
        let mut results = arguments.out.as_deref().map(Results::create).transpose()?;
        let workers = arguments.shards.map(usize::from).or(config.shards);
        let metrics = Metrics::register(&Registry::new()).map_err(Failed::runtime)?;
        let (workers, queries) = (workers.unwrap_or(1), Queries::new(0));
        let mut session = Session::start(pipeline, workers, judged_at_ms, &metrics, &queries)?;

        let progress = ProgressLine::start();
        let mut tally = Tally::default();
        let reading = event_files::start(sources, order)?;
        for chunk in reading.chunks() {
            for slice in chunk.slices(session.slices_ms()) {
                session.play(&chunk, slice)?;
            }
            let letters = session.drain(Topic::DeadLetters);
            let letters = locator.locate(&chunk, letters);
            self.tally(&letters, &mut tally);
            if let Some(results) = &mut results {
                results.dead_letters.extend(letters);
            }
            drain(&mut session, results.as_mut());
            progress.show(&session);
        }
        progress.done();
        let read = reading.finish()?;
        session.finish()?;
        if let Some(at_ms) = self.at_ms {
            session.advance_time(at_ms)?;
        }
        drain(&mut session, results.as_mut());
        session.count_moves(&mut tally);
        Ok(Played {
            session,
            tally,
            results,
            read,
        })
    }

    fn tally(&self, letters: &[LocatedDeadLetter], tally: &mut Tally) {
        for letter in letters {
            let file = &self.files[letter.origin.file as usize];
            tally.add_located(&file.name(), letter);
        }
    }

    /// Writes the files of results, and prints the summary.
    fn report(&self, played: Played) -> Result<(), Failed> {
        let Played {
            session,
            tally,
            results,
            ..
        } = played;
        let customer_views = session.customer_views(self.at_ms);
        let brings_in = self.config.brings_in.as_deref();
        let segments = session.model().map_or_else(Vec::new, |model| {
            let plan = &session.pipeline.task.plan;
            segment_stats(plan, model, &customer_views, brings_in, &tally)
        });
        let summary = summary(&session, &tally, &segments, self.at_ms);
        if let Some(results) = results {
            let files: Vec<String> = self.files.iter().map(EventFile::name).collect();
            results.finish(&files, &session, &customer_views, &summary)?;
        }
        if self.arguments.json {
            outln!("{summary:#}");
        } else {
            print(&session, &tally, &segments, brings_in);
        }
        Ok(())
    }
}

fn instant(text: &str) -> Result<i64, Failed> {
    parse_time(text).ok_or_else(|| {
        Failed::invalid(format!(
            "--at: found {text:?}, expected an RFC 3339 time such as 2026-01-02T03:04:05Z"
        ))
    })
}

/// Keeps what the pipeline has published for the results, or discards it.
fn drain(session: &mut Session, results: Option<&mut Results>) {
    match results {
        Some(results) => {
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
    for (by, count) in DuplicateBy::NAMES.iter().zip(tally.duplicates) {
        if count > 0 {
            outln!("duplicates by {by}, not counted: {}", number(count as f64));
        }
    }
    for line in unused_features::lines(&session.pipeline.task.plan, &tally.inputs) {
        outln!("{line}");
    }
    for (reason, count) in &tally.dead_letters {
        let example = tally.examples.get(reason);
        let example = example.map_or_else(String::new, |example| format!("; the first: {example}"));
        outln!(
            "dead letters with reason {reason}: {}{example}",
            number(*count as f64)
        );
    }
}
