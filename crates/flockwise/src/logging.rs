//! Logs go to stderr, as text for people or JSON for machines: stdout is for results.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging from a level on, unless `RUST_LOG` says otherwise.
pub(crate) fn start(level: LevelFilter, json: bool) {
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .from_env_lossy();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    if json {
        logs.json()
            .flatten_event(true)
            .with_current_span(false)
            .init();
    } else {
        logs.with_ansi(io::stderr().is_terminal()).init();
    }
}
