//! Starts and stops the server, which runs on its own thread.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::connections::{ConnectionLimits, LIMITS, serve};
use crate::readiness::Readiness;
use crate::routes::{Answers, router};

/// How long a stop waits for requests in progress.
const GRACE: Duration = Duration::from_secs(5);

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be bound.
    #[error("cannot listen on {listen}: {source}; {}", advice(source, listen))]
    Listen {
        /// The address as configured.
        listen: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The server's thread cannot start.
    #[error("cannot start the thread of the HTTP server: {0}; check the limit on threads")]
    Thread(io::Error),
}

/// A running server. Dropping it stops it at once; [`stop`](Self::stop) waits for requests in progress.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<io::Result<()>>>,
    /// `None` once stopped.
    runtime: Option<Runtime>,
}

/// Binds the address and serves on a thread of its own. Port 0 binds any free port.
///
/// # Errors
/// If the address cannot be bound, with advice, or if the thread cannot start.
pub fn start(
    listen: SocketAddr,
    registry: Registry,
    readiness: Arc<Readiness>,
    answers: Answers,
) -> Result<HttpServer, HttpError> {
    start_with(LIMITS, listen, registry, readiness, answers)
}

pub(crate) fn start_with(
    limits: ConnectionLimits,
    listen: SocketAddr,
    registry: Registry,
    readiness: Arc<Readiness>,
    answers: Answers,
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
    let router = router(registry, readiness, answers);
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
    /// The address that the server listens on, with the actual port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the server: accepts no more connections, and waits up to 5 s for requests in progress. It blocks, so do
    /// not call it from asynchronous code.
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
            Err(_) => tracing::warn!("HTTP requests in progress were cut off"),
        }
        runtime.shutdown_background();
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // Dropping a runtime blocks, which is not allowed in asynchronous code.
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
            "another process uses the port (`ss -ltnp 'sport = :{port}'` shows which): stop it, or set \
             `listen` under [http] to another address"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("port {port} needs a privilege: set `listen` under [http] to a port above 1023")
        }
        io::ErrorKind::AddrNotAvailable => format!(
            "{} is not an address of this machine: set `listen` under [http] to one that is, or to 0.0.0.0",
            listen.ip()
        ),
        _ => "set `listen` under [http] to another address".to_owned(),
    }
}
