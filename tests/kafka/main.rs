//! The real program on real Kafka. Each test is skipped, with a message on stderr, if there is no test Kafka. All
//! tests are in one binary, so that they wait in parallel.

mod avro_input;
mod backlog;
mod corrupt_batch;
mod erase;
mod instance_metrics;
mod killed_processes;
mod model_commands;
mod permissions;
mod preflight;
mod recreated_input;
mod reset;
mod rolling_inputs;
mod start_positions;
mod suite;
mod truncated_input;
