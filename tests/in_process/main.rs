//! Workers on the in-process broker with a simulated clock.

mod commands;
mod history;
mod idle_time;
mod rebalances;
mod rolled_half_life;
mod suite;
mod trainers;
mod truncated;
