//! What is told of a customer, by whoever knows.

use std::sync::Arc;

/// Tells of the customer with an id. It may wait for a few seconds; several may be asked at once.
pub type LookupCustomer = Arc<dyn Fn(&str) -> CustomerLookup + Send + Sync>;

/// What comes of asking.
#[derive(Clone, Debug, PartialEq)]
pub enum CustomerLookup {
    /// The customer, as JSON: 200.
    Known(String),
    /// There is no such customer, and why that is sure: 404.
    Unknown(String),
    /// Another instance is to be asked: 421.
    Elsewhere {
        /// The customer's task.
        task: u32,
        /// In words.
        reason: String,
    },
    /// Nobody can say at the moment, and why: 503.
    NotNow(String),
}
