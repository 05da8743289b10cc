//! Tries whether this principal may use transactions.

use flockwise_runtime::broker::Failure;
use rdkafka::producer::Producer;

use crate::classify_error::{self, ErrorAction};
use crate::client_context::KafkaContext;
use crate::clients;
use crate::retry::{REQUEST_TIMEOUT, retry_query};
use crate::settings::KafkaSettings;

/// Checks that this principal may use transactions. Initialises `settings.transactional_id` without opening a
/// transaction. No worker may use that id, so that none is fenced. Brokers forget the id after
/// `transactional.id.expiration.ms`.
///
/// # Errors
/// [`Failure::Config`] says what is not permitted, and what to do.
pub fn try_transactions(settings: &KafkaSettings) -> Result<(), Failure> {
    let context = KafkaContext::new("probe");
    let producer = clients::producer(&settings.producer(), context)?;
    let doing = format!("trying a transaction as {}", settings.transactional_id);
    retry_query(|| {
        producer
            .init_transactions(REQUEST_TIMEOUT)
            .map_err(|error| match classify_error::action(&doing, &error) {
                ErrorAction::Retry(text) => Failure::Fatal(text),
                ErrorAction::Fail(failure) => failure,
            })
    })
}
