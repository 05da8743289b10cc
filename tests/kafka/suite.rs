//! The scenarios on real Kafka. Skipped, with a message on stderr, if there is no test Kafka.

flockwise_tests::suite!(flockwise_tests::kafka::Kafka);
