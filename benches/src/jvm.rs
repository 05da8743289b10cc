//! The peers on the JVM: `benches/peers`, built with Maven.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use flockwise_benches::{job, workspace};

use crate::bench::Bench;
use crate::children::{self, Process};
use crate::program::{Instance, Program, Start};

/// Heap size of both peers. The job needs less.
const HEAP: [&str; 2] = ["-Xms512m", "-Xmx1g"];

/// Packages that Flink accesses by reflection. Its own start scripts open them too.
const OPEN_TO_FLINK: [&str; 8] = [
    "lang",
    "lang.reflect",
    "util",
    "util.concurrent",
    "net",
    "io",
    "nio",
    "time",
];

/// Builds both peers into `target/peers`.
pub(crate) fn build() -> Result<()> {
    eprintln!("building the peers with Maven");
    let mut maven = Command::new("mvn");
    let repository = workspace("target/m2");
    maven
        .args(["-q", "-B", "-ntp", "package", "-f"])
        .arg(workspace("benches/peers/pom.xml"))
        .arg(format!("-Dmaven.repo.local={}", repository.display()));
    children::output(&mut maven)
        .context("cannot build the peers, which needs Maven; on Debian: apt-get install maven")?;
    Ok(())
}

/// Starts a peer in its own folder.
pub(crate) fn start(program: Program, bench: &Bench, start: &Start<'_>) -> Result<Instance> {
    let mut java = Command::new("java");
    java.args(HEAP).args(&bench.settings.jvm);
    java.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
    if program == Program::Flink {
        let open = |package| format!("--add-opens=java.base/java.{package}=ALL-UNNAMED");
        java.args(OPEN_TO_FLINK.map(open));
        run(&mut java, "flink", "flockwise.peers.flink.FlinkPeer");
    } else {
        run(
            &mut java,
            "kafka-streams",
            "flockwise.peers.streams.StreamsPeer",
        );
    }
    java.args([
        &bench.kafka.servers,
        start.app,
        start.topic,
        &start.changes(),
    ])
    .arg(job::file().with_file_name("model.json"))
    .arg(start.state());
    Ok(Instance {
        process: Process::start(&mut java, &start.folder().join("log"))?,
        address: None,
    })
}

fn run(java: &mut Command, artifact: &str, class: &str) {
    let folder = workspace("target/peers").join(artifact);
    let jar = folder.join(artifact).with_extension("jar");
    java.arg("-cp").arg(class_path(&jar, &folder)).arg(class);
}

fn class_path(jar: &Path, folder: &Path) -> String {
    format!("{}:{}/libs/*", jar.display(), folder.display())
}
