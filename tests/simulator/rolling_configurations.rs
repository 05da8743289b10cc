//! Configurations of instances, which roll from one to another while other instances run.

use std::sync::Arc;

use flockwise_codec::partitioner::Partitioner;
use flockwise_codec::pipeline_record::PipelineRecord;
use flockwise_runtime::pipeline::Pipeline;
use flockwise_runtime::topics::{Topic, TopicPartition};

use super::scenario::Scenario;
use super::simulation::Simulation;

/// Trace event: an instance whose configuration belongs to another pipeline does not start.
pub(super) const REFUSED: &str = "is refused, for its partitioner";

/// One configuration.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) pipeline: Arc<Pipeline>,
    /// The global numbers of its inputs, in its own order.
    pub(super) inputs: Vec<u16>,
}

impl Setup {
    fn new(scenario: &Scenario, inputs: &[u16]) -> Self {
        Self {
            pipeline: Arc::new(scenario.pipeline_of(inputs)),
            inputs: inputs.to_vec(),
        }
    }

    /// All configurations of a simulation. The first one reads every input.
    pub(super) fn all(scenario: &Scenario) -> Vec<Self> {
        let whole: Vec<u16> = (0..scenario.input_partitions.len() as u16).collect();
        let mut setups = vec![Self::new(scenario, &whole)];
        if scenario.variations.rolled {
            let rolled: [&[u16]; 3] = [&[1, 0], &[0], &[1]];
            setups.extend(rolled.map(|inputs| Self::new(scenario, inputs)));
        }
        setups
    }

    /// True if it reads every input.
    pub(super) fn reads_all_inputs(&self, simulation: &Simulation) -> bool {
        self.inputs.len() == simulation.scenario.input_partitions.len()
    }

    /// Translates an input's local number to its global one.
    pub(super) fn global(&self, topic_partition: TopicPartition) -> TopicPartition {
        match topic_partition.topic {
            Topic::Input(input) => TopicPartition {
                topic: Topic::Input(self.inputs[usize::from(input)]),
                ..topic_partition
            },
            _ => topic_partition,
        }
    }

    /// Translates an input's global number to its local one.
    pub(super) fn local(&self, topic_partition: TopicPartition) -> TopicPartition {
        let Topic::Input(input) = topic_partition.topic else {
            return topic_partition;
        };
        let index = self.inputs.iter().position(|known| *known == input);
        let index = index.expect("an input that the instance reads");
        TopicPartition {
            topic: Topic::Input(index as u16),
            ..topic_partition
        }
    }

    /// The same configuration with another partitioner.
    fn with_other_partitioner(&self) -> Self {
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

    /// Its pipeline record.
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

impl Simulation {
    /// Draws the configuration that an instance starts with; `None` if it is refused.
    pub(super) fn draw_setup(&self) -> Option<Setup> {
        let setup = match self.is_draining.get() || self.random.percent(30) {
            true => &self.setups[0],
            false => &self.setups[self.random.index(self.setups.len())],
        };
        let is_other_partitioner = self.scenario.variations.rolled && self.random.percent(10);
        if self.is_draining.get() || !is_other_partitioner {
            return Some(setup.clone());
        }
        let other = setup.with_other_partitioner();
        let pinned = self.setups[0].record();
        let may_start = pinned.differences(&other.record()).is_empty();
        may_start.then_some(other)
    }

    /// Restarts the instances that do not read every input, so that they read all.
    pub(super) fn restart_partial_instances(self: &std::rc::Rc<Self>) {
        for instance in 0..self.scenario.instances {
            let setup = self.cluster().instances[instance].setup.clone();
            let is_partial = setup.is_some_and(|setup| !setup.reads_all_inputs(self));
            if is_partial {
                self.shut_down(instance, Some(self.clock.wall_ms()));
            }
        }
    }
}
