//! From a configuration to what a Kafka client needs.

use std::path::Path;

use flockwise_config::Config;
use flockwise_kafka::KafkaSettings;
use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::Topics;

use crate::exit::Failed;
use crate::pipeline::state_partitions;

/// Reads the configuration that a command is given.
pub(crate) fn load(path: &Path) -> Result<Config, Failed> {
    Config::load(path, flockwise_config::environment()).map_err(Failed::wrong)
}

/// How a client called `name` reaches the brokers; what librdkafka does not know is refused.
pub(crate) fn settings(config: &Config, name: &str) -> Result<KafkaSettings, Failed> {
    let mut settings = KafkaSettings::new(&config.kafka.bootstrap_servers, &config.app, name);
    settings.properties.clone_from(&config.kafka.properties);
    settings.max_skew_ms = config.max_skew_ms;
    settings.lost_records = config.kafka.lost_records;
    settings
        .check()
        .map_err(|failure| Failed::wrong(reason(&failure)))?;
    Ok(settings)
}

/// The topics of a pipeline over inputs with these partitions.
pub(crate) fn settled(config: &Config, input_partitions: &[u32]) -> Topics {
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

/// A failure of a client that no worker depends on: nobody will start it again.
pub(crate) fn failed(failure: Failure) -> Failed {
    Failed::running(reason(&failure))
}

/// What happened, without what a worker would do about it.
pub(crate) fn reason(failure: &Failure) -> &str {
    match failure {
        Failure::Fenced(reason)
        | Failure::Fatal(reason)
        | Failure::Abort(reason)
        | Failure::Config(reason) => reason,
    }
}
