//! Decides the partition and the event time of a file's documents.

use flockwise_codec::decode::Decoder;
use flockwise_codec::partitioner::Partitioner;
use flockwise_config::Config;
use flockwise_core::event::Event;
use flockwise_core::plan::Plan;
use flockwise_core::policy::TimePolicy;

use super::chunk::Line;

/// Decides the partition and the event time of the documents of one input.
pub(crate) struct Router {
    decoder: Decoder,
    plan: Plan,
    partitioner: Partitioner,
    partitions: u32,
    /// Events after this time are dropped.
    until_ms: Option<i64>,
    time: TimePolicy,
    /// The time by which events from the future are judged.
    judged_at_ms: Option<i64>,
    event: Event,
}

/// What a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Routed {
    Event,
    /// An event that is dropped, since it is after the end of the replay.
    Later,
    /// Not an event, for this reason.
    Rejected(String),
    /// An event from the future.
    Ahead,
}

impl Router {
    /// A router of this `input` to this number of `partitions` that drops events after `until_ms`.
    pub(crate) fn new(
        config: &Config,
        input: u16,
        partitions: u32,
        until_ms: Option<i64>,
        judged_at_ms: Option<i64>,
    ) -> Self {
        // Only the customer id and the event time are needed, so the plan has no features.
        let plan = Plan::compile(&[]);
        let format = &config.inputs[usize::from(input)].format;
        Self {
            decoder: Decoder::new(format, &plan),
            plan,
            partitioner: config.partitioner,
            partitions,
            until_ms,
            time: config.time,
            judged_at_ms,
            event: Event::default(),
        }
    }

    /// How far an event may be behind the latest one, milliseconds.
    pub(super) fn lateness_ms(&self) -> i64 {
        self.time.lateness_ms
    }

    /// Sets the partition and the event time of a document.
    pub(super) fn route(&mut self, line: &mut Line, text: &[u8]) -> Routed {
        let event = &mut self.event;
        line.partition = 0;
        if let Err(undecoded) = self.decoder.decode(&self.plan, Some(text), event) {
            return Routed::Rejected(undecoded.to_string());
        }
        if self
            .until_ms
            .is_some_and(|until_ms| event.time_ms > until_ms)
        {
            return Routed::Later;
        }
        line.partition = self
            .partitioner
            .partition(event.customer_id().as_bytes(), self.partitions);
        if self.time.is_too_far_ahead(event.time_ms, self.judged_at_ms) {
            return Routed::Ahead;
        }
        line.time_ms = event.time_ms;
        Routed::Event
    }
}
