//! What an instance is configured with: configurations are rolled in and out while others run.

use std::sync::Arc;

use flockwise_codec::partitioner::Partitioner;
use flockwise_codec::pipeline::PipelineRecord;
use flockwise_runtime::pipeline::Pipeline;
use flockwise_runtime::topics::{Topic, TopicPartition};

use super::scenario::Scenario;
use super::world::World;

/// An instance with the configuration of another pipeline does not start.
pub(super) const REFUSED: &str = "is refused, for its partitioner";

/// One configuration.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) pipeline: Arc<Pipeline>,
    /// The world's numbers of its inputs, in its order.
    pub(super) inputs: Vec<u16>,
}

impl Setup {
    fn new(scenario: &Scenario, inputs: &[u16]) -> Self {
        Self {
            pipeline: Arc::new(scenario.pipeline_of(inputs)),
            inputs: inputs.to_vec(),
        }
    }

    /// All that a world rolls, the one in which everything is read first.
    pub(super) fn all(scenario: &Scenario) -> Vec<Self> {
        let whole: Vec<u16> = (0..scenario.input_partitions.len() as u16).collect();
        let mut setups = vec![Self::new(scenario, &whole)];
        if scenario.variations.rolled {
            let rolled: [&[u16]; 3] = [&[1, 0], &[0], &[1]];
            setups.extend(rolled.map(|inputs| Self::new(scenario, inputs)));
        }
        setups
    }

    /// Is every input read?
    pub(super) fn is_whole(&self, world: &World) -> bool {
        self.inputs.len() == world.scenario.input_partitions.len()
    }

    /// A partition under the world's number of its input.
    pub(super) fn global(&self, source: TopicPartition) -> TopicPartition {
        match source.topic {
            Topic::Input(input) => TopicPartition {
                topic: Topic::Input(self.inputs[usize::from(input)]),
                ..source
            },
            _ => source,
        }
    }

    /// A partition under the number that its input has here.
    pub(super) fn local(&self, source: TopicPartition) -> TopicPartition {
        let Topic::Input(input) = source.topic else {
            return source;
        };
        let place = self.inputs.iter().position(|known| *known == input);
        let place = place.expect("an input that the instance reads");
        TopicPartition {
            topic: Topic::Input(place as u16),
            ..source
        }
    }

    /// The same under another partitioner.
    fn mistaken(&self) -> Self {
        let mut pipeline = (*self.pipeline).clone();
        pipeline.partitioner = match pipeline.partitioner {
            Partitioner::Murmur2 => Partitioner::Crc32,
            _ => Partitioner::Murmur2,
        };
        Self {
            pipeline: Arc::new(pipeline),
            inputs: self.inputs.clone(),
        }
    }

    /// What the pipeline's record says of it.
    fn record(&self) -> PipelineRecord {
        let Pipeline {
            partitioner,
            topics,
            task,
            ..
        } = &*self.pipeline;
        PipelineRecord::new(*partitioner, topics.state_partitions, &task.plan)
    }
}

impl World {
    /// What an instance is configured with at its start; `None` where it is refused.
    pub(super) fn configure(&self) -> Option<Setup> {
        let setup = match self.is_calm.get() || self.random.percent(30) {
            true => &self.setups[0],
            false => &self.setups[self.random.place(self.setups.len())],
        };
        let is_mistaken = self.scenario.variations.rolled && self.random.percent(10);
        if self.is_calm.get() || !is_mistaken {
            return Some(setup.clone());
        }
        let mistaken = setup.mistaken();
        let pinned = self.setups[0].record();
        let may_start = pinned.differences(&mistaken.record()).is_empty();
        may_start.then_some(mistaken)
    }

    /// Instances that do not read every input start again with all of them.
    pub(super) fn roll_all_in(self: &std::rc::Rc<Self>) {
        for instance in 0..self.scenario.instances {
            let setup = self.cluster().instances[instance].setup.clone();
            let is_partial = setup.is_some_and(|setup| !setup.is_whole(self));
            if is_partial {
                self.depart(instance, Some(self.clock.wall_ms()));
            }
        }
    }
}
