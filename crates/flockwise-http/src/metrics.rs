//! The metrics of this crate: whether the instance is ready, and what its process uses.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Result};

use crate::process_metrics::ProcessMetrics;
use crate::readiness::Readiness;

/// The collectors to register in addition to those of the pipeline.
///
/// # Errors
/// If Prometheus rejects a metric's name.
pub fn collectors(readiness: &Arc<Readiness>) -> Result<Vec<Box<dyn Collector>>> {
    Ok(vec![
        Box::new(Ready::new(readiness)?),
        Box::new(ProcessMetrics::new()?),
    ])
}

/// The status of `/readyz` as a number, computed when the metrics are collected.
struct Ready {
    readiness: Arc<Readiness>,
    gauge: IntGauge,
}

impl Ready {
    fn new(readiness: &Arc<Readiness>) -> Result<Self> {
        let help = "1 while /readyz answers 200, else 0.";
        Ok(Self {
            readiness: Arc::clone(readiness),
            gauge: IntGauge::new("flockwise_ready", help)?,
        })
    }
}

impl Collector for Ready {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let is_ready = self.readiness.status().missing().is_empty();
        self.gauge.set(i64::from(is_ready));
        self.gauge.collect()
    }
}
