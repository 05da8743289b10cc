//! Making a worker's clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::Producer;

use crate::clients;
use crate::context::KafkaContext;
use crate::errors;
use crate::producer::BatchProducer;
use crate::settings::KafkaSettings;
use crate::transaction::TransactionalProducer;
use crate::wakeup::Wakeup;

/// What the group shares out; everything else is added by hand.
pub(crate) const SUBSCRIBED: [Topic; 2] = [Topic::Repartition, Topic::Samples];

/// Takes over the transactional id.
pub(crate) fn connect_producer(
    settings: &KafkaSettings,
    topics: &Topics,
) -> Result<TransactionalProducer, Failure> {
    let context = KafkaContext::new("producer");
    let producer = clients::producer(&settings.producer(), context.clone())?;
    let asked = topics.name(Topic::Changelog);
    // The producer's own thread serves it.
    clients::reach(producer.client(), &context, settings, &asked, || {})?;
    let patience = Duration::from_millis(settings.transaction_timeout_ms());
    let producer = BatchProducer::new(producer, topics, patience * 2)?;
    TransactionalProducer::take_over(producer, context, settings, topics)
}

/// A consumer that rings when the group has something to say.
pub(crate) fn connect_consumer(
    config: &ClientConfig,
    context: &KafkaContext,
    wakeup: &Wakeup,
    group_rang: &Arc<AtomicBool>,
) -> Result<Arc<BaseConsumer<KafkaContext>>, Failure> {
    let mut consumer = clients::consumer(config, context.clone())?;
    let (wakeup, group_rang) = (wakeup.clone(), Arc::clone(group_rang));
    consumer.set_nonempty_callback(move || {
        group_rang.store(true, Ordering::Release);
        wakeup.wake();
    });
    Ok(Arc::new(consumer))
}

/// Joins the group, once every topic is known.
pub(crate) fn join(consumer: &BaseConsumer<KafkaContext>, topics: &Topics) -> Result<(), Failure> {
    let names = SUBSCRIBED.map(|topic| topics.name(topic));
    // Without this the first fetch of a partition that is added by hand waits for seconds.
    for name in topics.inputs.iter().chain(&names) {
        clients::partitions(consumer.client(), name)?;
    }
    consumer
        .subscribe(&names.each_ref().map(String::as_str))
        .map_err(|error| errors::plain("joining the group", &error))
}
