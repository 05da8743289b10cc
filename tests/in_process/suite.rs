//! The scenarios on the in-process broker.

flockwise_tests::suite!(flockwise_tests::memory::Memory);
