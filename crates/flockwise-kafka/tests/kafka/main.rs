//! The broker and the follower on a real Apache Kafka. Skipped, with a word, where none is named.

mod follower;
mod group_leave;
mod open_transactions;
mod partition_reader;
mod producer;
mod replay;
mod support;
mod transactions;
