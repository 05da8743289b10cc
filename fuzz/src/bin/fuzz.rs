//! The target that `FLOCKWISE_FUZZ_TARGET` names, for libFuzzer.
#![no_main]

use std::sync::LazyLock;

use flockwise_fuzz::{Target, target};

/// What libFuzzer runs, chosen by the environment since its own arguments leave no room for it.
static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FLOCKWISE_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("FLOCKWISE_FUZZ_TARGET: no target {name:?}"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    (TARGET.run)(bytes);
});
