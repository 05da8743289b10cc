//! `/metrics`, `/livez`, `/readyz` and `/customers/{id}`.
//!
//! The one place where the pipeline is asynchronous: a runtime with a single worker thread, apart
//! from the workers, which it only ever reads through atomics and the metrics registry, or by questions to which
//! they answer when they come to it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod connections;
mod customers;
mod metrics;
mod process;
mod readiness;
mod routes;
mod server;
#[cfg(test)]
mod tests;

pub use customers::{CustomerLookup, LookupCustomer};
pub use metrics::collectors;
pub use readiness::{Readiness, Silence, Stalled, WorkerPresence};
pub use server::{HttpError, HttpServer, start};
