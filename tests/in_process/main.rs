//! Workers on the in-process broker, or on a simulated cluster, with a simulated clock.

mod commands;
mod conditions;
mod history;
mod idle_time;
mod rebalances;
mod rolled_half_life;
mod suite;
mod trainers;
mod truncated;
mod unfinished_version;
