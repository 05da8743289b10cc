//! The scenarios on real Kafka. Skipped, with a word, where none is named.

flockwise_tests::suite!(flockwise_tests::kafka::Kafka);
