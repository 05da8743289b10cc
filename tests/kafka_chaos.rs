//! Every kind of fault for a minute, on brokers and processes of its own: a short `cargo xtask chaos`. Skipped,
//! with a word, where no Kafka is named.

use std::path::Path;
use std::process::{Command, Stdio};

use flockwise_tests::kafka::servers;

/// With it comes, among others, a broker that is stopped while offsets are on their way to it.
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
    let said = [&ended.stdout, &ended.stderr].map(|said| String::from_utf8_lossy(said));
    assert!(ended.status.success(), "{}\n{}", said[0], said[1]);
}
