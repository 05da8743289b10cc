//! Each target on mutated seeds, for about a second: the same inputs every time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use flockwise_fuzz::{TARGETS, Target};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Changes of one input, at most.
const MAX_CHANGES: usize = 8;

#[test]
fn seeds_and_their_mutations_hold() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}: no seeds", target.name);
        for seed in &seeds {
            assert!(run(target, seed), "{}: a seed is refused", target.name);
        }
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut refused = 0;
        for _ in 0..target.runs {
            let seed = &seeds[random.random_range(0..seeds.len())];
            refused += u32::from(!run(target, &mutated(seed, &mut random)));
        }
        // Otherwise the mutations reach one side of the decoder only.
        assert!(
            refused > 0 && refused < target.runs,
            "{}: {refused} refused",
            target.name
        );
    }
}

fn run(target: Target, input: &[u8]) -> bool {
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    outcome.unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(input);
        panic!(
            "target {} fails on this input: {input:?}\n{text}",
            target.name
        )
    })
}

/// The seed with a few bytes changed, removed, repeated or added, or cut off.
fn mutated(seed: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..random.random_range(1..=MAX_CHANGES) {
        let length = input.len();
        if length == 0 {
            break;
        }
        let at = random.random_range(0..length);
        let end = (at + random.random_range(1..=16)).min(length);
        match random.random_range(0..6) {
            0 => input[at] ^= 1 << random.random_range(0..8),
            1 => input[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'9'][random.random_range(0..8)],
            2 => drop(input.drain(at..end)),
            3 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            4 => input.insert(at, random.random()),
            _ => input.truncate(at),
        }
    }
    input
}
