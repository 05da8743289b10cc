//! The gauges, most of them with a series per worker.

use prometheus::{GaugeVec, IntGauge, IntGaugeVec};

use super::registrar::Registrar;

#[derive(Clone, Debug)]
pub(super) struct Gauges {
    pub(super) customers: IntGaugeVec,
    pub(super) state_bytes: IntGaugeVec,
    pub(super) halted: IntGaugeVec,
    pub(super) awaiting_schema: IntGaugeVec,
    pub(super) standby_tasks: IntGauge,
    pub(super) standby_bytes: IntGauge,
    pub(super) model_version: IntGaugeVec,
    pub(super) segments: IntGaugeVec,
    pub(super) held_version: IntGaugeVec,
    pub(super) moved_share: GaugeVec,
    pub(super) tasks: IntGaugeVec,
    pub(super) skew: GaugeVec,
    pub(super) tasks_behind: IntGaugeVec,
    pub(super) warm_up_customers: IntGaugeVec,
    pub(super) warm_up_customers_wanted: IntGaugeVec,
    pub(super) warm_up_span: IntGaugeVec,
    pub(super) warm_up_span_wanted: IntGaugeVec,
}

impl Gauges {
    pub(super) fn register(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        let by_worker = |name, help| registrar.gauges(name, help, &["worker"]);
        Ok(Self {
            skew: registrar.real_gauges(
                "alignment_skew_seconds",
                "Event time from the earliest next to the latest processed event of the worker's \
                 input partitions.",
                &["worker"],
            )?,
            customers: by_worker("customers", "Customers in the tasks of the worker.")?,
            state_bytes: by_worker(
                "state_bytes",
                "Memory used by the state of the worker's tasks in bytes.",
            )?,
            halted: by_worker(
                "halted_partitions",
                "Partitions halted because their next records are lost or damaged.",
            )?,
            awaiting_schema: by_worker(
                "unknown_schema_partitions",
                "Partitions that wait because the schema of their next record is not known.",
            )?,
            standby_tasks: registrar.gauge(
                "standby_tasks",
                "Standbys of tasks that other instances own.",
            )?,
            standby_bytes: registrar.gauge("standby_bytes", "Memory used by standbys in bytes.")?,
            model_version: by_worker(
                "model_version",
                "Version of the model in use; 0 before the first version.",
            )?,
            segments: by_worker("segments", "Segments of the model in use.")?,
            held_version: by_worker(
                "model_held_version",
                "Model version held for approval; 0 if none. Set by the worker that hosts the \
                 trainer.",
            )?,
            moved_share: registrar.real_gauges(
                "model_moved_share",
                "Share of customers that the latest version moves, or would move if approved. \
                 Set by the trainer's worker.",
                &["worker"],
            )?,
            tasks: registrar.gauges(
                "tasks",
                "Tasks owned by the worker, by state.",
                &["worker", "state"],
            )?,
            tasks_behind: by_worker(
                "backfill_tasks",
                "Tasks that have not yet read all events from before the pipeline's first start.",
            )?,
            warm_up_customers: by_worker(
                "warm_up_customers",
                "Customers sampled for the first model version; 0 once it exists. Set by the \
                 trainer's worker.",
            )?,
            warm_up_customers_wanted: by_worker(
                "warm_up_customers_wanted",
                "Customers required for the first model version; 0 once it exists. Set by the \
                 trainer's worker.",
            )?,
            warm_up_span: by_worker(
                "warm_up_span_seconds",
                "Event time spanned by the samples for the first version; 0 once it exists. Set \
                 by the trainer's worker.",
            )?,
            warm_up_span_wanted: by_worker(
                "warm_up_span_wanted_seconds",
                "Event time that these samples must span; 0 once the version exists. Set by the \
                 trainer's worker.",
            )?,
        })
    }
}
