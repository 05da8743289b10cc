//! A cluster: its settings, and its state on disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};

use super::node::BrokerNode;
use super::process::Signal;
use super::properties::ClusterSettings;
use super::servers::Servers;
use super::tls::Secured;
use super::{jars, ports, tls};

/// The settings of a cluster of real brokers on 127.0.0.1.
///
/// ```no_run
/// # fn main() -> anyhow::Result<()> {
/// use xtask::kafka::{KafkaCluster, Signal};
/// let kafka = KafkaCluster::at("target/kafka-faults").first_port(0).nodes(3).run()?;
/// println!("{}", kafka.servers.plain);
/// kafka.cluster.stop_node(2, Signal::Kill)?;
/// kafka.cluster.start_node(2)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct KafkaCluster {
    directory: PathBuf,
    settings: ClusterSettings,
    heap: String,
}

/// A running cluster, taken down on drop. After a panic its files are kept for inspection.
#[derive(Debug)]
pub struct Running {
    /// Starts and stops single nodes.
    pub cluster: KafkaCluster,
    /// The addresses that clients connect to.
    pub servers: Servers,
    keeps_files: bool,
}

impl Running {
    /// Keeps its files when it is taken down, for inspection.
    pub fn keep_files(&mut self) {
        self.keeps_files = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = if self.keeps_files || thread::panicking() {
            self.cluster.stop()
        } else {
            self.cluster.down()
        };
        if let Err(error) = ended {
            eprintln!("cannot take Kafka down: {error:#}");
        }
    }
}

impl KafkaCluster {
    /// A cluster of one node on port 19092 with its files in `directory`.
    pub fn at(directory: impl AsRef<Path>) -> Self {
        let directory = directory.as_ref();
        // Absolute, since nodes run in another directory and are identified by the path on their command line.
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        let settings = ClusterSettings {
            nodes: 1,
            first_port: 19092,
            tls: false,
            proxied_listeners: 0,
            overrides: Vec::new(),
        };
        Self {
            directory,
            settings,
            heap: "256m".to_owned(),
        }
    }

    /// Sets the number of brokers. Each is also a controller.
    pub fn nodes(mut self, nodes: u16) -> Self {
        self.settings.nodes = nodes;
        self
    }

    /// Sets the port of the first node. Controllers use port + 100, SASL_SSL port + 200. 0 chooses free ports.
    pub fn first_port(mut self, port: u16) -> Self {
        self.settings.first_port = port;
        self
    }

    /// Adds a SASL_SSL listener with SCRAM-SHA-512.
    pub fn tls(mut self, tls: bool) -> Self {
        self.settings.tls = tls;
        self
    }

    /// Adds listeners, at most 4, that advertise the address of a proxy: see [`Servers::proxied_listeners`].
    pub fn proxied_listeners(mut self, proxied_listeners: u16) -> Self {
        self.settings.proxied_listeners = proxied_listeners;
        self
    }

    /// Sets the heap size of each node's JVM, such as `256m`.
    pub fn heap(mut self, heap: &str) -> Self {
        heap.clone_into(&mut self.heap);
        self
    }

