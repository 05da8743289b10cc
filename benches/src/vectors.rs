//! Vectors for the search benchmarks.

/// Pseudo-random numbers between 0 and 4, the usual range of scaled features. The same on every machine.
#[must_use]
pub fn coordinates(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        // Weyl sequence and the finaliser of SplitMix64 (Steele, Lea and Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 51) as f64
    };
    (0..count).map(|_| next()).collect()
}
