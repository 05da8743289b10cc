//! Writes the seeds of each target to a folder of its name: `seeds FOLDER`.

use std::path::PathBuf;
use std::{env, fs, io};

use flockwise_fuzz::TARGETS;

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::args().nth(1).unwrap_or_default());
    for target in TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
