//! Creates and registers metrics, and records their names, types and labels, which a test compares with the documents.

use std::cell::RefCell;

use prometheus::core::Collector;
use prometheus::proto::MetricType;
use prometheus::{
    GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result,
};

use super::latency::Latency;

/// Name, type and labels of a metric. The documentation must agree with them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Described {
    /// Its full name, with the prefix.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The names of its labels, in the order of their declaration.
    pub labels: Vec<String>,
}

impl Described {
    /// The metrics of a collector, including those without a series.
    #[must_use]
    pub fn of(collector: &dyn Collector) -> Vec<Self> {
        let families = collector.collect();
        let kind_of = |name: &str| {
            let family = families.iter().find(|family| family.name() == name);
            family.map_or("untyped", |family| kind(family.get_field_type()))
        };
        let described = collector.desc().into_iter().map(|desc| Self {
            name: desc.fq_name.clone(),
            kind: kind_of(&desc.fq_name),
            labels: desc.variable_labels.clone(),
        });
        described.collect()
    }
}

fn kind(of: MetricType) -> &'static str {
    match of {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        _ => "untyped",
    }
}

/// Registers the metrics of one part of the program, whose names share a prefix.
pub struct Registrar<'a> {
    registry: &'a Registry,
    prefix: &'static str,
    described: RefCell<Vec<Described>>,
}

impl<'a> Registrar<'a> {
    /// Creates a registrar that puts `prefix` and an underscore before each name.
    #[must_use]
    pub fn new(registry: &'a Registry, prefix: &'static str) -> Self {
        Self {
            registry,
            prefix,
            described: RefCell::default(),
        }
    }

    /// The metrics that were registered.
    #[must_use]
    pub fn described(self) -> Vec<Described> {
        self.described.into_inner()
    }

    /// Registers a counter without labels.
    ///
    /// # Errors
    /// As [`Registrar::keep`].
    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.keep(IntCounter::with_opts(self.options(name, help))?)
    }

    /// Registers one counter for each value of the label. All are exported from the start, at zero.
    ///
    /// # Errors
    /// As [`Registrar::keep`].
    pub fn counters<const N: usize>(
        &self,
        (name, help): (&str, &str),
        (label, values): (&str, [&str; N]),
    ) -> Result<[IntCounter; N]> {
        let family = self.labelled_counters(name, help, &[label])?;
        Ok(values.map(|value| family.with_label_values(&[value])))
    }

    /// Registers counters whose label values are not known in advance.
    ///
    /// # Errors
    /// As [`Registrar::keep`].
    pub fn labelled_counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec> {
        self.keep(IntCounterVec::new(self.options(name, help), labels)?)
    }

    /// Registers an integer gauge without labels.
    ///
    /// # Errors
    /// As [`Registrar::keep`].
    pub fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.keep(IntGauge::with_opts(self.options(name, help))?)
    }

    /// Registers integer gauges with labels.
    ///
    /// # Errors
    /// As [`Registrar::keep`].
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.keep(IntGaugeVec::new(self.options(name, help), labels)?)
    }

    /// Registers floating-point gauges with labels, for shares and seconds.
    ///
    /// # Errors
    /// As [`Registrar::keep`].
    pub fn real_gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec> {
        self.keep(GaugeVec::new(self.options(name, help), labels)?)
    }

    pub(super) fn latency(&self, what: &str, help: &str) -> Result<Latency> {
        self.keep(Latency::new(&format!("{what}_latency_seconds"), help)?)
    }

    /// Registers a metric.
    ///
    /// # Errors
    /// If the registry already has a metric of this name.
    pub fn keep<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C> {
        self.registry.register(Box::new(metric.clone()))?;
        self.described.borrow_mut().extend(Described::of(&metric));
        Ok(metric)
    }

    fn options(&self, name: &str, help: &str) -> Opts {
        Opts::new(format!("{}_{name}", self.prefix), help)
    }
}
