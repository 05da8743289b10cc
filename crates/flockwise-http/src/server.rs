//! The server's life: bound, served on a thread of its own, stopped.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::connections::{LIMITS, Limits, serve};
use crate::customers::LookupCustomer;
use crate::readiness::Readiness;
use crate::routes::router;

/// How long a stop waits for requests under way.
const GRACE: Duration = Duration::from_secs(5);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be had.
    #[error("cannot listen on {listen}: {source}; {}", advice(source, listen))]
    Listen {
        /// The address as configured.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The thread that would serve cannot be started.
    #[error("cannot start the thread of the HTTP server: {0}; is there a limit on threads?")]
    Thread(io::Error),
}

/// A server that is running; dropping it stops it at once.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<io::Result<()>>>,
    /// `None` once stopped.
    runtime: Option<Runtime>,
}

/// Binds the address and serves on a thread of its own. Port 0 takes any that is free.
///
/// # Errors
/// Where the address cannot be had, at once and with what to do about it.
pub fn start(
    listen: SocketAddr,
    registry: Registry,
    readiness: Arc<Readiness>,
    tell: LookupCustomer,
) -> Result<HttpServer, HttpError> {
    start_with(LIMITS, listen, registry, readiness, tell)
}

pub(crate) fn start_with(
    limits: Limits,
    listen: SocketAddr,
    registry: Registry,
    readiness: Arc<Readiness>,
    tell: LookupCustomer,
) -> Result<HttpServer, HttpError> {
    let (listener, address) =
        bind(listen).map_err(|source| HttpError::Listen { listen, source })?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("flockwise-http")
        .enable_all()
        .build()
        .map_err(HttpError::Thread)?;
    let (shutdown, stopped) = oneshot::channel();
    let router = router(registry, readiness, tell);
    let serving = runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        serve(listener, router, limits, stopped).await;
        Ok(())
    });
    tracing::info!(%address, "listening for HTTP");
    Ok(HttpServer {
        address,
        shutdown: Some(shutdown),
        serving: Some(serving),
        runtime: Some(runtime),
    })
}

impl HttpServer {
    /// Where it listens, the port being the real one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets requests under way end (for at most 5 s), and ends. Not to be
    /// called from asynchronous code, since it blocks.
    pub fn stop(mut self) {
        self.shutdown.take();
        let (Some(runtime), Some(serving)) = (self.runtime.take(), self.serving.take()) else {
            return;
        };
        let ended = runtime.block_on(async { tokio::time::timeout(GRACE, serving).await });
        match ended {
            Ok(Ok(Ok(()))) => tracing::debug!("the HTTP server has stopped"),
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the HTTP server has failed"),
            Ok(Err(error)) => tracing::warn!(%error, "the HTTP server has panicked"),
            Err(_) => tracing::warn!("HTTP requests under way were cut off"),
        }
        runtime.shutdown_background();
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // A runtime must not be dropped, which waits, where asynchronous code runs.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn bind(listen: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn advice(error: &io::Error, listen: &SocketAddr) -> String {
    let port = listen.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another process has the port (`ss -ltnp 'sport = :{port}'` says which): stop it, or set \
             `listen` under [http] to another address"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("port {port} needs a privilege: set `listen` under [http] to a port above 1023")
        }
        io::ErrorKind::AddrNotAvailable => format!(
            "{} is no address of this machine: set `listen` under [http] to one that is, or to 0.0.0.0",
            listen.ip()
        ),
        _ => "set `listen` under [http] to another address".to_owned(),
    }
}
