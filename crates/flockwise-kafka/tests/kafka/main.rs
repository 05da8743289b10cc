//! The clients on a real Apache Kafka. Skipped, with a message, if `FLOCKWISE_TEST_KAFKA` is not set.

mod follower;
mod group_leave;
mod open_transactions;
mod partition_reader;
mod producer;
mod replay;
mod support;
mod transactions;
