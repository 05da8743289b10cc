//! Creates clients, and waits until a broker answers them.

use std::time::{Duration, Instant};

use flockwise_runtime::broker::Failure;
use flockwise_runtime::heartbeat::beat;
use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::Metadata;

use crate::classify_error;
use crate::client_context::KafkaContext;
use crate::polled_producer::PolledProducer;
use crate::retry::{self, retry_query};
use crate::settings::KafkaSettings;

/// How long one request may take before the client's errors are checked.
const METADATA_TIMEOUT: Duration = Duration::from_millis(250);

/// Refused credentials are tolerated for this long: a broker that has just started may refuse good ones.
const REFUSAL_GRACE: Duration = Duration::from_secs(2);

/// Creates a consumer.
pub(crate) fn consumer(
    config: &ClientConfig,
    context: KafkaContext,
) -> Result<BaseConsumer<KafkaContext>, Failure> {
    config
        .create_with_context(context)
        .map_err(|error| classify_error::plain("creating a consumer", &error))
}

/// Creates a producer, with a thread that serves only errors and failed deliveries.
pub(crate) fn producer(
    config: &ClientConfig,
    context: KafkaContext,
) -> Result<PolledProducer, Failure> {
    let producer = config
        .create_with_context(context)
        .map_err(|error| classify_error::plain("creating a producer", &error))?;
    PolledProducer::new(producer)
}

/// Waits until a broker answers a request for the metadata of `topic`: any name, which keeps the answer short.
pub(crate) fn reach<C: ClientContext>(
    client: &Client<C>,
    context: &KafkaContext,
    settings: &KafkaSettings,
    topic: &str,
    mut serve: impl FnMut(),
) -> Result<(), Failure> {
    let start = Instant::now();
    let timeout = Duration::from_millis(settings.start_timeout_ms);
    let servers = &settings.bootstrap_servers;
    loop {
        beat();
        if client.fetch_metadata(Some(topic), METADATA_TIMEOUT).is_ok() {
            context.clear_errors();
            return Ok(());
        }
        serve();
        let client_errors = context.client_errors();
        if let Some(refusal) = client_errors
            .refused
            .as_ref()
            .filter(|_| start.elapsed() > REFUSAL_GRACE)
        {
            return Err(classify_error::refused(servers, &refusal.reason));
        }
        if start.elapsed() >= timeout {
            return Err(classify_error::unreachable(
                servers,
                timeout,
                &client_errors,
            ));
        }
    }
}

/// The number of partitions of a topic. Asks a broker for its metadata.
pub(crate) fn partitions<C: ClientContext>(client: &Client<C>, name: &str) -> Result<u32, Failure> {
    let doing = format!("asking for the partitions of {name}");
    retry_query(|| {
        let metadata = client.fetch_metadata(Some(name), retry::REQUEST_TIMEOUT);
        partition_count(
            &metadata.map_err(|error| classify_error::plain(&doing, &error))?,
            name,
        )
    })
}

/// The number of partitions of a topic, from metadata.
pub(crate) fn partition_count(metadata: &Metadata, name: &str) -> Result<u32, Failure> {
    let topic = metadata
        .topics()
        .iter()
        .find(|topic| topic.name() == name)
        .ok_or_else(|| classify_error::missing_topic(name))?;
    match topic.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            return Err(Failure::Config(format!(
                "no permission to describe topic {name}; give the principal Read and Describe on it"
            )));
        }
        // Temporary, as during a leader election.
        Some(code)
            if classify_error::remedy(code).is_none() && code != RDKafkaErrorCode::InvalidTopic =>
        {
            return Err(Failure::Fatal(format!("metadata of topic {name}: {code}")));
        }
        Some(_) => return Err(classify_error::missing_topic(name)),
    }
    match u32::try_from(topic.partitions().len()) {
        Ok(0) | Err(_) => Err(classify_error::missing_topic(name)),
        Ok(count) => Ok(count),
    }
}
