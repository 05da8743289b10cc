//! Turns librdkafka's errors into retries or a [`Failure`].

use std::time::Duration;

use flockwise_runtime::broker::Failure;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::client_context::Undelivered;
use crate::connection_errors::ClientErrors;

/// What to do about a call that failed.
#[derive(Debug)]
pub(crate) enum ErrorAction {
    /// Make the same call again.
    Retry(String),
    /// Give up with this failure.
    Fail(Failure),
}

/// What to do about a failed call of the transaction protocol.
pub(crate) fn action(doing: &str, error: &KafkaError) -> ErrorAction {
    let KafkaError::Transaction(cause) = error else {
        return ErrorAction::Fail(plain(doing, error));
    };
    let text = format!("{doing}: {cause} ({})", cause.name());
    if let Some(remedy) = remedy(cause.code()) {
        ErrorAction::Fail(Failure::Config(format!("{text}; {remedy}")))
    } else if is_fenced(cause.code()) {
        ErrorAction::Fail(Failure::Fenced(text))
    } else if cause.is_fatal() {
        ErrorAction::Fail(Failure::Fatal(text))
    } else if cause.txn_requires_abort() {
        ErrorAction::Fail(Failure::Abort(text))
    } else if cause.is_retriable() {
        ErrorAction::Retry(text)
    } else {
        ErrorAction::Fail(Failure::Fatal(text))
    }
}

/// The failure of a consumer that has stopped itself.
pub(crate) fn consumer_ended(code: RDKafkaErrorCode) -> Failure {
    let text = format!("the consumer has stopped itself: {code}");
    if is_fenced(code) {
        Failure::Fenced(text)
    } else {
        Failure::Fatal(text)
    }
}

/// Has another client taken over this one's transactional id or `group.instance.id`?
fn is_fenced(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::FencedInstanceId
    )
}

/// The failure of a call outside the transaction protocol.
pub(crate) fn plain(doing: &str, error: &KafkaError) -> Failure {
    if let KafkaError::ClientConfig(_, reason, key, value) = error {
        return Failure::Config(format!(
            "kafka.properties: \"{key}\" = \"{value}\": {reason}; see librdkafka's CONFIGURATION.md"
        ));
    }
    if let KafkaError::ClientCreation(reason) = error {
        return Failure::Config(format!("{doing}: {reason}; correct kafka.properties"));
    }
    match error.rdkafka_error_code().and_then(remedy) {
        Some(remedy) => Failure::Config(format!("{doing}: {error}; {remedy}")),
        None => Failure::Fatal(format!("{doing}: {error}")),
    }
}

/// The failure of an undelivered record.
pub(crate) fn undelivered(record: &Undelivered) -> Failure {
    let Undelivered {
        code,
        topic,
        partition,
        bytes,
    } = record;
    let text = format!("a record of {bytes} bytes for {topic}/{partition} was not stored: {code}");
    match remedy(*code) {
        Some(remedy) => Failure::Config(format!("{text}; {remedy}")),
        None => Failure::Abort(text),
    }
}

/// The failure if no broker answers at start.
pub(crate) fn unreachable(
    servers: &str,
    waited: Duration,
    client_errors: &ClientErrors,
) -> Failure {
    let seconds = waited.as_secs_f32();
    if let Some(refusal) = &client_errors.refused {
        return refused(servers, &refusal.reason);
    }
    let reason = match &client_errors.connection {
        Some(reason) => reason.as_str(),
        None if client_errors.all_down => {
            "every broker refused the connection or the credentials, without a reason"
        }
        None => "no connection was refused",
    };
    Failure::Fatal(format!(
        "no broker answers at {servers} within {seconds:.0} s ({reason}); check that it is running, \
         that kafka.bootstrap_servers is right, and that kafka.properties sets the listener's \
         security.protocol, sasl.username and sasl.password"
    ))
}

/// The failure if a broker refuses the credentials.
pub(crate) fn refused(servers: &str, reason: &str) -> Failure {
    Failure::Config(format!(
        "the broker at {servers} refuses the credentials ({reason}); correct sasl.mechanism, \
         sasl.username and sasl.password in kafka.properties"
    ))
}

/// The failure if a required topic is missing.
pub(crate) fn missing_topic(name: &str) -> Failure {
    Failure::Config(format!(
        "there is no topic {name}; create it, or correct its name in the configuration \
         (brokers answer the same to a principal without permission to describe it)"
    ))
}

/// What a person can do about an error that no retry cures; `None` if a retry may.
pub(crate) fn remedy(code: RDKafkaErrorCode) -> Option<&'static str> {
    Some(match code {
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            "give the principal Read, Write and Describe on this topic"
        }
        RDKafkaErrorCode::GroupAuthorizationFailed => {
            "give the principal Read on the consumer group named after `app`"
        }
        RDKafkaErrorCode::TransactionalIdAuthorizationFailed => {
            "give the principal Write and Describe on transactional ids prefixed with `app`"
        }
        RDKafkaErrorCode::ClusterAuthorizationFailed => {
            "give the principal IdempotentWrite on the cluster"
        }
        RDKafkaErrorCode::SaslAuthenticationFailed => {
            "correct sasl.mechanism, sasl.username and sasl.password in kafka.properties"
        }
        RDKafkaErrorCode::MessageSizeTooLarge => {
            "raise max.message.bytes of the topic, and message.max.bytes in kafka.properties"
        }
        RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::UnknownPartition
        | RDKafkaErrorCode::UnknownTopicOrPartition => {
            "the topic is gone or has fewer partitions; recreate internal topics with `flockwise topics --apply`"
        }
        RDKafkaErrorCode::InvalidTransactionTimeout => {
            "lower transaction.timeout.ms below the broker's transaction.max.timeout.ms"
        }
        RDKafkaErrorCode::UnsupportedVersion | RDKafkaErrorCode::UnsupportedFeature => {
            "the broker is too old: Flockwise needs Apache Kafka 2.5 or later"
        }
        RDKafkaErrorCode::InvalidSessionTimeout => {
            "set session.timeout.ms within the broker's group.min and group.max.session.timeout.ms"
        }
        RDKafkaErrorCode::InconsistentGroupProtocol => {
            "every member of the group must have the same partition.assignment.strategy"
        }
        _ => return None,
    })
}
