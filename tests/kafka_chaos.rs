//! A short `cargo xtask chaos`: every kind of fault for about a minute, on its own brokers and processes. Skipped,
//! with a message on stderr, if there is no test Kafka.

use std::path::Path;
use std::process::{Command, Stdio};

use flockwise_tests::kafka::servers;

/// Among others, this seed stops a broker while offset commits are on their way to it.
const SEED: &str = "22";

#[test]
fn whatever_breaks_nothing_is_lost_or_doubled() {
    if servers().is_none() {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos");
    let ended = Command::new(env!("CARGO_BIN_EXE_chaos"))
        .args(["--minutes", "1.3", "--seed", SEED, "--rate", "200", "--dir"])
        .arg(&folder)
        .stdin(Stdio::null())
        .output()
        .expect("chaos starts");
    let output = [&ended.stdout, &ended.stderr].map(|output| String::from_utf8_lossy(output));
    assert!(ended.status.success(), "{}\n{}", output[0], output[1]);
}
