//! Ending the transaction that somebody else has open and does not end.

use std::time::{Duration, Instant};

use flockwise_runtime::broker::Failure;
use rdkafka::producer::Producer;
use tracing::info;

use crate::clients;
use crate::context::KafkaContext;
use crate::retry::retry;
use crate::settings::KafkaSettings;

/// Takes a transactional id over for a moment: the broker aborts what is open under it, and refuses its
/// former holder from then on. One whose commit had begun gets it finished first.
pub(crate) fn fence(settings: &KafkaSettings, name: &str) -> Result<(), Failure> {
    let start = Instant::now();
    let producer = clients::producer(
        &settings.fencing_producer(name),
        KafkaContext::new("evictor"),
    )?;
    let patience = Duration::from_millis(settings.transaction_timeout_ms());
    retry(&format!("ending the transaction of {name}"), || {
        producer.init_transactions(patience)
    })?;
    info!(
        name,
        elapsed_ms = start.elapsed().as_millis(),
        "ended a transaction that was left open, and fenced whoever left it"
    );
    Ok(())
}
