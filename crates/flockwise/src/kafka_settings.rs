//! Kafka client settings and topic names of a configuration.

use std::path::Path;

use flockwise_config::Config;
use flockwise_kafka::{KafkaSettings, admin};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};

use crate::build_pipeline::state_partitions;
use crate::exit::Failed;

/// Loads the configuration file, with overrides from the environment.
pub(crate) fn load(path: &Path) -> Result<Config, Failed> {
    Config::load(path, flockwise_config::environment()).map_err(Failed::invalid)
}

/// Kafka settings of a client with this client id. Fails on properties that librdkafka does not know.
pub(crate) fn settings(config: &Config, name: &str) -> Result<KafkaSettings, Failed> {
    let mut settings = KafkaSettings::new(&config.kafka.bootstrap_servers, &config.app, name);
    settings.properties.clone_from(&config.kafka.properties);
    settings.max_skew_ms = config.max_skew_ms;
    settings.lost_records = config.kafka.lost_records;
    settings
        .check()
        .map_err(|failure| Failed::invalid(reason(&failure)))?;
    Ok(settings)
}

/// The pipeline's topics, for inputs with these partition counts.
pub(crate) fn pipeline_topics(config: &Config, input_partitions: &[u32]) -> Topics {
    Topics {
        app: config.app.clone(),
        inputs: input_names(config),
        state_partitions: state_partitions(config.state_partitions, input_partitions),
    }
}

/// Names of the input topics, in the order of the configuration.
pub(crate) fn input_names(config: &Config) -> Vec<String> {
    config
        .inputs
        .iter()
        .map(|input| input.topic.clone())
        .collect()
}

/// Fails with instructions if a topic that `flockwise run` creates does not exist.
pub(crate) fn expect_topic(
    settings: &KafkaSettings,
    topics: &Topics,
    topic: Topic,
) -> Result<(), Failed> {
    let name = topics.name(topic);
    let found = admin::find(settings, std::slice::from_ref(&name)).map_err(failed)?;
    match found[..] {
        [Ok(None)] => Err(Failed::runtime(format!(
            "there is no topic {name}: `flockwise run` creates it at its first start; check `app` in the configuration"
        ))),
        _ => Ok(()),
    }
}

/// Converts a failure outside the workers, which is not retried.
pub(crate) fn failed(failure: Failure) -> Failed {
    Failed::runtime(reason(&failure))
}

/// The reason, without what a worker does about it.
pub(crate) fn reason(failure: &Failure) -> &str {
    match failure {
        Failure::Fenced(reason)
        | Failure::Fatal(reason)
        | Failure::Abort(reason)
        | Failure::Config(reason) => reason,
    }
}
