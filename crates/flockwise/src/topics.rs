//! `flockwise topics`: the internal topics as they are and as they should be.

use std::thread;
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};
use flockwise_config::Config;
use flockwise_kafka::{KafkaSettings, admin};
use flockwise_runtime::topics::Topics;
use serde_json::json;

use crate::args::TopicsArguments;
use crate::cluster::{Cluster, Standing, State};
use crate::connection::{failed, input_names, load, settings, settled};
use crate::exit::{Failed, say};

/// How long brokers may take to tell each other of settings that have changed.
const SETTLED: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(100);

pub(crate) fn topics(arguments: &TopicsArguments) -> Result<(), Failed> {
    let config = load(&arguments.config)?;
    let settings = settings(&config, &format!("{}-topics", config.app))?;
    let mut cluster = Cluster::look(&config, &settings).map_err(failed)?;
    let topics = expected(&config, &settings, &cluster)?;
    if arguments.apply {
        cluster = apply(&config, &settings, &topics)?;
    }
    let standings = cluster.standings(&topics);
    if arguments.json {
        say!("{:#}", json!({ "topics": standings }));
    } else {
        print(&standings);
    }
    let wrong = standings
        .iter()
        .filter(|standing| standing.state == State::Wrong)
        .count();
    let lost = cluster.survey.remains().map_err(failed)?;
    if let Some(lost) = admin::lost_state(&topics, &lost) {
        return Err(Failed::running(lost));
    }
    if wrong == 0 {
        return Ok(());
    }
    let way_out = if arguments.apply {
        "see above for what --apply cannot mend"
    } else {
        "--apply makes missing topics and mends settings"
    };
    Err(Failed::running(format!(
        "{wrong} of {} topics are not as they should be; {way_out}",
        standings.len()
    )))
}

/// Makes what is missing, mends settings, and waits until the brokers show it.
fn apply(config: &Config, settings: &KafkaSettings, topics: &Topics) -> Result<Cluster, Failed> {
    let cluster = Cluster::look(config, settings).map_err(failed)?;
    admin::alter_topics(settings, &cluster.alterations(topics)).map_err(failed)?;
    let made = admin::ensure_topics(settings, topics).map_err(failed)?;
    tracing::info!(topics = ?made, "made");
    let start = Instant::now();
    loop {
        let cluster = Cluster::look(config, settings).map_err(failed)?;
        if cluster.alterations(topics).is_empty() || start.elapsed() > SETTLED {
            return Ok(cluster);
        }
        thread::sleep(STEP);
    }
}

/// The topics as they should be; an input that decides on it must be there.
fn expected(
    config: &Config,
    settings: &KafkaSettings,
    cluster: &Cluster,
) -> Result<Topics, Failed> {
    match cluster.topics(config) {
        Some(topics) => Ok(topics),
        None => {
            let inputs = admin::input_partitions(settings, &input_names(config)).map_err(failed)?;
            Ok(settled(config, &inputs))
        }
    }
}

fn print(standings: &[Standing]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["topic", "partitions", "replicas", "settings", "state"]);
    for standing in standings {
        let replicas = standing.replication_found;
        table.add_row([
            standing.topic.clone(),
            against(standing.partitions_found, standing.partitions),
            replicas.map_or_else(String::new, |count| count.to_string()),
            settings_of(standing),
            state(standing).to_owned(),
        ]);
    }
    say!("{table}");
    for standing in standings {
        for problem in standing.problems.iter().chain(&standing.warnings) {
            say!("{}: {problem}", standing.topic);
        }
    }
}

/// What is there, and where that differs, what should be.
fn against(found: Option<u32>, wanted: u32) -> String {
    match found {
        Some(found) if found != wanted => format!("{found}, not {wanted}"),
        _ => wanted.to_string(),
    }
}

fn settings_of(standing: &Standing) -> String {
    let line = |(key, wanted): (&&str, &String)| match standing.settings_found.get(key) {
        Some(found) if found != wanted => format!("{key}={found} (made with {wanted})"),
        _ => format!("{key}={wanted}"),
    };
    let lines: Vec<String> = standing.settings.iter().map(line).collect();
    lines.join("\n")
}

fn state(standing: &Standing) -> &'static str {
    match standing.state {
        State::Right if standing.warnings.is_empty() => "right",
        State::Right => "warning, see below",
        State::Missing => "missing",
        State::Wrong => "wrong, see below",
    }
}
