//! Runs workers over the in-process broker.

use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;

use flockwise_config::Config;
use flockwise_memory::{MemoryBroker, MemoryClient};
use flockwise_runtime::clock::Clock;
use flockwise_runtime::queries::QueryError;
use flockwise_runtime::topics::Topic;
use prometheus::Registry;

use super::*;
use crate::build_pipeline::pipeline;

const CONFIG: &str = "
    app = \"shop\"
    [[input]]
    topic = \"clicks\"
    [[feature]]
    name = \"clicks\"
    aggregate = \"count\"
    lifetime = true
";
const PARTITIONS: u32 = 4;

struct Stage {
    broker: MemoryBroker,
    pipeline: Arc<Pipeline>,
    registry: Registry,
    metrics: Metrics,
    readiness: Arc<Readiness>,
    queries: Queries,
    heartbeats: [Heartbeat; 2],
    stop: AtomicBool,
}

impl Stage {
    fn set() -> Self {
        let config = Config::parse(CONFIG).unwrap();
        let pipeline = Arc::new(pipeline(&config, PARTITIONS, None).unwrap());
        let registry = Registry::new();
        Self {
            broker: MemoryBroker::new(pipeline.topics.clone(), &[PARTITIONS]),
            pipeline,
            metrics: Metrics::register(&registry).unwrap(),
            registry,
            readiness: Readiness::new(2),
            queries: Queries::new(2),
            heartbeats: Default::default(),
            stop: AtomicBool::new(false),
        }
    }

    fn run(
        &self,
        workers: usize,
        connect: impl Fn(usize) -> Result<MemoryClient, Failure> + Sync,
    ) -> Result<(), String> {
        let context = WorkerContext {
            pipeline: &self.pipeline,
            time_mode: TimeMode::Replay { judged_at_ms: None },
            metrics: &self.metrics,
            readiness: &self.readiness,
            store: None,
            standbys: &Standbys::new(0, PARTITIONS, Clock::System),
            models: &SharedModels::default(),
            learning: None,
            queries: &self.queries,
            heartbeats: &self.heartbeats,
            stop: &self.stop,
        };
        run_workers(workers, connect, &context).map_err(|failed| failed.to_string())
    }

    fn join(&self, number: usize) -> MemoryClient {
        self.broker.worker(&format!("shop-{number}"))
    }

    fn click(&self) {
        let event = br#"{"customer_id":"ann","event":"click","time":1700000000}"#;
        self.broker.append(Topic::Input(0), 1, 0, None, Some(event));
    }

    /// Stops the workers once the click is processed.
    fn stop_when_drained(&self) {
        let is_drained = self.broker.wait_for_backlog(0, Duration::from_secs(20));
        self.stop.store(true, Ordering::Relaxed);
        assert!(is_drained);
    }

    fn shows(&self, line: &str) -> bool {
        let families = self.registry.gather();
        let text = prometheus::TextEncoder::new().encode_to_string(&families);
        text.unwrap().lines().any(|found| found == line)
    }
}

#[test]
fn shards_share_the_work_and_leave_when_told() {
    let stage = Stage::set();
    stage.click();
    thread::scope(|scope| {
        let running = scope.spawn(|| stage.run(2, |number| Ok(stage.join(number))));
        while !stage
            .heartbeats
            .iter()
            .all(|heartbeat| heartbeat.beats() > Some(1))
        {
            thread::yield_now();
        }
        stage.stop_when_drained();
        assert_eq!(running.join().unwrap(), Ok(()));
    });
    assert!(stage.shows("flockwise_events_total 1"));
    assert!(
        stage
            .heartbeats
            .iter()
            .all(|heartbeat| heartbeat.beats().is_none())
    );
}

