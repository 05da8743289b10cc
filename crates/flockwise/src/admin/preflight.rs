//! The checks of the cluster that `check --connect` and `run` share, so that both refuse the same things.

mod group;
mod missing_permissions;

use std::thread;

use flockwise_codec::decode::LARGEST_EVENT;
use flockwise_config::Config;
use flockwise_kafka::KafkaSettings;
use flockwise_kafka::admin::{
    self, Found, FoundTopic, Permission, largest_record_bytes, lost_state,
};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};

use crate::admin::check_pipeline_record;
use crate::admin::compare_topics::{Cluster, TopicState, TopicStatus};
use crate::admin::finding::Finding;
use crate::kafka_settings::reason;
use missing_permissions::{missing_permissions, needed};

/// The findings, and the topics derived from the cluster.
pub(crate) struct Preflight {
    pub(crate) cluster: Cluster,
    /// The pipeline's topics; `None` if their partition counts depend on an input that does not exist.
    pub(crate) topics: Option<Topics>,
    pub(crate) findings: Vec<Finding>,
}

/// Checks everything on the cluster that a start depends on. Changes nothing.
///
/// # Errors
/// If no broker answers.
pub(crate) fn inspect(config: &Config, settings: &KafkaSettings) -> Result<Preflight, Failure> {
    // In parallel, since each opens its own connection, which takes about 0.1 s.
    let (cluster, transactions) = thread::scope(|scope| {
        let probe = scope.spawn(|| admin::try_transactions(settings));
        let cluster = Cluster::inspect(config, settings);
        (cluster, probe.join())
    });
    let cluster = cluster?;
    let mut findings = vec![brokers(config, settings, cluster.survey.brokers)];
    findings.push(match transactions {
        Ok(Ok(())) => Finding::ok("transactions", "allowed"),
        Ok(Err(failure)) => Finding::problem("transactions", reason(&failure)),
        Err(_) => Finding::problem(
            "transactions",
            "the test transaction panicked; please report this as a bug",
        ),
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
        Some(topics) => own_topics(config, topics, &cluster),
        None => vec![Finding::problem(
            &config.app,
            "cannot check the pipeline's own topics before every input exists: their partition counts \
             depend on the inputs",
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
                "\"message.max.bytes\" under [kafka.properties] is {largest}, expected more than \
                 {LARGEST_EVENT}: an event of that many bytes must fit when it is forwarded to its task; remove the property"
            ),
        );
    }
    if brokers == 1 {
        let text = format!(
            "{servers}: there is only one broker; if its disk fails, customers, model and changes are lost. Use three or more"
        );
        return Finding::warning("kafka", text);
    }
    Finding::ok("kafka", format!("{servers}: {brokers} brokers"))
}

fn input(name: &str, found: &Found) -> Vec<Finding> {
    let found = match found {
        Ok(Some(found)) => found,
        Ok(None) => {
            return vec![Finding::problem(
                name,
                format!(
                    "there is no topic {name}; create it, or correct its name in the configuration (brokers \
                     answer the same to a principal without permission to describe it)"
                ),
            )];
        }
        Err(failure) => return vec![Finding::problem(name, reason(failure))],
    };
    let mut findings = vec![Finding::ok(name, described(found))];
    findings.extend(missing_permissions(
        name,
        &found.rights,
        &[Permission::Read],
    ));
    findings
}

fn described(found: &FoundTopic) -> String {
    let partitions = partitions(found.partitions);
    match largest_message_bytes(found) {
        None => format!("{partitions}; the principal may not read its settings"),
        Some(largest) if largest > LARGEST_EVENT as u64 => format!(
            "{partitions}, records of up to {largest} bytes; events of more than {LARGEST_EVENT} bytes \
             become dead letters"
        ),
        Some(largest) => format!("{partitions}, records of up to {largest} bytes"),
    }
}

fn largest_message_bytes(found: &FoundTopic) -> Option<u64> {
    let bytes = found.settings.as_ref()?.get("max.message.bytes")?;
    bytes.parse().ok()
}

fn own_topics(config: &Config, topics: &Topics, cluster: &Cluster) -> Vec<Finding> {
    let from = match config.state_partitions {
        Some(_) => "as configured",
        None if cluster.record.is_some() => "fixed at the first start",
        None => "derived from the inputs",
    };
    let text = format!("{} state partitions, {from}", topics.state_partitions);
    let mut findings = vec![Finding::ok(&config.app, text)];
    let record = cluster.record.as_ref();
    findings.extend(
        record
            .and_then(|record| {
                check_pipeline_record::mismatch(config, topics.state_partitions, record)
            })
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
                "cannot tell whether this pipeline has run before: {}",
                reason(&failure)
            ),
        )),
    }
    for status in &cluster.statuses(topics) {
        findings.extend(internal(status));
        let found = cluster.survey.internal.iter();
        let found = found.filter(|(topic, _)| *topic == status.kind);
        findings.extend(found.filter_map(|(topic, found)| {
            let rights = &found.as_ref().ok()?.as_ref()?.rights;
            missing_permissions(&status.topic, rights, needed(*topic))
        }));
    }
    findings
}

fn internal(status: &TopicStatus) -> Vec<Finding> {
    let topic = &status.topic;
    let partitions = partitions(status.partitions);
    let mut findings = match status.state {
        TopicState::Correct if status.warnings.is_empty() => vec![Finding::ok(topic, partitions)],
        TopicState::Missing => {
            let text = format!("missing; `flockwise run` creates it with {partitions}");
            vec![Finding::ok(topic, text)]
        }
        TopicState::Correct | TopicState::Wrong => Vec::new(),
    };
    let problems = status.problems.iter();
    findings.extend(problems.map(|text| Finding::problem(topic, text)));
    let warnings = status.warnings.iter();
    findings.extend(warnings.map(|text| Finding::warning(topic, text)));
    findings
}

fn partitions(count: u32) -> String {
    match count {
        1 => "1 partition".to_owned(),
        _ => format!("{count} partitions"),
    }
}
