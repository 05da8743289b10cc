//! The real program on real Kafka. Each test is skipped, with a message on stderr, if there is no test Kafka. All
//! tests are in one binary, so that they wait in parallel.

mod backlog;
mod corrupt;
mod erase;
mod kill;
mod model;
mod permissions;
mod preflight;
mod recreated;
mod reset;
mod rolling;
mod starts;
mod suite;
mod truncated;
mod watching;
