//! The broker and the follower on a real Apache Kafka. Skipped, with a word, where none is named.

mod following;
mod open_transactions;
mod parting;
mod reading;
mod replaying;
mod sending;
mod shards;
mod support;
