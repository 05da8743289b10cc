//! `run`: the service, from its workers and their watchdog to its metrics and its log.

pub(crate) mod expose_process_metrics;
pub(crate) mod follower_thread;
pub(crate) mod instance_id;
pub(crate) mod private_files;
pub(crate) mod run;
pub(crate) mod shared_view;
pub(crate) mod signals;
pub(crate) mod status_log;
pub(crate) mod watchdog;
pub(crate) mod workers;
