//! Workers on the in-process broker, or on a simulated cluster, with a simulated clock.

mod conditions;
mod history;
mod idle_time;
mod rebalances;
mod rolling_update;
mod suite;
mod task_commands;
mod trainers;
mod truncated;
mod unfinished_version;
mod unknown_schema;
