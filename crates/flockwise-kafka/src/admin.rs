//! Topics: made, checked and counted before any shard starts.

mod survey;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use tracing::info;

use crate::clients;
use crate::events::Events;
use crate::faults;
use crate::persistence::{ATTEMPT, PATIENCE, ask_again};
use crate::settings::{KafkaSettings, MAX_MESSAGE_BYTES};

pub use survey::{Found, FoundTopic, count, largest_record_bytes, survey};

/// Partitions of each input topic, in order. Waits at most the start timeout for a broker.
///
/// # Errors
/// [`Failure::Config`] names the topic that is missing, or says why no broker answers.
pub fn input_partitions(settings: &KafkaSettings, names: &[String]) -> Result<Vec<u32>, Failure> {
    let client = Admin::connect(settings)?;
    names.iter().map(|name| client.count(name)).collect()
}

/// Makes the internal topics that are missing, and checks that the others have the partitions they
/// should. Returns the names of those made.
///
/// # Errors
/// [`Failure::Config`] says what was found, what was expected and the way out.
pub fn ensure_topics(settings: &KafkaSettings, topics: &Topics) -> Result<Vec<String>, Failure> {
    let admin = Admin::connect(settings)?;
    let mut missing = Vec::new();
    for topic in Topics::internal() {
        let name = topics.name(topic);
        match admin.find(&name)? {
            None => missing.push(topic),
            Some(found) => check_partitions(topics, topic, &name, found)?,
        }
    }
    admin.create(topics, &missing)?;
    Ok(missing.iter().map(|topic| topics.name(*topic)).collect())
}

/// What a topic is made with, beside its partitions.
#[must_use]
pub fn topic_settings(topic: Topic) -> Vec<(&'static str, String)> {
    let cleanup = if Topics::is_compacted(topic) {
        "compact"
    } else {
        "delete"
    };
    let mut settings = vec![
        ("cleanup.policy", cleanup.to_owned()),
        ("max.message.bytes", MAX_MESSAGE_BYTES.to_string()),
    ];
    if matches!(topic, Topic::Repartition | Topic::Deltas) {
        // What is not processed yet must not go, however long that takes; what is gets deleted. Of the mini-batches a
        // new trainer reads the last four half-lives again: some megabytes a year.
        settings.push(("retention.ms", "-1".to_owned()));
    }
    settings
}

/// A client that makes topics, where it is needed, and one that asks about them.
struct Admin {
    settings: KafkaSettings,
    consumer: BaseConsumer<Events>,
}

impl Admin {
    fn connect(settings: &KafkaSettings) -> Result<Self, Failure> {
        settings.check()?;
        let events = Events::new("admin");
        // Of no group: to be dropped, a member of one takes a tenth of a second.
        let consumer = clients::consumer(&settings.admin(), events.clone())?;
        let asked = &settings.group;
        clients::reach(consumer.client(), &events, settings, asked, || {
            consumer.poll(Duration::ZERO);
        })?;
        let settings = settings.clone();
        Ok(Self { settings, consumer })
    }

    /// Partitions of a topic that must be there.
    fn count(&self, name: &str) -> Result<u32, Failure> {
        clients::partitions(self.consumer.client(), name)
    }

    /// Partitions of a topic, if it is there.
    fn find(&self, name: &str) -> Result<Option<u32>, Failure> {
        ask_again(|| {
            let metadata = self
                .consumer
                .fetch_metadata(Some(name), ATTEMPT)
                .map_err(|error| faults::plain(&format!("asking for topic {name}"), &error))?;
            let unknown = metadata.topics().iter().any(|topic| {
                topic.error().map(RDKafkaErrorCode::from)
                    == Some(RDKafkaErrorCode::UnknownTopicOrPartition)
            });
            if unknown {
                return Ok(None);
            }
            clients::partition_count(&metadata, name).map(Some)
        })
    }

    fn create(&self, topics: &Topics, missing: &[Topic]) -> Result<(), Failure> {
        if missing.is_empty() {
            return Ok(());
        }
        let wanted: Vec<Wanted> = missing.iter().map(|topic| wanted(topics, *topic)).collect();
        let new: Vec<NewTopic<'_>> = wanted.iter().map(Wanted::as_new_topic).collect();
        let options = AdminOptions::new()
            .request_timeout(Some(PATIENCE))
            .operation_timeout(Some(PATIENCE));
        let client = admin_client(&self.settings)?;
        let results = block_on(client.create_topics(&new, &options))
            .map_err(|error| faults::plain("making topics", &error))?;
        for result in results {
            match result {
                Ok(name) => info!(topic = name, "topic made"),
                // Another instance that started at the same moment was first.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(not_made(&name, code)),
            }
        }
        wanted
            .iter()
            .try_for_each(|topic| self.await_topic(topics, topic))
    }

    /// Metadata reaches the brokers a moment after the topic is made.
    fn await_topic(&self, topics: &Topics, wanted: &Wanted) -> Result<(), Failure> {
        for _ in 0..100 {
            if let Some(found) = self.find(&wanted.name)? {
                return check_partitions(topics, wanted.topic, &wanted.name, found);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(faults::missing_topic(&wanted.name))
    }
}

/// A topic that is to be made.
struct Wanted {
    topic: Topic,
    name: String,
    partitions: u32,
    settings: Vec<(&'static str, String)>,
}

impl Wanted {
    fn as_new_topic(&self) -> NewTopic<'_> {
        // The broker's own default replication.
        let replication = TopicReplication::Fixed(-1);
        let topic = NewTopic::new(&self.name, self.partitions.cast_signed(), replication);
        self.settings
            .iter()
            .fold(topic, |topic, (key, value)| topic.set(key, value))
    }
}

fn wanted(topics: &Topics, topic: Topic) -> Wanted {
    Wanted {
        topic,
        name: topics.name(topic),
        partitions: topics.partitions(topic),
        settings: topic_settings(topic),
    }
}

fn check_partitions(topics: &Topics, topic: Topic, name: &str, found: u32) -> Result<(), Failure> {
    let expected = topics.partitions(topic);
    if found == expected {
        return Ok(());
    }
    Err(Failure::Config(format!(
        "topic {name} has {found} partitions where {expected} are expected: state is bound to its \
         partition, so their number is fixed at first start; set state_partitions to what it was \
         then, or start anew under another `app` (or delete the topics of this one, which forgets \
         its state)"
    )))
}

fn not_made(name: &str, code: RDKafkaErrorCode) -> Failure {
    let way_out = match code {
        RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            "give the principal Create on topics prefixed with `app`, or make the topics by hand as \
             `flockwise topics` lists them"
        }
        RDKafkaErrorCode::InvalidReplicationFactor => {
            "the broker's default.replication.factor is above the number of brokers"
        }
        _ => "make it by hand as `flockwise topics` lists it",
    };
    Failure::Config(format!("topic {name} could not be made: {code}; {way_out}"))
}

pub(crate) fn admin_client(settings: &KafkaSettings) -> Result<AdminClient<Events>, Failure> {
    AdminClient::from_config_and_context(&settings.admin(), Events::new("admin"))
        .map_err(|error| faults::plain("making an admin client", &error))
}

/// Waits for a future on this thread; the admin client's own thread completes it.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
