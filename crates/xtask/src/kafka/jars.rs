//! Kafka's jars, downloaded once by Maven into `target/`, and the JVM that runs them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use super::process;
use crate::workspace;

const POM: &str = include_str!("../../kafka/pom.xml");
const NO_MAVEN: &str = "Maven is needed to download Kafka's jars; on Debian: apt-get install maven";
const NO_JAVA: &str = "Kafka 4 needs a JDK of version 17 or later; on Debian: apt-get install openjdk-17-jdk-headless";

/// Short names and main classes of Kafka's tools.
const TOOLS: &[(&str, &str)] = &[
    ("acls", "org.apache.kafka.tools.AclCommand"),
    ("configs", "kafka.admin.ConfigCommand"),
    (
        "consumer",
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
    ),
    (
        "delete-records",
        "org.apache.kafka.tools.DeleteRecordsCommand",
    ),
    (
        "groups",
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    ),
    ("offsets", "org.apache.kafka.tools.GetOffsetShell"),
    ("producer", "org.apache.kafka.tools.ConsoleProducer"),
    ("topics", "org.apache.kafka.tools.TopicCommand"),
    ("transactions", "org.apache.kafka.tools.TransactionsCommand"),
];

/// True if a cluster can start without installing or downloading anything.
pub fn are_installed() -> bool {
    let jars = fs::read_to_string(workspace().join("target/kafka-jars/pom.xml"));
    let java = Command::new("java").arg("-version").output();
    jars.is_ok_and(|resolved| resolved == POM) && java.is_ok_and(|java| java.status.success())
}

/// The folder of Kafka's jars. The first call downloads them.
pub(super) fn resolve() -> Result<PathBuf> {
    let target = workspace().join("target");
    fs::create_dir_all(&target).with_context(|| format!("cannot create {}", target.display()))?;
    // Locked, since two test programs may do this at the same time.
    let lock = File::create(target.join("kafka-jars.lock"))
        .context("cannot create target/kafka-jars.lock")?;
    lock.lock().context("cannot lock target/kafka-jars.lock")?;
    let jars = target.join("kafka-jars");
    if fs::read_to_string(jars.join("pom.xml")).is_ok_and(|resolved| resolved == POM) {
        return Ok(jars);
    }
    eprintln!("resolving Kafka's jars with Maven into {}", jars.display());
    download(&target, &jars)?;
    Ok(jars)
}

fn download(target: &Path, jars: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(jars);
    fs::create_dir_all(jars)?;
    let mut maven = Command::new("mvn");
    maven
        .args(["-q", "-B", "-ntp", "-f"])
        .arg(workspace().join("crates/xtask/kafka/pom.xml"))
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", jars.display()))
        .arg(format!(
            "-Dmaven.repo.local={}",
            target.join("m2").display()
        ));
    process::run(&mut maven, NO_MAVEN)?;
    // Written last, as the mark of a complete folder.
    fs::write(jars.join("pom.xml"), POM)
        .with_context(|| format!("cannot write into {}", jars.display()))
}

/// A small JVM with Kafka on its class path. The caller adds the main class and its arguments.
pub(super) fn java(jars: &Path, heap: &str, log_level: &str) -> Command {
    let mut java = Command::new("java");
    java.arg(format!("-Xmx{heap}"))
        .arg("-XX:+UseSerialGC")
        .arg("-Dorg.slf4j.simpleLogger.showDateTime=true")
        .arg("-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS")
        .arg(format!(
            "-Dorg.slf4j.simpleLogger.defaultLogLevel={log_level}"
        ))
        .args(["-cp", &format!("{}/*", jars.display())]);
    java
}

/// The same for a short-lived program: with quick compilation and without logs.
pub(super) fn short_lived(jars: &Path) -> Command {
    let mut java = java(jars, "96m", "error");
    java.arg("-XX:TieredStopAtLevel=1");
    java
}

pub(super) fn run(java: &mut Command) -> Result<()> {
    process::run(java, NO_JAVA)
}

pub(super) fn spawn(java: &mut Command) -> Result<Child> {
    java.stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run java: {NO_JAVA}"))
}

/// Runs one of Kafka's tools with inherited stdin, stdout and stderr.
///
/// # Errors
/// If there is no such tool, or it fails.
pub fn tool(name: &str, args: &[String]) -> Result<()> {
    let Some((_, class)) = TOOLS.iter().find(|(short, _)| *short == name) else {
        let known: Vec<&str> = TOOLS.iter().map(|(short, _)| *short).collect();
        bail!("no tool {name:?}: expected one of {}", known.join(", "));
    };
    let status: ExitStatus = short_lived(&resolve()?)
        .arg(class)
        .args(args)
        .status()
        .context(NO_JAVA)?;
    if !status.success() {
        bail!("kafka {name} failed ({status})");
    }
    Ok(())
}
