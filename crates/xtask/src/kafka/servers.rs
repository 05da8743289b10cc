//! Where clients connect.

use std::path::Path;

use anyhow::{Result, anyhow};

use super::properties;
use super::tls::Secured;

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// `host:port` of every node, comma-separated; no encryption, no authentication.
    pub plain: String,
    /// The SASL_SSL listeners, if there are any.
    pub secured: Option<Secured>,
}

impl Servers {
    /// What the nodes with these `server.properties` advertise; none without any.
    pub(super) fn advertised(properties: &[String], directory: &Path) -> Option<Self> {
        let plain = addresses(properties, "PLAINTEXT://")?;
        let secured =
            addresses(properties, "SASL_SSL://").map(|servers| Secured::new(servers, directory));
        Some(Self { plain, secured })
    }

    pub(super) fn first_port(&self) -> Result<u16> {
        let first = self
            .plain
            .split(',')
            .next()
            .and_then(|server| server.rsplit_once(':'));
        let port = first.and_then(|(_, port)| port.parse().ok());
        port.ok_or_else(|| {
            anyhow!(
                "found {:?}, expected host:port of the first node",
                self.plain
            )
        })
    }
}

/// The addresses of one kind, comma-separated.
fn addresses(properties: &[String], scheme: &str) -> Option<String> {
    let advertised = properties
        .iter()
        .filter_map(|text| properties::value(text, "advertised.listeners"));
    let addresses: Vec<&str> = advertised
        .flat_map(|listeners| listeners.split(','))
        .filter_map(|one| one.strip_prefix(scheme))
        .collect();
    (!addresses.is_empty()).then(|| addresses.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_is_listed_by_kind_of_listener() {
        let properties =
            [1, 2].map(|n| format!("advertised.listeners=PLAINTEXT://a:{n},SASL_SSL://a:20{n}\n"));
        let servers = Servers::advertised(&properties, Path::new("/k")).unwrap();
        assert_eq!(servers.plain, "a:1,a:2");
        assert_eq!(servers.first_port().unwrap(), 1);
        assert_eq!(servers.secured.unwrap().servers, "a:201,a:202");
        assert_eq!(Servers::advertised(&[], Path::new("/k")), None);
    }
}
