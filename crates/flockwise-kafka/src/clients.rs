//! Making clients, and waiting until a broker answers them.

use std::time::{Duration, Instant};

use flockwise_runtime::broker::Failure;
use flockwise_runtime::pulse::beat;
use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::Metadata;

use crate::events::Events;
use crate::faults;
use crate::persistence::{self, ask_again};
use crate::served::ServedProducer;
use crate::settings::KafkaSettings;

/// How long one question may take before the client's troubles are looked at.
const ATTEMPT: Duration = Duration::from_millis(250);

/// A broker that has just started may refuse good credentials for a moment.
const DOUBT: Duration = Duration::from_secs(2);

/// Makes a consumer.
pub(crate) fn consumer(
    config: &ClientConfig,
    events: Events,
) -> Result<BaseConsumer<Events>, Failure> {
    config
        .create_with_context(events)
        .map_err(|error| faults::plain("making a consumer", &error))
}

/// Makes a producer, with a thread that serves nothing but errors and failed deliveries.
pub(crate) fn producer(config: &ClientConfig, events: Events) -> Result<ServedProducer, Failure> {
    let producer = config
        .create_with_context(events)
        .map_err(|error| faults::plain("making a producer", &error))?;
    ServedProducer::new(producer)
}

/// Waits until a broker answers. Any topic will do to ask for; naming one keeps the answer short.
pub(crate) fn reach<C: ClientContext>(
    client: &Client<C>,
    events: &Events,
    settings: &KafkaSettings,
    topic: &str,
    mut serve: impl FnMut(),
) -> Result<(), Failure> {
    let start = Instant::now();
    let timeout = Duration::from_millis(settings.start_timeout_ms);
    let servers = &settings.bootstrap_servers;
    loop {
        beat();
        if client.fetch_metadata(Some(topic), ATTEMPT).is_ok() {
            events.all_well();
            return Ok(());
        }
        serve();
        let troubles = events.troubles();
        if let Some(refusal) = troubles
            .refused
            .as_ref()
            .filter(|_| start.elapsed() > DOUBT)
        {
            return Err(faults::refused(servers, &refusal.reason));
        }
        if start.elapsed() >= timeout {
            return Err(faults::unreachable(servers, timeout, &troubles));
        }
    }
}

/// Partitions of a topic, from metadata of it.
pub(crate) fn partitions<C: ClientContext>(client: &Client<C>, name: &str) -> Result<u32, Failure> {
    let doing = format!("asking for the partitions of {name}");
    ask_again(|| {
        let metadata = client.fetch_metadata(Some(name), persistence::ATTEMPT);
        partition_count(
            &metadata.map_err(|error| faults::plain(&doing, &error))?,
            name,
        )
    })
}

/// Partitions of a topic within metadata.
pub(crate) fn partition_count(metadata: &Metadata, name: &str) -> Result<u32, Failure> {
    let topic = metadata
        .topics()
        .iter()
        .find(|topic| topic.name() == name)
        .ok_or_else(|| faults::missing_topic(name))?;
    match topic.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            return Err(Failure::Config(format!(
                "no permission to describe topic {name}; give the principal Read and Describe on it"
            )));
        }
        // As while a leader is chosen.
        Some(code) if faults::way_out(code).is_none() && code != RDKafkaErrorCode::InvalidTopic => {
            return Err(Failure::Fatal(format!("metadata of topic {name}: {code}")));
        }
        Some(_) => return Err(faults::missing_topic(name)),
    }
    match u32::try_from(topic.partitions().len()) {
        Ok(0) | Err(_) => Err(faults::missing_topic(name)),
        Ok(count) => Ok(count),
    }
}
