//! The real program on real Kafka. Each test is skipped, with a word, where none is named. One binary, so that
//! tests that wait do so side by side.

mod backlog;
mod corrupt;
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
