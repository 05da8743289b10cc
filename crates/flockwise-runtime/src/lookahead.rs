//! Events are decoded a few dozen ahead of their turn, so that what is known of their customers is on its
//! way from memory when they are worked off.

use std::ops::Range;

use flockwise_codec::decode::{Reason, Reject};
use flockwise_core::change::Trigger;
use flockwise_core::event::Event;

use crate::batch::{Batch, Record};
use crate::broker::Broker;
use crate::outbox::parse_origin;
use crate::shard::Shard;
use crate::topics::Topic;

/// Records decoded before the first of them is worked off.
pub(crate) const AHEAD: usize = 32;

/// What was found in a record.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub(crate) event: Event,
    /// Why it is none.
    pub(crate) refused: Option<Reject>,
    /// Where the event was read first.
    pub(crate) trigger: Trigger,
    /// The task that its customer belongs to.
    pub(crate) home: u32,
}

/// The events of the next records, and their customers.
#[derive(Debug, Default)]
pub(crate) struct Lookahead {
    decoded: Vec<Decoded>,
    customers: Vec<u64>,
}

impl Lookahead {
    /// What was found in one of the records.
    pub(crate) fn get(&self, place: usize) -> &Decoded {
        &self.decoded[place]
    }
}

impl<B: Broker> Shard<B> {
    /// Decodes the events among these records of the batch.
    pub(crate) fn look_ahead(&mut self, batch: &Batch, records: Range<usize>) {
        let ahead = &mut self.lookahead.decoded;
        if ahead.len() < records.len() {
            ahead.resize_with(records.len(), Decoded::default);
        }
        let count = records.len();
        for (place, record) in records.enumerate() {
            self.decode(&batch.record(record), place);
        }
        self.approach(count);
    }

    fn decode(&mut self, record: &Record<'_>, place: usize) {
        let decoded = &mut self.lookahead.decoded[place];
        let pipeline = &self.pipeline;
        let origin = match record.source.topic {
            Topic::Input(input) => Some((input, record.source.partition, record.offset)),
            Topic::Repartition => record
                .origin
                .and_then(|origin| parse_origin(pipeline, origin)),
            _ => return,
        };
        let Some((input, partition, offset)) = origin else {
            decoded.refused = Some(Reject {
                reason: Reason::MissingField,
                detail: "a forwarded event without a known origin".to_owned(),
            });
            return;
        };
        let decoder = &pipeline.decoders[usize::from(input)];
        let event = &mut decoded.event;
        let result = decoder.decode(&pipeline.task.plan, record.value, event);
        decoded.refused = result.err();
        decoded.trigger = Trigger {
            input,
            partition,
            offset,
        };
        decoded.home = match record.source.topic {
            Topic::Repartition => record.source.partition,
            _ => pipeline.home(decoded.event.customer_id()),
        };
    }

    /// Tells the tasks whose events come next: as a rule those of one task come together.
    fn approach(&mut self, count: usize) {
        let Lookahead { decoded, customers } = &mut self.lookahead;
        let ours = decoded[..count]
            .iter()
            .filter(|next| next.refused.is_none());
        let mut runs = ours.peekable();
        while let Some(first) = runs.next() {
            customers.clear();
            customers.push(first.event.customer_hash());
            while let Some(next) = runs.next_if(|next| next.home == first.home) {
                customers.push(next.event.customer_hash());
            }
            if let Some(open) = self.tasks.get_mut(&first.home) {
                open.task.approach(customers);
            }
        }
    }
}
