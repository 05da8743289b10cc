//! Three brokers, three processes and the proxies between them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use flockwise_tests::kafka_pipeline::{BOTH, FIRST, KafkaPipeline, PARTITIONS};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::MetadataTopic;
use xtask::kafka::{KafkaCluster, Running, Signal};

use crate::disk::Disk;
use crate::instance::{Commands, Instance};
use crate::proxy::Proxy;
use crate::stop_signal::StopSignal;

pub(crate) const BROKERS: usize = 3;
pub(crate) const PROCESSES: usize = 3;
/// Number of inputs. The last one is removed and added back by faults.
pub(crate) const INPUTS: usize = 2;

/// Session timeout, ms. Much shorter than usual, so that the group notices silent members soon.
pub(crate) const SESSION_MS: u64 = 2_000;

/// How long a broker or a process may take to catch up after a restart, on a busy machine.
const CATCH_UP: Duration = Duration::from_secs(120);

/// Prefix of the folders with configurations, states and expected results.
const FILES: &str = "plant-";

/// The deployment that faults hit. Dropped in the order of these fields.
pub(crate) struct Deployment {
    instances: Vec<Mutex<Instance>>,
    /// By process and broker.
    pub(crate) proxies: Vec<Vec<Proxy>>,
    pub(crate) kafka_pipeline: KafkaPipeline,
    pub(crate) servers: String,
    /// Held while a broker is down.
    brokers: Mutex<()>,
    /// Held during a rolling restart.
    rolling: Mutex<()>,
    metadata: BaseConsumer,
    kafka: Running,
}

/// The settings of a deployment.
pub(crate) struct Plan {
    /// Folder of its files. Files of an earlier run are deleted.
    pub(crate) folder: PathBuf,
    pub(crate) shards: u32,
    pub(crate) standbys: u32,
    /// librdkafka's properties for the processes.
    pub(crate) properties: Vec<String>,
    /// `RUST_LOG` of the processes.
    pub(crate) log: String,
}

impl Deployment {
    /// Starts everything except the processes.
    pub(crate) fn create(plan: &Plan) -> Result<Self> {
        let kafka = cluster(&plan.folder).run()?;
        let servers = kafka.servers.plain.clone();
        let proxies = kafka.servers.proxied_listeners.iter();
        let proxies = proxies.map(|nodes| nodes.iter().map(Proxy::open).collect());
        clear(&plan.folder)?;
        let files = tempfile::Builder::new()
            .prefix(FILES)
            .tempdir_in(&plan.folder)
            .context("cannot create a folder")?;
        let more = configuration(&plan.properties)?;
        let kafka_pipeline = KafkaPipeline::with(&servers, files, &[PARTITIONS; INPUTS], &more);
        let proxies = proxies.collect::<Result<_>>()?;
        let instances = (0..PROCESSES).map(|index| instance(index, plan, &kafka_pipeline, &kafka));
        Ok(Self {
            instances: instances
                .map(|instance| instance.map(Mutex::new))
                .collect::<Result<_>>()?,
            proxies,
            servers: servers.clone(),
            brokers: Mutex::default(),
            rolling: Mutex::default(),
            metadata: ClientConfig::new()
                .set("bootstrap.servers", servers)
                .create()?,
            kafka_pipeline,
            kafka,
        })
    }

