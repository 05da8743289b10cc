//! What `check --connect` reports and `run` refuses to start with: one look for both, so that they agree.

use std::thread;

use flockwise_codec::decode::LARGEST_EVENT;
use flockwise_config::Config;
use flockwise_kafka::KafkaSettings;
use flockwise_kafka::admin::{
    self, Found, FoundTopic, Permission, Permissions, lacking, largest_record_bytes, lost_state,
};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};

use crate::cluster::{Cluster, Standing, State};
use crate::connection::reason;
use crate::finding::Finding;
use crate::pinned;

mod group;

/// What was found, and the topics that follow from it.
pub(crate) struct Preflight {
    pub(crate) cluster: Cluster,
    /// The pipeline's topics; `None` where their sizes follow from an input that is not there.
    pub(crate) topics: Option<Topics>,
    pub(crate) findings: Vec<Finding>,
}

/// Looks at everything that a start depends on, and changes nothing.
///
/// # Errors
/// Where no broker answers.
pub(crate) fn look(config: &Config, settings: &KafkaSettings) -> Result<Preflight, Failure> {
    // Both take a connection of their own, and so a tenth of a second.
    let (cluster, transactions) = thread::scope(|scope| {
        let probe = scope.spawn(|| admin::try_transactions(settings));
        let cluster = Cluster::look(config, settings);
        (cluster, probe.join())
    });
    let cluster = cluster?;
    let mut findings = vec![brokers(config, settings, cluster.survey.brokers)];
    findings.push(match transactions {
        Ok(Ok(())) => Finding::ok("transactions", "allowed"),
        Ok(Err(failure)) => Finding::problem("transactions", reason(&failure)),
        Err(_) => Finding::problem("transactions", "trying one panicked; please report it"),
    });
    findings.extend(group::findings(
        &config.app,
        settings,
        &cluster.survey.group,
    ));
    let inputs = cluster.inputs.iter();
    findings.extend(inputs.flat_map(|(name, found)| input(name, found)));
    let topics = cluster.topics(config);
    findings.extend(match &topics {
        Some(topics) => ours(config, topics, &cluster),
        None => vec![Finding::problem(
            &config.app,
            "the internal topics cannot be looked at before every input is there, since their \
             partitions follow from it",
        )],
    });
    Ok(Preflight {
        cluster,
        topics,
        findings,
    })
}

fn brokers(config: &Config, settings: &KafkaSettings, brokers: u32) -> Finding {
    let largest = largest_record_bytes(settings);
    let servers = &config.kafka.bootstrap_servers;
    if largest as usize <= LARGEST_EVENT {
        return Finding::misconfigured(
            "kafka",
            format!(
                "\"message.max.bytes\" under [kafka.properties] is {largest}, so that an event of up to \
                 {LARGEST_EVENT} bytes could not be passed on between tasks; leave it out"
            ),
        );
    }
    if brokers == 1 {
        let text = format!(
            "{servers} answers; it is the only broker: customers, model and changes are lost with its disk"
        );
        return Finding::warning("kafka", text);
    }
    Finding::ok("kafka", format!("{servers} answers, {brokers} brokers"))
}

fn input(name: &str, found: &Found) -> Vec<Finding> {
    let found = match found {
        Ok(Some(found)) => found,
        Ok(None) => {
            return vec![Finding::problem(
                name,
                format!(
                    "there is no topic {name}; create it, or correct its name in the configuration (a \
                     principal without permission to describe a topic is told the same)"
                ),
            )];
        }
        Err(failure) => return vec![Finding::problem(name, reason(failure))],
    };
    let mut findings = vec![Finding::ok(name, described(found))];
    findings.extend(forbidden(name, &found.rights, &[Permission::Read]));
    findings
}

