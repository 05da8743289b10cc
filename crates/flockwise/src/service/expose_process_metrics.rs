//! Metrics of the process on `/metrics`, beside those of the pipeline.

use std::sync::Arc;

use flockwise_http::Readiness;
use prometheus::Registry;

use crate::exit::Failed;

/// Registers the metrics of the process and of its readiness.
pub(crate) fn register(registry: &Registry, readiness: &Arc<Readiness>) -> Result<(), Failed> {
    let collectors = flockwise_http::collectors(readiness).map_err(Failed::runtime)?;
    for collector in collectors {
        registry.register(collector).map_err(Failed::runtime)?;
    }
    Ok(())
}
