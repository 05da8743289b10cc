//! `flockwise` as a process of its own.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use flockwise_benches::{job, workspace};

use crate::Settings;

const PATIENCE: Duration = Duration::from_secs(60);

/// The program to measure, built if none is named.
pub(crate) fn find(settings: &Settings) -> Result<PathBuf> {
    if let Some(program) = &settings.flockwise {
        return Ok(program.clone());
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", "flockwise"])
        .current_dir(workspace("."))
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "flockwise cannot be built");
    let ourselves = std::env::current_exe()?;
    Ok(ourselves.with_file_name("flockwise"))
}

/// What an instance is started with.
pub(crate) struct Start<'a> {
    pub(crate) program: &'a Path,
    /// Its name, new in every round.
    pub(crate) app: &'a str,
    /// Its input.
    pub(crate) topic: &'a str,
    pub(crate) servers: &'a str,
    /// librdkafka's, as NAME=VALUE.
    pub(crate) properties: &'a [String],
}

/// `flockwise run` on the job, one shard; ended when dropped.
pub(crate) struct Instance {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Instance {
    /// Starts it in a folder of its own.
    pub(crate) fn start(start: &Start<'_>) -> Result<Self> {
        let address = free_address()?;
        let folder = workspace("target/bench").join(start.app);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let log = folder.join("log");
        let child = Command::new(start.program)
            .args(["run", "--config"])
            .arg(configured(&folder, start)?)
            .env("FLOCKWISE__APP", start.app)
            .env("FLOCKWISE__SHARDS", "1")
            .env("FLOCKWISE__KAFKA__BOOTSTRAP_SERVERS", start.servers)
            .env("FLOCKWISE__KAFKA__COMMIT_INTERVAL", "100ms")
            .env("FLOCKWISE__HTTP__LISTEN", address.to_string())
            .env("FLOCKWISE__STATE__DIRECTORY", folder.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot run {}", start.program.display()))?;
        Ok(Self {
            child,
            address,
            log,
        })
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has all its tasks.
    pub(crate) fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while !self
            .get("/readyz")
            .is_ok_and(|answer| answer.contains(" 200 "))
        {
            self.check_alive()?;
            ensure!(start.elapsed() < PATIENCE, "flockwise does not get ready");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// A counter, 0 while it does not answer yet. Counters move at commits, so this is what is committed.
    pub(crate) fn counter(&mut self, name: &str) -> Result<u64> {
        self.check_alive()?;
        let Ok(answer) = self.get("/metrics") else {
            return Ok(0);
        };
        let value = answer
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        Ok(value.unwrap_or(0))
    }

    /// Ends it in good order.
    pub(crate) fn stop(mut self) -> Result<()> {
        let process = self.process().to_string();
        Command::new("kill").args(["-TERM", &process]).status()?;
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(start.elapsed() < PATIENCE, "flockwise does not end");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            bail!("flockwise ended ({status}):\n{log}");
        }
        Ok(())
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let host = self.address;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Already ended where all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The job's configuration over another topic, its model beside it.
fn configured(folder: &Path, start: &Start<'_>) -> Result<PathBuf> {
    let job = job::file();
    let model = job.with_file_name("model.json");
    fs::copy(&model, folder.join("model.json")).with_context(|| model.display().to_string())?;
    let text = fs::read_to_string(&job).with_context(|| job.display().to_string())?;
    let topic = format!("topic = \"{}\"", start.topic);
    let mut text = text.replace("topic = \"events\"", &topic);
    text.push_str(
        "
[kafka.properties]
",
    );
    for property in start.properties {
        let (name, value) = property
            .split_once('=')
            .context("NAME=VALUE was expected")?;
        writeln!(text, "\"{name}\" = \"{value}\"")?;
    }
    let path = folder.join("job.toml");
    fs::write(&path, text)?;
    Ok(path)
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
