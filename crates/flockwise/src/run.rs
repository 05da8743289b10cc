//! `flockwise run`: the pipeline on Kafka.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use flockwise_config::Config;
use flockwise_http::{HttpError, Readiness};
use flockwise_kafka::{KafkaBroker, KafkaMetrics, KafkaSettings, admin};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::clock::Clock;
use flockwise_runtime::heartbeat::Heartbeat;
use flockwise_runtime::learning_thread::LearningThread;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::model_log::SharedModels;
use flockwise_runtime::pipeline::{Pipeline, TimeMode};
use flockwise_runtime::queries::Queries;
use flockwise_runtime::standby::Standbys;
use flockwise_runtime::topics::Topics;
use flockwise_store::{DiskStore, StoreSettings};
use prometheus::Registry;

use crate::args::RunArguments;
use crate::connection::{failed, load, settings, settled};
use crate::customer;
use crate::exit::Failed;
use crate::exposition;
use crate::finding::{self, Finding, Verdict};
use crate::instance::Instance;
use crate::pinned;
use crate::pipeline::pipeline;
use crate::preflight::{self, Preflight};
use crate::signals::Stopping;
use crate::standby_thread::keep_warm;
use crate::status_log::Summary;
use crate::watchdog;
use crate::workers::{Crew, run_shards};

/// How long local state may take to be written when everything else has ended.
const LAST_WRITES: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &RunArguments) -> Result<(), Failed> {
    // Before anything that may wait: a signal that nobody listens to ends the process as a failure.
    let stopping = Stopping::on_signal()?;
    let config = load(&arguments.config)?;
    let instance = Instance::claim(&config.state_directory)?;
    let identity = format!("{}-{}", config.app, instance.id());
    let settings = settings(&config, &identity)?;
    let pipeline = Arc::new(prepare(&config, &settings)?);
    let shards = shards(&config, pipeline.topics.state_partitions);

    let registry = Registry::new();
    let metrics = Metrics::register(&registry).map_err(Failed::running)?;
    let readiness = Readiness::new(u32::try_from(shards).unwrap_or(u32::MAX));
    stopping.working(&readiness);
    let stop = stopping.stop;
    let queries = Queries::new(shards);
    exposition::register(&registry, &readiness)?;
    let server = flockwise_http::start(
        config.http_listen,
        registry.clone(),
        Arc::clone(&readiness),
        customer::tell(&queries, &pipeline.task.plan),
    )
    .map_err(not_listening)?;
    let summary = Summary::start(&registry)?;

    let clients = KafkaMetrics::register(&registry).map_err(Failed::running)?;
    let connect = |number| {
        let broker = KafkaBroker::connect(member(&settings, number), pipeline.topics.clone());
        broker.map(|broker| broker.metered(&clients, number))
    };
    let state = StoreSettings::new(&config.state_directory, &config.app);
    let store = DiskStore::start(state, &registry).map_err(Failed::running)?;
    let standbys = Standbys::new(
        config.standbys,
        pipeline.topics.state_partitions,
        Clock::System,
    );
    let warm = keep_warm(&standbys, &settings, &pipeline, &metrics, &stop)?;
    let learning = LearningThread::start().map_err(Failed::running)?;
    let pulses: Vec<Heartbeat> = (0..shards).map(|_| Heartbeat::default()).collect();
    watchdog::keep(
        &pulses,
        settings.longest_call(),
        &metrics.progress,
        &readiness,
    )?;
    let crew = Crew {
        pipeline: &pipeline,
        time_mode: TimeMode::live(),
        metrics: &metrics,
        readiness: &readiness,
        store: Some(&store),
        standbys: &standbys,
        models: &SharedModels::default(),
        learning: Some(&learning),
        queries: &queries,
        pulses: &pulses,
        stop: &stop,
    };
    let ended = run_shards(shards, connect, &crew);
    stop.store(true, Ordering::Relaxed);
    drop(summary);
    readiness.stop();
    server.stop();
    if !store.finish(LAST_WRITES) {
        tracing::warn!(
            "local state is not written to its end; the next start reads more of the changelog"
        );
    }
    if warm.is_some_and(|thread| thread.join().is_err()) {
        tracing::warn!("the thread that kept tasks warm panicked");
    }
    ended
}

/// Looks at the cluster, refuses what cannot go well, and makes the topics that are missing.
fn prepare(config: &Config, settings: &KafkaSettings) -> Result<Pipeline, Failed> {
    let Preflight {
        cluster,
        topics,
        findings,
    } = preflight::look(config, settings).map_err(refused)?;
    for Finding { about, text, .. } in findings.iter().filter(|f| f.verdict == Verdict::Warning) {
        tracing::warn!(about, "{text}");
    }
    finding::refuse(&findings)?;
    let inputs = cluster.input_partitions();
    let topics = topics.unwrap_or_else(|| settled(config, &inputs));
    say_partitions(config, &inputs, topics.state_partitions);
    let mut pipeline = pipeline(config, topics.state_partitions, None)?;
    if cluster.survey.partitions().len() < Topics::internal().len() {
        admin::ensure_topics(settings, &topics).map_err(refused)?;
    }
    let claimed = pinned::claim(config, settings, &topics).map_err(refused)?;
    pipeline.starts = claimed.starts;
    pipeline.start_ids = claimed.start_ids;
    Arc::make_mut(&mut pipeline.task).history.until_ms = claimed.first_started_ms;
    Ok(pipeline)
}

/// What only a person can mend is no failure that another start cures.
fn refused(failure: Failure) -> Failed {
    match failure {
        Failure::Config(reason) => Failed::wrong(reason),
        failure => failed(failure),
    }
}

fn say_partitions(config: &Config, inputs: &[u32], state_partitions: u32) {
    if inputs.iter().all(|input| *input == state_partitions) {
        tracing::info!(
            state_partitions,
            "as many state partitions as every input has"
        );
        return;
    }
    let inputs: Vec<String> = config
        .inputs
        .iter()
        .zip(inputs)
        .map(|(input, partitions)| format!("{} {partitions}", input.topic))
        .collect();
    tracing::info!(
        state_partitions,
        inputs = inputs.join(", "),
        "state partitions differ from an input's, so some of its events are passed on between tasks"
    );
}

/// One a core unless configured, and none that could never own a task.
fn shards(config: &Config, state_partitions: u32) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let wanted = config.shards.unwrap_or(cores);
    let most = state_partitions as usize;
    if wanted > most && config.shards.is_some() {
        tracing::warn!(
            shards = wanted,
            state_partitions,
            "more workers than state partitions: those beyond would have nothing to do and are left out"
        );
    }
    wanted.min(most)
}

/// Stable across restarts, so that the brokers know the worker again.
fn member(instance: &KafkaSettings, number: usize) -> KafkaSettings {
    let id = format!("{}-{number}", instance.transactional_id);
    let mut settings = instance.clone();
    settings.member_id = Some(id.clone());
    settings.transactional_id = id;
    settings
}

/// A port that is taken may be free a moment later, so a supervisor should try again.
fn not_listening(error: HttpError) -> Failed {
    match &error {
        HttpError::Listen { source, .. } if source.kind() != io::ErrorKind::AddrInUse => {
            Failed::wrong(error)
        }
        _ => Failed::running(error),
    }
}