#[test]
fn customers_are_told_of_by_the_shard_that_has_them() {
    let stage = Stage::set();
    stage.click();
    // Has no queue for the second worker, as if that ran in another process.
    let first_alone = Queries::new(1);
    let ask = |queries: &Queries, id: &str| {
        loop {
            match queries.ask(id, Duration::from_secs(20)) {
                Err(QueryError::Unsettled) => thread::yield_now(),
                answer => break answer.map(|known| known.told.view.customer_id),
            }
        }
    };
    thread::scope(|scope| {
        let running = scope.spawn(|| stage.run(2, |number| Ok(stage.join(number))));
        assert!(stage.broker.wait_for_backlog(0, Duration::from_secs(20)));
        assert_eq!(ask(&stage.queries, "ann").as_deref(), Ok("ann"));
        assert_eq!(ask(&stage.queries, "bob"), Err(QueryError::Unknown));
        stage.stop.store(true, Ordering::Relaxed);
        assert_eq!(running.join().unwrap(), Ok(()));
    });
    let stage = Stage {
        queries: first_alone,
        ..Stage::set()
    };
    // Both join before either gets tasks: one alone would get all of them.
    let both_joined = Barrier::new(2);
    let connect = |number| {
        let worker = stage.join(number);
        both_joined.wait();
        Ok(worker)
    };
    thread::scope(|scope| {
        let running = scope.spawn(|| stage.run(2, connect));
        let answers: Vec<_> = (0..40)
            .map(|number| ask(&stage.queries, &format!("customer {number}")))
            .collect();
        stage.stop.store(true, Ordering::Relaxed);
        assert_eq!(running.join().unwrap(), Ok(()));
        let are_elsewhere = answers.iter().filter(
            |answer| matches!(answer, Err(QueryError::Elsewhere { task }) if task.0 < PARTITIONS),
        );
        let are_elsewhere = are_elsewhere.count();
        assert!((5..35).contains(&are_elsewhere), "{answers:?}");
        let are_unknown = answers
            .iter()
            .filter(|answer| **answer == Err(QueryError::Unknown));
        assert_eq!(are_unknown.count(), 40 - are_elsewhere);
    });
}

#[test]
fn a_shard_whose_client_is_of_no_more_use_starts_again() {
    let stage = Stage::set();
    stage.click();
    let tries = AtomicUsize::new(0);
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            stage.run(1, |number| match tries.fetch_add(1, Ordering::Relaxed) {
                0 => Err(Failure::Fenced("another has its name".to_owned())),
                1 => Err(Failure::Fatal("the broker said so".to_owned())),
                _ => Ok(stage.join(number)),
            })
        });
        stage.stop_when_drained();
        assert_eq!(running.join().unwrap(), Ok(()));
    });
    assert_eq!(tries.into_inner(), 3);
    for reason in ["fenced", "failed"] {
        let shown = format!("flockwise_worker_restarts_total{{reason=\"{reason}\"}} 1");
        assert!(stage.shows(&shown), "{shown}");
    }
}

#[test]
fn what_nothing_here_can_help_ends_all_and_is_told() {
    let stage = Stage::set();
    let ended = stage.run(2, |number| match number {
        1 => Err(Failure::Config("wrong password".to_owned())),
        _ => Ok(stage.join(number)),
    });
    assert_eq!(ended, Err("wrong password".to_owned()));
}

#[test]
fn a_panic_ends_all_and_is_told() {
    let stage = Stage::set();
    let ended = stage.run(2, |number| {
        assert_ne!(number, 1, "bad luck");
        Ok(stage.join(number))
    });
    let message = ended.unwrap_err();
    assert!(
        message.contains("worker 1 panicked") && message.contains("bad luck"),
        "{message}"
    );
}

#[test]
fn waits_grow_to_a_bound_and_begin_anew_after_good_work() {
    let mut history = RestartHistory::default();
    let waits: Vec<u128> = (0..9).map(|_| history.backoff().as_millis()).collect();
    assert_eq!(
        waits,
        [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]
    );
    assert!(!history.may_be_outage());
    history.worked_for(Duration::from_secs(1));
    assert_eq!(history.backoff(), LONGEST_BACKOFF);
    history.worked_for(RECOVERY_TIME);
    assert_eq!(history.backoff(), BACKOFF);
    assert!(history.may_be_outage());
}
