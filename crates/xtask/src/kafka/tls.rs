//! A throwaway certificate authority and a server certificate for 127.0.0.1, created with the openssl program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::process;

pub(super) const USER: &str = "app";
pub(super) const PASSWORD: &str = "app-secret";

const NO_OPENSSL: &str =
    "openssl is needed to create certificates; on Debian: apt-get install openssl";
const NAMES: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1\n";

/// What a client needs to connect to the SASL_SSL listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secured {
    /// `host:port` of every node, comma-separated.
    pub servers: String,
    /// PEM file of the certificate authority to trust.
    pub authority: PathBuf,
    /// SCRAM-SHA-512 user name.
    pub user: &'static str,
    /// Password of the user.
    pub password: &'static str,
}

impl Secured {
    pub(super) fn new(servers: String, directory: &Path) -> Self {
        Self {
            servers,
            authority: directory.join("tls/ca.pem"),
            user: USER,
            password: PASSWORD,
        }
    }

    /// The librdkafka properties.
    pub fn properties(&self) -> [(&'static str, String); 6] {
        [
            ("bootstrap.servers", self.servers.clone()),
            ("security.protocol", "SASL_SSL".to_owned()),
            ("ssl.ca.location", self.authority.display().to_string()),
            ("sasl.mechanism", "SCRAM-SHA-512".to_owned()),
            ("sasl.username", self.user.to_owned()),
            ("sasl.password", self.password.to_owned()),
        ]
    }

    /// Path of a file with the same properties, for `kcat -F`.
    pub fn client_file(&self) -> PathBuf {
        self.authority.with_file_name("client.properties")
    }

    pub(super) fn write_client_file(&self) -> Result<()> {
        let lines: Vec<String> = self
            .properties()
            .iter()
            .map(|(key, value)| format!("{key}={value}\n"))
            .collect();
        fs::write(self.client_file(), lines.concat()).context("cannot write client.properties")
    }
}

/// Creates `DIR/tls` with `ca.pem` and the broker's `server.pem` (key and certificate), unless they exist.
pub(super) fn ensure(directory: &Path) -> Result<()> {
    let tls = directory.join("tls");
    if tls.join("server.pem").exists() {
        return Ok(());
    }
    fs::create_dir_all(&tls).with_context(|| format!("cannot create {}", tls.display()))?;
    fs::write(tls.join("names"), NAMES)?;
    openssl(
        &tls,
        "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=flockwise-test-ca -keyout ca.key -out ca.pem",
    )?;
    openssl(
        &tls,
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
    )?;
    openssl(
        &tls,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.crt",
    )?;
    // Java reads PEM keys only in PKCS #8 format.
    openssl(&tls, "pkcs8 -topk8 -nocrypt -in server.key -out server.p8")?;
    let whole = [
        fs::read(tls.join("server.p8"))?,
        fs::read(tls.join("server.crt"))?,
    ]
    .concat();
    for made in [
        "ca.key",
        "ca.srl",
        "names",
        "server.csr",
        "server.key",
        "server.p8",
        "server.crt",
    ] {
        let _ = fs::remove_file(tls.join(made));
    }
    fs::write(tls.join("server.pem"), whole).context("cannot write server.pem")
}

fn openssl(directory: &Path, arguments: &str) -> Result<()> {
    process::run(
        Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(directory),
        NO_OPENSSL,
    )
}
