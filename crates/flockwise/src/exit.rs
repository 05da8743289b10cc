//! How a command ends.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// A command that did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failed {
    code: u8,
    message: String,
}

impl Failed {
    /// Something failed while running.
    pub(crate) fn running(message: impl fmt::Display) -> Self {
        Self {
            code: 1,
            message: message.to_string(),
        }
    }

    /// The command line, the configuration or a file named in them is wrong.
    pub(crate) fn wrong(message: impl fmt::Display) -> Self {
        Self {
            code: 2,
            message: message.to_string(),
        }
    }

    /// Says why on stderr.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("flockwise: {self}");
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

/// Prints a line of the result on stdout.
macro_rules! say {
    ($($words:tt)*) => { crate::exit::print_line(format_args!($($words)*)) };
}
pub(crate) use say;

/// A reader may close the pipe early (`| head`). The command goes on and keeps its exit code.
pub(crate) fn print_line(words: fmt::Arguments<'_>) {
    write_line(words);
}

/// Prints a line of the demo, and ends the process with 0 where the pipe is closed.
pub(crate) fn print_while_read(words: fmt::Arguments<'_>) {
    if !write_line(words) {
        std::process::exit(0);
    }
}

/// `false` where the pipe is closed.
fn write_line(words: fmt::Arguments<'_>) -> bool {
    match writeln!(io::stdout().lock(), "{words}") {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => false,
        Err(error) => {
            eprintln!("flockwise: the result cannot be written to stdout: {error}");
            std::process::exit(1);
        }
    }
}
