//! A proxy between one process and one broker, which can break the connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use xtask::kafka::ProxiedListener;

/// Polling interval for new connections.
const STEP: Duration = Duration::from_millis(25);
/// Stack of a thread. Small, since there are hundreds of connections.
const STACK_BYTES: usize = 128 << 10;
const CHUNK_BYTES: usize = 64 << 10;

/// What the proxy does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Open,
    /// Nothing listens on the port, so new connections are refused.
    Refusing,
    /// Connections stay open, but nothing is transferred, as if a cable was pulled.
    Stalled,
    /// The proxy has ended.
    Closed,
}

/// A proxy from one process to one broker, closed on drop.
#[derive(Debug)]
pub(crate) struct Proxy(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    proxied_listener: ProxiedListener,
    mode: Mutex<Mode>,
    changed: Condvar,
    /// Both ends of every connection that may still be open.
    ends: Mutex<Vec<(TcpStream, TcpStream)>>,
}

impl Proxy {
    /// Starts a proxy with its own threads.
    pub(crate) fn open(proxied_listener: &ProxiedListener) -> Result<Self> {
        let connection = Arc::new(Connection {
            proxied_listener: proxied_listener.clone(),
            mode: Mutex::new(Mode::Open),
            changed: Condvar::new(),
            ends: Mutex::default(),
        });
        let listener = connection.listen()?;
        let served = Arc::clone(&connection);
        spawn("proxy", move || serve(&served, listener)).context("cannot start a proxy thread")?;
        Ok(Self(connection))
    }

    /// Changes the mode.
    pub(crate) fn set(&self, mode: Mode) {
        *lock(&self.0.mode) = mode;
        self.0.changed.notify_all();
    }

    /// Breaks every open connection.
    pub(crate) fn cut(&self) {
        for (client, broker) in lock(&self.0.ends).drain(..) {
            // They may be broken already.
            let _ = client.shutdown(Shutdown::Both);
            let _ = broker.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Mode::Closed);
        self.cut();
    }
}

impl Connection {
    fn listen(&self) -> Result<TcpListener> {
        let listener = TcpListener::bind(&self.proxied_listener.advertised);
        let listener = listener.and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        listener.with_context(|| format!("cannot listen on {}", self.proxied_listener.advertised))
    }

    fn mode(&self) -> Mode {
        *lock(&self.mode)
    }

    /// Waits while the proxy is stalled.
    fn pass(&self) {
        let stalled = |mode: &mut Mode| *mode == Mode::Stalled;
        let passed = self.changed.wait_while(lock(&self.mode), stalled);
        drop(passed);
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        client.set_nonblocking(false)?;
        let broker = TcpStream::connect(&self.proxied_listener.listens)?;
        for end in [&client, &broker] {
            end.set_nodelay(true)?;
        }
        let clone = |end: &TcpStream| end.try_clone();
        let mut ends = lock(&self.ends);
        ends.retain(|(client, _)| client.peer_addr().is_ok());
        ends.push((clone(&client)?, clone(&broker)?));
        drop(ends);
        for (from, to) in [(clone(&client)?, clone(&broker)?), (broker, client)] {
            let connection = Arc::clone(self);
            spawn("proxy-pump", move || pump(&connection, from, to))?;
        }
        Ok(())
    }
}

/// Accepts connections until the proxy is closed.
fn serve(connection: &Arc<Connection>, listener: TcpListener) {
    let mut listener = Some(listener);
    loop {
        match connection.mode() {
            Mode::Closed => return,
            // A connection is refused only if nothing listens.
            Mode::Refusing => listener = None,
            // The port may be busy for a moment.
            Mode::Open | Mode::Stalled if listener.is_none() => listener = connection.listen().ok(),
            Mode::Open | Mode::Stalled => {}
        }
        match listener.as_ref().map(TcpListener::accept) {
            // If the broker cannot be reached, the client's connection is closed, as by a broker that is down.
            Some(Ok((client, _))) => drop(connection.connect(client)),
            Some(Err(_)) | None => thread::sleep(STEP),
        }
    }
}

/// Copies bytes in one direction until either end is closed. While stalled, the close is not forwarded either.
fn pump(connection: &Connection, mut from: TcpStream, mut to: TcpStream) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        connection.pass();
        if to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    connection.pass();
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder.stack_size(STACK_BYTES).spawn(work).map(drop)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    fn port() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    }

    /// A proxy to an echo server.
    fn proxy() -> (Proxy, String) {
        let echo = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxied_listener = ProxiedListener {
            advertised: port(),
            listens: echo.local_addr().unwrap().to_string(),
        };
        let echo_all = move || {
            while let Ok((mut end, _)) = echo.accept() {
                let mut clone = end.try_clone().unwrap();
                spawn("echo", move || drop(io::copy(&mut end, &mut clone))).unwrap();
            }
        };
        spawn("echo", echo_all).unwrap();
        (
            Proxy::open(&proxied_listener).unwrap(),
            proxied_listener.advertised,
        )
    }

    fn client(address: &str) -> TcpStream {
        let client = TcpStream::connect(address).unwrap();
        let timeout = Some(Duration::from_secs(20));
        client.set_read_timeout(timeout).unwrap();
        client
    }

    fn read(client: &mut TcpStream) -> io::Result<usize> {
        client.read(&mut [0; 8])
    }

    #[test]
    fn what_is_held_up_arrives_later() {
        let (proxy, address) = proxy();
        let mut client = client(&address);
        client.write_all(b"1").unwrap();
        assert_eq!(read(&mut client).unwrap(), 1);
        proxy.set(Mode::Stalled);
        client.write_all(b"2").unwrap();
        let short = Some(Duration::from_millis(50));
        client.set_read_timeout(short).unwrap();
        assert_eq!(read(&mut client).unwrap_err().kind(), ErrorKind::WouldBlock);
        proxy.set(Mode::Open);
        client.set_read_timeout(None).unwrap();
        assert_eq!(read(&mut client).unwrap(), 1);
    }

    #[test]
    fn what_is_cut_is_gone_and_the_next_is_let_in() {
        let (proxy, address) = proxy();
        let mut first = client(&address);
        first.write_all(b"1").unwrap();
        assert_eq!(read(&mut first).unwrap(), 1);
        proxy.cut();
        assert!(matches!(read(&mut first), Ok(0) | Err(_)));
        let mut second = client(&address);
        second.write_all(b"2").unwrap();
        assert_eq!(read(&mut second).unwrap(), 1);
    }

    #[test]
    fn who_is_refused_is_let_in_afterwards() {
        let (proxy, address) = proxy();
        let is_refused = || TcpStream::connect(&address).is_err();
        proxy.set(Mode::Refusing);
        flockwise_tests::eventually("refused", is_refused);
        proxy.set(Mode::Open);
        flockwise_tests::eventually("let in", || !is_refused());
    }
}
