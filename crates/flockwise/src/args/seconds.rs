//! Spans of time on the command line.

use std::time::Duration;

/// Parses a whole number of seconds.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u32>();
    seconds
        .map(|seconds| Duration::from_secs(seconds.into()))
        .map_err(|_| "expected a whole number of seconds, such as 30".to_owned())
}
