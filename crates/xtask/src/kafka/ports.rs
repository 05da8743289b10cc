//! The TCP ports of a node: broker P, controller P + 100, SASL_SSL P + 200. Proxied listener K listens on P + 10 K and
//! advertises P + 50 + 10 K.

use std::net::TcpListener;

use anyhow::{Result, anyhow, bail};

pub(super) const CONTROLLER_PORT_OFFSET: u16 = 100;
pub(super) const SECURED_PORT_OFFSET: u16 = 200;
pub(super) const PROXIED_PORT_OFFSET: u16 = 10;
pub(super) const ADVERTISED_PORT_OFFSET: u16 = 50;

/// Fails if another program listens on this port.
pub(super) fn check_free(port: u16) -> Result<()> {
    if !is_free(port) {
        bail!(
            "port {port} of 127.0.0.1 is used by another program; choose another with --port, or --port 0"
        );
    }
    Ok(())
}

/// A first port for which all ports of `nodes` nodes are free.
pub(super) fn find(nodes: u16) -> Result<u16> {
    // Below Linux's ephemeral ports. The start differs by process, so that two processes rarely try the same ports.
    let start = u16::try_from(std::process::id() % 40).unwrap_or_default();
    (0..40)
        .map(|step| 20_000 + (start + step) % 40 * 300)
        .find(|first| {
            (0..nodes).all(|node| {
                let proxied_listeners = (PROXIED_PORT_OFFSET..CONTROLLER_PORT_OFFSET)
                    .step_by(usize::from(PROXIED_PORT_OFFSET));
                [0, CONTROLLER_PORT_OFFSET, SECURED_PORT_OFFSET]
                    .into_iter()
                    .chain(proxied_listeners)
                    .all(|kind| is_free(first + node + kind))
            })
        })
        .ok_or_else(|| anyhow!("no free ports for {nodes} nodes between 20000 and 32000"))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
