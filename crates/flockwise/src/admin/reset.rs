//! `flockwise reset`: deletes a pipeline's state and sets the positions that its inputs are read from again.

mod parse_target;
mod written_positions;

use std::thread;
use std::time::{Duration, Instant};

use flockwise_config::Config;
use flockwise_kafka::admin::{self, Bounds, GroupMember};
use flockwise_kafka::{KafkaSettings, admin::Reset};
use flockwise_runtime::topics::{Topic, Topics};

use crate::admin::check_pipeline_record;
use crate::admin::compare_topics::Cluster;
use crate::args::ResetArguments;
use crate::exit::{Failed, outln};
use crate::kafka_settings::{failed, load, pipeline_topics, settings};
use parse_target::{Positions, ResetTarget};

/// How long beyond the session timeout brokers may take to notice that a member is gone.
const SESSION_MARGIN: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_secs(1);

pub(crate) fn reset(arguments: &ResetArguments) -> Result<(), Failed> {
    let config = load(&arguments.config)?;
    let target = ResetTarget::parse(&arguments.to)?;
    let settings = settings(&config, &format!("{}-reset", config.app))?;
    let cluster = Cluster::inspect(&config, &settings).map_err(failed)?;
    let topics = expected_topics(&config, &cluster)?;
    let positions = positions(&settings, &cluster, &target)?;
    let remade = remade(arguments.keep_model);
    check_kept_topics(&topics, &cluster, &remade)?;
    show(&topics, &target, &positions, &remade);
    if !arguments.yes {
        return Err(Failed::invalid(
            "nothing has been changed; add --yes to carry out the reset, which cannot be undone",
        ));
    }
    wait_for_empty_group(&settings)?;
    let reset = Reset {
        records: written_positions::records(
            &config,
            &topics,
            &positions,
            &check_pipeline_record::after_reset(&config, &settings, &topics).map_err(failed)?,
            arguments,
        )?,
        offsets: written_positions::offsets(&topics, &positions, &remade),
        remade,
    };
    admin::reset(&settings, &topics, &reset).map_err(failed)?;
    // Last, since `run` refuses to start without the record.
    check_pipeline_record::claim(&config, &settings, &topics).map_err(failed)?;
    outln!("done; the next `flockwise run` starts from these offsets");
    Ok(())
}

fn expected_topics(config: &Config, cluster: &Cluster) -> Result<Topics, Failed> {
    for (name, found) in &cluster.inputs {
        if !matches!(found, Ok(Some(_))) {
            return Err(Failed::invalid(format!(
                "input {name} does not exist, or the principal may not describe it; `flockwise check --connect` says more"
            )));
        }
    }
    // The pipeline record is deleted with the state, so only the configuration counts.
    Ok(pipeline_topics(config, &cluster.input_partitions()))
}

/// Waits until the group has no members, since the state of a running instance must not be deleted. A stopped instance
/// stays a member until its session times out, so that a restart causes no rebalance.
fn wait_for_empty_group(settings: &KafkaSettings) -> Result<(), Failed> {
    let start = Instant::now();
    let patience = settings.session_timeout() + SESSION_MARGIN;
    loop {
        let group = admin::group(settings).map_err(failed)?;
        if group.members.is_empty() {
            return Ok(());
        }
        if start.elapsed() > patience {
            return Err(group_not_empty(&settings.group, &group.members));
        }
        tracing::warn!(
            members = group.members.len(),
            "waiting for members to leave the group; a stopped instance leaves when its session times out"
        );
        thread::sleep(STEP);
    }
}

fn group_not_empty(group: &str, members: &[GroupMember]) -> Failed {
    let name = |member: &GroupMember| format!("{} at {}", member.client_id, member.host);
    let members: Vec<String> = members.iter().map(name).collect();
    Failed::runtime(format!(
        "group {group} has members ({}): stop every instance first; nothing has been changed",
        members.join(", ")
    ))
}

fn positions(
    settings: &KafkaSettings,
    cluster: &Cluster,
    target: &ResetTarget,
) -> Result<Positions, Failed> {
    let partitions: Vec<(String, u32)> = cluster
        .inputs
        .iter()
        .zip(cluster.input_partitions())
        .flat_map(|((name, _), count)| (0..count).map(move |partition| (name.clone(), partition)))
        .collect();
    let bounds: Vec<Bounds> =
        admin::bounds(settings, &partitions, target.time_ms()).map_err(failed)?;
    target.positions(&partitions, &bounds)
}

/// Topics that are deleted and recreated: all state, and forwarded events.
fn remade(keeps_model: bool) -> Vec<Topic> {
    let mut remade = vec![
        Topic::Changelog,
        Topic::Repartition,
        Topic::Summaries,
        Topic::Pipeline,
    ];
    if !keeps_model {
        remade.extend([Topic::Model, Topic::Samples]);
    }
    remade
}

/// Checks that the topics that are kept have enough partitions for all tasks.
fn check_kept_topics(topics: &Topics, cluster: &Cluster, remade: &[Topic]) -> Result<(), Failed> {
    let found = cluster.survey.partitions();
    let few = found
        .iter()
        .find(|(topic, count)| !remade.contains(topic) && *count < topics.partitions(*topic));
    let Some((topic, count)) = few else {
        return Ok(());
    };
    let (name, wanted) = (topics.name(*topic), topics.partitions(*topic));
    Err(Failed::invalid(format!(
        "topic {name} is kept and has {count} partitions, but this configuration needs {wanted}: first add partitions with \
         `kafka-topics.sh --alter --topic {name} --partitions {wanted}`"
    )))
}

fn show(topics: &Topics, target: &ResetTarget, positions: &Positions, remade: &[Topic]) {
    let names = |wanted: bool| {
        let topics_of = Topics::internal().into_iter();
        let chosen = topics_of.filter(|topic| remade.contains(topic) == wanted);
        let names: Vec<String> = chosen.map(|topic| topics.name(topic)).collect();
        names.join(", ")
    };
    outln!("reset of pipeline {} to {target}:", topics.app);
    outln!("  deleted and recreated: {}", names(true));
    outln!("  kept: {}", names(false));
    outln!(
        "  lost: the features, segment and sequence of every customer; sequences start again at 1"
    );
    if remade.contains(&Topic::Model) {
        outln!("  lost: the model; segments are learnt again, and their ids start again");
    }
    outln!(
        "  published: a record \"pipeline.reset\" in each partition of {}",
        topics.name(Topic::SegmentChanges)
    );
    for (topic, partition, offset) in positions {
        outln!("  {topic}/{partition} is read from offset {offset}");
    }
}
