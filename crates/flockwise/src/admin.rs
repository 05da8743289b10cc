//! Commands on a Kafka cluster that prepare or change a pipeline: `check`, `topics`, `reset`, `erase`; what `run` checks before it starts.

pub(crate) mod check;
pub(crate) mod check_pipeline_record;
pub(crate) mod compare_topics;
pub(crate) mod erase;
pub(crate) mod finding;
pub(crate) mod needed_acls;
pub(crate) mod preflight;
pub(crate) mod reset;
pub(crate) mod state_directory;
pub(crate) mod topics;
