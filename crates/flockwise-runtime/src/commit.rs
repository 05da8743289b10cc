//! Commit in three visible phases: state out, transaction, settle.

use std::time::Duration;

use crate::broker::{Broker, Failure};
use crate::clock::Moment;
use crate::shard::Shard;
use crate::topics::{Source, Topic};
use crate::training::DELTAS;

impl<B: Broker> Shard<B> {
    /// Commits what was processed, if anything: rows, bookmarks and positions in the transaction that
    /// holds the changes, mini-batches, dead letters and forwards already.
    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        if !self.is_pending {
            return Ok(());
        }
        let started = self.pace.clock().now();
        self.write_state()?;
        self.broker.commit(&self.positions())?;
        self.settle();
        self.report(started);
        self.committed = self.pace.clock().now();
        Ok(())
    }

    fn write_state(&mut self) -> Result<(), Failure> {
        self.note_positions();
        for (number, open) in self.tasks.iter_mut().filter(|(_, open)| open.is_dirty) {
            self.outbox
                .state(&mut self.broker, &self.pipeline, *number, &open.task)?;
        }
        Ok(())
    }

    /// Passes control records: every record handed out has been processed by now.
    fn note_positions(&mut self) {
        for (number, open) in self.tasks.iter_mut().filter(|(_, open)| open.is_dirty) {
            let inputs: Vec<_> = open.task.inputs().collect();
            for ((input, partition), progress) in inputs {
                let source = Source {
                    topic: Topic::Input(input),
                    partition,
                };
                let position = self.broker.position(source).unwrap_or(progress.next_offset);
                open.task
                    .advance_input((input, partition), position.max(progress.next_offset));
            }
            let source = Source {
                topic: Topic::Repartition,
                partition: *number,
            };
            let known = open.task.repartition_offset();
            let position = self.broker.position(source).unwrap_or(known);
            open.task.advance_repartition(position.max(known));
        }
    }

    /// The next offset of everything that the tasks with something new read.
    fn positions(&self) -> Vec<(Source, i64)> {
        let mut positions: Vec<(Source, i64)> = Vec::new();
        for (number, open) in self.tasks.iter().filter(|(_, open)| open.is_dirty) {
            let repartition = Source {
                topic: Topic::Repartition,
                partition: *number,
            };
            positions.push((repartition, open.task.repartition_offset()));
            positions.extend(open.task.inputs().map(|((input, partition), progress)| {
                (
                    Source {
                        topic: Topic::Input(input),
                        partition,
                    },
                    progress.next_offset,
                )
            }));
        }
        positions.extend(self.deltas_offset.map(|offset| (DELTAS, offset)));
        positions
    }

    fn settle(&mut self) {
        for open in self.tasks.values_mut().filter(|open| open.is_dirty) {
            open.task.settle();
            open.is_dirty = false;
        }
        self.deltas_offset = None;
        self.is_pending = false;
    }

    fn report(&mut self, started: Moment) {
        self.meter.commits += 1;
        self.meter.commit.push(self.pace.clock().since(started));
        self.meter.customers = self
            .tasks
            .values()
            .map(|open| open.task.rows().len() as u64)
            .sum();
        if let Some(now_ms) = self.pace.now_ms() {
            let since = |ms: &i64| Duration::from_millis((now_ms - ms).max(0) as u64);
            self.meter
                .end_to_end
                .extend(self.received_ms.iter().map(since));
            self.report_lags(now_ms);
        }
        self.received_ms.clear();
        self.meter.export(&self.metrics);
    }

    fn report_lags(&self, now_ms: i64) {
        for open in self.tasks.values() {
            for ((input, partition), progress) in open.task.inputs() {
                let source = Source {
                    topic: Topic::Input(input),
                    partition,
                };
                let topic = &self.pipeline.topics.inputs[usize::from(input)];
                let behind =
                    Duration::from_millis(now_ms.saturating_sub(progress.time_ms).max(0) as u64);
                self.metrics
                    .input(topic, partition, behind, self.broker.lag(source));
            }
        }
    }
}
