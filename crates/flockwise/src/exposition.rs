//! What a process shows on `/metrics` beside the pipeline's own metrics.

use std::sync::Arc;

use flockwise_http::Readiness;
use prometheus::Registry;

use crate::exit::Failed;

/// Registers them.
pub(crate) fn register(registry: &Registry, readiness: &Arc<Readiness>) -> Result<(), Failed> {
    let collectors = flockwise_http::collectors(readiness).map_err(Failed::running)?;
    for collector in collectors {
        registry.register(collector).map_err(Failed::running)?;
    }
    Ok(())
}
