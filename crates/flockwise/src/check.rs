//! `flockwise check`: is the configuration valid, and does the cluster fit it?

use flockwise_config::{Config, Problem};
use flockwise_kafka::KafkaSettings;
use flockwise_kafka::admin::{FoundTopic, largest_record_bytes};
use serde::Serialize;
use serde_json::json;

use crate::args::CheckArguments;
use crate::cluster::{Cluster, Found, Standing, State};
use crate::connection::{reason, settings};
use crate::describe;
use crate::exit::Failed;
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
    let config = valid(arguments)?;
    let findings = if arguments.connect {
        connect(&config)
    } else {
        Vec::new()
    };
    if arguments.json {
        let pipeline = describe::json(&config);
        println!(
            "{:#}",
            json!({ "valid": true, "pipeline": pipeline, "findings": findings })
        );
    } else {
        println!(
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

/// The configuration, if it and the model that it names are in order.
fn valid(arguments: &CheckArguments) -> Result<Config, Failed> {
    let config = Config::load(&arguments.config, flockwise_config::environment())
        .map_err(|errors| refused(arguments, errors.problems(), Failed::wrong(&errors)))?;
    pipeline(&config, 1, None).map_err(|failed| {
        let (source, text) = (None, failed.to_string());
        refused(arguments, &[Problem { source, text }], failed)
    })?;
    Ok(config)
}

/// Programs read the problems where they would have read the result.
fn refused(arguments: &CheckArguments, problems: &[Problem], failed: Failed) -> Failed {
    if arguments.json {
        let problem = |problem: &Problem| json!({ "source": problem.source, "text": problem.text });
        let problems: Vec<_> = problems.iter().map(problem).collect();
        println!("{:#}", json!({ "valid": false, "problems": problems }));
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
            println!();
        }
        let verdict = if *ok { "ok" } else { "PROBLEM" };
        println!("{verdict:<8}{about:<width$}  {text}");
    }
}

/// What the brokers have to say.
fn connect(config: &Config) -> Vec<Finding> {
    let settings = settings(config, &format!("{}-check", config.app));
    let servers = &config.kafka.bootstrap_servers;
    let cluster = match Cluster::look(config, &settings) {
        Ok(cluster) => cluster,
        Err(failure) => return vec![Finding::problem("kafka", reason(failure))],
    };
    let mut findings = vec![Finding::ok("kafka", format!("{servers} answers"))];
    findings.extend(
        cluster
            .inputs
            .iter()
            .map(|(name, found)| input(config, &settings, name, found)),
    );
    let Some(topics) = cluster.topics(config) else {
        findings.push(Finding::problem(
            &config.app,
            "the internal topics cannot be looked at before every input is there, since their \
             partitions follow from it",
        ));
        return findings;
    };
    let from = if config.state_partitions.is_some() {
        "as configured"
    } else {
        "from the inputs"
    };
    let partitions = topics.state_partitions;
    findings.push(Finding::ok(
        &config.app,
        format!("{partitions} state partitions, {from}"),
    ));
    findings.extend(cluster.standings(&topics).iter().flat_map(internal));
    findings
}

fn input(config: &Config, settings: &KafkaSettings, name: &str, found: &Found) -> Finding {
    let found = match found {
        Ok(Some(found)) => found,
        Ok(None) => {
            return Finding::problem(
                name,
                "there is no such topic; create it, or correct its name in the configuration",
            );
        }
        Err(failure) => return Finding::problem(name, failure.to_string()),
    };
    let (largest, taken) = (largest_message_bytes(found), largest_record_bytes(settings));
    let partitions = found.partitions;
    match largest {
        Some(largest) if largest > u64::from(taken) => Finding::problem(
            name,
            format!(
                "takes records of up to {largest} bytes, of which those above {taken} could not be passed \
                 on between tasks or kept as dead letters; lower its max.message.bytes, or raise \
                 \"message.max.bytes\" under [kafka.properties] and max.message.bytes of {app}-repartition and \
                 {app}-dead-letters",
                app = config.app
            ),
        ),
        Some(largest) => Finding::ok(
            name,
            format!("{partitions} partitions, records of up to {largest} bytes"),
        ),
        None => Finding::ok(
            name,
            format!("{partitions} partitions; its settings may not be seen"),
        ),
    }
}

fn largest_message_bytes(found: &FoundTopic) -> Option<u64> {
    found
        .settings
        .as_ref()?
        .get("max.message.bytes")?
        .parse()
        .ok()
}

fn internal(standing: &Standing) -> Vec<Finding> {
    let Standing {
        topic,
        state,
        partitions,
        problems,
        ..
    } = standing;
    match state {
        State::Right => vec![Finding::ok(topic, format!("{partitions} partitions"))],
        State::Missing => vec![Finding::ok(
            topic,
            format!("not there yet; `flockwise run` makes it, with {partitions} partitions"),
        )],
        State::Wrong => problems
            .iter()
            .map(|text| Finding::problem(topic, text))
            .collect(),
    }
}