    /// Sets a broker setting, which overrides the defaults for tests.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings
            .overrides
            .push((key.to_owned(), value.to_owned()));
        self
    }

    /// The directory of its files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts the nodes that do not run yet, and waits until every node is ready.
    ///
    /// # Errors
    /// If the directory holds a cluster with other settings, a port is used, Java or Maven is missing, or a node
    /// dies.
    pub fn up(&self) -> Result<Servers> {
        let _lock = self.lock()?;
        let settings = ClusterSettings {
            first_port: self.choose_port()?,
            ..self.settings.clone()
        };
        let nodes: Vec<BrokerNode> = settings
            .numbers()
            .map(|number| BrokerNode::new(&self.directory, number))
            .collect();
        let wanted: Vec<String> = nodes
            .iter()
            .zip(settings.numbers())
            .map(|(node, number)| settings.render(number, node.home()))
            .collect();
        self.check_same_shape(&nodes, &wanted)?;
        if nodes.iter().any(|node| node.pid().is_none()) {
            self.start(settings.tls, &nodes, &wanted)?;
        }
        let servers = self.servers()?;
        servers
            .secured
            .iter()
            .try_for_each(Secured::write_client_file)?;
        Ok(servers)
    }

    /// Deletes an earlier cluster and starts a new one, which is taken down on drop.
    ///
    /// # Errors
    /// As [`KafkaCluster::up`] and [`KafkaCluster::down`].
    pub fn run(self) -> Result<Running> {
        self.down()?;
        let servers = self.up()?;
        Ok(Running {
            cluster: self,
            servers,
            keeps_files: false,
        })
    }

    /// Stops every node and keeps the data for the next `up`.
    ///
    /// # Errors
    /// If a process cannot be ended.
    pub fn stop(&self) -> Result<()> {
        if !self.directory.exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        in_parallel(&self.existing(), BrokerNode::end)
    }

    /// Stops every node and deletes its files.
    ///
    /// # Errors
    /// If a process cannot be ended or a file cannot be deleted.
    pub fn down(&self) -> Result<()> {
        self.stop()?;
        for node in self.existing() {
            fs::remove_dir_all(node.home())
                .with_context(|| format!("cannot delete {}", node.home().display()))?;
        }
        let _ = fs::remove_dir_all(self.directory.join("tls"));
        let _ = fs::remove_file(self.directory.join("lock"));
        // Fails if the directory contains other files, which are kept.
        let _ = fs::remove_dir(&self.directory);
        Ok(())
    }

    /// Sends a signal to node `number`, counted from 1.
    ///
    /// # Errors
    /// If there is no such node, or it does not end.
    pub fn stop_node(&self, number: u16, signal: Signal) -> Result<()> {
        self.node(number)?.signal(signal)
    }

    /// Starts node `number` and waits until it is ready. Resumes it if it is frozen.
    ///
    /// # Errors
    /// If there is no such node, or it dies.
    pub fn start_node(&self, number: u16) -> Result<()> {
        let node = self.node(number)?;
        if node.pid().is_some() {
            return node.signal(Signal::Cont);
        }
        node.start(&jars::resolve()?, &self.heap)
    }

    /// The name of every node and, if it runs, its pid.
    pub fn status(&self) -> Vec<(String, Option<u32>)> {
        self.existing()
            .iter()
            .map(|node| (node.name(), node.pid()))
            .collect()
    }

    /// The addresses of the cluster in the directory.
    ///
    /// # Errors
    /// If there is no cluster in the directory.
    pub fn servers(&self) -> Result<Servers> {
        let properties: Vec<String> = self
            .existing()
            .iter()
            .filter_map(BrokerNode::properties)
            .collect();
        Servers::advertised(&properties, &self.directory).ok_or_else(|| {
            anyhow!(
                "no cluster in {}; start one with `cargo xtask kafka up`",
                self.directory.display()
            )
        })
    }

    fn start(&self, tls: bool, nodes: &[BrokerNode], properties: &[String]) -> Result<()> {
        let jars = jars::resolve()?;
        if tls {
            tls::ensure(&self.directory)?;
        }
        let missing: Vec<(&BrokerNode, &String)> = nodes
            .iter()
            .zip(properties)
            .filter(|(node, _)| node.pid().is_none())
            .collect();
        for (node, text) in &missing {
            node.check_ports_are_free(text)?;
            node.write_properties(text)?;
        }
        let started = in_parallel(&missing, |(node, _)| {
            node.format(&jars, tls)?;
            node.start(&jars, &self.heap)
        });
        if started.is_err() {
            in_parallel(&missing, |(node, _)| node.end())?;
        }
        started
    }

    fn existing(&self) -> Vec<BrokerNode> {
        BrokerNode::in_directory(&self.directory)
    }

    fn node(&self, number: u16) -> Result<BrokerNode> {
        let mut existing = self.existing();
        let (directory, count) = (self.directory.display(), existing.len());
        if number == 0 || usize::from(number) > count {
            bail!("no node {number} in {directory}: it has {count}, counted from 1");
        }
        Ok(existing.swap_remove(usize::from(number) - 1))
    }

    fn choose_port(&self) -> Result<u16> {
        match (self.settings.first_port, self.servers()) {
            (0, Ok(servers)) => servers.first_port(),
            (0, Err(_)) => ports::find(self.settings.nodes),
            (port, _) => Ok(port),
        }
    }

    fn check_same_shape(&self, nodes: &[BrokerNode], wanted: &[String]) -> Result<()> {
        let directory = self.directory.display();
        let remedy = format!(
            "remove it with `cargo xtask kafka down --dir {directory}`, or choose another --dir"
        );
        let count = self.existing().len();
        if count != 0 && count != nodes.len() {
            bail!(
                "{directory} holds a cluster of {count} nodes, expected {}; {remedy}",
                nodes.len()
            );
        }
        for (node, wanted) in nodes.iter().zip(wanted) {
            let found = node.properties().unwrap_or_default();
            if node.pid().is_some() && found != *wanted {
                let other = wanted
                    .lines()
                    .find(|line| !found.lines().any(|has| has == *line));
                bail!(
                    "{directory} runs with other settings, expected {}; {remedy}",
                    other.unwrap_or("fewer settings")
                );
            }
        }
        Ok(())
    }

    /// A file lock, held while nodes are started or stopped, since several test programs may share a cluster.
    fn lock(&self) -> Result<File> {
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("cannot create {}", self.directory.display()))?;
        let lock =
            File::create(self.directory.join("lock")).context("cannot create the lock file")?;
        lock.lock().context("cannot lock the cluster's directory")?;
        Ok(lock)
    }
}

/// Calls `act` for all items in parallel, since a JVM takes seconds to start and to stop.
fn in_parallel<T: Sync>(items: &[T], act: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = items.iter().map(|item| scope.spawn(|| act(item))).collect();
        let results: Vec<Result<()>> = threads
            .into_iter()
            .map(|thread| thread.join().expect("a node's thread panicked"))
            .collect();
        results.into_iter().collect()
    })
}
