//! `flockwise run`: runs the pipeline on Kafka.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use flockwise_config::Config;
use flockwise_http::{Answers, HttpError, Readiness};
use flockwise_kafka::{KafkaBroker, KafkaFollower, KafkaMetrics, KafkaSettings, admin};
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

use crate::admin::check_pipeline_record;
use crate::admin::finding::{self, Finding, FindingVerdict};
use crate::admin::preflight::{self, Preflight};
use crate::args::RunArguments;
use crate::build_pipeline::pipeline;
use crate::exit::Failed;
use crate::kafka_settings::{failed, load, pipeline_topics, settings};
use crate::reports::customer;
use crate::service::expose_process_metrics;
use crate::service::follower_thread::FollowerThread;
use crate::service::instance_id::Instance;
use crate::service::shared_view::SharedView;
use crate::service::signals::Shutdown;
use crate::service::status_log::StatusLog;
use crate::service::watchdog;
use crate::service::workers::{WorkerContext, run_workers};

/// How long the last checkpoint may take after the workers have ended.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &RunArguments) -> Result<(), Failed> {
    // Before anything that may block: an unhandled signal would end the process with an error.
    let shutdown = Shutdown::on_signal()?;
    let config = load(&arguments.config)?;
    let instance = Instance::claim(&config.state_directory)?;
    let identity = format!("{}-{}", config.app, instance.id());
    let settings = settings(&config, &identity)?;
    let pipeline = Arc::new(prepare(&config, &settings)?);
    let workers = worker_count(&config, pipeline.topics.state_partitions);

    let registry = Registry::new();
    let metrics = Metrics::register(&registry).map_err(Failed::runtime)?;
    let readiness = Readiness::new(u32::try_from(workers).unwrap_or(u32::MAX));
    shutdown.started(&readiness);
    let stop = shutdown.stop;
    let queries = Queries::new(workers);
    expose_process_metrics::register(&registry, &readiness)?;
    let view = SharedView::new(&pipeline.task.plan, pipeline.topics.state_partitions);
    let answers = Answers {
        customer: customer::lookup(&queries, &pipeline.task.plan),
        documents: Arc::new(view.clone()),
    };
    let server = flockwise_http::start(
        config.http_listen,
        registry.clone(),
        Arc::clone(&readiness),
        answers,
    )
    .map_err(listen_error)?;
    let status_log = StatusLog::start(&registry)?;

    let clients = KafkaMetrics::register(&registry).map_err(Failed::runtime)?;
    let connect = |number| {
        let broker =
            KafkaBroker::connect(worker_settings(&settings, number), pipeline.topics.clone());
        broker.map(|broker| broker.metered(&clients, number))
    };
    let state = StoreSettings::new(&config.state_directory, &config.app);
    let store = DiskStore::start(state, &registry).map_err(Failed::runtime)?;
    let standbys = Standbys::new(
        config.standbys,
        pipeline.topics.state_partitions,
        Clock::System,
    );
    let view_thread = FollowerThread {
        name: "flockwise-view",
        warning: "cannot read the model and summaries topics, so /api/v1 has no segments and versions",
        follow: move |follower: &mut KafkaFollower, stop: &AtomicBool| view.follow(follower, stop),
    };
    let mut followers = vec![view_thread.start(&settings, &pipeline.topics, &stop)?];
    if standbys.are_wanted() {
        followers.push(follow_standbys(&standbys, &pipeline, &metrics).start(
            &settings,
            &pipeline.topics,
            &stop,
        )?);
    }
    let learning = LearningThread::start().map_err(Failed::runtime)?;
    let heartbeats: Vec<Heartbeat> = (0..workers).map(|_| Heartbeat::default()).collect();
    watchdog::start(
        &heartbeats,
        settings.longest_call(),
        &metrics.progress,
        &readiness,
    )?;
    let context = WorkerContext {
        pipeline: &pipeline,
        time_mode: TimeMode::live(),
        metrics: &metrics,
        readiness: &readiness,
        store: Some(&store),
        standbys: &standbys,
        models: &SharedModels::default(),
        learning: Some(&learning),
        queries: &queries,
        heartbeats: &heartbeats,
        stop: &stop,
    };
    let ended = run_workers(workers, connect, &context);
    stop.store(true, Ordering::Relaxed);
    drop(status_log);
    readiness.stop();
    server.stop();
    if !store.finish(CHECKPOINT_TIMEOUT) {
        tracing::warn!(
            "the checkpoints were not completed in time; the next start reads more of the changelog"
        );
    }
    for follower in followers {
        if follower.join().is_err() {
            tracing::warn!(
                "a thread that follows topics panicked; please report this as a bug, with the log above"
            );
        }
    }
    ended
}

