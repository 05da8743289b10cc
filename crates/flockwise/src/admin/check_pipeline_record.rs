//! The pipeline record. An instance whose configuration does not match it is refused before it joins the group.

use flockwise_codec::pipeline_record::{InputRecord, PipelineRecord};
use flockwise_config::Config;
use flockwise_kafka::{KafkaSettings, KafkaTopicClient};
use flockwise_runtime::broker::{Failure, Start};
use flockwise_runtime::clock::Clock;
use flockwise_runtime::topics::{Topic, Topics};

/// Attempts to write the record while other instances replace it.
const ATTEMPTS: usize = 20;

/// Reads the pipeline record from its topic, which must exist. `None` if no record was written yet.
///
/// # Errors
/// If the record cannot be read or decoded.
pub(crate) fn read(
    config: &Config,
    settings: &KafkaSettings,
) -> Result<Option<PipelineRecord>, Failure> {
    let topics = names(config);
    let mut client = KafkaTopicClient::connect(settings.clone(), topics.clone())?;
    let found = client.pipeline_record()?;
    found.map(|value| decoded(&topics, &value)).transpose()
}

/// The topics, only for their names, which do not depend on the number of tasks.
fn names(config: &Config) -> Topics {
    crate::kafka_settings::pipeline_topics(config, &[])
}

fn decoded(topics: &Topics, value: &[u8]) -> Result<PipelineRecord, Failure> {
    let topic = topics.name(Topic::Pipeline);
    PipelineRecord::decode(value).map_err(|reason| {
        Failure::Config(format!(
            "cannot decode the record on topic {topic}: {reason}"
        ))
    })
}

/// Why this configuration does not match the state; `None` if it does.
pub(crate) fn mismatch(
    config: &Config,
    state_partitions: u32,
    record: &PipelineRecord,
) -> Option<String> {
    let differences = record.differences(&configured(config, state_partitions));
    (!differences.is_empty()).then(|| {
        format!(
            "the state of {} was made with another configuration: {}. Restore the former values, or stop all instances and \
             run `flockwise reset`, which reads the inputs again, or give this configuration another `app`",
            config.app,
            differences.join("; ")
        )
    })
}

fn configured(config: &Config, state_partitions: u32) -> PipelineRecord {
    let plan = config.plan();
    PipelineRecord::new(config.partitioner, state_partitions, &plan)
}

/// What the pipeline record fixes for all instances.
pub(crate) struct Claimed {
    /// Where to start each input's partitions that have no position yet, in the order of the configuration.
    pub(crate) starts: Vec<Vec<Start>>,
    /// Topic id of each input, which these offsets belong to.
    pub(crate) start_ids: Vec<String>,
    /// When the pipeline was first started, milliseconds since the epoch; `None` if the record does not say.
    pub(crate) first_started_ms: Option<i64>,
}

fn first_started(config: &Config, state_partitions: u32) -> PipelineRecord {
    configured(config, state_partitions).started_at(Clock::System.latest_ms())
}

/// Writes the record, or adds new inputs to an existing one.
///
/// # Errors
/// [`Failure::Config`] if another instance has written a record that this configuration does not match.
pub(crate) fn claim(
    config: &Config,
    settings: &KafkaSettings,
    topics: &Topics,
) -> Result<Claimed, Failure> {
    let mut client = KafkaTopicClient::connect(settings.clone(), topics.clone())?;
    for _ in 0..ATTEMPTS {
        let read = client.pipeline_record()?;
        let found = read
            .as_deref()
            .map(|value| decoded(topics, value))
            .transpose()?;
        let found = found.unwrap_or_else(|| first_started(config, topics.state_partitions));
        if let Some(reason) = mismatch(config, topics.state_partitions, &found) {
            return Err(Failure::Config(reason));
        }
        let wanted = with_inputs(found, config, &client)?;
        let value = wanted.encode();
        if read.as_ref() == Some(&value)
            || client.replace_pipeline_record(read.as_deref(), &value)?
        {
            let starts = config
                .inputs
                .iter()
                .map(|input| starts(&wanted, &input.topic));
            let id = |topic: &String| wanted.input(topic).map(|input| input.id.clone());
            let ids = config.inputs.iter();
            let ids = ids.map(|input| id(&input.topic).unwrap_or_default());
            return Ok(Claimed {
                starts: starts.collect(),
                start_ids: ids.collect(),
                first_started_ms: wanted.first_started_ms,
            });
        }
    }
    Err(Failure::Fatal(format!(
        "other instances have replaced the record on topic {} each time this one tried to; start this instance again",
        topics.name(Topic::Pipeline)
    )))
}

/// The pipeline record after a reset. It has no starts, since the tasks have a position in every input partition.
///
/// # Errors
/// If an input cannot be described.
pub(crate) fn after_reset(
    config: &Config,
    settings: &KafkaSettings,
    topics: &Topics,
) -> Result<PipelineRecord, Failure> {
    let client = KafkaTopicClient::connect(settings.clone(), topics.clone())?;
    let mut record = first_started(config, topics.state_partitions);
    for topic in &topics.inputs {
        record.inputs.push(InputRecord {
            topic: topic.clone(),
            id: client.topic_id(topic)?,
            starts: Vec::new(),
        });
    }
    Ok(record)
}

/// The record with every configured input. A topic that was recreated starts at its oldest record, since nothing
/// in it has been read.
fn with_inputs(
    mut record: PipelineRecord,
    config: &Config,
    client: &KafkaTopicClient,
) -> Result<PipelineRecord, Failure> {
    for input in &config.inputs {
        let topic = &input.topic;
        let id = client.topic_id(topic)?;
        let known = record.inputs.iter_mut().find(|known| known.topic == *topic);
        match known {
            Some(known) if known.id == id => {}
            Some(known) => (known.id, known.starts) = (id, Vec::new()),
            None => {
                let starts = client.first_offsets(topic, input.start.into())?;
                let topic = topic.clone();
                record.inputs.push(InputRecord { topic, id, starts });
            }
        }
    }
    Ok(record)
}

fn starts(record: &PipelineRecord, topic: &str) -> Vec<Start> {
    let starts = record.input(topic).map_or(&[][..], |input| &input.starts);
    let start = |offset: &Option<i64>| offset.map_or(Start::Earliest, Start::Offset);
    starts.iter().map(start).collect()
}