fn described(found: &FoundTopic) -> String {
    let partitions = partitions(found.partitions);
    match largest_message_bytes(found) {
        None => format!("{partitions}; its settings may not be seen"),
        Some(largest) if largest > LARGEST_EVENT as u64 => format!(
            "{partitions}, records of up to {largest} bytes, of which those above {LARGEST_EVENT} go to \
             the dead letters"
        ),
        Some(largest) => format!("{partitions}, records of up to {largest} bytes"),
    }
}

fn largest_message_bytes(found: &FoundTopic) -> Option<u64> {
    let bytes = found.settings.as_ref()?.get("max.message.bytes")?;
    bytes.parse().ok()
}

/// What is lacking of the rights to something.
fn forbidden(about: &str, rights: &Permissions, needed: &[Permission]) -> Option<Finding> {
    let lacking: Vec<String> = lacking(rights, needed)
        .iter()
        .map(Permission::to_string)
        .collect();
    (!lacking.is_empty()).then(|| {
        let text = format!(
            "the principal lacks {} on it; `flockwise check --acls` prints all that is needed",
            lacking.join(" and ")
        );
        Finding::problem(about, text)
    })
}

/// What a pipeline does with an internal topic.
fn needed(topic: Topic) -> &'static [Permission] {
    match topic {
        // Without Delete what is processed would stay, and fill the disk.
        Topic::Repartition => &[Permission::Read, Permission::Write, Permission::Delete],
        Topic::Samples | Topic::Model | Topic::Changelog | Topic::Pipeline => {
            &[Permission::Read, Permission::Write]
        }
        Topic::Lineage | Topic::SegmentChanges | Topic::DeadLetters => &[Permission::Write],
        Topic::Input(_) => &[Permission::Read],
    }
}

fn ours(config: &Config, topics: &Topics, cluster: &Cluster) -> Vec<Finding> {
    let from = match config.state_partitions {
        Some(_) => "as configured",
        None if cluster.record.is_some() => "as at first start",
        None => "from the inputs",
    };
    let text = format!("{} state partitions, {from}", topics.state_partitions);
    let mut findings = vec![Finding::ok(&config.app, text)];
    let record = cluster.record.as_ref();
    findings.extend(
        record
            .and_then(|record| pinned::mismatch(config, topics.state_partitions, record))
            .map(|reason| Finding::misconfigured(&config.app, reason)),
    );
    match cluster.survey.remains() {
        Ok(remains) => findings.extend(
            lost_state(topics, &remains)
                .map(|text| Finding::problem(&topics.name(Topic::Changelog), text)),
        ),
        Err(failure) => findings.push(Finding::warning(
            &config.app,
            format!(
                "it cannot be seen whether this pipeline has worked before: {}",
                reason(&failure)
            ),
        )),
    }
    for standing in &cluster.standings(topics) {
        findings.extend(internal(standing));
        let found = cluster.survey.internal.iter();
        let found = found.filter(|(topic, _)| *topic == standing.kind);
        findings.extend(found.filter_map(|(topic, found)| {
            let rights = &found.as_ref().ok()?.as_ref()?.rights;
            forbidden(&standing.topic, rights, needed(*topic))
        }));
    }
    findings
}

fn internal(standing: &Standing) -> Vec<Finding> {
    let topic = &standing.topic;
    let partitions = partitions(standing.partitions);
    let mut findings = match standing.state {
        State::Right if standing.warnings.is_empty() => vec![Finding::ok(topic, partitions)],
        State::Missing => {
            let text = format!("not there yet; `flockwise run` makes it, with {partitions}");
            vec![Finding::ok(topic, text)]
        }
        State::Right | State::Wrong => Vec::new(),
    };
    let problems = standing.problems.iter();
    findings.extend(problems.map(|text| Finding::problem(topic, text)));
    let warnings = standing.warnings.iter();
    findings.extend(warnings.map(|text| Finding::warning(topic, text)));
    findings
}

fn partitions(count: u32) -> String {
    match count {
        1 => "1 partition".to_owned(),
        _ => format!("{count} partitions"),
    }
}