/// The thread that keeps standbys current.
fn follow_standbys(
    standbys: &Standbys,
    pipeline: &Arc<Pipeline>,
    metrics: &Metrics,
) -> FollowerThread<impl Fn(&mut KafkaFollower, &AtomicBool) -> Result<(), Failure> + use<>> {
    let (standbys, pipeline, metrics) = (standbys.clone(), Arc::clone(pipeline), metrics.clone());
    FollowerThread {
        name: "flockwise-standby",
        warning: "standbys cannot follow the changelog",
        follow: move |follower: &mut KafkaFollower, stop: &AtomicBool| {
            standbys.follow(follower, &pipeline, &metrics, stop)
        },
    }
}

/// Checks the cluster, fails on any problem, creates missing topics, and claims the pipeline record.
fn prepare(config: &Config, settings: &KafkaSettings) -> Result<Pipeline, Failed> {
    let Preflight {
        cluster,
        topics,
        findings,
    } = preflight::inspect(config, settings).map_err(refused)?;
    for Finding { about, text, .. } in findings
        .iter()
        .filter(|f| f.verdict == FindingVerdict::Warning)
    {
        tracing::warn!(about, "{text}");
    }
    finding::refuse(&findings)?;
    let inputs = cluster.input_partitions();
    let topics = topics.unwrap_or_else(|| pipeline_topics(config, &inputs));
    log_partitions(config, &inputs, topics.state_partitions);
    let mut pipeline = pipeline(config, topics.state_partitions, None)?;
    if cluster.survey.partitions().len() < Topics::internal().len() {
        admin::ensure_topics(settings, &topics).map_err(refused)?;
    }
    let claimed = check_pipeline_record::claim(config, settings, &topics).map_err(refused)?;
    pipeline.starts = claimed.starts;
    pipeline.start_ids = claimed.start_ids;
    Arc::make_mut(&mut pipeline.task).history.until_ms = claimed.first_started_ms;
    Ok(pipeline)
}

/// Exit code 2 for a failure that another start cannot cure.
fn refused(failure: Failure) -> Failed {
    match failure {
        Failure::Config(reason) => Failed::invalid(reason),
        failure => failed(failure),
    }
}

fn log_partitions(config: &Config, inputs: &[u32], state_partitions: u32) {
    if inputs.iter().all(|input| *input == state_partitions) {
        tracing::info!(
            state_partitions,
            "every input has as many partitions as there are state partitions"
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
        "the number of partitions of an input differs from the number of state partitions: some of its events may be \
         forwarded between tasks"
    );
}

/// The number of workers: as configured, or one per core, and never more than there are tasks.
fn worker_count(config: &Config, state_partitions: u32) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let wanted = config.shards.unwrap_or(cores);
    let most = state_partitions as usize;
    if wanted > most && config.shards.is_some() {
        tracing::warn!(
            shards = wanted,
            state_partitions,
            "`shards` is above the number of state partitions: the additional workers would have no task and are not started"
        );
    }
    wanted.min(most)
}

/// The settings of one worker. Its ids are stable, so that the brokers recognise it after a restart.
fn worker_settings(instance: &KafkaSettings, number: usize) -> KafkaSettings {
    let id = format!("{}-{number}", instance.transactional_id);
    let mut settings = instance.clone();
    settings.member_id = Some(id.clone());
    settings.transactional_id = id;
    settings
}

/// Exit code 1 if the port is in use, since it may be free when the supervisor tries again.
fn listen_error(error: HttpError) -> Failed {
    match &error {
        HttpError::Listen { source, .. } if source.kind() != io::ErrorKind::AddrInUse => {
            Failed::invalid(error)
        }
        _ => Failed::runtime(error),
    }
}
