//! `flockwise check`: validates the configuration, and checks the cluster against it.

use std::time::{SystemTime, UNIX_EPOCH};

use flockwise_config::{Config, Problem};
use flockwise_kafka::{KafkaSettings, admin};
use flockwise_runtime::topics::{Topic, Topics};
use serde_json::json;

use crate::admin::compare_topics::Cluster;
use crate::admin::finding::{self, Finding};
use crate::admin::needed_acls;
use crate::admin::preflight;
use crate::admin::state_directory;
use crate::args::CheckArguments;
use crate::build_pipeline::pipeline;
use crate::exit::{Failed, outln};
use crate::kafka_settings::{reason, settings};
use crate::reports::describe_configuration;
use crate::schema_files::SchemaFiles;

/// Clock differences up to this are ignored.
const CLOCK_TOLERANCE_MS: i64 = 60_000;

pub(crate) fn check(arguments: &CheckArguments) -> Result<(), Failed> {
    let (config, settings) = valid(arguments)?;
    if arguments.acls {
        return print_acls(&config, arguments);
    }
    let findings = if arguments.connect {
        connect(&config, &settings)
    } else {
        Vec::new()
    };
    let schemas = SchemaFiles::load(&config)?.files();
    if arguments.json {
        let pipeline = describe_configuration::json(&config, &schemas);
        outln!(
            "{:#}",
            json!({ "valid": true, "pipeline": pipeline, "findings": findings })
        );
    } else {
        outln!(
            "{} is valid: pipeline {}\n\n{}",
            arguments.config.display(),
            config.app,
            describe_configuration::text(&config, &schemas).trim_end()
        );
        finding::print(&findings);
    }
    finding::check_outcome(&findings)
}

fn print_acls(config: &Config, arguments: &CheckArguments) -> Result<(), Failed> {
    for line in needed_acls::lines(config, &arguments.principal) {
        outln!("{line}");
    }
    Ok(())
}

/// The configuration and its Kafka settings, if both and the imported model are valid.
fn valid(arguments: &CheckArguments) -> Result<(Config, KafkaSettings), Failed> {
    let config = Config::load(&arguments.config, flockwise_config::environment())
        .map_err(|errors| refused(arguments, errors.problems(), Failed::invalid(&errors)))?;
    let settings = settings(&config, &format!("{}-check", config.app));
    let sound = settings.and_then(|settings| pipeline(&config, 1, None).map(|_| settings));
    let settings = sound.map_err(|failed| {
        let (source, text) = (None, failed.to_string());
        refused(arguments, &[Problem { source, text }], failed)
    })?;
    Ok((config, settings))
}

/// With `--json`, prints the problems in place of the result. Returns `failed`.
fn refused(arguments: &CheckArguments, problems: &[Problem], failed: Failed) -> Failed {
    if arguments.json {
        let problem = |problem: &Problem| json!({ "source": problem.source, "text": problem.text });
        let problems: Vec<_> = problems.iter().map(problem).collect();
        outln!("{:#}", json!({ "valid": false, "problems": problems }));
    }
    failed
}

/// Checks the state directory, the cluster and the clock.
fn connect(config: &Config, settings: &KafkaSettings) -> Vec<Finding> {
    let mut findings = state_directory::findings(&config.state_directory);
    let preflight = match preflight::inspect(config, settings) {
        Ok(preflight) => preflight,
        Err(failure) => {
            findings.push(Finding::problem("kafka", reason(&failure)));
            return findings;
        }
    };
    findings.extend(preflight.findings);
    findings.push(clock(config, settings, &preflight.cluster));
    if let Some(topics) = &preflight.topics {
        findings.extend(creatable(settings, topics, &preflight.cluster));
    }
    findings
}

/// A problem if the missing topics cannot be created.
fn creatable(settings: &KafkaSettings, topics: &Topics, cluster: &Cluster) -> Option<Finding> {
    let missing: Vec<Topic> = cluster
        .survey
        .internal
        .iter()
        .filter(|(_, found)| matches!(found, Ok(None)))
        .map(|(topic, _)| *topic)
        .collect();
    if missing.is_empty() {
        return None;
    }
    let failure = admin::try_to_create(settings, topics, &missing).err()?;
    Some(Finding::problem(&topics.app, reason(&failure)))
}

/// Compares this machine's clock with the timestamps of input records. Kafka has no request for the time, but records
/// carry their producers' or brokers' time.
fn clock(config: &Config, settings: &KafkaSettings, cluster: &Cluster) -> Finding {
    let about = "clock";
    let partitions: Vec<(String, u32)> = cluster
        .inputs
        .iter()
        .filter_map(|(name, found)| Some((name, found.as_ref().ok()?.as_ref()?.partitions)))
        .flat_map(|(name, count)| (0..count).map(move |partition| (name.clone(), partition)))
        .collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
    let ahead_ms = config
        .time
        .max_ahead_ms
        .unwrap_or(0)
        .max(CLOCK_TOLERANCE_MS);
    match admin::newer_than(settings, &partitions, now_ms.saturating_add(ahead_ms)) {
        Ok(newer) => match newer.first() {
            None => Finding::ok(about, "no input record is ahead of this machine's clock"),
            Some((topic, partition)) => Finding::warning(
                about,
                format!(
                    "{topic}/{partition} and {} other partitions have records whose timestamp is ahead of this \
                     machine's clock by more than max_ahead: this clock is behind, and such events become dead letters, \
                     or the producers' clocks are ahead; compare the clocks (timedatectl)",
                    newer.len() - 1
                ),
            ),
        },
        Err(failure) => Finding::warning(about, reason(&failure)),
    }
}
