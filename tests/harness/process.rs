//! Runs the built `flockwise` command as a child process.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};

use crate::TIMEOUT;

/// The exit status and output of a command.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; `None` if a signal ended the process.
    pub code: Option<i32>,
    /// The signal that ended the process; `None` if it exited.
    pub signal: Option<i32>,
    /// Everything written to stdout: the results.
    pub stdout: String,
    /// Everything written to stderr: logs and errors.
    pub stderr: String,
}

impl Finished {
    /// Checks the exit code and that stderr contains all of `words`. Returns itself.
    ///
    /// # Panics
    /// If a check fails.
    pub fn expect(self, code: i32, words: &[&str]) -> Self {
        let missing: Vec<_> = words
            .iter()
            .filter(|word| !self.stderr.contains(**word))
            .collect();
        let is_right = self.code == Some(code) && missing.is_empty();
        assert!(
            is_right,
            "expected code {code} and {missing:?} on stderr: {self:#?}"
        );
        self
    }
}

/// A running `flockwise`, killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: NamedTempFile,
    stderr: NamedTempFile,
}

/// The root folder of the workspace.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests is a folder of the workspace")
}

/// A temporary folder, deleted on drop.
///
/// # Panics
/// If it cannot be created.
#[must_use]
pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The `flockwise` command with these arguments. Environment variables that would configure it (`FLOCKWISE__*`,
/// `RUST_LOG`) are removed.
#[must_use]
pub fn flockwise(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_string_lossy().starts_with("FLOCKWISE__")) {
        command.env_remove(name);
    }
    command
        .env_remove("RUST_LOG")
        .args(arguments)
        .stdin(Stdio::null());
    command
}

/// Runs a command and waits until it ends.
#[must_use]
pub fn run(command: &mut Command) -> Finished {
    Process::start(command).wait()
}

impl Process {
    /// Starts a command with stdout and stderr redirected to temporary files.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let file = || NamedTempFile::new().expect("a temporary file");
        let (stdout, stderr) = (file(), file());
        let reopen = |file: &NamedTempFile| file.reopen().expect("the file again");
        command.stdout(reopen(&stdout)).stderr(reopen(&stderr));
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// Sends SIGKILL and waits until the process has ended.
    ///
    /// # Panics
    /// If it had already ended.
    pub fn kill(mut self) {
        let ended = self.child.try_wait().expect("its state");
        assert_eq!(
            ended,
            None,
            "ended before it was killed: {}",
            text(&self.stderr)
        );
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Sends SIGTERM and waits until the process has ended.
    ///
    /// # Panics
    /// If it does not end within [`TIMEOUT`].
    #[must_use]
    pub fn terminate(self) -> Finished {
        self.request_stop();
        self.wait()
    }

    /// Sends SIGTERM without waiting.
    pub fn request_stop(&self) {
        self.signal("TERM");
    }

    /// Sends SIGSTOP: the process freezes, as in a long pause of its machine.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Sends SIGCONT: a paused process continues.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .expect("kill");
        assert!(sent.success(), "no process {pid}: {}", text(&self.stderr));
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// If it does not end within [`TIMEOUT`].
    #[must_use]
    pub fn wait(mut self) -> Finished {
        self.ended_within(TIMEOUT)
            .unwrap_or_else(|| panic!("does not end: {}", text(&self.stderr)))
    }

    /// How it ended; `None` if it still runs after `timeout`.
    ///
    /// # Panics
    /// If its state cannot be read.
    pub fn ended_within(&mut self, timeout: Duration) -> Option<Finished> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return Some(self.ended(status));
            }
            if start.elapsed() >= timeout {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn ended(&self, status: ExitStatus) -> Finished {
        Finished {
            code: status.code(),
            signal: status.signal(),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }

    /// `Ok` while it runs.
    ///
    /// # Errors
    /// Its exit status and stderr, if it has ended.
    pub fn is_running(&mut self) -> Result<(), String> {
        match self.child.try_wait().expect("its state") {
            None => Ok(()),
            Some(status) => Err(format!("{status}: {}", text(&self.stderr))),
        }
    }

    /// Its stdout so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// Its stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(file: &NamedTempFile) -> String {
    let bytes = std::fs::read(file.path()).expect("the file's content");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A local address that no process listens on.
///
/// # Panics
/// If there is no free port.
#[must_use]
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}

/// Sends a GET request and returns the body of the answer; `None` if there is no answer.
#[must_use]
pub fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some(body.to_owned())
}

/// Reads a file of JSON lines.
///
/// # Panics
/// If the file cannot be read or a line is not JSON.
#[must_use]
pub fn json_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// Writes lines to a new file.
///
/// # Panics
/// If the file cannot be written.
pub fn write_lines<'a>(path: &Path, lines: impl IntoIterator<Item = &'a [u8]>) {
    let mut file = std::io::BufWriter::new(File::create(path).expect("a file"));
    for line in lines {
        file.write_all(line)
            .and_then(|()| file.write_all(b"\n"))
            .expect("written");
    }
    file.flush().expect("written");
}

/// The path of the command under test. Cargo builds it in the profile of this test, which takes no time if it is up
/// to date.
fn binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(build);
    &BINARY
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace());
    command.args([
        "build",
        "--quiet",
        "--package",
        "flockwise",
        "--message-format",
        "json",
    ]);
    command
        .args(["--profile", &profile()])
        .stderr(Stdio::inherit());
    let built = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        built.status.success(),
        "flockwise cannot be built: {command:?}"
    );
    let messages = String::from_utf8_lossy(&built.stdout).into_owned();
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut executables =
        messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    let executable = executables.next();
    executable.unwrap_or_else(|| panic!("{command:?} names no executable"))
}

/// Cargo puts programs into `target/PROFILE` and tests into its folder `deps`; for the profile `dev` it is
/// `target/debug`.
fn profile() -> String {
    let this = std::env::current_exe().expect("this program's path");
    let mut folders = this.ancestors().skip(1).filter_map(Path::file_name);
    let folder = folders.find(|name| *name != "deps");
    match folder.map(|name| name.to_string_lossy().into_owned()) {
        Some(name) if name != "debug" => name,
        _ => "dev".to_owned(),
    }
}
