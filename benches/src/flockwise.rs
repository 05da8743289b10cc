//! `flockwise run` on the job.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use flockwise_benches::{job, workspace};

use crate::bench::{Bench, Settings};
use crate::children::{self, Process};
use crate::program::{Instance, Start};

/// The program to measure, built if none is named.
pub(crate) fn find(settings: &Settings) -> Result<PathBuf> {
    if let Some(program) = &settings.flockwise {
        return Ok(program.clone());
    }
    let profile = &settings.profile;
    eprintln!("building flockwise, profile {profile}");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut build = Command::new(cargo);
    build.args(["build", "--package", "flockwise", "--profile", profile]);
    children::output(build.current_dir(workspace(".")))?;
    Ok(workspace("target").join(profile).join("flockwise"))
}

/// Starts Flockwise in its own folder.
pub(crate) fn start(bench: &Bench, start: &Start<'_>) -> Result<Instance> {
    let address = free_address()?;
    let config = configured(start, &bench.settings.properties)?;
    let mut command = Command::new(&bench.flockwise);
    command
        .args(["run", "--config"])
        .arg(config)
        .env("FLOCKWISE__APP", start.app)
        .env("FLOCKWISE__SHARDS", start.shards.to_string())
        .env("FLOCKWISE__KAFKA__BOOTSTRAP_SERVERS", &bench.kafka.servers)
        .env("FLOCKWISE__KAFKA__COMMIT_INTERVAL", "100ms")
        .env("FLOCKWISE__HTTP__LISTEN", address.to_string())
        .env("FLOCKWISE__STATE__DIRECTORY", start.state());
    Ok(Instance {
        process: Process::start(&mut command, &start.folder().join("log"))?,
        address: Some(address),
    })
}

impl Instance {
    /// A metric of Flockwise, summed over its labels; `None` if it has no such series.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let answer = get(self.address?, "/metrics").ok()?;
        let series = answer.lines().filter_map(|line| line.strip_prefix(name));
        let series = series.filter(|rest| rest.starts_with([' ', '{']));
        let values: Vec<f64> = series
            .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Writes the job's configuration for another input topic, and its model next to it. Returns the path.
fn configured(start: &Start<'_>, properties: &[String]) -> Result<PathBuf> {
    let job = job::file();
    let model = job.with_file_name("model.json");
    fs::copy(&model, start.folder().join("model.json"))
        .with_context(|| model.display().to_string())?;
    let text = fs::read_to_string(&job).with_context(|| job.display().to_string())?;
    let topic = format!("topic = \"{}\"", start.topic);
    let mut text = text.replace("topic = \"events\"", &topic);
    text.push_str("\n[kafka.properties]\n");
    for property in properties {
        let (name, value) = property
            .split_once('=')
            .context("--property takes NAME=VALUE")?;
        writeln!(text, "\"{name}\" = \"{value}\"")?;
    }
    let path = start.folder().join("job.toml");
    fs::write(&path, text)?;
    Ok(path)
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
