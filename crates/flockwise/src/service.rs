//! `run`: the service, from its workers and their watchdog to its metrics and its log.

pub(crate) mod exposition;
pub(crate) mod follower_thread;
pub(crate) mod instance;
pub(crate) mod private;
pub(crate) mod run;
pub(crate) mod signals;
pub(crate) mod status_log;
pub(crate) mod watchdog;
pub(crate) mod workers;
