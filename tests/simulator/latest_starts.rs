//! Pipelines that start after the latest record of their inputs: `start = "latest"`.

use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_runtime::broker::Start;
use flockwise_runtime::topics::Topic;

use super::rolling_configurations::Setup;
use super::simulation::Simulation;

/// Trace event: an input partition is read from its end on.
pub(super) const BEGINS_LATE: &str = "starts at the end of input partition";

/// For each input that was read: its generation when its starts were fixed, and the start offset of each partition
/// that it had.
pub(super) type Starts = BTreeMap<u16, (u32, Vec<i64>)>;

impl Simulation {
    /// Adds the start offsets of its inputs to a configuration. They are fixed when an instance first reads an input.
    /// An input that was recreated since then starts at its oldest record.
    pub(super) fn pinned(&self, mut setup: Setup) -> Setup {
        if !self.scenario.variations.latest {
            return setup;
        }
        let mut starts = self.starts.borrow_mut();
        let starts_of = |input: &u16| {
            let generation = self.producers().generations[usize::from(*input)];
            let (pinned, offsets) = starts
                .entry(*input)
                .or_insert_with(|| (generation, self.begin_at_ends(*input)));
            if *pinned != generation {
                (*pinned, *offsets) = (generation, Vec::new());
            }
            offsets.iter().copied().map(Start::Offset).collect()
        };
        let starts = setup.inputs.iter().map(starts_of).collect();
        let ids = setup
            .inputs
            .iter()
            .map(|input| self.topic_id(*input))
            .collect();
        let pipeline = Arc::make_mut(&mut setup.pipeline);
        (pipeline.starts, pipeline.start_ids) = (starts, ids);
        setup
    }

    /// The current topic id of an input.
    fn topic_id(&self, input: u16) -> String {
        let name = self.pipeline.topics.name(Topic::Input(input));
        match self.producers().generations[usize::from(input)] {
            0 => name.to_string(),
            generation => format!("{name}#{generation}"),
        }
    }

    /// Marks all current records of an input as not to be read. Returns the end offsets of its partitions.
    fn begin_at_ends(&self, input: u16) -> Vec<i64> {
        let (mut committed_log, mut producers) = (self.committed_log(), self.producers());
        let partitions = producers.partitions().filter(|(known, _)| *known == input);
        let partitions: Vec<u32> = partitions.map(|(_, partition)| partition).collect();
        let begin = |partition: u32| {
            let start = self.broker.stable(Topic::Input(input), partition);
            let input_key = producers.input_key(input, partition);
            committed_log
                .readings
                .entry(input_key)
                .or_default()
                .begin(start);
            producers.forget_time(input, partition);
            self.note(None, BEGINS_LATE, [i64::from(partition), start]);
            start
        };
        partitions.into_iter().map(begin).collect()
    }
}
