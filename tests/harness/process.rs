//! The built `flockwise` command, as people run it.

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

use crate::PATIENCE;

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Results.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Finished {
    /// Checks the exit code and that stderr holds all of these; returns itself.
    ///
    /// # Panics
    /// Where that is not so.
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

/// The workspace's folder.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests is a folder of the workspace")
}

/// A folder that goes when it is dropped.
///
/// # Panics
/// Where there is no room.
#[must_use]
pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// `flockwise` with these arguments, without anything from this process's environment that it would
/// take for configuration.
#[must_use]
pub fn flockwise(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with("FLOCKWISE__")) {
        command.env_remove(name);
    }
    command
        .env_remove("RUST_LOG")
        .args(arguments)
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end.
#[must_use]
pub fn run(command: &mut Command) -> Finished {
    Process::start(command).wait()
}

impl Process {
    /// Starts a command.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let file = || NamedTempFile::new().expect("a temporary file");
        let (stdout, stderr) = (file(), file());
        let again = |file: &NamedTempFile| file.reopen().expect("the file again");
        command.stdout(again(&stdout)).stderr(again(&stderr));
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Panics
    /// Where it was gone already.
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

    /// SIGTERM, and how it ended.
    ///
    /// # Panics
    /// Where it does not end.
    #[must_use]
    pub fn terminate(self) -> Finished {
        self.ask_to_end();
        self.wait()
    }

    /// SIGTERM.
    pub fn ask_to_end(&self) {
        self.signal("TERM");
    }

    /// Freezes it, as a long pause of its machine would.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
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
    /// Where it does not.
    #[must_use]
    pub fn wait(mut self) -> Finished {
        self.ended_within(PATIENCE)
            .unwrap_or_else(|| panic!("does not end: {}", text(&self.stderr)))
    }

    /// How it ended; `None` where it still runs after so long.
    ///
    /// # Panics
    /// Where the system does not say.
    pub fn ended_within(&mut self, patience: Duration) -> Option<Finished> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return Some(self.ended(status));
            }
            if start.elapsed() >= patience {
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

    /// Is it still running? What it has said where it is not.
    ///
    /// # Errors
    /// What it said.
    pub fn is_running(&mut self) -> Result<(), String> {
        match self.child.try_wait().expect("its state") {
            None => Ok(()),
            Some(status) => Err(format!("{status}: {}", text(&self.stderr))),
        }
    }

    /// Its results so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// What it has said so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(file: &NamedTempFile) -> String {
    let bytes = std::fs::read(file.path()).expect("what it said");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An address where nobody listens.
///
/// # Panics
/// Where there is no free port.
#[must_use]
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}

/// The body of an answer to a GET request; `None` where nobody answers.
#[must_use]
pub fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some(body.to_owned())
}

/// Lines of JSON.
///
/// # Panics
/// Where the file cannot be read or a line is none.
#[must_use]
pub fn json_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// Writes lines.
///
/// # Panics
/// Where there is no room.
pub fn write_lines<'a>(path: &Path, lines: impl IntoIterator<Item = &'a [u8]>) {
    let mut file = std::io::BufWriter::new(File::create(path).expect("a file"));
    for line in lines {
        file.write_all(line)
            .and_then(|()| file.write_all(b"\n"))
            .expect("written");
    }
    file.flush().expect("written");
}

/// The command under test, built by cargo in the profile of this very test: a no-op where it is fresh.
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

/// Programs lie in `target/PROFILE`, tests in `deps` there, and the profile `dev` in `target/debug`.
fn profile() -> String {
    let this = std::env::current_exe().expect("this program's path");
    let mut folders = this.ancestors().skip(1).filter_map(Path::file_name);
    let folder = folders.find(|name| *name != "deps");
    match folder.map(|name| name.to_string_lossy().into_owned()) {
        Some(name) if name != "debug" => name,
        _ => "dev".to_owned(),
    }
}
