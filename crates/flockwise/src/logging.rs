//! Sets up logging to stderr, as text or JSON. Stdout is for results only.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging at `level` and above. The environment variable `RUST_LOG` takes precedence.
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
