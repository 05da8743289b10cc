//! Fuzz targets: every decoder of bytes that come from outside the process.
//!
//! A target must not panic, whatever the bytes. If it accepts them, encoding what it decoded must be stable: decoding and
//! encoding that again gives the same bytes. `cargo test` runs each target on mutated seeds for a moment; `cargo xtask fuzz`
//! runs it for long, guided by coverage.

mod avro;
mod checkpoint;
mod codec;
mod configuration;
mod documents;

/// A decoder and inputs to start from.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Valid inputs, or nearly so.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Decodes the bytes. Returns whether they were accepted.
    ///
    /// # Panics
    /// If the decoder is wrong.
    pub run: fn(&[u8]) -> bool,
    /// Inputs of the short test: about a second's work in a debug build.
    pub runs: u32,
}

/// All targets.
pub const TARGETS: [Target; 13] = [
    Target {
        name: "event",
        seeds: codec::event_seeds,
        run: codec::event,
        runs: 100_000,
    },
    Target {
        name: "avro_event",
        seeds: avro::seeds,
        run: avro::event,
        runs: 100_000,
    },
    Target {
        name: "documents",
        seeds: documents::seeds,
        run: documents::split,
        runs: 100_000,
    },
    Target {
        name: "forward",
        seeds: codec::forward_seeds,
        run: codec::forward,
        runs: 100_000,
    },
    Target {
        name: "watermarks",
        seeds: codec::watermarks_seeds,
        run: codec::watermarks,
        runs: 100_000,
    },
    Target {
        name: "task_command",
        seeds: codec::task_command_seeds,
        run: codec::task_command,
        runs: 50_000,
    },
    Target {
        name: "trainer_input",
        seeds: codec::trainer_input_seeds,
        run: codec::trainer_input,
        runs: 50_000,
    },
    Target {
        name: "row",
        seeds: codec::row_seeds,
        run: codec::row,
        runs: 100_000,
    },
    Target {
        name: "task_position",
        seeds: codec::task_position_seeds,
        run: codec::task_position,
        runs: 20_000,
    },
    Target {
        name: "model",
        seeds: codec::model_seeds,
        run: codec::model,
        runs: 10_000,
    },
    Target {
        name: "pipeline_record",
        seeds: codec::pipeline_record_seeds,
        run: codec::pipeline_record,
        runs: 20_000,
    },
    Target {
        name: "configuration",
        seeds: configuration::seeds,
        run: configuration::run,
        runs: 300,
    },
    Target {
        name: "checkpoint",
        seeds: checkpoint::seeds,
        run: checkpoint::run,
        runs: 100,
    },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
