//! `flockwise topics`: the internal topics as they are and as they should be.

use comfy_table::{Table, presets};
use flockwise_config::Config;
use flockwise_kafka::{KafkaSettings, admin};
use flockwise_runtime::topics::Topics;
use serde_json::json;

use crate::args::TopicsArguments;
use crate::cluster::{Cluster, Standing, State};
use crate::connection::{failed, input_names, load, settings, settled};
use crate::exit::{Failed, say};

pub(crate) fn topics(arguments: &TopicsArguments) -> Result<(), Failed> {
    let config = load(&arguments.config)?;
    let settings = settings(&config, &format!("{}-topics", config.app))?;
    let topics = expected(&config, &settings)?;
    if arguments.apply {
        let made = admin::ensure_topics(&settings, &topics).map_err(failed)?;
        tracing::info!(topics = ?made, "made");
    }
    let cluster = Cluster::look(&config, &settings).map_err(failed)?;
    let standings = cluster.standings(&topics);
    if arguments.json {
        say!("{:#}", json!({ "topics": standings }));
    } else {
        print(&standings);
    }
    let wrong = standings
        .iter()
        .filter(|standing| standing.state != State::Right)
        .count();
    if arguments.apply && wrong > 0 {
        return Err(Failed::running(format!(
            "{wrong} of {} topics differ from what they should be; --apply only makes missing ones",
            standings.len()
        )));
    }
    Ok(())
}

/// The topics as they should be; the inputs are asked only where they decide on it.
fn expected(config: &Config, settings: &KafkaSettings) -> Result<Topics, Failed> {
    let inputs = match config.state_partitions {
        Some(_) => Vec::new(),
        None => admin::input_partitions(settings, &input_names(config)).map_err(failed)?,
    };
    Ok(settled(config, &inputs))
}

fn print(standings: &[Standing]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["topic", "partitions", "settings", "state"]);
    for standing in standings {
        let settings: Vec<String> = standing
            .settings
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        table.add_row([
            standing.topic.clone(),
            standing.partitions.to_string(),
            settings.join(" "),
            state(standing.state).to_owned(),
        ]);
    }
    say!("{table}");
    for standing in standings {
        for problem in &standing.problems {
            say!("{}: {problem}", standing.topic);
        }
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Right => "right",
        State::Missing => "missing",
        State::Wrong => "wrong, see below",
    }
}
