//! The HTTP server: `/metrics`, `/livez`, `/readyz`, and the customers, segments and model versions below
//! `/api/v1`.
//!
//! This is the only asynchronous part of the pipeline: a runtime with a single thread, separate from the workers. It
//! reads the workers' state through atomics and the metrics registry. It also sends them queries, which they answer
//! between other work.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod connections;
mod customers;
mod documents;
mod metrics;
mod process_metrics;
mod readiness;
mod routes;
mod server;
#[cfg(test)]
mod tests;

pub use customers::{CustomerLookup, LookupCustomer};
pub use documents::Documents;
pub use metrics::collectors;
pub use readiness::{Readiness, SilentWorker, StalledWorker, WorkerPresence};
pub use routes::Answers;
pub use server::{HttpError, HttpServer, start};
