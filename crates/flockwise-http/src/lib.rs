//! The HTTP server: `/metrics`, `/livez`, `/readyz` and `/customers/{id}`.
//!
//! This is the only asynchronous part of the pipeline: a runtime with a single thread, separate from the workers. It
//! reads the workers' state through atomics and the metrics registry. It also sends them queries, which they answer
//! between other work.

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
pub use readiness::{Readiness, SilentWorker, StalledWorker, WorkerPresence};
pub use server::{HttpError, HttpServer, start};
