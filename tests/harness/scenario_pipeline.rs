//! The pipeline of the scenarios, with every aggregate over every horizon, and a model for it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use flockwise_config::Config;
use flockwise_core::model::ModelVersion;
use flockwise_core::policy::HistoryPolicy;
use flockwise_core::task::TaskSettings;
use flockwise_runtime::event_time_alignment::Alignment;
use flockwise_runtime::pipeline::Pipeline;
use flockwise_runtime::schema_source::NoSchemas;
use flockwise_runtime::topics::Topics;

use crate::{events, reference};

/// Features that together use every aggregate, horizon and kind of condition.
pub const FEATURES: &str = include_str!("features.toml");

/// Decides at every scoring and never sweeps, so that a customer's changes depend only on that customer's events.
pub const AT_ONCE: &str = r#"
[decision]
margin = 0.0
patience = 0.0
dwell = 1
cooldown = "0s"

[sweep]
every = "off"

[time]
max_ahead = "36500d"
remembered_ids = 256
"#;

/// Turns learning off: the imported model stays in use.
pub const FIXED: &str = "
[model]
learn = false
";

/// Learns after 50 customers, never holds a version and sweeps daily.
pub const LEARNING: &str = r#"
[model]
k = 4
warm_up = { customers = 50 }
half_life = "7d"
churn_budget = 1.0

[sweep]
every = "1d"

[time]
max_ahead = "36500d"
remembered_ids = 256
"#;

/// A configuration with one input per format, [`FEATURES`] and these `sections`.
#[must_use]
pub fn config(formats: &[&str], sections: &[&str]) -> Config {
    let inputs = formats.iter().enumerate().map(|(number, format)| {
        format!("[[input]]\ntopic = \"in{number}\"\nformat = \"{format}\"\n")
    });
    let inputs: String = inputs.collect();
    let text = format!(
        "app = \"test\"\n{inputs}\n{FEATURES}\n{}",
        sections.join("\n")
    );
    Config::parse(&text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The pipeline of a configuration, on the topics of a test.
#[must_use]
pub fn pipeline(config: &Config, topics: Topics, import: Option<ModelVersion>) -> Pipeline {
    let task = Arc::new(TaskSettings {
        plan: Arc::new(config.plan()),
        decision: config.decision,
        time: config.time,
        learning: config.learning,
        history: HistoryPolicy::default(),
        tasks: topics.state_partitions,
    });
    let formats: Vec<_> = config
        .inputs
        .iter()
        .map(|input| input.format.clone())
        .collect();
    Pipeline {
        starts: Vec::new(),
        start_ids: Vec::new(),
        decoders: Pipeline::decoders(&formats, &task),
        schemas: Arc::new(NoSchemas),
        partitioner: config.partitioner,
        import,
        // Short, so that a test has many transactions that can fail.
        commit_interval: Duration::from_millis(20),
        alignment: Alignment {
            max_skew_ms: config.max_skew_ms,
            idle_timeout: config.idle_timeout,
        },
        memory: Arc::default(),
        topics,
        task,
    }
}

/// A model learned from the generated shop, once per process.
#[must_use]
pub fn model() -> ModelVersion {
    static MODEL: LazyLock<ModelVersion> = LazyLock::new(|| {
        let config = config(&["segment"], &[LEARNING]);
        let topics = Topics {
            app: "model".to_owned(),
            inputs: vec!["in0".to_owned()],
            state_partitions: 1,
        };
        let pipeline = pipeline(&config, topics, None);
        let learned = reference::run(&pipeline, &events::generated(4_000, 200, 7));
        let model = learned.model.expect("enough customers for a model");
        ModelVersion {
            version: 1,
            ..model
        }
    });
    MODEL.clone()
}
