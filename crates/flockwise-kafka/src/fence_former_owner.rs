//! Ends a transaction that another worker has left open.

use std::time::{Duration, Instant};

use flockwise_runtime::broker::Failure;
use rdkafka::producer::Producer;
use tracing::info;

use crate::client_context::KafkaContext;
use crate::clients;
use crate::retry::retry;
use crate::settings::KafkaSettings;

/// Takes over a transactional id for a moment. The broker aborts the open transaction, or finishes it if its
/// commit had begun, and refuses the former owner from then on.
pub(crate) fn fence(settings: &KafkaSettings, name: &str) -> Result<(), Failure> {
    let start = Instant::now();
    let producer = clients::producer(
        &settings.fencing_producer(name),
        KafkaContext::new("fencer"),
    )?;
    let timeout = Duration::from_millis(settings.transaction_timeout_ms());
    retry(&format!("ending the transaction of {name}"), || {
        producer.init_transactions(timeout)
    })?;
    info!(
        name,
        elapsed_ms = start.elapsed().as_millis(),
        "ended a transaction that was left open, and fenced its owner"
    );
    Ok(())
}
