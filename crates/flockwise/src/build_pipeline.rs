//! Builds a pipeline from a configuration.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flockwise_codec::model::decode_model;
use flockwise_config::Config;
use flockwise_core::model::{Model, ModelVersion};
use flockwise_core::plan::Plan;
use flockwise_core::policy::HistoryPolicy;
use flockwise_core::task::TaskSettings;
use flockwise_runtime::event_time_alignment::Alignment;
use flockwise_runtime::memory_budget::MemoryBudget;
use flockwise_runtime::pipeline::Pipeline;
use flockwise_runtime::topics::Topics;

use crate::exit::Failed;
use crate::schema_files::SchemaFiles;

/// Builds a pipeline with `state_partitions` tasks. A `model` file overrides the configured import.
pub(crate) fn pipeline(
    config: &Config,
    state_partitions: u32,
    model: Option<&Path>,
) -> Result<Pipeline, Failed> {
    let plan = Arc::new(config.plan());
    let import = model
        .or(config.import.as_deref())
        .map(|path| import(path, &plan))
        .transpose()?;
    let task = Arc::new(TaskSettings {
        plan,
        decision: config.decision,
        time: config.time,
        learning: config.learning,
        history: HistoryPolicy {
            is_published: config.publishes_history,
            ..HistoryPolicy::default()
        },
        tasks: state_partitions,
    });
    let formats: Vec<_> = config
        .inputs
        .iter()
        .map(|input| input.format.clone())
        .collect();
    Ok(Pipeline {
        topics: Topics {
            app: config.app.clone(),
            inputs: config
                .inputs
                .iter()
                .map(|input| input.topic.clone())
                .collect(),
            state_partitions,
        },
        starts: Vec::new(),
        start_ids: Vec::new(),
        decoders: Pipeline::decoders(&formats, &task),
        schemas: Arc::new(SchemaFiles::load(config)?),
        partitioner: config.partitioner,
        task,
        import,
        commit_interval: Duration::from_millis(config.kafka.commit_interval_ms),
        alignment: Alignment {
            max_skew_ms: config.max_skew_ms,
            idle_timeout: config.idle_timeout,
        },
        memory: Arc::new(MemoryBudget::new(config.memory)),
    })
}

/// Reads a model file. Fails if the model does not match the plan.
pub(crate) fn import(path: &Path, plan: &Plan) -> Result<ModelVersion, Failed> {
    let unfit = |reason: String| Failed::invalid(format!("model {}: {reason}", path.display()));
    let bytes =
        std::fs::read(path).map_err(|error| unfit(format!("cannot read the file: {error}")))?;
    let parts = decode_model(&bytes, plan).map_err(unfit)?;
    Model::new(plan, parts.clone()).map_err(|error| unfit(error.to_string()))?;
    Ok(parts)
}

/// The configured number of state partitions. By default, the greatest common divisor of the inputs'
/// partition counts if it is at least half of the largest count, else the largest count.
pub(crate) fn state_partitions(configured: Option<u32>, inputs: &[u32]) -> u32 {
    let largest = inputs.iter().copied().max().unwrap_or(1).max(1);
    let divisor = inputs
        .iter()
        .copied()
        .fold(0, greatest_common_divisor)
        .max(1);
    configured.unwrap_or(if divisor * 2 >= largest {
        divisor
    } else {
        largest
    })
}

fn greatest_common_divisor(left: u32, right: u32) -> u32 {
    if right == 0 {
        left
    } else {
        greatest_common_divisor(right, left % right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_partitions_follow_the_inputs() {
        assert_eq!(state_partitions(None, &[12]), 12);
        assert_eq!(state_partitions(None, &[12, 6]), 6);
        assert_eq!(state_partitions(None, &[12, 5]), 12);
        assert_eq!(state_partitions(None, &[12, 4]), 12);
        assert_eq!(state_partitions(Some(3), &[12, 4]), 3);
    }
}
