//! The lookup of one customer, which the workers answer.

use std::sync::Arc;

/// Looks up the customer with this id. It may block for a few seconds. Several threads may call it at once.
pub type LookupCustomer = Arc<dyn Fn(&str) -> CustomerLookup + Send + Sync>;

/// The result of a lookup, which becomes the HTTP status and body.
#[derive(Clone, Debug, PartialEq)]
pub enum CustomerLookup {
    /// 200: the customer, as JSON.
    Known(String),
    /// 404: there is no such customer, with the reason.
    Unknown(String),
    /// 421: another instance owns the customer. Ask that one.
    Elsewhere {
        /// The customer's task.
        task: u32,
        /// The error text of the response.
        reason: String,
    },
    /// 503: no worker can answer at the moment, with the reason. Retry later.
    NotNow(String),
}
