//! Exit codes, error output, and writing results to stdout.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// Why a command failed, and its exit code.
#[derive(Debug)]
pub(crate) struct Failed {
    code: u8,
    message: String,
}

impl Failed {
    /// Exit code 1: something failed at run time, and another attempt may succeed.
    pub(crate) fn runtime(message: impl fmt::Display) -> Self {
        Self {
            code: 1,
            message: message.to_string(),
        }
    }

    /// Exit code 2: the command line, the configuration or a file that they name is invalid.
    pub(crate) fn invalid(message: impl fmt::Display) -> Self {
        Self {
            code: 2,
            message: message.to_string(),
        }
    }

    /// Prints the message to stderr.
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

/// Prints one line of a result to stdout.
macro_rules! outln {
    ($($line:tt)*) => { crate::exit::print_line(format_args!($($line)*)) };
}
pub(crate) use outln;

/// Prints a line to stdout. If the reader has closed the pipe (`| head`), the command continues and keeps its exit
/// code.
pub(crate) fn print_line(line: fmt::Arguments<'_>) {
    write_line(line);
}

/// Prints a line of the demo to stdout. Exits with 0 if the reader has closed the pipe.
pub(crate) fn print_while_read(line: fmt::Arguments<'_>) {
    if !write_line(line) {
        std::process::exit(0);
    }
}

/// `false` if the reader has closed the pipe. Exits with 1 on any other error.
fn write_line(line: fmt::Arguments<'_>) -> bool {
    match writeln!(io::stdout().lock(), "{line}") {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => false,
        Err(error) => {
            eprintln!("flockwise: cannot write the result to stdout: {error}");
            std::process::exit(1);
        }
    }
}
