//! `flockwise reset`: forgets a pipeline's customers and says where its inputs are read from again.

mod target;
mod writing;

use std::thread;
use std::time::{Duration, Instant};

use flockwise_config::Config;
use flockwise_kafka::admin::{self, Bounds, GroupMember};
use flockwise_kafka::{KafkaSettings, admin::Reset};
use flockwise_runtime::topics::{Topic, Topics};

use crate::args::ResetArguments;
use crate::cluster::Cluster;
use crate::connection::{failed, load, settings, settled};
use crate::exit::{Failed, say};
use crate::pinned;
use target::Target;

/// What the brokers may take beyond the session's time-out to notice that a member is gone.
const MARGIN: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_secs(1);

/// Partitions of the inputs and where each is read from again.
pub(crate) type Positions = Vec<(String, u32, i64)>;

pub(crate) fn reset(arguments: &ResetArguments) -> Result<(), Failed> {
    let config = load(&arguments.config)?;
    let target = Target::parse(&arguments.to)?;
    let settings = settings(&config, &format!("{}-reset", config.app))?;
    let cluster = Cluster::look(&config, &settings).map_err(failed)?;
    let topics = sized(&config, &cluster)?;
    let positions = positions(&settings, &cluster, &target)?;
    let remade = remade(arguments.keep_model);
    kept_ones_fit(&topics, &cluster, &remade)?;
    show(&topics, &target, &positions, &remade);
    if !arguments.yes {
        return Err(Failed::wrong(
            "nothing has been changed; with --yes it is done, and cannot be undone",
        ));
    }
    nobody_runs(&settings)?;
    let reset = Reset {
        records: writing::records(
            &config,
            &topics,
            &positions,
            &pinned::of_a_reset(&config, &settings, &topics).map_err(failed)?,
            arguments,
        )?,
        offsets: writing::offsets(&topics, &positions, &remade),
        remade,
    };
    admin::reset(&settings, &topics, &reset).map_err(failed)?;
    // Last of all: without it `run` refuses to start.
    pinned::claim(&config, &settings, &topics).map_err(failed)?;
    say!("done; the next `flockwise run` begins there");
    Ok(())
}

fn sized(config: &Config, cluster: &Cluster) -> Result<Topics, Failed> {
    for (name, found) in &cluster.inputs {
        if !matches!(found, Ok(Some(_))) {
            return Err(Failed::wrong(format!(
                "input {name} is not there or may not be seen; `flockwise check --connect` says more"
            )));
        }
    }
    // What the state was made with goes with it: the configuration alone counts.
    Ok(settled(config, &cluster.input_partitions()))
}

/// State must not be taken from under an instance that is at work. One that was stopped stays a member until its
/// session times out, so that its restart moves nobody's customers: that is waited for.
fn nobody_runs(settings: &KafkaSettings) -> Result<(), Failed> {
    let start = Instant::now();
    let patience = settings.session_timeout() + MARGIN;
    loop {
        let group = admin::group(settings).map_err(failed)?;
        if group.members.is_empty() {
            return Ok(());
        }
        if start.elapsed() > patience {
            return Err(still_there(&settings.group, &group.members));
        }
        tracing::warn!(
            members = group.members.len(),
            "waiting for the group's members to leave; one that was stopped leaves when its session times out"
        );
        thread::sleep(STEP);
    }
}

fn still_there(group: &str, members: &[GroupMember]) -> Failed {
    let name = |member: &GroupMember| format!("{} at {}", member.client_id, member.host);
    let members: Vec<String> = members.iter().map(name).collect();
    Failed::running(format!(
        "group {group} has members ({}): stop every instance first; nothing has been changed",
        members.join(", ")
    ))
}

fn positions(
    settings: &KafkaSettings,
    cluster: &Cluster,
    target: &Target,
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

/// Topics that are made again: all state, and what is on its way.
fn remade(keeps_model: bool) -> Vec<Topic> {
    let mut remade = vec![Topic::Changelog, Topic::Repartition, Topic::Pipeline];
    if !keeps_model {
        remade.extend([Topic::Model, Topic::Samples]);
    }
    remade
}

/// Topics that stay must have room for all tasks.
fn kept_ones_fit(topics: &Topics, cluster: &Cluster, remade: &[Topic]) -> Result<(), Failed> {
    let found = cluster.survey.partitions();
    let few = found
        .iter()
        .find(|(topic, count)| !remade.contains(topic) && *count < topics.partitions(*topic));
    let Some((topic, count)) = few else {
        return Ok(());
    };
    let (name, wanted) = (topics.name(*topic), topics.partitions(*topic));
    Err(Failed::wrong(format!(
        "topic {name} has {count} partitions and is kept, while this configuration needs {wanted}: enlarge it first, with \
         `kafka-topics.sh --alter --topic {name} --partitions {wanted}`"
    )))
}

fn show(topics: &Topics, target: &Target, positions: &Positions, remade: &[Topic]) {
    let names = |wanted: bool| {
        let topics_of = Topics::internal().into_iter();
        let chosen = topics_of.filter(|topic| remade.contains(topic) == wanted);
        let names: Vec<String> = chosen.map(|topic| topics.name(topic)).collect();
        names.join(", ")
    };
    say!("pipeline {} is reset to {target}:", topics.app);
    say!("  deleted and made again: {}", names(true));
    say!("  kept: {}", names(false));
    say!(
        "  forgotten: every customer with features, segment and sequence, which begins again at 1"
    );
    if remade.contains(&Topic::Model) {
        say!("  forgotten: the model; segments are learnt again, and their numbers begin again");
    }
    say!(
        "  told to subscribers: a record \"pipeline.reset\" in each partition of {}",
        topics.name(Topic::SegmentChanges)
    );
    for (topic, partition, offset) in positions {
        say!("  {topic}/{partition} is read from offset {offset}");
    }
}
