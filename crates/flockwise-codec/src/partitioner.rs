//! Maps a customer to a state partition.

/// How producers map keys to partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Partitioner {
    /// The Java client's default: MurmurHash2 with Kafka's seed.
    #[default]
    Murmur2,
    /// librdkafka's `consistent`: CRC-32.
    Crc32,
}

impl Partitioner {
    /// The name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Murmur2 => "murmur2",
            Self::Crc32 => "crc32",
        }
    }

    /// The partitioner of this name; `None` if there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Murmur2, Self::Crc32]
            .into_iter()
            .find(|partitioner| partitioner.name() == name)
    }

    /// The partition of a key, below `partitions`.
    ///
    /// # Panics
    /// If `partitions` is 0.
    #[must_use]
    pub fn partition(self, key: &[u8], partitions: u32) -> u32 {
        match self {
            Self::Murmur2 => (murmur2(key) & 0x7fff_ffff) % partitions,
            Self::Crc32 => crc32fast::hash(key) % partitions,
        }
    }
}

/// MurmurHash2 (Appleby) with the seed of Apache Kafka's clients.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ key.len() as u32;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(M);
        word = (word ^ (word >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ word;
    }
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_is_that_of_the_java_client() {
        // From the test vectors of Apache Kafka's client library.
        let cases: [(&str, i32); 5] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
        ];
        for (key, expected) in cases {
            assert_eq!(murmur2(key.as_bytes()) as i32, expected, "{key}");
        }
    }

    #[test]
    fn every_key_gets_a_partition_in_range() {
        for partitioner in [Partitioner::Murmur2, Partitioner::Crc32] {
            for number in 0..1000_u32 {
                assert!(partitioner.partition(&number.to_le_bytes(), 7) < 7);
            }
        }
    }
}
