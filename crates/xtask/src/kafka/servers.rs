//! The addresses that clients connect to.

use std::path::Path;

use anyhow::{Result, anyhow};

use super::properties;
use super::tls::Secured;

/// The addresses of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// `host:port` of every node, comma-separated, without encryption and authentication.
    pub plain: String,
    /// The SASL_SSL listeners, if the cluster has any.
    pub secured: Option<Secured>,
    /// For each proxied listener, its addresses at every node.
    pub proxied_listeners: Vec<Vec<ProxiedListener>>,
}

/// A listener that advertises the address of a proxy, so that clients connect through the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxiedListener {
    /// `host:port` that is advertised to clients. The proxy listens on it.
    pub advertised: String,
    /// `host:port` that the broker listens on.
    pub listens: String,
}

impl Servers {
    /// The addresses that nodes with these `server.properties` advertise; `None` if there are no nodes.
    pub(super) fn advertised(properties: &[String], directory: &Path) -> Option<Self> {
        let plain = addresses(properties, "PLAINTEXT://")?;
        let secured =
            addresses(properties, "SASL_SSL://").map(|servers| Secured::new(servers, directory));
        let proxied_listeners = (1..).map_while(|number| proxied_listener(properties, number));
        Some(Self {
            plain,
            secured,
            proxied_listeners: proxied_listeners.collect(),
        })
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

/// The advertised addresses of one scheme, comma-separated; `None` if there are none.
fn addresses(properties: &[String], scheme: &str) -> Option<String> {
    let addresses = listeners(properties, "advertised.listeners", scheme);
    (!addresses.is_empty()).then(|| addresses.join(","))
}

fn proxied_listener(properties: &[String], number: u16) -> Option<Vec<ProxiedListener>> {
    let scheme = format!("PROXIED{number}://");
    let advertised = listeners(properties, "advertised.listeners", &scheme);
    let listens = listeners(properties, "listeners", &scheme);
    let nodes = advertised.iter().zip(listens);
    let nodes = nodes.map(|(advertised, listens)| ProxiedListener {
        advertised: (*advertised).to_owned(),
        listens: listens.to_owned(),
    });
    (!advertised.is_empty()).then(|| nodes.collect())
}

/// Every node's addresses of one scheme under one key.
fn listeners<'a>(properties: &'a [String], key: &str, scheme: &str) -> Vec<&'a str> {
    let values = properties
        .iter()
        .filter_map(|text| properties::value(text, key));
    values
        .flat_map(|listeners| listeners.split(','))
        .filter_map(|one| one.strip_prefix(scheme))
        .collect()
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
        assert!(servers.proxied_listeners.is_empty());
        assert_eq!(servers.secured.unwrap().servers, "a:201,a:202");
        assert_eq!(Servers::advertised(&[], Path::new("/k")), None);
    }

    #[test]
    fn a_proxied_listener_has_two_addresses_at_every_node() {
        let properties = [1, 2].map(|n| {
            format!("listeners=PLAINTEXT://a:{n},PROXIED1://a:1{n}\nadvertised.listeners=PLAINTEXT://a:{n},PROXIED1://a:6{n}\n")
        });
        let servers = Servers::advertised(&properties, Path::new("/k")).unwrap();
        assert_eq!(servers.proxied_listeners.len(), 1);
        let second = &servers.proxied_listeners[0][1];
        assert_eq!((&*second.advertised, &*second.listens), ("a:62", "a:12"));
    }
}
