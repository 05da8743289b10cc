//! `flockwise topics`: compares the internal topics with what they should be, and corrects them.

use std::thread;
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};
use flockwise_config::Config;
use flockwise_kafka::{KafkaSettings, admin};
use flockwise_runtime::topics::Topics;
use serde_json::json;

use crate::admin::compare_topics::{Cluster, TopicState, TopicStatus};
use crate::args::TopicsArguments;
use crate::exit::{Failed, outln};
use crate::kafka_settings::{failed, input_names, load, pipeline_topics, settings};

/// How long to wait until all brokers have the changed settings.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(100);

pub(crate) fn topics(arguments: &TopicsArguments) -> Result<(), Failed> {
    let config = load(&arguments.config)?;
    let settings = settings(&config, &format!("{}-topics", config.app))?;
    let mut cluster = Cluster::inspect(&config, &settings).map_err(failed)?;
    let topics = expected(&config, &settings, &cluster)?;
    if arguments.apply {
        cluster = apply(&config, &settings, &topics)?;
    }
    let statuses = cluster.statuses(&topics);
    if arguments.json {
        outln!("{:#}", json!({ "topics": statuses }));
    } else {
        print(&statuses);
    }
    let wrong = statuses
        .iter()
        .filter(|status| status.state == TopicState::Wrong)
        .count();
    let lost = cluster.survey.remains().map_err(failed)?;
    if let Some(lost) = admin::lost_state(&topics, &lost) {
        return Err(Failed::runtime(lost));
    }
    if wrong == 0 {
        return Ok(());
    }
    let advice = if arguments.apply {
        "the list above says what --apply cannot correct"
    } else {
        "with --apply, missing topics are created and settings corrected"
    };
    Err(Failed::runtime(format!(
        "{wrong} of {} topics are wrong; {advice}",
        statuses.len()
    )))
}

/// Corrects settings, creates missing topics, and waits until the brokers show the changes.
fn apply(config: &Config, settings: &KafkaSettings, topics: &Topics) -> Result<Cluster, Failed> {
    let cluster = Cluster::inspect(config, settings).map_err(failed)?;
    admin::alter_topics(settings, &cluster.alterations(topics)).map_err(failed)?;
    let created = admin::ensure_topics(settings, topics).map_err(failed)?;
    tracing::info!(topics = ?created, "topics created");
    let start = Instant::now();
    loop {
        let cluster = Cluster::inspect(config, settings).map_err(failed)?;
        if cluster.alterations(topics).is_empty() || start.elapsed() > SETTINGS_TIMEOUT {
            return Ok(cluster);
        }
        thread::sleep(STEP);
    }
}

/// The topics as they should be. Fails if their partition counts depend on an input that does not exist.
fn expected(
    config: &Config,
    settings: &KafkaSettings,
    cluster: &Cluster,
) -> Result<Topics, Failed> {
    match cluster.topics(config) {
        Some(topics) => Ok(topics),
        None => {
            let inputs = admin::input_partitions(settings, &input_names(config)).map_err(failed)?;
            Ok(pipeline_topics(config, &inputs))
        }
    }
}

fn print(statuses: &[TopicStatus]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["topic", "partitions", "replicas", "settings", "state"]);
    for status in statuses {
        let replicas = status.replication_found;
        table.add_row([
            status.topic.clone(),
            partitions_text(status.partitions_found, status.partitions),
            replicas.map_or_else(String::new, |count| count.to_string()),
            settings_of(status),
            state_text(status).to_owned(),
        ]);
    }
    outln!("{table}");
    for status in statuses {
        for problem in status.problems.iter().chain(&status.warnings) {
            outln!("{}: {problem}", status.topic);
        }
    }
}

/// The expected number; if another one was found, both.
fn partitions_text(found: Option<u32>, wanted: u32) -> String {
    match found {
        Some(found) if found != wanted => format!("{found}, expected {wanted}"),
        _ => wanted.to_string(),
    }
}

fn settings_of(status: &TopicStatus) -> String {
    let line = |(key, wanted): (&&str, &String)| match status.settings_found.get(key) {
        Some(found) if found != wanted => format!("{key}={found} (default {wanted})"),
        _ => format!("{key}={wanted}"),
    };
    let lines: Vec<String> = status.settings.iter().map(line).collect();
    lines.join("\n")
}

fn state_text(status: &TopicStatus) -> &'static str {
    match status.state {
        TopicState::Correct if status.warnings.is_empty() => "ok",
        TopicState::Correct => "warning, see below",
        TopicState::Missing => "missing",
        TopicState::Wrong => "wrong, see below",
    }
}