    /// Locks a process for a fault.
    pub(crate) fn instance(&self, index: usize) -> MutexGuard<'_, Instance> {
        lock(&self.instances[index])
    }

    /// Locks a process, unless a fault holds it.
    pub(crate) fn idle_instance(&self, index: usize) -> Option<MutexGuard<'_, Instance>> {
        match self.instances[index].try_lock() {
            Ok(instance) => Some(instance),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Waits until a process that was started is ready.
    pub(crate) fn wait_until_ready(&self, instance: &Instance, stop: &StopSignal) -> Result<()> {
        let is_ready = stop.wait_for(CATCH_UP, || instance.is_ready());
        if !is_ready && !stop.is_set() {
            bail!("{} is not ready after {CATCH_UP:?}", instance.name);
        }
        Ok(())
    }

    /// Prevents other faults from taking a broker down.
    pub(crate) fn lock_brokers(&self) -> MutexGuard<'_, ()> {
        lock(&self.brokers)
    }

    /// Prevents other faults from restarting all processes.
    pub(crate) fn lock_rolling(&self) -> MutexGuard<'_, ()> {
        lock(&self.rolling)
    }

    pub(crate) fn stop_broker(&self, index: usize, signal: Signal) -> Result<()> {
        self.kafka.cluster.stop_node(number(index), signal)
    }

    /// Restarts a broker, or resumes a frozen one.
    pub(crate) fn start_broker(&self, index: usize) -> Result<()> {
        self.kafka.cluster.start_node(number(index))
    }

    /// Waits until every broker has every record. Only then may the next one go down.
    pub(crate) fn wait_until_in_sync(&self, stop: &StopSignal) -> Result<()> {
        let are_in_sync = stop.wait_for(CATCH_UP, || self.are_in_sync());
        if !are_in_sync && !stop.is_set() {
            bail!("the brokers are not in sync after {CATCH_UP:?}");
        }
        Ok(())
    }

    fn are_in_sync(&self) -> bool {
        let metadata = self.metadata.fetch_metadata(None, Duration::from_secs(3));
        metadata.is_ok_and(|metadata| {
            let partitions = metadata.topics().iter();
            let mut partitions = partitions.flat_map(MetadataTopic::partitions);
            partitions.all(|partition| partition.isr().len() == BROKERS)
        })
    }

    /// Keeps all files when it is dropped, for inspection.
    pub(crate) fn keep_files(&mut self) {
        self.kafka_pipeline.keep_files();
        self.kafka.keep_files();
    }
}

/// Deletes the files that earlier failed runs have kept.
fn clear(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(FILES) {
            fs::remove_dir_all(&path)
                .with_context(|| format!("cannot delete {}", path.display()))?;
        }
    }
    Ok(())
}

fn cluster(folder: &Path) -> KafkaCluster {
    // Preferred leaders return soon. Otherwise a restarted broker would lead nothing, and its loss would have no
    // effect.
    KafkaCluster::at(folder.join("kafka"))
        .nodes(number(BROKERS - 1))
        .first_port(0)
        .proxied_listeners(number(PROCESSES - 1))
        .set("leader.imbalance.check.interval.seconds", "5")
        .set("leader.imbalance.per.broker.percentage", "1")
}

/// The `[kafka.properties]` section. Of two values for the same key the last one counts.
fn configuration(properties: &[String]) -> Result<String> {
    let defaults = [
        format!("session.timeout.ms={SESSION_MS}"),
        "heartbeat.interval.ms=500".to_owned(),
    ];
    let mut keyed = BTreeMap::new();
    for property in defaults.iter().chain(properties) {
        let pair = property.split_once('=');
        let (key, value) = pair.with_context(|| format!("{property:?} is not KEY=VALUE"))?;
        keyed.insert(key, value);
    }
    let lines = keyed
        .iter()
        .map(|(key, value)| format!("{key:?} = {value:?}\n"));
    Ok(format!(
        "\n[kafka.properties]\n{}",
        lines.collect::<String>()
    ))
}

fn instance(
    index: usize,
    plan: &Plan,
    kafka_pipeline: &KafkaPipeline,
    kafka: &Running,
) -> Result<Instance> {
    let name = format!("process-{}", index + 1);
    let disk = Disk::mount(&kafka_pipeline.path(&name))?;
    let commands = Commands {
        first: command(FIRST, index, &name, plan, kafka_pipeline, kafka),
        both: command(BOTH, index, &name, plan, kafka_pipeline, kafka),
    };
    Instance::new(&name, commands, disk, &plan.folder)
}

fn command(
    config: &str,
    index: usize,
    name: &str,
    plan: &Plan,
    kafka_pipeline: &KafkaPipeline,
    kafka: &Running,
) -> Command {
    let mut command = kafka_pipeline.command_with(config, name);
    let nodes = kafka.servers.proxied_listeners[index].iter();
    let servers: Vec<&str> = nodes
        .map(|proxied_listener| &*proxied_listener.advertised)
        .collect();
    command
        .env("FLOCKWISE__KAFKA__BOOTSTRAP_SERVERS", servers.join(","))
        // A free port; the process logs which.
        .env("FLOCKWISE__HTTP__LISTEN", "127.0.0.1:0")
        .env("FLOCKWISE__SHARDS", plan.shards.to_string())
        .env("RUST_LOG", &plan.log);
    if plan.standbys > 0 {
        command.env("FLOCKWISE__STANDBYS", plan.standbys.to_string());
    }
    command
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of a Kafka node; they are counted from 1.
fn number(index: usize) -> u16 {
    index as u16 + 1
}
