//! Connects a worker's clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::Producer;

use crate::classify_error;
use crate::client_context::KafkaContext;
use crate::clients;
use crate::pipeline_producer::PipelineProducer;
use crate::settings::KafkaSettings;
use crate::transactional_producer::TransactionalProducer;
use crate::wakeup::Wakeup;

/// The topics that the group assigns. All other partitions are assigned manually.
pub(crate) const SUBSCRIBED: [Topic; 2] = [Topic::Repartition, Topic::Samples];

/// Connects the producer and takes over the transactional id.
pub(crate) fn connect_producer(
    settings: &KafkaSettings,
    topics: &Topics,
) -> Result<TransactionalProducer, Failure> {
    let context = KafkaContext::new("producer");
    let producer = clients::producer(&settings.producer(), context.clone())?;
    let asked = topics.name(Topic::Changelog);
    // The producer's own thread polls it.
    clients::reach(producer.client(), &context, settings, &asked, || {})?;
    let timeout = Duration::from_millis(settings.transaction_timeout_ms());
    let producer = PipelineProducer::new(producer, topics, timeout * 2);
    TransactionalProducer::take_over(producer, context, settings, topics)
}

/// Creates a consumer that sets `group_has_events` and wakes the worker when an event of the group arrives.
pub(crate) fn connect_consumer(
    config: &ClientConfig,
    context: &KafkaContext,
    wakeup: &Wakeup,
    group_has_events: &Arc<AtomicBool>,
) -> Result<Arc<BaseConsumer<KafkaContext>>, Failure> {
    let mut consumer = clients::consumer(config, context.clone())?;
    let (wakeup, group_has_events) = (wakeup.clone(), Arc::clone(group_has_events));
    consumer.set_nonempty_callback(move || {
        group_has_events.store(true, Ordering::Release);
        wakeup.wake();
    });
    Ok(Arc::new(consumer))
}

/// Joins the group, after every topic was found.
pub(crate) fn join(consumer: &BaseConsumer<KafkaContext>, topics: &Topics) -> Result<(), Failure> {
    let names = SUBSCRIBED.map(|topic| topics.name(topic));
    // Without metadata, the first fetch of a manually assigned partition waits for seconds.
    for name in topics.inputs.iter().chain(&names) {
        clients::partitions(consumer.client(), name)?;
    }
    consumer
        .subscribe(&names.each_ref().map(String::as_str))
        .map_err(|error| classify_error::plain("joining the group", &error))
}
