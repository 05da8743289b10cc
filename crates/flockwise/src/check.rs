//! `flockwise check`: is the configuration valid, and does the cluster fit it?

use flockwise_codec::decode::LARGEST_EVENT;
use flockwise_config::{Config, Problem};
use flockwise_kafka::KafkaSettings;
use flockwise_kafka::admin::{Found, FoundTopic, largest_record_bytes};
use serde::Serialize;
use serde_json::json;

use crate::args::CheckArguments;
use crate::cluster::{Cluster, Standing, State};
use crate::connection::{reason, settings};
use crate::describe;
use crate::exit::{Failed, say};
use crate::pipeline::pipeline;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    ok: bool,
    /// A topic, or `kafka`.
    about: String,
    /// What was found, and where it is a problem, what to do.
    text: String,
}

impl Finding {
    fn ok(about: &str, text: impl Into<String>) -> Self {
        Self {
            ok: true,
            about: about.to_owned(),
            text: text.into(),
        }
    }

    fn problem(about: &str, text: impl Into<String>) -> Self {
        Self {
            ok: false,
            about: about.to_owned(),
            text: text.into(),
        }
    }
}

pub(crate) fn check(arguments: &CheckArguments) -> Result<(), Failed> {
    let (config, settings) = valid(arguments)?;
    let findings = if arguments.connect {
        connect(&config, &settings)
    } else {
        Vec::new()
    };
    if arguments.json {
        let pipeline = describe::json(&config);
        say!(
            "{:#}",
            json!({ "valid": true, "pipeline": pipeline, "findings": findings })
        );
    } else {
        say!(
            "{} is valid: pipeline {}\n",
            arguments.config.display(),
            config.app
        );
        print!("{}", describe::text(&config));
        print(&findings);
    }
    match findings.iter().filter(|finding| !finding.ok).count() {
        0 => Ok(()),
        1 => Err(Failed::running(
            "the cluster does not fit the configuration: there is a problem",
        )),
        problems => Err(Failed::running(format!(
            "the cluster does not fit the configuration: there are {problems} problems"
        ))),
    }
}

/// The configuration and its settings for Kafka, if these and the model that it names are in order.
fn valid(arguments: &CheckArguments) -> Result<(Config, KafkaSettings), Failed> {
    let config = Config::load(&arguments.config, flockwise_config::environment())
        .map_err(|errors| refused(arguments, errors.problems(), Failed::wrong(&errors)))?;
    let settings = settings(&config, &format!("{}-check", config.app));
    let sound = settings.and_then(|settings| pipeline(&config, 1, None).map(|_| settings));
    let settings = sound.map_err(|failed| {
        let (source, text) = (None, failed.to_string());
        refused(arguments, &[Problem { source, text }], failed)
    })?;
    Ok((config, settings))
}

/// Programs read the problems where they would have read the result.
fn refused(arguments: &CheckArguments, problems: &[Problem], failed: Failed) -> Failed {
    if arguments.json {
        let problem = |problem: &Problem| json!({ "source": problem.source, "text": problem.text });
        let problems: Vec<_> = problems.iter().map(problem).collect();
        say!("{:#}", json!({ "valid": false, "problems": problems }));
    }
    failed
}

fn print(findings: &[Finding]) {
    let width = findings
        .iter()
        .map(|finding| finding.about.chars().count())
        .max()
        .unwrap_or(0);
    for (index, Finding { ok, about, text }) in findings.iter().enumerate() {
        if index == 0 {
            say!("");
        }
        let verdict = if *ok { "ok" } else { "PROBLEM" };
        say!("{verdict:<8}{about:<width$}  {text}");
    }
}

/// What the brokers have to say.
fn connect(config: &Config, settings: &KafkaSettings) -> Vec<Finding> {
    let cluster = match Cluster::look(config, settings) {
        Ok(cluster) => cluster,
        Err(failure) => return vec![Finding::problem("kafka", reason(&failure))],
    };
    let mut findings = vec![answers(config, settings)];
    findings.extend(
        cluster
            .inputs
            .iter()
            .map(|(name, found)| input(name, found)),
    );
    let Some(topics) = cluster.topics(config) else {
        findings.push(Finding::problem(
            &config.app,
            "the internal topics cannot be looked at before every input is there, since their \
             partitions follow from it",
        ));
        return findings;
    };
    let from = match config.state_partitions {
        Some(_) => "as configured",
        None => "from the inputs",
    };
    let text = format!("{} state partitions, {from}", topics.state_partitions);
    findings.push(Finding::ok(&config.app, text));
    findings.extend(cluster.standings(&topics).iter().flat_map(internal));
    findings
}

fn answers(config: &Config, settings: &KafkaSettings) -> Finding {
    let largest = largest_record_bytes(settings);
    if largest as usize > LARGEST_EVENT {
        return Finding::ok(
            "kafka",
            format!("{} answers", config.kafka.bootstrap_servers),
        );
    }
    Finding::problem(
        "kafka",
        format!(
            "\"message.max.bytes\" under [kafka.properties] is {largest}, so that an event of up to \
             {LARGEST_EVENT} bytes could not be passed on between tasks; leave it out"
        ),
    )
}

fn input(name: &str, found: &Found) -> Finding {
    let found = match found {
        Ok(Some(found)) => found,
        Ok(None) => {
            return Finding::problem(
                name,
                "there is no such topic; create it, or correct its name in the configuration",
            );
        }
        Err(failure) => return Finding::problem(name, reason(failure)),
    };
    let partitions = partitions(found.partitions);
    let text = match largest_message_bytes(found) {
        None => format!("{partitions}; its settings may not be seen"),
        Some(largest) if largest > LARGEST_EVENT as u64 => format!(
            "{partitions}, records of up to {largest} bytes, of which those above {LARGEST_EVENT} go to \
             the dead letters"
        ),
        Some(largest) => format!("{partitions}, records of up to {largest} bytes"),
    };
    Finding::ok(name, text)
}

fn largest_message_bytes(found: &FoundTopic) -> Option<u64> {
    let bytes = found.settings.as_ref()?.get("max.message.bytes")?;
    bytes.parse().ok()
}

fn internal(standing: &Standing) -> Vec<Finding> {
    let Standing {
        topic,
        state,
        problems,
        ..
    } = standing;
    let partitions = partitions(standing.partitions);
    match state {
        State::Right => vec![Finding::ok(topic, partitions)],
        State::Missing => {
            let text = format!("not there yet; `flockwise run` makes it, with {partitions}");
            vec![Finding::ok(topic, text)]
        }
        State::Wrong => problems
            .iter()
            .map(|text| Finding::problem(topic, text))
            .collect(),
    }
}

fn partitions(count: u32) -> String {
    match count {
        1 => "1 partition".to_owned(),
        _ => format!("{count} partitions"),
    }
}
