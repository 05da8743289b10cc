//! Pipelines that begin behind the latest record of their inputs, as `start = "latest"` has it.

use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_runtime::broker::Start;
use flockwise_runtime::topics::Topic;

use super::setup::Setup;
use super::world::World;

/// A partition is read from its end on.
pub(super) const BEGINS_LATE: &str = "has an input partition read from its end on";

/// Of each input that was read: how often it had been recreated by then, and where its partitions began that it had.
pub(super) type Starts = BTreeMap<u16, (u32, Vec<i64>)>;

impl World {
    /// A configuration with the starts of its inputs. They are decided when an instance first reads an input; one that
    /// was recreated since begins at its oldest record.
    pub(super) fn pinned(&self, mut setup: Setup) -> Setup {
        if !self.scenario.variations.latest {
            return setup;
        }
        let mut starts = self.starts.borrow_mut();
        let starts_of = |input: &u16| {
            let generation = self.feed().generations[usize::from(*input)];
            let (pinned, offsets) = starts
                .entry(*input)
                .or_insert_with(|| (generation, self.begin_at_ends(*input)));
            if *pinned != generation {
                (*pinned, *offsets) = (generation, Vec::new());
            }
            offsets.iter().copied().map(Start::Offset).collect()
        };
        let starts = setup.inputs.iter().map(starts_of).collect();
        let ids = setup.inputs.iter().map(|input| self.id(*input)).collect();
        let pipeline = Arc::make_mut(&mut setup.pipeline);
        (pipeline.starts, pipeline.start_ids) = (starts, ids);
        setup
    }

    /// The id that an input has now.
    fn id(&self, input: u16) -> String {
        let name = self.pipeline.topics.name(Topic::Input(input));
        match self.feed().generations[usize::from(input)] {
            0 => name.to_string(),
            generation => format!("{name}#{generation}"),
        }
    }

    /// Nothing that an input holds now is to be counted. Returns where its partitions end.
    fn begin_at_ends(&self, input: u16) -> Vec<i64> {
        let (mut committed_log, mut feed) = (self.committed_log(), self.feed());
        let partitions = feed.partitions().filter(|(known, _)| *known == input);
        let partitions: Vec<u32> = partitions.map(|(_, partition)| partition).collect();
        let begin = |partition: u32| {
            let start = self.broker.stable(Topic::Input(input), partition);
            let lane = feed.lane(input, partition);
            committed_log.readings.entry(lane).or_default().begin(start);
            feed.forget_time(input, partition);
            self.note(None, BEGINS_LATE, [i64::from(partition), start]);
            start
        };
        partitions.into_iter().map(begin).collect()
    }
}
