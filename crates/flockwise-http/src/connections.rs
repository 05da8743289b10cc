//! Connections, with limits on their number and duration.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// The pause after a failed accept. The usual cause is a lack of file descriptors, which lasts a while.
const PAUSE: Duration = Duration::from_millis(500);

/// How long after an accept error is logged further ones are not.
const QUIET: Duration = Duration::from_secs(10);

/// Limits on clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// Open connections at once. One more closes the oldest, so that a probe always gets an answer.
    pub(crate) connections: usize,
    /// From the start of waiting for a request to the end of its headers. Also closes idle connections.
    pub(crate) header: Duration,
    /// How long a connection accepts requests. Stalled bodies and responses end with it, after `grace`.
    pub(crate) lifetime: Duration,
    /// How long a request in progress may still take after the lifetime, or after a stop.
    pub(crate) grace: Duration,
}

/// The limits in production. The connections are far below the usual 1,024 descriptors of a process, and far above
/// what probes and Prometheus need.
pub(crate) const LIMITS: ConnectionLimits = ConnectionLimits {
    connections: 128,
    header: Duration::from_secs(10),
    lifetime: Duration::from_secs(60),
    grace: Duration::from_secs(10),
};

/// Serves until `stopped`, then waits for requests in progress.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    mut stopped: oneshot::Receiver<()>,
) {
    let (stop, stopping) = watch::channel(false);
    let mut open = OpenConnections::default();
    let mut complaint = AcceptErrorLog::default();
    loop {
        let accepted = tokio::select! {
            // A dropped sender means stop, too.
            _ = &mut stopped => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                open.make_room(limits.connections);
                open.add(answer(stream, router.clone(), limits, stopping.clone()));
            }
            Err(error) => {
                complaint.accept_failed(&error, open.len());
                sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    open.end().await;
}

/// Answers the requests of one connection.
async fn answer(
    stream: TcpStream,
    router: Router,
    limits: ConnectionLimits,
    mut stopping: watch::Receiver<bool>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        _ = stopping.wait_for(|stops| *stops) => None,
        () = sleep(limits.lifetime) => None,
    };
    if let Some(Err(error)) = ended {
        tracing::debug!(%error, "HTTP connection failed");
    } else if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        if timeout(limits.grace, connection).await.is_err() {
            tracing::debug!("HTTP connection closed: it did not finish in time");
        }
    }
}

/// The open connections, oldest first.
#[derive(Default)]
struct OpenConnections {
    tasks: JoinSet<()>,
    handles: VecDeque<AbortHandle>,
}

impl OpenConnections {
    fn len(&self) -> usize {
        self.tasks.len()
    }

    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        self.handles.push_back(self.tasks.spawn(connection));
    }

    /// Closes the oldest connections until one more is allowed.
    fn make_room(&mut self, most: usize) {
        while self.tasks.try_join_next().is_some() {}
        self.handles.retain(|handle| !handle.is_finished());
        while self.handles.len() >= most.max(1) {
            tracing::debug!(most, "too many HTTP connections: closing the oldest");
            if let Some(oldest) = self.handles.pop_front() {
                oldest.abort();
            }
        }
    }

    async fn end(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Logs accept errors, at most once in [`QUIET`].
#[derive(Default)]
struct AcceptErrorLog(Option<Instant>);

impl AcceptErrorLog {
    fn accept_failed(&mut self, error: &io::Error, open: usize) {
        if self.0.is_some_and(|last| last.elapsed() < QUIET) {
            return;
        }
        self.0 = Some(Instant::now());
        tracing::warn!(
            %error,
            open,
            "cannot accept HTTP connections; probes fail while this lasts. \"Too many open files\": raise the limit \
             (`ulimit -n`, LimitNOFILE=)"
        );
    }
}
