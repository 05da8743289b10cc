//! The pipeline record: an instance that is configured otherwise than the state was made is refused before it
//! joins the group.

use flockwise_codec::pipeline::{InputRecord, PipelineRecord};
use flockwise_config::Config;
use flockwise_core::plan::Plan;
use flockwise_kafka::{KafkaSettings, KafkaTopicClient};
use flockwise_runtime::broker::{Failure, Start};
use flockwise_runtime::clock::Clock;
use flockwise_runtime::topics::{Topic, Topics};

/// How often an instance tries to write the record while others do.
const ATTEMPTS: usize = 20;

/// Reads the record of a pipeline whose topic for it is there; `None` where none was written yet.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn read(
    config: &Config,
    settings: &KafkaSettings,
) -> Result<Option<PipelineRecord>, Failure> {
    let topics = names(config);
    let mut visitor = KafkaTopicClient::connect(settings.clone(), topics.clone())?;
    let found = visitor.pipeline_record()?;
    found.map(|value| decoded(&topics, &value)).transpose()
}

/// The names alone, which do not depend on the number of tasks.
fn names(config: &Config) -> Topics {
    crate::connection::settled(config, &[])
}

fn decoded(topics: &Topics, value: &[u8]) -> Result<PipelineRecord, Failure> {
    let topic = topics.name(Topic::Pipeline);
    PipelineRecord::decode(value)
        .map_err(|reason| Failure::Config(format!("the record on topic {topic}: {reason}")))
}

/// Why this configuration must not work on the state; `None` where it may.
pub(crate) fn mismatch(
    config: &Config,
    state_partitions: u32,
    record: &PipelineRecord,
) -> Option<String> {
    let differences = record.differences(&configured(config, state_partitions));
    (!differences.is_empty()).then(|| {
        format!(
            "the state of {} was made with another configuration: {}. Bring the former values back; or stop all instances \
             and run `flockwise reset`, which reads the inputs again; or give this configuration an `app` of its own",
            config.app,
            differences.join("; ")
        )
    })
}

fn configured(config: &Config, state_partitions: u32) -> PipelineRecord {
    let plan = Plan::compile(&config.features);
    PipelineRecord::new(config.partitioner, state_partitions, &plan)
}

/// What the pipeline record settles for every instance.
pub(crate) struct Claimed {
    /// Where the partitions of each input begin that have not been read before, in the order of the configuration.
    pub(crate) starts: Vec<Vec<Start>>,
    /// Ids of the topics that these are offsets of.
    pub(crate) start_ids: Vec<String>,
    /// When the pipeline was first started, milliseconds since the epoch, where that is known.
    pub(crate) first_started_ms: Option<i64>,
}

fn first_started(config: &Config, state_partitions: u32) -> PipelineRecord {
    configured(config, state_partitions).started_at(Clock::System.latest_ms())
}

/// Writes the record, or adds inputs that are new to it.
///
/// # Errors
/// [`Failure::Config`] where another instance has meanwhile written a record that this configuration does not fit.
pub(crate) fn claim(
    config: &Config,
    settings: &KafkaSettings,
    topics: &Topics,
) -> Result<Claimed, Failure> {
    let mut visitor = KafkaTopicClient::connect(settings.clone(), topics.clone())?;
    for _ in 0..ATTEMPTS {
        let read = visitor.pipeline_record()?;
        let found = read
            .as_deref()
            .map(|value| decoded(topics, value))
            .transpose()?;
        let found = found.unwrap_or_else(|| first_started(config, topics.state_partitions));
        if let Some(reason) = mismatch(config, topics.state_partitions, &found) {
            return Err(Failure::Config(reason));
        }
        let wanted = with_inputs(found, config, &visitor)?;
        let value = wanted.encode();
        if read.as_ref() == Some(&value)
            || visitor.replace_pipeline_record(read.as_deref(), &value)?
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
        "other instances keep writing to topic {}",
        topics.name(Topic::Pipeline)
    )))
}

/// The record of a pipeline that is reset: tasks have positions in every partition that its inputs have now.
///
/// # Errors
/// Where an input cannot be described.
pub(crate) fn of_a_reset(
    config: &Config,
    settings: &KafkaSettings,
    topics: &Topics,
) -> Result<PipelineRecord, Failure> {
    let visitor = KafkaTopicClient::connect(settings.clone(), topics.clone())?;
    let mut record = first_started(config, topics.state_partitions);
    for topic in &topics.inputs {
        record.inputs.push(InputRecord {
            topic: topic.clone(),
            id: visitor.topic_id(topic)?,
            starts: Vec::new(),
        });
    }
    Ok(record)
}

/// The record with every configured input. A topic that was recreated begins at its oldest record: nothing in
/// it has been read.
fn with_inputs(
    mut record: PipelineRecord,
    config: &Config,
    visitor: &KafkaTopicClient,
) -> Result<PipelineRecord, Failure> {
    for input in &config.inputs {
        let topic = &input.topic;
        let id = visitor.topic_id(topic)?;
        let known = record.inputs.iter_mut().find(|known| known.topic == *topic);
        match known {
            Some(known) if known.id == id => {}
            Some(known) => (known.id, known.starts) = (id, Vec::new()),
            None => {
                let starts = visitor.first_offsets(topic, input.start.into())?;
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
